"""The progressive point sets of IM-NET: cells of 16^3, 32^3 and 64^3 lattices, most of them near the boundary.

Both generations look at voxels of 256^3: a coarser cell counts as filled where any voxel in it is. Of 16^3 every cell
is taken. Of the finer lattices those come first in whose neighbourhood filled and empty cells meet, and random others
fill what is left. The first generation stores the centre of each cell, the second a random voxel that is as the cell.

Source: Chen and Zhang, "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, and the code of its point
sampling. Difference: with another number of points than theirs, a set takes a random choice of its cells, or all of
them and random ones again.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from shapetool.recipes import OccupancyRecipe

FINEST = 256  # voxels along an edge of the cube
ENCODED = 64  # cells that the encoder of IM-NET sees
_WINDOW = {"v1": 3, "v2": 1}  # cells to each side of one that are compared
_STRIDE = 4
# The cells of a block of 2^3 in the order in which v1 looks for a filled one.
_BLOCK = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)])

Filled = Bool[np.ndarray, "N N N"]
Cells = Int[np.ndarray, "C 3"]


@dataclass(frozen=True, eq=False)
class ProgressiveSets:
    """The points of all sets, shuffled; `order` is the place of each in the concatenation of the sets, coarse first."""

    points: Float[np.ndarray, "P 3"]
    order: Int32[np.ndarray, " P"]
    voxels: Bool[np.ndarray, "64 64 64"]


def progressive_sets(filled: Filled, recipe: OccupancyRecipe, rng: np.random.Generator) -> ProgressiveSets:
    """The sets of a shape with these 256^3 voxels of the cube of the recipe, in float64 and not yet rounded."""
    parts = []
    for across, count in recipe.set_counts().items():
        cells = chosen_cells(pooled(filled, across), recipe.progressive, across, count, rng)
        if recipe.progressive == "v2":
            cells, across = voxels_in(filled, cells, across, rng), FINEST
        parts.append((cells + 0.5) * (2 * recipe.uniform_size / across) - recipe.uniform_size)
    order = rng.permutation(recipe.count).astype(np.int32)
    return ProgressiveSets(np.concatenate(parts)[order], order, pooled(filled, ENCODED))


def pooled(filled: Filled, across: int) -> Bool[np.ndarray, "A A A"]:
    """Whether any voxel is filled in each cell of a lattice of `across` along an edge."""
    step = len(filled) // across
    return np.any(filled.reshape(across, step, across, step, across, step), axis=(1, 3, 5))


def chosen_cells(filled: Filled, method: str, across: int, count: int, rng: np.random.Generator) -> Cells:
    """`count` cells of a lattice, none twice before all are taken."""
    total = across**3
    first = _first_cells(filled, method, count, rng) if across > 16 else np.arange(total)
    if len(first) > count:
        first = first[np.sort(rng.permutation(len(first))[:count])]
    rest = np.ones(total, dtype=bool)
    rest[first] = False
    parts = [first, rng.permutation(np.flatnonzero(rest))[: count - len(first)]]
    while (missing := count - sum(len(part) for part in parts)) > 0:
        parts.append(rng.permutation(total)[:missing])
    return np.stack(np.unravel_index(np.concatenate(parts), filled.shape), axis=1)


def _first_cells(filled: Filled, method: str, count: int, rng: np.random.Generator) -> Int[np.ndarray, " C"]:
    """The cells that are taken before random ones, as flat indices."""
    near = near_boundary(filled, _WINDOW[method])
    across = len(filled)
    if method == "v2":  # y outside, then x, then z, each in four rounds: what is cut off is spread over the shape
        turn = np.concatenate([np.arange(start, across - 1, _STRIDE) for start in range(1, 1 + _STRIDE)])
        y, x, z = np.nonzero(near[np.ix_(turn, turn, turn)].transpose(1, 0, 2))
        return np.ravel_multi_index((turn[x], turn[y], turn[z]), filled.shape)[:count]
    cells = np.flatnonzero(near)
    return cells if len(cells) < count else _one_of_each_block(filled)


def near_boundary(filled: Filled, window: int) -> Filled:
    """The cells in whose neighbourhood, `window` cells to each side, filled and empty ones meet; none at the border."""
    most, least = filled, filled
    for axis in range(3):
        most, least = _along(most, axis, window, np.logical_or), _along(least, axis, window, np.logical_and)
    near = np.zeros_like(filled)
    inner = (slice(window, len(filled) - window),) * 3
    near[inner] = most != least
    return near


def _along(values: Bool[np.ndarray, "X Y Z"], axis: int, window: int, join: np.ufunc) -> Bool[np.ndarray, "A B C"]:
    """Each run of 2 * window + 1 values along an axis joined into one."""
    length = values.shape[axis] - 2 * window
    runs = [np.take(values, np.arange(start, start + length), axis) for start in range(2 * window + 1)]
    joined: Bool[np.ndarray, "A B C"] = join.reduce(runs)
    return joined


def _one_of_each_block(filled: Filled) -> Int[np.ndarray, " C"]:
    """One cell of each block of 2^3, filled if any is: v1's way out where too many cells are near the boundary."""
    half = len(filled) // 2
    corners = np.stack(np.unravel_index(np.arange(half**3), (half, half, half)), axis=1) * 2
    cells = corners[:, None] + _BLOCK
    picked = np.argmax(filled[tuple(cells.reshape(-1, 3).T)].reshape(-1, 8), axis=1)
    return np.ravel_multi_index(tuple(cells[np.arange(len(cells)), picked].T), filled.shape)


def voxels_in(filled: Filled, cells: Cells, across: int, rng: np.random.Generator) -> Cells:
    """A random voxel of each cell: a filled one where there is any."""
    step = len(filled) // across
    blocks = filled.reshape(across, step, across, step, across, step).transpose(0, 2, 4, 1, 3, 5)
    inside = blocks[tuple(cells.T)].reshape(len(cells), step**3)
    how_many = inside.sum(axis=1)
    wanted = (rng.random(len(cells)) * np.where(how_many, how_many, step**3)).astype(np.int64)
    mixed = np.flatnonzero((how_many > 0) & (how_many < step**3))
    ranks = np.cumsum(inside[mixed], axis=1, dtype=np.int32)
    wanted[mixed] = np.argmax(ranks > wanted[mixed][:, None], axis=1)
    return cells * step + np.stack(np.unravel_index(wanted, (step, step, step)), axis=1)
