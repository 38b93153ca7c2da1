"""The edges of a mesh: which faces meet at each, and how they go along it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class HalfEdges:
    """Side k % 3 of face k // 3, for each k, from its corner of that number to the next; and those along one edge."""

    start: Int[np.ndarray, " H"]
    end: Int[np.ndarray, " H"]
    order: Int[np.ndarray, " H"]  # the sides, those along one edge together
    first: Int[np.ndarray, " E"]  # where those of each edge begin in `order`
    count: Int[np.ndarray, " E"]  # how many there are

    @property
    def balanced(self) -> bool:
        """Whether faces go along each edge as often one way as the other: then the surface has no boundary."""
        ways = np.where(self.start < self.end, 1, -1)[self.order]
        return not np.add.reduceat(ways, self.first).any() if len(ways) else True

    def pairs(self) -> Int[np.ndarray, "P 2"]:
        """Any two sides along one edge."""
        edge = np.repeat(np.arange(len(self.count)), self.count)
        found = [np.empty((0, 2), np.int64)]
        for step in range(1, int(self.count.max(initial=1))):
            same = np.flatnonzero(edge[step:] == edge[:-step])
            found.append(np.stack([self.order[same], self.order[same + step]], axis=1))
        return np.concatenate(found)

    def twins(self) -> Int[np.ndarray, "P 2"]:
        """The two sides along each edge that has two."""
        at = self.first[self.count == 2]
        return np.stack([self.order[at], self.order[at + 1]], axis=1)


def half_edges(faces: Int[np.ndarray, "F 3"]) -> HalfEdges:
    """The sides of the faces, sorted by edges."""
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    key = np.minimum(start, end) * (int(faces.max(initial=0)) + 1) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    return HalfEdges(start, end, order, first, count)
