"""The nearest points of one cloud, by the kernel: exact, of direct differences, and safe in forked processes."""

import os

import numpy as np
from jaxtyping import Float, Int

from shapetool.native._kernel import Cloud


class Tree:
    """The nearest of some points, for any others of the same type.

    As many threads as cores, or as `OMP_NUM_THREADS` says; they end with each question, so a fork may come between.
    """

    def __init__(self, points: Float[np.ndarray, "M 3"]) -> None:
        self._cloud = Cloud(_as_doubles(points), _threads())
        self._dtype = points.dtype

    def nearest(
        self, points: Float[np.ndarray, "N 3"], count: int = 1
    ) -> tuple[Float[np.ndarray, "N K"], Int[np.ndarray, "N K"]]:
        """The squared distances to the nearest `count`, in rising order, and which ones they are.

        Of points at the same distance the first one is named. Computed in float64, and given in the type of `points`.
        """
        squared, index = self._cloud.nearest(_as_doubles(points), count, _threads())
        return squared.astype(points.dtype, copy=False), index.view(np.int64)

    def nearest_of(self, other: "Tree", count: int = 1) -> tuple[Float[np.ndarray, "N K"], Int[np.ndarray, "N K"]]:
        """`nearest` of the points of another tree, which has them in a good order already."""
        squared, index = self._cloud.nearest_of(other._cloud, count, _threads())
        return squared.astype(other._dtype, copy=False), index.view(np.int64)


def _as_doubles(points: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(points, np.float64)


def _threads() -> int:
    """0 for all cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() else 0
