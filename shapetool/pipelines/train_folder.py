"""Whose a run folder is: it becomes a run's, goes on being it, or is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from shapetool.data.atomic import remove_leftovers
from shapetool.errors import ConfigError

if TYPE_CHECKING:
    from shapetool.pipelines.train import Order
    from shapetool.training.runs import RunRecipe

OURS = {"recipe.json", "log.jsonl", "curves.png", "last", "best", "samples", "tensorboard"}


def refuse(order: Order, recipe: RunRecipe) -> None:
    """Nothing, if the run folder may become this run's, or is so already.

    Raises:
        ConfigError: it is a file, holds something else, or a run with other settings.
        CheckpointError: its recipe is damaged or of another version.
    """
    from shapetool.training.runs import read_recipe

    out = order.run
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder for the run, found a file. Name another RUN.")
    if not out.is_dir():
        return
    known = OURS if (out / "recipe.json").exists() else set()
    strange = sorted(entry.name for entry in out.iterdir() if entry.name not in known and entry.name[0] != ".")
    if strange:
        raise ConfigError(f"{out}: expected an empty folder or a run, found {strange[0]!r}. Name another RUN.")
    if _begins(order):
        return
    other = read_recipe(out).same_as(recipe, lengths=not order.resume)
    if other is not None:
        longer = "--resume to go on with this one, " if other in ("steps", "budget") else ""
        raise ConfigError(
            f"{out}: holds a run with another {other}. Give it the same settings to go on, {longer}--overwrite to "
            "begin anew, or name another RUN."
        )


def _begins(order: Order) -> bool:
    """Whether the run starts at its beginning: nothing is kept of what came to no checkpoint."""
    kept = (order.run / "last").exists() or (order.run / ".last.old").exists()
    return not kept or (order.overwrite and not order.resume)


def claim(order: Order, recipe: RunRecipe) -> None:
    """None, once the folder is this run's.

    Raises:
        ConfigError: as `refuse`.
        CheckpointError: as `refuse`.
        OSError: it cannot be written.
    """
    from shapetool.training.runs import write_recipe

    refuse(order, recipe)
    order.run.mkdir(parents=True, exist_ok=True)
    if _begins(order):
        for entry in order.run.iterdir():
            if entry.name in OURS or entry.name.startswith((".last.", ".best.")):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    remove_leftovers(order.run)
    write_recipe(order.run, recipe)
