"""Checkpoints, run folders and logs of training."""

import contextlib
from functools import cache
from pathlib import Path

import torch

from shapetool.errors import ShapetoolError
from shapetool.models import model_class
from shapetool.models.base import Facts
from shapetool.training.checkpoint import State, load, load_optimizers, optimizer_tensors, save
from shapetool.training.log import read_log
from shapetool.training.runs import RunRecipe, built, open_run, write_recipe
from tests.fuzz.folders import ram

TINY = {"width": 8, "depth": 2, "skip": 1, "code_size": 2, "points": 8, "shapes": 2, "steps": 4}


def run_folder(data: bytes) -> None:
    """A run folder with one file replaced is refused, or gives a model and the state to go on from."""
    root, files = _sound_run()
    path = files[data[0] % len(files) if data else 0]
    kept = path.read_bytes()
    path.write_bytes(data[1:])
    try:
        with contextlib.suppress(ShapetoolError):
            opened = open_run(root, "last")
            assert opened.step >= 0
        with contextlib.suppress(ShapetoolError):
            state = load(root / "last", {"model": "DeepSDF"})
            model = _model()
            load_optimizers({"all/adam": torch.optim.Adam(model.parameters())}, state.optimizer)
        assert all(isinstance(line["step"], int) for line in read_log(root / "log.jsonl"))
    finally:
        path.write_bytes(kept)


@cache
def _recipe() -> RunRecipe:
    config = model_class("deepsdf").configs["default"].replace(**TINY)
    facts = Facts(("a", "b"), "sdf", 1.0, {"name": "uniform"}, {"points": (8, 3), "distances": (8,)})
    return RunRecipe("deepsdf", config, facts, ("data.h5",), val_ids=("b",))


def _model() -> torch.nn.Module:
    return built(_recipe())


@cache
def _sound_run() -> tuple[Path, list[Path]]:
    root, model = ram("run"), _model()
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    write_recipe(root, _recipe())
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    save(
        root / "last",
        State(3, 1.5, 0.25, weights, {}, optimizer_tensors({"all/adam": optimizer})),
        {"model": type(model).__name__},
    )
    (root / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25, "event": "best"}\n')
    return root, sorted(path for path in root.rglob("*") if path.is_file())


def run_seeds() -> list[bytes]:
    """Each file of a run folder behind its number."""
    return [bytes([number]) + path.read_bytes() for number, path in enumerate(_sound_run()[1])]
