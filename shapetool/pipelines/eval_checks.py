"""What has to be said of two shapes before their numbers are believed: too few points, or too few digits."""

import numpy as np
from jaxtyping import Float

from shapetool.pipelines.eval_inputs import Shape
from shapetool.recipes.evaluation import EvalRecipe

_SAME_PLACES = 0.9  # of the points: fewer places than this are a fault of the file, not of the draw
_COARSE = 1e-4  # of the longest edge: steps this wide are seen in the numbers


def remarks(pred: Shape, true: Shape, recipe: EvalRecipe) -> list[str]:
    """Warnings of points that are few, stand on each other, or were rounded, and of an EMD that leaves some out."""
    found = [f"{side}: {text}" for side, shape in (("prediction", pred), ("truth", true)) for text in _of(shape)]
    if "emd" in recipe.metrics and pred.points is not None and true.points is not None:
        sizes = len(pred.points), len(true.points)
        count = min(recipe.emd_points, *sizes)
        if sizes[0] != sizes[1]:
            found.append(f"emd: of {sizes[0]} predicted and {sizes[1]} true points {count} each were drawn and matched")
    return found


def why_no_boolean(note: str) -> list[str]:
    """Which side kept the exact boolean from being used, why, and what was done instead."""
    sides = {"a": "the prediction", "b": "the truth"}
    named = [f"{sides[side]} {why}" for side, _, why in (part.partition(" ") for part in note.split("; "))]
    return [f"{text}, so no exact boolean: inside is by winding number, on a lattice" for text in named]


def _of(shape: Shape) -> list[str]:
    points = shape.points if shape.mesh is None else shape.mesh.vertices
    assert points is not None
    found = []
    if shape.mesh is None:
        if len(points) == 1:
            found.append("is a single point, so there is no interval and no floor")
        places = _places(points)
        if len(points) > 1 and places < _SAME_PLACES * len(points):
            found.append(f"{len(points)} points stand at {places} place{'s' if places > 1 else ''}")
    step = _step(points)
    edge = float(np.ptp(points, axis=0).max())
    if step > _COARSE * edge > 0:
        far = float(np.abs(points).max())
        found.append(
            f"coordinates up to {far:.3g} in single precision are {step:.2g} apart, {step / edge:.1g} of its longest "
            "edge; what is finer was lost before. Export it nearer to the origin or in double precision"
        )
    return found


def _places(points: Float[np.ndarray, "N 3"]) -> int:
    """How many different points there are, seen along a direction in which no two of a lattice fall together."""
    along = (points - points[0]) @ np.array([1.0, np.pi, np.e])
    return len(np.unique(along))


def _step(points: Float[np.ndarray, "N 3"]) -> float:
    """How far apart neighbouring numbers are where single precision holds the largest coordinate; 0 of finer ones."""
    if np.abs(points).max() > np.finfo(np.float32).max or not np.array_equal(points.astype(np.float32), points):
        return 0.0
    return float(np.spacing(np.abs(points).max().astype(np.float32)))
