"""One lattice of a field, or every second, fourth, ... node of it, known where its surface was looked for."""

from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.extraction.evaluate import Asked
from shapetool.extraction.nodes import Nodes, distinct
from shapetool.geometry.dual import SIDES, codes_of, offsets_of

BEYOND = 1e300  # the value of the ring of nodes around the box, which are outside
_PIECE = 1 << 14  # cells whose corners are looked up together: few enough for the caches
CHUNK = 1 << 17  # cells looked at together: what they take for a moment is some hundred megabytes
_SEEN, _FILLED = 1, 2  # the marks of a cell that was visited, at its first corner, and of a node added to the inside
_FEW = 512  # cells; below this a wave is widened to whole blocks, so that thin parts need few calls of the field
_BLOCK = 4


class Level:
    """The nodes of a box at every `stride`-th step (and the last), and a ring of nodes outside around them.

    A cell is named by the flat index of its first corner. `axes` are the coordinates of all nodes of the finest level,
    `coarser` a level from which values are taken over.
    """

    def __init__(
        self, asked: Asked, axes: tuple[np.ndarray, ...], stride: int = 1, coarser: "Level | None" = None
    ) -> None:
        last = len(axes[0]) - 1
        self.asked, self.axes, self.stride = asked, axes, stride
        # Where along the finest level each node is; -1 and last + 1 are the ring.
        self.fine: np.ndarray = np.unique(np.r_[-1, np.arange(0, last, stride), last, last + 1])
        self.nodes = Nodes(len(self.fine))
        self.shape = (len(self.fine),) * 3
        self.visited: list[np.ndarray] = []
        self.mixed: list[np.ndarray] = []
        self._coarser = coarser
        if coarser is not None:
            self._above = np.minimum(np.searchsorted(coarser.fine, self.fine), len(coarser.fine) - 1)
            self._shared = coarser.fine[self._above] == self.fine

    @property
    def steps(self) -> Float[np.ndarray, "3"]:
        """The sides of a whole cell."""
        return np.array([self.stride * (axis[-1] - axis[0]) / (len(axis) - 1) for axis in self.axes])

    def all_cells(self) -> Int[np.ndarray, " C"]:
        """Every cell, the ring's too."""
        last = len(self.fine) - 1
        return np.flatnonzero(np.pad(np.ones((last,) * 3, bool), ((0, 1),) * 3))

    def in_ring(self, cells: Int[np.ndarray, " C"]) -> Bool[np.ndarray, " C"]:
        """Whether each cell lies between the box and the ring around it."""
        split = np.stack(self.nodes.split(cells))
        ring: np.ndarray = ((split == 0) | (split == len(self.fine) - 2)).any(axis=0)
        return ring

    def grow(self, cells: Int[np.ndarray, " C"]) -> None:
        """Visits cells, then whatever lies across a side through which the surface goes, until it ends.

        So all cells of a connected surface are found as soon as one of them is.
        """
        wave, first = self._unseen(cells), True
        while len(wave):
            if len(wave) < _FEW and not first:
                wave = self._unseen(self._blocks_of(wave))
            ahead = [self._visit(wave[start : start + CHUNK]) for start in range(0, len(wave), CHUNK)]
            wave, first = self._unseen(np.concatenate(ahead)), False

    def take(self, cells: Int[np.ndarray, " C"], values: Float[np.ndarray, "C 8"]) -> None:
        """Remembers cells with both signs, and what was found at their corners."""
        nodes = cells[:, None] + offsets_of(self.shape)
        self.nodes.put(nodes.reshape(-1), values.reshape(-1))
        self.nodes.marks[self.nodes.places(cells)] |= _SEEN
        self.mixed.append(cells)

    def corners(self, cells: Int[np.ndarray, " C"]) -> tuple[Float[np.ndarray, "C 8"], Bool[np.ndarray, "C 8"]]:
        """The values at the corners of visited cells, and which are below zero or were added to the inside."""
        values, inside = np.empty((len(cells), 8)), np.empty((len(cells), 8), bool)
        for start in range(0, len(cells), _PIECE):
            part = slice(start, start + _PIECE)
            at = self.nodes.corners(cells[part])
            values[part] = self.nodes.values[at]
            inside[part] = (values[part] < 0) | (self.nodes.marks[at] & _FILLED > 0)
        return values, inside

    def add_inside(self, nodes: Int[np.ndarray, " N"]) -> None:
        """Counts these nodes, which are known, as inside."""
        self.nodes.marks[self.nodes.places(nodes)] |= _FILLED

    def forget_added(self) -> None:
        """Counts no node as inside that is not below zero."""
        self.nodes.marks &= np.uint8(~_FILLED & 0xFF)

    def _unseen(self, cells: Int[np.ndarray, " C"]) -> Int[np.ndarray, " D"]:
        """The cells that were not visited, each once and in order."""
        cells = cells[self.nodes.marks[self.nodes.places(cells)] & _SEEN == 0]
        return distinct(cells)

    def _blocks_of(self, cells: Int[np.ndarray, " C"]) -> Int[np.ndarray, " D"]:
        """All cells of the blocks in which these are."""
        split = np.unique(np.stack(self.nodes.split(cells), axis=1) // _BLOCK, axis=0) * _BLOCK
        within = np.stack(np.meshgrid(*[np.arange(_BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        found = (split[:, None] + within).reshape(-1, 3)
        found = found[(found < len(self.fine) - 1).all(axis=1)]
        return found @ offsets_of(self.shape)[[4, 2, 1]]

    def _visit(self, cells: Int[np.ndarray, " C"]) -> Int[np.ndarray, " D"]:
        """The cells across those sides of these that have nodes inside and outside."""
        nodes = cells[:, None] + offsets_of(self.shape)
        self._learn(distinct(nodes[np.isnan(self.corners(cells)[0])]))
        codes = codes_of(self.corners(cells)[0] < 0)
        self.nodes.marks[self.nodes.places(cells)] |= _SEEN
        both = (codes > 0) & (codes < 255)
        self.visited.append(cells)
        self.mixed.append(cells[both])
        cell, side = np.nonzero(_crossed()[codes[both]])
        across = np.array([sign * offsets_of(self.shape)[4 >> axis] for axis in (2, 1, 0) for sign in (-1, 1)])
        return cells[both][cell] + across[side]

    def _learn(self, nodes: Int[np.ndarray, " N"]) -> None:
        """Finds the values of nodes: beyond the box, from the coarser level, or by the field."""
        split = self.nodes.split(nodes)
        fine = np.stack([self.fine[index] for index in split])
        values = np.full(len(nodes), np.nan)
        values[((fine < 0) | (fine > len(self.axes[0]) - 1)).any(axis=0)] = BEYOND
        if self._coarser is not None:
            here = np.flatnonzero(np.logical_and.reduce([self._shared[index] for index in split]))
            above = [self._above[index[here]] for index in split]
            coarse = self._coarser.nodes
            flat = (above[0] * coarse.size + above[1]) * coarse.size + above[2]
            values[here] = coarse.values[coarse.places(flat)]
        asked = np.flatnonzero(np.isnan(values))
        points = np.stack([axis[index[asked]] for axis, index in zip(self.axes, fine, strict=True)], axis=1)
        values[asked] = self.asked(points)
        self.nodes.put(nodes, values)


@cache
def _crossed() -> Bool[np.ndarray, "256 6"]:
    """For each code the sides of a cell whose corners are not all on one side of the surface."""
    inside = np.arange(256)[:, None] >> np.arange(8) & 1
    counts = np.stack([inside[:, side].sum(axis=1) for side in SIDES], axis=1)
    return (counts > 0) & (counts < 4)
