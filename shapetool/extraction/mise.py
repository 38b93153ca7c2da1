"""The cells of a lattice that a surface goes through, found from a coarse lattice down."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.extraction.evaluate import Asked
from shapetool.extraction.level import CHUNK, Level
from shapetool.extraction.nodes import distinct
from shapetool.geometry.dual import CORNERS, offsets_of

_ROUNDING = 1 + 1e-5  # a field of float32 may pass its bound by as much
_ENDS = CORNERS.astype(bool)
_EDGES = [[(c, c | 4 >> axis) for c in range(8) if not c & 4 >> axis] for axis in range(3)]


def level_by_mise(asked: Asked, axes: tuple[np.ndarray, ...], stride: int, lipschitz: float | int | None) -> Level:
    """The finest level, with the cells of every surface that shows on every `stride`-th node, or that a bound allows.

    A part of a cell is passed over where some corner is farther from zero than the field can come within that part.
    Where the most that the field changes over a length of one is not given, it is taken from the coarse nodes, for each
    of their cells from those around it. On each level, surfaces are followed from cell to cell.

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, for MISE, which looks at signs alone; Chen and Zhang,
        "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, for following the surface (in its code).
    """
    level = Level(asked, axes, stride)
    level.grow(level.all_cells())
    slopes = _Slopes(level, lipschitz)
    while level.stride > 1 and level.visited:
        finer = Level(asked, axes, level.stride // 2, level)
        cells = distinct(np.concatenate(level.visited))
        parts = [_parts(level, finer, cells[start : start + CHUNK], slopes) for start in range(0, len(cells), CHUNK)]
        finer.grow(np.concatenate(parts))
        level = finer
    return level


class _Slopes:
    """The most that the field changes over a length of one, in cells: as given, or about what coarse nodes show."""

    def __init__(self, start: Level, lipschitz: float | int | None) -> None:
        self._given, self._start = lipschitz, start.fine
        if lipschitz is None:
            count = len(start.fine) - 1
            cells = start.all_cells()
            found = np.zeros((count,) * 3)
            for at in range(0, len(cells), CHUNK):
                part = cells[at : at + CHUNK]
                part = part[~start.in_ring(part)]
                i, j, k = start.nodes.split(part)
                found[i, j, k] = _own_slopes(start, part, start.corners(part)[0])
            self._around = _greatest_around(found)

    def of(
        self, level: Level, cells: Int[np.ndarray, " C"], values: Float[np.ndarray, "C 8"]
    ) -> Float[np.ndarray, " C"]:
        """For each cell of a level, outside of its ring, from the values at its corners."""
        if self._given is not None:
            return np.full(len(cells), self._given)
        above = [np.searchsorted(self._start, level.fine[index], "right") - 1 for index in level.nodes.split(cells)]
        return np.maximum(self._around[tuple(above)], _own_slopes(level, cells, values))


def _own_slopes(
    level: Level, cells: Int[np.ndarray, " C"], values: Float[np.ndarray, "C 8"]
) -> Float[np.ndarray, " C"]:
    """The length of the gradient, of which each part is the steepest of four edges."""
    split = level.nodes.split(cells)
    total = np.zeros(len(cells))
    for axis, edges in enumerate(_EDGES):
        length = np.diff(level.fine)[split[axis]] * level.steps[axis] / level.stride
        total += (np.max([np.abs(values[:, b] - values[:, a]) for a, b in edges], axis=0) / length) ** 2
    return np.sqrt(total)


def _greatest_around(slopes: Float[np.ndarray, "X Y Z"]) -> Float[np.ndarray, "X Y Z"]:
    """The greatest of each cell and the 26 around it."""
    for axis in range(3):
        wide = np.pad(slopes, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        count = slopes.shape[axis]
        slopes = np.max([np.take(wide, np.arange(k, k + count), axis=axis) for k in range(3)], axis=0)
    return slopes


def _parts(level: Level, finer: Level, cells: Int[np.ndarray, " C"], slopes: _Slopes) -> Int[np.ndarray, " D"]:
    """The cells of the finer level within these in which the surface may be.

    In the ring these are all of the cells that have corners inside.
    """
    ring = level.in_ring(cells)
    split = np.stack(level.nodes.split(cells))
    first = np.searchsorted(finer.fine, level.fine)
    found = []
    values, inside = level.corners(cells)
    most = slopes.of(level, cells[~ring], values[~ring]) * _ROUNDING
    size = np.abs(values[~ring])
    for part, place in enumerate(_ENDS):
        # How far the farthest point of this eighth is from each corner; less, where the box cuts the cell short.
        far = np.sqrt((np.where(place == _ENDS, 0.5, 1.0) ** 2 * level.steps**2).sum(axis=1))
        possible = np.zeros(len(cells), bool)
        possible[~ring] = (size <= most[:, None] * far).all(axis=1)
        possible[ring] = inside[ring].any(axis=1)
        index = first[split[:, possible]] + CORNERS[part][:, None]
        exists = (index < first[split[:, possible] + 1]).all(axis=0)
        found.append(offsets_of(finer.shape)[[4, 2, 1]] @ index[:, exists])
    return np.concatenate(found)
