"""The cells of a lattice that a surface goes through, found by asking at every node."""

import numpy as np

from shapetool.extraction.evaluate import Asked
from shapetool.extraction.level import BEYOND, Level
from shapetool.geometry.dual import offsets_of


def level_by_all_nodes(asked: Asked, axes: tuple[np.ndarray, ...]) -> Level:
    """The level with all cells that have nodes on both sides; some planes of nodes are in memory at a time."""
    level = Level(asked, axes)
    count = len(axes[0])
    thick = max(1, asked.batch // count**2)
    across = np.stack(np.meshgrid(axes[1], axes[2], indexing="ij"), axis=-1).reshape(-1, 2)
    slab = np.full((1, count + 2, count + 2), BEYOND)  # begins with the ring
    for start in range(0, count + 1, thick):
        x = axes[0][start : start + thick]
        planes = np.full((len(x) + (start + thick > count), count + 2, count + 2), BEYOND)
        points = np.concatenate([np.repeat(x, len(across))[:, None], np.tile(across, (len(x), 1))], axis=1)
        planes[: len(x), 1:-1, 1:-1] = asked(points).reshape(len(x), count, count)
        slab = np.concatenate([slab[-1:], planes])
        _take_mixed(level, slab, start)
    return level


def _take_mixed(level: Level, slab: np.ndarray, first: int) -> None:
    """Hands the level the cells between these planes, the first of which is plane `first` of the level."""
    low = high = slab < 0
    for axis in range(3):
        ends = [
            np.take(each, np.arange(k, each.shape[axis] - 1 + k), axis=axis) for k in (0, 1) for each in (low, high)
        ]
        low, high = ends[0] & ends[2], ends[1] | ends[3]
    i, j, k = np.nonzero(high & ~low)
    if len(i):
        at = np.ravel_multi_index((i, j, k), slab.shape)
        size = level.nodes.size
        values = slab.reshape(-1)[at[:, None] + offsets_of(slab.shape)]
        level.take(((i + first) * size + j) * size + k, values)
