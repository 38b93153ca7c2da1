"""Which nodes of a lattice a flood from its border reaches, when it keeps a stated distance to a surface."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh

_BLOCK = 16  # nodes along the side of the largest block that is looked at as one
_FALL = 0.1  # cells by which the distance shrinks at least, on the edge that follows one down to the surface
_HALF_DIAGONAL = float(np.sqrt(3.0)) / 2


@dataclass(frozen=True)
class Lattice:
    """Nodes at ``origin + step * (i, j, k)``, wide enough that the border is free of the surface."""

    origin: Float[np.ndarray, "3"]
    step: float
    shape: tuple[int, int, int]

    def points(self, nodes: Int[np.ndarray, "N 3"] | Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """The positions of nodes given by their three indices."""
        return self.origin + self.step * nodes


def lattice_around(mesh: Mesh, resolution: int, reach: float) -> Lattice:
    """A lattice with `resolution` cells along the longest side of the mesh, and `reach` cells and more around it."""
    low, high = mesh.bounds
    step = float((high - low).max()) / resolution
    around = int(np.ceil(reach)) + 3
    counts = np.ceil((high - low) / step).astype(np.int64) + 1 + 2 * around
    spare = (counts - 1) * step - (high - low)
    return Lattice(low - spare / 2, step, (int(counts[0]), int(counts[1]), int(counts[2])))


def distances_near(mesh: Mesh, lattice: Lattice, reach: float, threads: int) -> Float[np.ndarray, "X Y Z"]:
    """The unsigned distance of each node, in cells; infinite beyond `reach` cells.

    Blocks of nodes whose middle is further from the surface than reach and half their diagonal are passed over; the
    others are split into eight, down to the single node.
    """
    kernel = kernel_of(mesh, threads)
    values = np.full(lattice.shape, np.inf, np.float32)
    axes = [np.arange(0, n, _BLOCK) for n in lattice.shape]
    blocks = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    size = _BLOCK
    while True:
        middles = lattice.points(blocks + (size - 1) / 2)
        found = kernel.closest(middles, threads)[0] / lattice.step
        near = found <= reach + (size - 1) * _HALF_DIAGONAL + 1e-6
        blocks, found = blocks[near], found[near]
        if size == 1:
            values[tuple(blocks.T)] = found
            return values
        size //= 2
        corners = np.stack(np.meshgrid([0, size], [0, size], [0, size], indexing="ij"), axis=-1).reshape(-1, 3)
        blocks = (blocks[:, None] + corners).reshape(-1, 3)
        blocks = blocks[(blocks < lattice.shape).all(axis=1)]


@dataclass(frozen=True)
class Regions:
    """The pieces of free space: nodes that lattice edges join without coming near the surface. Piece 0 is outside."""

    starts: Int[np.ndarray, " N"]  # runs of free nodes along the last axis, as flat indices, both ends included
    ends: Int[np.ndarray, " N"]
    piece: Int[np.ndarray, " N"]  # of each run
    shape: tuple[int, int, int]

    @property
    def count(self) -> int:
        """How many pieces there are, the outside included."""
        return int(self.piece.max()) + 1

    def nodes_of(self, chosen: Bool[np.ndarray, " K"]) -> Bool[np.ndarray, "X Y Z"]:
        """The nodes of the chosen pieces."""
        kept = chosen[self.piece]
        change = np.zeros(int(np.prod(self.shape)) + 1, np.int8)
        change[self.starts[kept]] += 1
        np.add.at(change, self.ends[kept] + 1, -1)
        return np.cumsum(change[:-1], dtype=np.int8).astype(bool).reshape(self.shape)

    def samples(self) -> Int[np.ndarray, "K 3"]:
        """A node of each piece: the middle of its longest run."""
        order = np.lexsort((self.starts - self.ends, self.piece))
        first = order[np.searchsorted(self.piece[order], np.arange(self.count))]
        return np.stack(np.unravel_index((self.starts[first] + self.ends[first]) // 2, self.shape), axis=1)


def regions_of(free: Bool[np.ndarray, "X Y Z"]) -> Regions:
    """The pieces of the free nodes, joined along lattice edges; the border must be free."""
    open_before, open_behind = np.zeros_like(free), np.zeros_like(free)
    open_before[:, :, 1:] = free[:, :, :-1]
    open_behind[:, :, :-1] = free[:, :, 1:]
    starts = np.flatnonzero(free & ~open_before)
    ends = np.flatnonzero(free & ~open_behind)
    _, n_y, n_z = free.shape
    rows = starts // n_z
    one, other = [], []
    for shift, has_next in ((n_z, rows % n_y < n_y - 1), (n_y * n_z, np.ones(len(rows), bool))):
        low = np.searchsorted(ends, starts + shift)
        counts = np.where(has_next, np.searchsorted(starts, ends + shift, side="right") - low, 0)
        run = np.repeat(np.arange(len(starts)), counts)
        one.append(run)
        other.append(np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts) + low[run])
    labels = joined(len(starts), np.concatenate(one), np.concatenate(other))
    _, piece = np.unique(labels, return_inverse=True)  # run 0 starts at the corner, so its piece is the lowest
    return Regions(starts, ends, piece.reshape(-1), free.shape)


def joined(count: int, one: Int[np.ndarray, " E"], other: Int[np.ndarray, " E"]) -> Int[np.ndarray, " N"]:
    """For each of `count` things the lowest one that links reach from it."""
    parent = np.arange(count)
    while True:
        a, b = parent[one], parent[other]
        apart = a != b
        if not apart.any():
            return parent
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above


def sink(
    outside: Bool[np.ndarray, "X Y Z"], distances: Float[np.ndarray, "X Y Z"], level: float
) -> Bool[np.ndarray, "X Y Z"]:
    """The outside, let down to nodes further than `level`, along lattice edges that lead to the surface.

    On such an edge the distance does not grow, and shrinks at the next. So it does not pass an opening: beyond the
    narrowest place the distance grows again, and between parallel walls it stays as it is.
    """
    outside = outside.copy()
    flat, values = outside.reshape(-1), distances.reshape(-1)
    waiting = np.flatnonzero(~flat & (values > level) & np.isfinite(values))
    _, n_y, n_z = outside.shape
    while True:
        reached = np.zeros(len(waiting), bool)
        for shift in (1, -1, n_z, -n_z, n_y * n_z, -n_y * n_z):
            beside = waiting + shift
            leads_down = values[waiting] - values[waiting - shift] > _FALL
            reached |= flat[beside] & (values[beside] >= values[waiting]) & leads_down
        if not reached.any():
            return outside
        flat[waiting[reached]] = True
        waiting = waiting[~reached]
