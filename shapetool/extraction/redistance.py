"""Signed distances at the nodes of a lattice that are right in size, of ones that are right in sign."""

import math

import numpy as np
from jaxtyping import Bool, Float

from shapetool.errors import ConfigError
from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.geometry.kernel import finite_points
from shapetool.geometry.lattice import Box, lattice_distances
from shapetool.metrics.tree import Tree


def redistanced(
    values: Float[np.ndarray, "X Y Z"], box: Box, truncation: float, seen: Float[np.ndarray, "K 3"] | None = None
) -> Float[np.ndarray, "X Y Z"]:
    """The signed distances of the nodes from the surface of `values`, cut at `truncation`, with the signs of `values`.

    `seen` are points of the true surface, such as those of depth images: a node is then no farther from it than from
    the nearest of them. They show edges that the surface of a lattice cuts; that surface closes what no point shows.
    Where no sign is wrong, a distance is too small by at most what the surface of `values` is off the true one, and too
    large by at most what the nearest part of the true one is off both that surface and the points.

    Raises:
        ConfigError: not as many nodes along each axis, a box without extent, or a truncation that is not above 0.
        MeshError: no node is inside, or a value or a point is not finite.
    """
    if len(set(values.shape)) != 1:
        raise ConfigError(f"values: expected as many nodes along each axis, found {values.shape}.")
    if not (math.isfinite(truncation) and truncation > 0):
        raise ConfigError(f"truncation is {truncation}; expected a distance above 0.")
    nodes = values.shape[0]
    size = np.abs(lattice_distances(mesh_of_lattice(values, box), box, nodes, truncate=truncation))
    if seen is not None and len(seen):
        seen = finite_points(seen)
        low, step = np.asarray(box[0]), (np.asarray(box[1]) - box[0]) / (nodes - 1)
        near = np.argwhere(_within((seen - low) / step, nodes, truncation / step))
        squared, _ = Tree(seen).nearest(low + near * step)
        where = tuple(near.T)
        size[where] = np.minimum(size[where], np.sqrt(squared[:, 0]))
    return np.where(values < 0, -size, size)


def _within(places: np.ndarray, nodes: int, reach: Float[np.ndarray, "3"]) -> Bool[np.ndarray, "N N N"]:
    """The nodes that may be within `reach` of some place, both in cells: all that are, and some more."""
    near = np.zeros((nodes,) * 3, bool)
    near[tuple(np.clip(np.floor(places), 0, nodes - 1).astype(np.int64).T)] = True
    for axis in range(3):
        more = math.ceil(reach[axis]) + 1
        widened = np.pad(near, [(more, more) if axis == k else (0, 0) for k in range(3)])
        near = np.asarray(np.lib.stride_tricks.sliding_window_view(widened, 2 * more + 1, axis).any(axis=-1))
    return near
