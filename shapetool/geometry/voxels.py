"""Cells of a cubic lattice about the origin: which have their centre inside a mesh, and which its surface meets."""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry import kernel
from shapetool.geometry.backends import Field
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField

LARGEST_BLOCK = 16  # cells along the edge of the blocks that are looked at first
PLANE_NODES = 1 << 22  # nodes of which the sign is asked in one call, about
SLACK = 1e-6  # of a cell: rounding of distances is a billion times smaller
_HALVES = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)


def cell_centres(half: float, count: int) -> Float[np.ndarray, " N"]:
    """The coordinates of the centres of `count` cells along an edge from -half to half."""
    return (np.arange(count) + 0.5) * (2 * half / count) - half


def solid_cells(field: Field, half: float, count: int) -> Bool[np.ndarray, "N N N"]:
    """Whether `field` is negative at the centre of each of count^3 cells of [-half, half]^3: `[i, j, k]` at x, y, z.

    Where the sign changes at the surface only, a block of cells that is farther from it than its centres are from its
    own centre is decided as one; else every centre is asked.
    """
    axis = cell_centres(half, count)
    if isinstance(field, SignedField):
        if field.changes_at_surface:
            return _by_blocks(field, axis, 2 * half / count)
        return _by_slabs(field, axis)
    planes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return np.stack([field(plane.reshape(-1, 3)) < 0 for plane in planes]).reshape(count, count, count)


def surface_cells(mesh: Mesh, half: float, count: int, threads: int | None = None) -> Bool[np.ndarray, "N N N"]:
    """Whether the closed cube of each of count^3 cells of [-half, half]^3 meets a triangle of the mesh.

    A triangle that rounding leaves in doubt, within about 1e-12 of a cell, meets it; so faces that lie between two
    cells meet both.
    """
    low = np.full(3, -half)
    found = kernel.surface_cells(np.ascontiguousarray(mesh.triangles), low, 2 * half / count, count, threads or 0)
    return found.view(np.bool_).reshape(count, count, count)


def _by_slabs(field: SignedField, axis: Float[np.ndarray, " N"]) -> Bool[np.ndarray, "N N N"]:
    """The answer by the sign of each centre, plane after plane."""
    count = len(axis)
    step = max(1, PLANE_NODES // count**2)
    slabs = [field.at_nodes(np.ascontiguousarray(axis[i : i + step]), axis, axis) < 0 for i in range(0, count, step)]
    return np.concatenate(slabs)


def _by_blocks(field: SignedField, axis: Float[np.ndarray, " N"], size: float) -> Bool[np.ndarray, "N N N"]:
    """The answer by blocks, halved where the surface may pass between their centres."""
    count = len(axis)
    solid = np.zeros((count, count, count), dtype=bool)
    block = LARGEST_BLOCK
    starts = np.arange(0, count, block)
    blocks = np.stack(np.meshgrid(starts, starts, starts, indexing="ij"), axis=-1).reshape(-1, 3)
    while len(blocks):
        distances = field(axis[blocks] if block == 1 else axis[0] + (blocks + (block - 1) / 2) * size)
        decided = np.abs(distances) > (-1 if block == 1 else size * ((block - 1) * np.sqrt(3) / 2 + SLACK))
        _fill(solid, blocks[decided & (distances < 0)], block)
        block //= 2
        blocks = (blocks[~decided][:, None] + _HALVES * block).reshape(-1, 3)
        blocks = blocks[(blocks < count).all(axis=1)]
    return solid


def _fill(solid: Bool[np.ndarray, "N N N"], blocks: Int[np.ndarray, "B 3"], block: int) -> None:
    """Sets the cells of these blocks, as far as they are cells."""
    if block < 4:
        within = np.stack(np.meshgrid(*[range(block)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        cells = (blocks[:, None] + within).reshape(-1, 3)
        solid[tuple(cells[(cells < len(solid)).all(axis=1)].T)] = True
        return
    for i, j, k in blocks.tolist():
        solid[i : i + block, j : j + block, k : k + block] = True
