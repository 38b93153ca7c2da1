"""Checkpoints: tensors as safetensors, all else as JSON, nothing that is executed when it is read."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from shapetool.data.atomic import sync_folder, write_whole
from shapetool.errors import CheckpointError

FORMAT = "shapetool-checkpoint"
LAYOUT = 1
LARGEST = 2**53  # of steps and seconds; no JSON reader keeps larger whole numbers
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


@dataclass
class State:
    """Everything that decides how a run goes on: random numbers are none of it, for they follow from seed and step."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """What goes into the JSON file."""
        return {"step": self.step, "seconds": self.seconds, "best": self.best}


def save(folder: Path, state: State, about: Mapping[str, Any]) -> None:
    """None, once `folder` holds this state; it held the one before until then, and a kill leaves one of both.

    Raises:
        OSError: the disk is full or fails; the state before stands.
    """
    beside, before = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        write_whole(beside / "model.safetensors", safetensors.torch.save(_plain(state.average or state.weights)))
        if state.optimizer:
            held = {f"optimizer.{name}": tensor for name, tensor in state.optimizer.items()}
            if state.average:  # then model.safetensors holds the average, and the loop goes on from these
                held |= {f"weights.{name}": tensor for name, tensor in state.weights.items()}
            write_whole(beside / "training.safetensors", safetensors.torch.save(_plain(held)))
        numbers = {"format": FORMAT, "layout": LAYOUT, **about, **state.numbers()}
        write_whole(beside / "state.json", (json.dumps(numbers, indent=1) + "\n").encode())
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    recover(folder)
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)
        os.rename(folder, before)
    os.rename(beside, folder)
    sync_folder(folder.parent)
    shutil.rmtree(before, ignore_errors=True)


def recover(folder: Path) -> None:
    """None, once a checkpoint that a kill caught between two names has its own again."""
    before = folder.with_name(f".{folder.name}.old")
    if before.is_dir() and not folder.exists():
        with contextlib.suppress(OSError):
            os.rename(before, folder)


def tidy(folder: Path) -> None:
    """None, once `folder` is the only checkpoint of its name: a kill may leave half of one, or the one before."""
    recover(folder)
    shutil.rmtree(folder.with_name(f".{folder.name}.new"), ignore_errors=True)
    if folder.exists():
        shutil.rmtree(folder.with_name(f".{folder.name}.old"), ignore_errors=True)


def read_numbers(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of the checkpoint in `folder`, which must be `about` this model.

    Raises:
        CheckpointError: there is none, it is damaged, of another model or version, or holds pickles.
    """
    recover(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected a checkpoint, found no such folder. Train, or name another run.")
    strange = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if strange:
        raise CheckpointError(
            f"{folder / strange[0]}: expected safetensors, found a pickle, which could run any code. It is not read; "
            "train again, or save its tensors as model.safetensors where you trust it."
        )
    place = folder / "state.json"
    try:
        numbers: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(numbers, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{place}: expected the state of a checkpoint: {error}. Use the other one.") from error
    if numbers.get("format") != FORMAT or numbers.get("layout") != LAYOUT:
        raise CheckpointError(
            f"{place}: expected {FORMAT} of layout {LAYOUT}, found {numbers.get('format')!r} of layout "
            f"{numbers.get('layout')!r}. Train again, or use the version that wrote it."
        )
    for key, value in about.items():
        if numbers.get(key) != value:
            raise CheckpointError(f"{place}: expected the {key} {value!r}, found {numbers.get(key)!r}.")
    for key, kinds in (("step", int), ("seconds", int | float), ("best", int | float | None)):
        value = numbers.get(key, "")
        if isinstance(value, bool) or not isinstance(value, kinds) or (value is not None and abs(value) > LARGEST):
            raise CheckpointError(f"{place}: expected a number as {key}, found {str(value)[:60]!r}. Train again.")
    return numbers


def load(folder: Path, about: Mapping[str, Any]) -> State:
    """The state in `folder`, with what is needed to go on.

    Raises:
        CheckpointError: as `read_numbers`, or tensors that are damaged or missing.
    """
    numbers = read_numbers(folder, about)
    weights = read_tensors(folder / "model.safetensors")
    held = read_tensors(folder / "training.safetensors")
    optimizer = {name.removeprefix("optimizer."): v for name, v in held.items() if name.startswith("optimizer.")}
    own = {name.removeprefix("weights."): v for name, v in held.items() if name.startswith("weights.")}
    average = weights if own else {}
    best = numbers["best"]
    return State(
        int(numbers["step"]), float(numbers["seconds"]), None if best is None else float(best),
        own or weights, average, optimizer,
    )  # fmt: skip


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        CheckpointError: it is missing, or not safetensors.
    """
    try:
        # The whole file is read: a mapped one would change under the model when the next checkpoint takes its name.
        return safetensors.torch.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path}: expected safetensors: {error}. Use the other checkpoint, or train again."
        ) from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """None, once the model has these weights.

    Raises:
        CheckpointError: names or shapes are not those of the model.
    """
    own = model.state_dict()
    missing, strange = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or strange:
        found = f"no {missing[0]!r}" if missing else f"{strange[0]!r}"
        raise CheckpointError(f"{where}: expected the weights of {type(model).__name__}, found {found}. Train again.")
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise CheckpointError(
                f"{where}: expected {name} of shape {tuple(tensor.shape)}, found {tuple(weights[name].shape)}. "
                "The configuration is another one; train again."
            )
    model.load_state_dict(dict(weights))


def optimizer_tensors(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What optimizers remember, each tensor under `<optimizer>/<parameter>/<name>`."""
    return {
        f"{name}/{number}/{key}": value
        for name, optimizer in optimizers.items()
        for number, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
        if isinstance(value, Tensor)
    }


def load_optimizers(optimizers: Mapping[str, torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """None, once the optimizers remember these tensors.

    Raises:
        CheckpointError: a tensor is of no parameter, or of another shape than its parameter.
    """
    for name, optimizer in optimizers.items():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        entries: dict[int, dict[str, Tensor]] = {}
        try:
            for key, value in tensors.items():
                owner, number, part = key.rsplit("/", 2)
                if owner != name:
                    continue
                if value.dim() and value.shape != parameters[int(number)].shape:
                    raise ValueError(f"{key} of shape {tuple(value.shape)}")
                entries.setdefault(int(number), {})[part] = value
            optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
        except (ValueError, KeyError, IndexError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"training.safetensors: expected what the optimizer {name} remembers, but: {error}. "
                "Use the other checkpoint, or train again."
            ) from error


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU that share no memory with each other, which the format does not know."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
