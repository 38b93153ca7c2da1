"""Numbers that the earth mover's distance of two clouds cannot be below, for a small part of its cost."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.cloud import cloud_mesh
from shapetool.geometry.distance import closest_point

_SLACK = (
    1e-9  # relative to the size of the clouds: more than their sums round by, so that a bound is one in float64 too
)
_DIRECTIONS = 32


class EmdBounds:
    """Lower bounds of the mean Euclidean EMD between clouds with equal weights, by their places in a list.

    No map of a space that brings points nearer makes mass travel farther, so the cost of the clouds seen along one
    direction is a bound, and there it is that of sorted points. In the other bound each point goes to its nearest.
    """

    def __init__(self, clouds: Sequence[Float[np.ndarray, "_ 3"]]) -> None:
        everything = np.concatenate([[cloud.min(axis=0), cloud.max(axis=0)] for cloud in clouds])
        self._slack = _SLACK * float(np.abs(everything).max())
        self._clouds = clouds
        self._meshes = [cloud_mesh(cloud) for cloud in clouds]
        # Two clouds of N and M points along a line: quantiles agree at multiples of 1 / N only when N = M. Their means
        # over equal parts of the mass are a map that brings nothing farther apart either, for any N.
        parts = min(len(cloud) for cloud in clouds)
        directions = _spread(_DIRECTIONS)
        self._seen = np.stack([_parts(np.sort(cloud @ directions.T, axis=0), parts) for cloud in clouds])

    def quick(self, item: int, others: Int[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
        """A bound for each of the others, by what is seen along a few directions."""
        along = np.abs(self._seen[others] - self._seen[item]).mean(axis=1)
        return np.maximum(along.max(axis=1) - self._slack, 0)

    def close(self, item: int, other: int) -> float:
        """A bound that is often better: the larger of the mean distances to the nearest point, either way."""
        forth = closest_point(self._meshes[other], self._clouds[item])[0].mean()
        back = closest_point(self._meshes[item], self._clouds[other])[0].mean()
        return max(float(max(forth, back)) - self._slack, 0.0)


def _spread(count: int) -> Float[np.ndarray, "D 3"]:
    """Unit vectors spread over a half sphere, along the spiral of the golden angle."""
    height = (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - 5**0.5)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _parts(ordered: Float[np.ndarray, "N D"], count: int) -> Float[np.ndarray, "P D"]:
    """The means of the sorted points over `count` equal parts of the mass, a point divided where a part ends in it."""
    total = len(ordered)
    if total == count:
        return ordered
    # The integral of the quantile function, linear between the points' shares of the mass.
    summed = np.concatenate([np.zeros((1, ordered.shape[1])), np.cumsum(ordered, axis=0)]) / total
    ends = np.linspace(0, total, count + 1)
    below = np.minimum(ends.astype(np.int64), total - 1)
    at = summed[below] + (ends - below)[:, None] * ordered[below] / total
    return np.diff(at, axis=0) * count
