"""Vertices on the zero of a field, and its gradients as normals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.extraction.evaluate import Asked
from shapetool.geometry.dual import CORNERS
from shapetool.geometry.mesh import Mesh
from shapetool.render.sphere_trace import March, normals_of

_MARGIN = 1e-3  # of a cell: how near to its sides a vertex may come
_SMALL = 0.01  # of a cell: a step this short is made without asking how well it did
_TOLERANCE = 1e-4  # of the change across a cell: a value that is not improved any more


@dataclass(frozen=True, eq=False)
class CellVertices:
    """Vertices, the low corners and sides of the cells that each is in, and the values at the corners of these."""

    places: Float[np.ndarray, "V 3"]
    low: Float[np.ndarray, "V 3"]
    steps: Float[np.ndarray, "3"]
    values: Float[np.ndarray, "V 8"]


def refined(asked: Asked, given: CellVertices, steps: int) -> Float[np.ndarray, "V 3"]:
    """The vertices moved to where the field is zero along its gradient between the corners, within their cells.

    One step of Newton, then of the secant, until `steps` values were asked for each; of all places tried, the one
    with the least value counts. A step of less than a hundredth of a cell is made unseen.
    """
    if steps < 1 or not len(given.places):
        return given.places
    direction, change = _down(given)
    low, high = _reach(given, direction)
    rows = np.arange(len(given.places))
    at, best, least = np.zeros(len(rows)), np.zeros(len(rows)), np.full(len(rows), np.inf)
    before, value_before = np.zeros(len(rows)), np.zeros(len(rows))
    for step in range(steps):
        value = asked(given.places[rows] + at[rows, None] * direction[rows])
        better = np.abs(value) < least[rows]
        best[rows] = np.where(better, at[rows], best[rows])
        least[rows] = np.minimum(least[rows], np.abs(value))
        rise = (value - value_before[rows]) / np.where(at[rows] == before[rows], 1, at[rows] - before[rows])
        ahead = at[rows] + (value if step == 0 else -value / np.where(rise == 0, np.inf, rise))
        ahead = np.clip(ahead, low[rows], high[rows])
        short = better & (np.abs(ahead - at[rows]) * np.linalg.norm(direction[rows] / given.steps, axis=1) < _SMALL)
        best[rows] = np.where(short, ahead, best[rows])
        before[rows], value_before[rows], at[rows] = at[rows], value, ahead
        rows = rows[~short & (np.abs(value) > _TOLERANCE * change[rows])]
        if not len(rows):
            break
    return given.places + best[:, None] * direction


def _down(given: CellVertices) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, " V"]]:
    """How a vertex moves for each unit by which its value is above zero, and how much the values of its cell differ."""
    t = (given.places - given.low) / given.steps
    share = np.where(CORNERS[:, None] == 1, t, 1 - t)  # (8, V, 3)
    gradient = np.empty_like(t)
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        sign = np.where(CORNERS[:, axis] == 1, 1.0, -1.0)[:, None]
        gradient[:, axis] = (sign * share[:, :, b] * share[:, :, c] * given.values.T).sum(axis=0) / given.steps[axis]
    squared = (gradient**2).sum(axis=1, keepdims=True)
    down = -np.divide(gradient, squared, out=np.zeros_like(gradient), where=squared > 0)
    return down, given.values.max(axis=1) - given.values.min(axis=1)


def _reach(
    given: CellVertices, direction: Float[np.ndarray, "V 3"]
) -> tuple[Float[np.ndarray, " V"], Float[np.ndarray, " V"]]:
    """How far each vertex may go backwards and forwards before it leaves its cell."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one = (given.low + _MARGIN * given.steps - given.places) / direction
        other = (given.low + (1 - _MARGIN) * given.steps - given.places) / direction
    still = direction == 0
    near = np.where(still, -np.inf, np.minimum(one, other)).max(axis=1)
    far = np.where(still, np.inf, np.maximum(one, other)).min(axis=1)
    flat = still.all(axis=1)
    return np.where(flat, 0.0, np.minimum(near, 0)), np.where(flat, 0.0, np.maximum(far, 0))


def vertex_normals(field: Callable[..., Any], mesh: Mesh, batch: int = 1 << 16) -> Float[np.ndarray, "V 3"]:
    """The outward unit normals at the vertices: gradients of the field, or means of the faces where it is flat.

    Raises:
        ConfigError: a field that does not return a finite number a point.
    """
    normals = normals_of(field, mesh.vertices, March(batch=batch))
    flat = ~normals.any(axis=1)
    if flat.any():
        sums = np.zeros_like(normals)
        for corner in range(3):
            np.add.at(sums, mesh.faces[:, corner], mesh.face_normals * mesh.face_areas[:, None])
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        normals[flat] = np.divide(sums, length, out=np.zeros_like(sums), where=length > 0)[flat]
    return normals
