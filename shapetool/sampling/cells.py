"""Cells of a solid lattice as points with labels: IM-NET's progressive sets made of voxels that a shard holds.

A lattice gets empty cells around it, one for sixteen of its own, because nothing of a shape is outside of its box but
points are asked there all the same. A coarse cell is filled where any voxel in it is.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.recipes import PROGRESSIVE
from shapetool.sampling.progressive import chosen_cells, pooled, voxels_in

BORDER = 16
WIDENED = 1 + 2 / BORDER
"""How much longer an edge is with the empty cells."""
METHODS = ("mixed", *PROGRESSIVE)

Solid = Bool[np.ndarray, "N N N"]
Cells = Int[np.ndarray, "C 3"]


def lattice_points(
    solid: Solid, across: int, method: str, count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "P 3"], Bool[np.ndarray, " P"]]:
    """Points in the lattice's box, whose edges go from -1/2 to 1/2, and around it, with whether they are inside.

    `across` cells along an edge: a divisor of the lattice's, and a multiple of 16. ``v1`` gives centres of cells,
    ``v2`` that of a random voxel that is as the cell, `count` of the set that the author's code would make: n^3 cells
    for 16, else 8 n^2 (``v1``) or 4 n^2 (``v2``), within 3 cells of the boundary (1) first. ``mixed`` gives voxels as
    ``v2`` does, half of them of cells that have a side in common with one of the other kind, half of any cells.

    Source: Chen and Zhang, "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, and its code.
    Differences of ``v1`` and ``v2``: the voxels are those of the shard, not 256 along an edge, with empty ones around.
    """
    solid = np.pad(solid, len(solid) // BORDER)
    wide = across + 2 * (across // BORDER)
    filled = pooled(solid, wide)
    if method == "mixed":
        cells = _mixed(filled, count, rng)
    else:
        size = round(set_size(method, across) * (wide / across) ** 3)
        cells = chosen_cells(filled, method, wide, size, rng)
        cells = cells[rng.choice(len(cells), count, replace=count > len(cells))]
    inside = filled[tuple(cells.T)]
    if method != "v1":
        cells, wide = voxels_in(solid, cells, wide, rng), len(solid)
    return ((cells + 0.5) / wide - 0.5) * WIDENED, inside


def set_size(method: str, across: int) -> int:
    """How many points the author's set of so many cells along an edge has, in the first or second generation."""
    return across**3 if across <= 16 else across**2 * {"v1": 8, "v2": 4}[method]


def _mixed(filled: Solid, count: int, rng: np.random.Generator) -> Cells:
    """Random cells, half of them beside the boundary, if there is one."""
    near = np.flatnonzero(beside_boundary(filled))
    chosen = rng.integers(filled.size, size=count)
    if len(near):
        chosen[: count // 2] = near[rng.integers(len(near), size=count // 2)]
    return np.stack(np.unravel_index(chosen, filled.shape), axis=1)


def beside_boundary(filled: Solid) -> Solid:
    """The cells that have a side in common with a cell of the other kind."""
    beside = np.zeros_like(filled)
    for axis in range(3):
        differ = np.diff(np.moveaxis(filled, axis, 0), axis=0)
        view = np.moveaxis(beside, axis, 0)
        view[1:] |= differ
        view[:-1] |= differ
    return beside
