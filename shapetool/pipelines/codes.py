"""The codes of shapes under a trained model: learned with it, found by its encoder, or fitted to points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shapetool.errors import ConfigError, DataError
from shapetool.models.fitting import Fit, Observations, fit_codes
from shapetool.sampling.seed import shape_rng
from shapetool.training.batches import moved, stacked
from shapetool.training.runs import OpenedRun, RunRecipe, open_run
from shapetool.training.shapes import Shapes, open_shapes

TOGETHER = 16  # shapes that are encoded or fitted at a time


def codes_for(model: Any, recipe: RunRecipe, shapes: Shapes, seed: int = 0, fit: Fit | None = None) -> Tensor:
    """The code of each shape under a `FieldModel`, (S, C).

    An auto-decoder has those of the shapes it was trained on; for others the code is fitted to their points. A model
    with an encoder looks at each shape, with draws that the seed and its id decide.

    Raises:
        DataError: the shapes are damaged, or not of the frame that the model knows.
    """
    model.eval()
    if model.auto_decoder:
        return _learned(model, recipe, shapes, seed, fit)
    found = []
    for first in range(0, len(shapes), TOGETHER):
        rows = range(first, min(first + TOGETHER, len(shapes)))
        drawn = [
            (row, model.config.draw(shapes[row], shape_rng(seed, f"encode/{shapes.shape_ids[row]}"), -1))
            for row in rows
        ]
        with torch.no_grad():
            found.append(model.codes_of(moved(stacked(drawn), model.device)))
    return torch.cat(found)


def target_codes(target: OpenedRun, shape_ids: tuple[str, ...]) -> Tensor:
    """The codes that a run gives to these shapes, found in its own data.

    Raises:
        DataError: one of them is not in its data.
    """
    shapes = open_shapes([Path(path) for path in target.recipe.data], shape_ids)
    return codes_for(target.model, target.recipe, shapes)


def attach_target(model: Any, recipe: RunRecipe) -> None:
    """None, once a model that serves another run's decoder has it; nothing for the others.

    It gets the codes of its shapes by index: those that are trained on, then those that choose `best/`.

    Raises:
        ConfigError: the model needs a target and the run names none.
        CheckpointError: the target is gone, damaged or foreign.
    """
    if not hasattr(model, "attach"):
        return
    place = getattr(recipe.config, "target", "")
    if not place:
        raise ConfigError(
            f"{recipe.model}: expected --target RUN, whose shapes are to be seen in images. Train that first."
        )
    target = open_run(place)
    model.attach(target.model, target_codes(target, recipe.facts.shape_ids + recipe.val_ids))


def check_frame(recipe: RunRecipe, shapes: Shapes) -> None:
    """Nothing, if the shapes are in the frame that a run was trained in.

    Raises:
        DataError: another kind, or another frame.
    """
    path, found = shapes.datasets[0].path, shapes.datasets[0].recipe
    if shapes.kind != recipe.facts.kind:
        raise DataError(
            f"{path}: expected shapes of kind {recipe.facts.kind!r}, as the run was trained on, found {shapes.kind!r}. "
            "Sample them with the same command."
        )
    for key in ("normalize", "frame_size"):
        wanted = recipe.facts.recipe.get(key)
        if wanted is not None and found.get(key) is not None and found[key] != wanted:
            raise DataError(
                f"{path}: expected the frame of the run, {key} {wanted}, found {found[key]}. Sample with --normalize "
                f"{recipe.facts.recipe.get('normalize')}; a code says nothing of a shape of another size."
            )


def _learned(model: Any, recipe: RunRecipe, shapes: Shapes, seed: int, fit: Fit | None) -> Tensor:
    """The codes of an auto-decoder."""
    index = {name: row for row, name in enumerate(recipe.facts.shape_ids)}
    # A shape is the one that was trained on only if it comes out of the same data.
    own = {str(Path(path).resolve()) for path in recipe.data}
    same = str(Path(shapes.datasets[0].path).resolve()) in own
    known = [row for row, name in enumerate(shapes.shape_ids) if same and name in index]
    unseen = [row for row in range(len(shapes)) if row not in set(known)]
    found: dict[int, Tensor] = {}
    if known:
        places = torch.tensor([index[shapes.shape_ids[row]] for row in known], device=model.device)
        with torch.no_grad():
            found |= dict(zip(known, model.codes_of({"index": places}), strict=True))
    for first in range(0, len(unseen), TOGETHER):
        rows = unseen[first : first + TOGETHER]
        points = np.stack([_some(shapes, row, "points", seed) for row in rows])
        distances = np.stack([_some(shapes, row, "distances", seed) for row in rows])
        seen = Observations(torch.from_numpy(points).to(model.device), torch.from_numpy(distances).to(model.device))
        found |= dict(zip(rows, fit_codes(model, seen, fit), strict=True))
    return torch.stack([found[row] for row in range(len(shapes))])


def _some(shapes: Shapes, row: int, name: str, seed: int) -> np.ndarray:
    """A random stretch of a column, the same one for every column of the shape."""
    (values,) = shapes[row].chunk((name,), shape_rng(seed, f"fit/{shapes.shape_ids[row]}"))
    return values.astype(np.float32)
