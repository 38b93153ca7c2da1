"""Values at the nodes of a cubic lattice of which few are known, in blocks that exist where they are needed."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.dual import CORNERS

_SIDE = 4  # nodes along a block: 512 bytes of values, and of a surface few more blocks than it crosses
_BLOCK = _SIDE**3


def distinct(numbers: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, " D"]:
    """Each number once, in order; by sorting, for the hash of `np.unique` takes many times as long for indices."""
    ordered = np.sort(numbers, axis=None)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]] if len(ordered) else ordered


class Nodes:
    """Places for values by the flat index of a node, i * size^2 + j * size + k.

    `values[place]` is NaN until it is known, `marks[place]` is a byte of bits, 0 at first. All nodes of blocks that do
    not exist share the place 0, which stays unknown.
    """

    def __init__(self, size: int) -> None:
        across = -(-size // _SIDE)
        self.size = size
        self.values: np.ndarray = np.full(_BLOCK, np.nan)
        self.marks: np.ndarray = np.zeros(_BLOCK, np.uint8)
        self._blocks = 1
        self._slots: np.ndarray = np.zeros(across**3, np.int32)
        index = np.arange(size)
        self._block_along = [index // _SIDE * across ** (2 - axis) for axis in range(3)]
        self._within = [index % _SIDE * _SIDE ** (2 - axis) for axis in range(3)]

    @property
    def bytes(self) -> int:
        """The memory of blocks and their table."""
        return int(self.values.nbytes + self.marks.nbytes + self._slots.nbytes)

    def split(self, nodes: Int[np.ndarray, " N"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The index of each node along x, y and z."""
        rest, k = np.divmod(nodes, self.size)
        i, j = np.divmod(rest, self.size)
        return i, j, k

    def places(self, nodes: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """The place of each node, 0 where its block does not exist."""
        block, within = self._address(*self.split(nodes))
        slot = self._slots[block].astype(np.int64)
        return np.where(slot > 0, slot * _BLOCK + within, 0)

    def put(self, nodes: Int[np.ndarray, " N"], values: Float[np.ndarray, " N"]) -> None:
        """Remembers the values of nodes, in blocks that are made where there are none."""
        block, within = self._address(*self.split(nodes))
        missing = distinct(block[self._slots[block] == 0])
        self._reserve(self._blocks + len(missing))
        self._slots[missing] = np.arange(self._blocks, self._blocks + len(missing), dtype=np.int32)
        self._blocks += len(missing)
        self.values[self._slots[block].astype(np.int64) * _BLOCK + within] = values

    def corners(self, cells: Int[np.ndarray, " C"]) -> Int[np.ndarray, "C 8"]:
        """The places of the corners of cells, which are named by their first corner."""
        split = self.split(cells)
        ends = [(axis, split[axis] + end) for axis in range(3) for end in (0, 1)]
        along = [(self._block_along[axis][index], self._within[axis][index]) for axis, index in ends]
        out = np.empty((len(cells), 8), np.int64)
        for corner, (x, y, z) in enumerate(CORNERS):
            (b0, w0), (b1, w1), (b2, w2) = along[x], along[2 + y], along[4 + z]
            slot = self._slots[b0 + b1 + b2].astype(np.int64)
            within = w0 + w1 + w2
            out[:, corner] = np.where(slot > 0, slot * _BLOCK + within, 0)
        return out

    def _address(self, i: np.ndarray, j: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of the block of each node, and its place within."""
        block = self._block_along[0][i] + self._block_along[1][j] + self._block_along[2][k]
        return block, self._within[0][i] + self._within[1][j] + self._within[2][k]

    def _reserve(self, blocks: int) -> None:
        """Room for this many blocks, with half as much again where there is too little."""
        if blocks * _BLOCK <= len(self.values):
            return
        room = max(blocks, len(self.values) // _BLOCK * 3 // 2) * _BLOCK
        for name, empty in (("values", np.nan), ("marks", 0)):
            old = getattr(self, name)
            new = np.full(room, empty, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
