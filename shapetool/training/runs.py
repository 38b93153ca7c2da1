"""Run folders: what was trained, on what, with which numbers, and the model as it was left."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from shapetool import __version__
from shapetool.data.atomic import write_whole
from shapetool.errors import CheckpointError, ConfigError
from shapetool.models import model_class
from shapetool.models.base import Facts, Model, ModelConfig
from shapetool.training.checkpoint import PICKLES, load_weights, read_numbers, read_tensors

FORMAT = "shapetool-run"
LAYOUT = 1
RECIPE = "recipe.json"
SPARE = 1 << 24  # numbers that a model may hold beside its weights


@dataclass(frozen=True)
class RunRecipe:
    """Everything that decides a run: kept in `recipe.json`.

    `data` are the paths of its data sets, the first with the points; `shape_ids` of the facts are those trained on,
    `val_ids` those that `best/` is chosen by.
    """

    model: str
    config: ModelConfig
    facts: Facts
    data: tuple[str, ...]
    seed: int = 0
    precision: str = "f32"
    budget: float | None = None
    val_ids: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return {
            "format": FORMAT,
            "layout": LAYOUT,
            "shapetool_version": __version__,
            "model": self.model,
            "config": self.config.to_dict(),
            "facts": asdict(self.facts),
            "data": list(self.data),
            "seed": self.seed,
            "precision": self.precision,
            "budget": self.budget,
            "val_ids": list(self.val_ids),
        }

    def same_as(self, other: "RunRecipe", lengths: bool) -> tuple[str, Any, Any] | None:
        """The first setting in which two recipes differ, with the value here and there; None if in none.

        Without `lengths`, steps and budget may differ.
        """
        mine, theirs = (json.loads(json.dumps(recipe.to_dict())) for recipe in (self, other))
        if not lengths:
            for settings in (mine, theirs):
                settings["config"].pop("steps")
                settings.pop("budget")
        for key in ("model", "config", "facts", "seed", "precision", "budget", "val_ids"):
            if isinstance(mine.get(key), dict):
                for name in mine[key]:
                    if mine[key][name] != theirs[key].get(name):
                        return name, mine[key][name], theirs[key].get(name)
            elif mine.get(key) != theirs.get(key):
                return key, mine.get(key), theirs.get(key)
        return None


@dataclass(frozen=True)
class OpenedRun:
    """A model as a run left it, ready to be asked, with what it was made from."""

    model: Model[Any]
    recipe: RunRecipe
    folder: Path
    step: int


def write_recipe(folder: Path, recipe: RunRecipe) -> None:
    """None, once the recipe is in the folder."""
    write_whole(folder / RECIPE, (json.dumps(recipe.to_dict(), indent=1) + "\n").encode())


def read_recipe(folder: Path) -> RunRecipe:
    """The recipe of a run folder.

    Raises:
        CheckpointError: the folder is none, or its recipe is damaged, of another layout or of an unknown model.
    """
    place = folder / RECIPE
    if folder.is_file() and folder.suffix in PICKLES:
        raise CheckpointError(
            f"{folder}: expected a run folder, found a pickle, which could run any code. It is not read."
        )
    try:
        found: Mapping[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        if found["format"] != FORMAT or found["layout"] != LAYOUT:
            raise CheckpointError(
                f"{place}: expected {FORMAT} of layout {LAYOUT}, found {found['format']!r} of layout "
                f"{found['layout']!r}. Use the version that wrote it, or train again."
            )
        kind = model_class(str(found["model"]))
        config = kind.configs["default"].replace(**found["config"])
        facts = dict(found["facts"])
        facts["shape_ids"] = tuple(facts["shape_ids"])
        facts["sizes"] = {name: tuple(size) for name, size in facts["sizes"].items()}
        if not isinstance(found["seed"], int) or not isinstance(found["budget"], int | float | None):
            raise ValueError("its seed or its budget is no number")
        return RunRecipe(
            str(found["model"]), config, Facts(**facts), tuple(found["data"]), found["seed"], found["precision"],
            found["budget"], tuple(found["val_ids"]),
        )  # fmt: skip
    except OSError as error:
        raise CheckpointError(
            f"{place}: expected a run folder with its recipe: {error.strerror}. Train one."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{place}: expected the recipe of a run, but: {error}. Train again.") from error


def built(recipe: RunRecipe) -> Model[Any]:
    """The model of a recipe with fresh weights, which follow from the seed alone."""
    torch.manual_seed(recipe.seed)
    return model_class(recipe.model)(recipe.config, recipe.facts)


class _Counted(TorchFunctionMode):
    """Counts the numbers that are made room for, and stops what asks for more than so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn):
            size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
            self.left -= math.prod(size) if isinstance(size, tuple | list) else 0
            if self.left < 0:
                raise ValueError("it asks for many more numbers than its weights are")
        return func(*args, **kwargs)


def _built_for(recipe: RunRecipe, weights: Mapping[str, torch.Tensor], place: Path) -> Model[Any]:
    """The model of a recipe, made only as far as its weights can fill it.

    Raises:
        CheckpointError: the recipe makes no model, or one that is far larger.
    """
    most = SPARE + 4 * sum(tensor.numel() for tensor in weights.values())
    try:
        with _Counted(most):
            return built(recipe)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{place}: expected the recipe of a model, but: {error}. Train again.") from error


def open_run(folder: str | Path, which: str = "best", device: torch.device | str = "cpu") -> OpenedRun:
    """The model of the checkpoint `best` or `last` of a run folder, in evaluation mode.

    Raises:
        CheckpointError: the folder is no run, has no such checkpoint, or one that is damaged, foreign, or a pickle.
    """
    folder = Path(folder)
    recipe = read_recipe(folder)
    numbers = read_numbers(folder / which, {"model": model_class(recipe.model).__name__})
    weights = read_tensors(folder / which / "model.safetensors")
    model = _built_for(recipe, weights, folder / RECIPE)
    load_weights(model, weights, folder / which)
    return OpenedRun(model.to(device).eval(), recipe, folder, int(numbers["step"]))
