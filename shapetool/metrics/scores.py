"""Chamfer, Hausdorff, F-score and normal consistency of one pair of clouds from the distances both ways: numpy alone.

`shapetool.metrics.points` has the same for batches, with gradients and on any device, and asks here where numpy will
do; whoever scores one pair after the other spares the second that torch takes to import.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from shapetool.errors import MetricError, suggestion

VARIANTS = ("l1_mean", "l1_sum", "l2sq_mean", "l2sq_sum")
Number = float | int | np.floating


@dataclass(frozen=True, eq=False)
class Scores:
    """Squared distances from each point of one side to the other, and how well the normals agree there.

    Numbers come in the type of the distances.
    """

    forward_sq: Float[np.ndarray, " N"]  # from the prediction to the truth
    backward_sq: Float[np.ndarray, " M"]  # from the truth to the prediction
    forward_cosine: Float[np.ndarray, " N"] | None = None
    backward_cosine: Float[np.ndarray, " M"] | None = None

    @cached_property
    def forward(self) -> Float[np.ndarray, " N"]:
        """Plain distances from the prediction to the truth."""
        found: np.ndarray = np.sqrt(self.forward_sq)
        return found

    @cached_property
    def backward(self) -> Float[np.ndarray, " M"]:
        """Plain distances from the truth to the prediction."""
        found: np.ndarray = np.sqrt(self.backward_sq)
        return found

    def chamfer(self, variant: str = "l1_mean") -> np.floating:
        """The mean distance each way, combined as `variant` says: see `shapetool.metrics.points.chamfer`.

        Raises:
            MetricError: an unknown variant.
        """
        squared = check_variant(variant)
        there = (self.forward_sq if squared else self.forward).mean()
        back = (self.backward_sq if squared else self.backward).mean()
        found: np.floating = there + back if variant.endswith("sum") else (there + back) / 2
        return found

    def hausdorff(self, percentile: float | int = 100.0) -> np.floating:
        """The larger of the two directed distances: see `shapetool.metrics.points.hausdorff`.

        Raises:
            MetricError: a percentile outside 0 to 100.
        """
        return max(self.directed_hausdorff(percentile))

    def directed_hausdorff(self, percentile: float | int = 100.0) -> tuple[np.floating, np.floating]:
        """The percentile of the distances from the prediction, and of those from the truth.

        Raises:
            MetricError: a percentile outside 0 to 100.
        """
        check_percentile(percentile)
        return _ranked(self.forward, percentile), _ranked(self.backward, percentile)

    def fscore(
        self, thresholds: Sequence[Number], *, strict: bool = False
    ) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
        """The F-score, precision and recall at each threshold: see `shapetool.metrics.points.fscore`.

        Raises:
            MetricError: no threshold, or one that is negative or not a number.
        """
        check_thresholds(thresholds)
        precision = _shares(self.forward, thresholds, strict)
        recall = _shares(self.backward, thresholds, strict)
        both = precision + recall
        score: np.ndarray = np.where(both > 0, 2 * precision * recall / np.maximum(both, both.dtype.type(1e-30)), 0)
        return score.astype(both.dtype), precision, recall

    def normal_consistency(self, *, signed: bool = False) -> np.floating:
        """The mean cosine each way, halved: see `shapetool.metrics.points.normal_consistency`.

        Raises:
            MetricError: the scores were made without normals.
        """
        if self.forward_cosine is None or self.backward_cosine is None:
            raise MetricError("expected normals on both sides, found none. Give the cosines of both ways.")
        there, back = self.forward_cosine, self.backward_cosine
        if not signed:
            there, back = np.abs(there), np.abs(back)
        found: np.floating = (there.mean() + back.mean()) / 2
        return found


def check_variant(variant: str) -> bool:
    """Whether this variant of Chamfer takes squares.

    Raises:
        MetricError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise MetricError(f"unknown variant {variant!r} of Chamfer{suggestion(variant, VARIANTS)}")
    return variant.startswith("l2sq")


def check_percentile(percentile: float | int) -> None:
    """Nothing, when it is one.

    Raises:
        MetricError: it is outside 0 to 100.
    """
    if not 0 <= percentile <= 100:
        raise MetricError(f"expected a percentile from 0 to 100, found {percentile}. 100 is the maximum.")


def check_thresholds(thresholds: Sequence[Number]) -> None:
    """Nothing, when distances can be compared with them.

    Raises:
        MetricError: no threshold, or one that is negative or not a number.
    """
    if not len(thresholds) or not all(limit >= 0 for limit in thresholds):
        raise MetricError(f"expected thresholds of at least 0, found {thresholds}. Give lengths in the clouds' unit.")


def _ranked(row: np.ndarray, percentile: float | int) -> np.floating:
    """The percentile, on the straight line between two ranks; the row is sorted only as far as needed."""
    if percentile == 100:
        largest: np.floating = row.max()
        return largest
    place = (len(row) - 1) * (percentile / 100)
    below = int(place)
    ranks = [below, min(below + 1, len(row) - 1)]
    low, high = np.partition(row, ranks)[ranks]
    found: np.floating = low + (high - low) * row.dtype.type(place - below)
    return found


def _shares(row: np.ndarray, limits: Sequence[Number], strict: bool) -> np.ndarray:
    """The share of the row that is within each limit, which is rounded to its type."""
    rounded = np.asarray(limits, row.dtype)
    hits = [np.count_nonzero(row < limit if strict else row <= limit) for limit in rounded]
    return np.asarray(hits, row.dtype) / row.dtype.type(len(row))
