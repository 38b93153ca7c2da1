"""The visual hull: the largest solid with the given silhouettes."""

import numpy as np
from jaxtyping import Bool, Float

from shapetool.errors import ConfigError
from shapetool.geometry.lattice import Box, lattice_axes
from shapetool.render.cameras import Cameras
from shapetool.render.fusion import projected_nodes

REACH = 8  # pixels up to which the distance from the outline of a silhouette is known


def hull_distances(
    cameras: Cameras, silhouettes: Bool[np.ndarray, "N H W"], box: Box, resolution: int
) -> Float[np.ndarray, "X Y Z"]:
    """Values at `resolution`^3 nodes of the box, negative inside the hull and 0 on its surface, in the box's unit.

    A node has the largest of what the views say: the distance of its pixel coordinates from the outline, in pixels up
    to `REACH`, times the footprint of a pixel at its depth. A view that does not show a node says nothing of it; a node
    in fewer than half of the images is outside. Off the surface the values are no distances: the nearest point may lie
    elsewhere than a view shows.

    Raises:
        ConfigError: not as many silhouettes, or not as large, as the cameras have; fewer than two nodes.
    Source: Laurentini, "The visual hull concept for silhouette-based image understanding", PAMI 1994.
    """
    if silhouettes.shape != (len(cameras), *cameras.size):
        expected = (len(cameras), *cameras.size)
        raise ConfigError(f"silhouettes: expected {expected} for these cameras, found {silhouettes.shape}.")
    axes = lattice_axes(box, resolution)
    values = np.empty((resolution,) * 3)
    outlines = [outline_distance(silhouette) for silhouette in silhouettes]
    thick = max(1, (1 << 18) // resolution**2)
    for start in range(0, resolution, thick):
        part = slice(start, start + thick)
        slab = np.full((len(axes[0][part]), resolution, resolution), -np.inf)
        pictured = np.zeros(slab.shape, np.int64)
        for view, outline in enumerate(outlines):
            (u, v), depth, seen = projected_nodes((axes[0][part], axes[1], axes[2]), cameras, view)
            footprint = (1.0 if cameras.orthographic else depth[seen]) / cameras.intrinsics[view, 0, 0]
            pictured += seen
            slab[seen] = np.maximum(slab[seen], _between(outline, u[seen], v[seen]) * footprint)
        slab[2 * pictured < len(cameras)] = np.ptp(box, axis=0).max()
        values[part] = slab
    return values


def outline_distance(silhouette: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """The distance of pixel centres from the outline in pixels, negative inside, up to `REACH`.

    The outline is half way between a pixel and the nearest one of the other side.
    """
    return _to_nearest(silhouette) - _to_nearest(~silhouette)


def _to_nearest(wanted: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """How far each centre is from the nearest wanted one, less a half; 0 at those."""
    height, width = wanted.shape
    along = np.where(wanted, 0.0, np.inf)
    padded = np.pad(along, ((0, 0), (REACH, REACH)), constant_values=np.inf)
    for step in range(-REACH, REACH + 1):
        along = np.minimum(along, padded[:, REACH + step : REACH + step + width] + step**2)
    padded = np.pad(along, ((REACH, REACH), (0, 0)), constant_values=np.inf)
    found = along
    for step in range(-REACH, REACH + 1):
        found = np.minimum(found, padded[REACH + step : REACH + step + height] + step**2)
    return np.minimum(np.maximum(np.sqrt(found) - 0.5, 0), REACH)


def _between(
    image: Float[np.ndarray, "H W"], u: Float[np.ndarray, " K"], v: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " K"]:
    """The image at pixel coordinates, linear between the centres of pixels and constant beyond the last ones."""
    height, width = image.shape
    x, y = np.clip(u - 0.5, 0, width - 1), np.clip(v - 0.5, 0, height - 1)
    column, row = np.minimum(x.astype(np.int64), max(width - 2, 0)), np.minimum(y.astype(np.int64), max(height - 2, 0))
    right, below = np.minimum(column + 1, width - 1), np.minimum(row + 1, height - 1)
    x, y = x - column, y - row
    upper = image[row, column] * (1 - x) + image[row, right] * x
    lower = image[below, column] * (1 - x) + image[below, right] * x
    between: np.ndarray = upper * (1 - y) + lower * y
    return between
