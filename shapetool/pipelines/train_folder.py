"""Whose a run folder is: it becomes a run's, goes on being it, or is refused."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from shapetool.data.atomic import remove_leftovers
from shapetool.data.lock import sole_writer
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
    difference = read_recipe(out).same_as(recipe, lengths=not order.resume)
    if difference is not None:
        name, had, wanted = difference
        longer = "--resume to go on with this one, " if name in ("steps", "budget") else ""
        values = f"{name} {had} -> {wanted}" if len(f"{had}{wanted}") < 60 else name
        raise ConfigError(
            f"{out}: holds a run with other settings: {values}. Give it the same settings to go on, "
            f"{longer}--overwrite to begin anew, or name another RUN."
        )


def _begins(order: Order) -> bool:
    """Whether the run starts at its beginning: nothing is kept of what came to no checkpoint."""
    kept = (order.run / "last").exists() or (order.run / ".last.old").exists()
    return not kept or (order.overwrite and not order.resume)


def claim(order: Order, recipe: RunRecipe, held: ExitStack) -> None:
    """None, once the folder is this run's, and for as long as `held` lasts no other process may write there.

    Raises:
        ConfigError: as `refuse`, or another process trains there.
        CheckpointError: as `refuse`.
        OSError: it cannot be written.
    """
    from shapetool.training.checkpoint import tidy
    from shapetool.training.runs import write_recipe

    refuse(order, recipe)
    order.run.mkdir(parents=True, exist_ok=True)
    held.enter_context(sole_writer(order.run / ".lock", order.run))
    if _begins(order):
        for entry in order.run.iterdir():
            if entry.name in OURS or entry.name.startswith((".last.", ".best.")):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in ("last", "best"):
        tidy(order.run / name)
    remove_leftovers(order.run)
    write_recipe(order.run, recipe)
