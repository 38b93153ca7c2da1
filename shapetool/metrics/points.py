"""Metrics between clouds of points: Chamfer, Hausdorff, F-score, normal consistency; torch, batched, differentiable.

`a` is the prediction and `b` the truth. Every metric is a method of `Comparison`, which holds the distances both ways;
the functions make one from two clouds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapetool.errors import MetricError
from shapetool.metrics.nearest import both_ways, take, valid
from shapetool.metrics.scores import VARIANTS, Scores, check_percentile, check_thresholds, check_variant

__all__ = [
    "VARIANTS",
    "Comparison",
    "chamfer",
    "compare",
    "cosines",
    "fscore",
    "hausdorff",
    "normal_consistency",
]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Distances from each point of one side to the other, and how well the normals agree there.

    `valid_*` are None where all points count. The cosines are those of the angle between the normals of a point and of
    what it is nearest to.
    """

    forward_sq: Float[Tensor, "B N"]  # from the prediction to the truth
    backward_sq: Float[Tensor, "B M"]  # from the truth to the prediction
    valid_forward: Bool[Tensor, "B N"] | None = None
    valid_backward: Bool[Tensor, "B M"] | None = None
    forward_cosine: Float[Tensor, "B N"] | None = None
    backward_cosine: Float[Tensor, "B M"] | None = None

    @cached_property
    def forward(self) -> Float[Tensor, "B N"]:
        """Plain distances from the prediction to the truth."""
        return _root(self.forward_sq)

    @cached_property
    def backward(self) -> Float[Tensor, "B M"]:
        """Plain distances from the truth to the prediction."""
        return _root(self.backward_sq)

    @cached_property
    def _rows(self) -> list[Scores] | None:
        """What numpy says of each row alone; None where there is a gradient, or another device."""
        ways = self.forward_sq, self.backward_sq, self.forward_cosine, self.backward_cosine
        if any(way is not None and (way.device.type != "cpu" or way.requires_grad) for way in ways):
            return None
        there, back = _parts(self.forward_sq, self.valid_forward), _parts(self.backward_sq, self.valid_backward)
        squared = zip(there, back, strict=True)
        if self.forward_cosine is None or self.backward_cosine is None:
            return [Scores(*lengths) for lengths in squared]
        cosine = _parts(self.forward_cosine, self.valid_forward), _parts(self.backward_cosine, self.valid_backward)
        return [Scores(*lengths, *angles) for lengths, angles in zip(squared, zip(*cosine, strict=True), strict=True)]

    def _of_rows(self, ask: Callable[[Scores], np.floating]) -> Float[Tensor, " B"] | None:
        """What each row says; None where torch has to.

        Torch's threads and those of the tree belong to two runtimes of OpenMP, whose idle threads spin; where there are
        no more cores than threads, each of torch's short passes over a cloud waits for a time slice. Nor may a sum
        depend on how many threads share it.
        """
        if self._rows is None:
            return None
        return torch.tensor([ask(row) for row in self._rows], dtype=self.forward_sq.dtype)

    def chamfer(self, variant: str = "l1_mean") -> Float[Tensor, " B"]:
        """The mean distance each way, combined as `variant` says: see `chamfer`.

        Raises:
            MetricError: an unknown variant.
        """
        squared = check_variant(variant)
        known = self._of_rows(lambda row: row.chamfer(variant))
        if known is not None:
            return known
        there = _mean(self.forward_sq if squared else self.forward, self.valid_forward)
        back = _mean(self.backward_sq if squared else self.backward, self.valid_backward)
        return there + back if variant.endswith("sum") else (there + back) / 2

    def hausdorff(self, percentile: float | int = 100.0) -> Float[Tensor, " B"]:
        """The larger of the two directed distances: see `hausdorff`.

        Raises:
            MetricError: a percentile outside 0 to 100.
        """
        there, back = self.directed_hausdorff(percentile)
        return torch.maximum(there, back)

    def directed_hausdorff(self, percentile: float | int = 100.0) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """The percentile of the distances from the prediction, and of those from the truth.

        Raises:
            MetricError: a percentile outside 0 to 100.
        """
        check_percentile(percentile)
        if self._rows is not None:
            both = [row.directed_hausdorff(percentile) for row in self._rows]
            there, back = torch.tensor(both, dtype=self.forward_sq.dtype).reshape(-1, 2).unbind(1)
            return there, back
        there = _percentile(self.forward, self.valid_forward, percentile)
        return there, _percentile(self.backward, self.valid_backward, percentile)

    def fscore(
        self, thresholds: Sequence[float | int] | Float[Tensor, " T"], *, strict: bool = False
    ) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"], Float[Tensor, "B T"]]:
        """The F-score, precision and recall at each threshold: see `fscore`.

        Raises:
            MetricError: no threshold, or one that is negative or not a number.
        """
        limits = torch.as_tensor(thresholds, dtype=self.forward_sq.dtype).reshape(-1).tolist()
        check_thresholds(limits)
        if self._rows is not None:
            found = [np.stack(row.fscore(limits, strict=strict)) for row in self._rows]
            stacked = np.array(found, self.forward_sq.numpy().dtype).reshape(-1, 3, len(limits))
            score, precision, recall = torch.from_numpy(stacked).unbind(1)
            return score, precision, recall
        precision = _shares(self.forward.detach(), self.valid_forward, limits, strict)
        recall = _shares(self.backward.detach(), self.valid_backward, limits, strict)
        both = precision + recall
        return torch.where(both > 0, 2 * precision * recall / both.clamp(min=1e-30), 0), precision, recall

    def normal_consistency(self, *, signed: bool = False) -> Float[Tensor, " B"]:
        """The mean cosine each way, halved: see `normal_consistency`.

        Raises:
            MetricError: the comparison was made without normals.
        """
        if self.forward_cosine is None or self.backward_cosine is None:
            raise MetricError("expected normals on both sides, found none. Compare with normals_a and normals_b.")
        known = self._of_rows(lambda row: row.normal_consistency(signed=signed))
        if known is not None:
            return known
        there, back = self.forward_cosine, self.backward_cosine
        if not signed:
            there, back = there.abs(), back.abs()
        return (_mean(there, self.valid_forward) + _mean(back, self.valid_backward)) / 2


def compare(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    *,
    normals_a: Float[Tensor, "B N 3"] | None = None,
    normals_b: Float[Tensor, "B M 3"] | None = None,
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
) -> Comparison:
    """Everything that the metrics of two batches of clouds share: the neighbours are looked for once.

    Raises:
        MetricError: a wrong shape, type or device, an empty cloud, a number that is not finite, normals on one side.
    """
    found = both_ways(a, b, lengths_a=lengths_a, lengths_b=lengths_b)
    valid_a, valid_b = valid(a, lengths_a), valid(b, lengths_b)
    there = back = None
    if (normals_a is None) != (normals_b is None):
        given = "a" if normals_b is None else "b"
        raise MetricError(f"expected normals on both sides or none, found those of {given} alone.")
    if normals_a is not None and normals_b is not None:
        _check_normals("a", a, normals_a, valid_a)
        _check_normals("b", b, normals_b, valid_b)
        there = cosines(normals_a, take(normals_b, found.forward_index))
        back = cosines(normals_b, take(normals_a, found.backward_index))
    return Comparison(found.forward_sq, found.backward_sq, valid_a, valid_b, there, back)


def chamfer(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    *,
    variant: str = "l1_mean",
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, " B"]:
    """The Chamfer distance: mean over a of the distance to b, and mean over b of the distance to a.

    `l1_*` takes plain Euclidean distances, `l2sq_*` their squares; `*_sum` adds the two means, `*_mean` halves the
    sum. One pair three apart has l1_mean 3, l1_sum 6, l2sq_mean 9, l2sq_sum 18. The gradient is 0 at coinciding points.

    Raises:
        MetricError: clouds that cannot be compared, or an unknown variant.

    Source: Fan, Su and Guibas, "A point set generation network for 3D object reconstruction from a single image",
        CVPR 2017, is `l2sq_sum`, with sums for its means; Mescheder et al., "Occupancy networks", CVPR 2019, is
        `l1_mean`.
    """
    return compare(a, b, lengths_a=lengths_a, lengths_b=lengths_b).chamfer(variant)


def hausdorff(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    *,
    percentile: float | int = 100.0,
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, " B"]:
    """The largest distance from a point of one cloud to the other cloud, of both ways; a plain length.

    Below 100, the percentile of each way, between two ranks the straight line, and the larger of the two.

    Raises:
        MetricError: clouds that cannot be compared, or a percentile outside 0 to 100.
    """
    return compare(a, b, lengths_a=lengths_a, lengths_b=lengths_b).hausdorff(percentile)


def fscore(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    thresholds: Sequence[float | int] | Float[Tensor, " T"],
    *,
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
    strict: bool = False,
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """The F-score, precision (the share of a within a threshold of b) and recall (of b within it of a).

    The F-score is the harmonic mean of the other two, and 0 where both are. A threshold is a plain length, rounded to
    the type of the clouds; a point at exactly that distance counts, unless `strict`. No gradient.

    Raises:
        MetricError: clouds that cannot be compared, no threshold, or one that is negative.

    Source: Knapitsch et al., "Tanks and temples", TOG 2017; Tatarchenko et al., "What do single-view 3D reconstruction
        networks learn?", CVPR 2019.
    """
    return compare(a, b, lengths_a=lengths_a, lengths_b=lengths_b).fscore(thresholds, strict=strict)


def normal_consistency(
    a: Float[Tensor, "B N 3"],
    normals_a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    normals_b: Float[Tensor, "B M 3"],
    *,
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
    signed: bool = False,
) -> Float[Tensor, " B"]:
    """The mean |cosine| between a point's normal and that of its nearest neighbour, of both ways, halved.

    1 is best. Normals may have any length; one of length zero agrees with nothing and counts 0. `signed` keeps the
    sign, so that flipped surfaces have -1.

    Raises:
        MetricError: clouds that cannot be compared, or normals that are not finite or not one a point.

    Source: Mescheder et al., "Occupancy networks", CVPR 2019.
    """
    lengths = {"lengths_a": lengths_a, "lengths_b": lengths_b}
    return compare(a, b, normals_a=normals_a, normals_b=normals_b, **lengths).normal_consistency(signed=signed)


def cosines(first: Float[Tensor, "B N 3"], second: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N"]:
    """The cosine of the angle between two directions; exactly 1 for equal ones, 0 where one has no length."""
    first, second = _unit(first), _unit(second)
    side = torch.where((first * second).sum(dim=-1) < 0, -1.0, 1.0).to(first.dtype)
    gap = first - side[..., None] * second  # half its square, unlike the sum of products, is exactly 0 for equal ones
    cosine = side * (1 - gap.square().sum(dim=-1) / 2)
    known = first.any(dim=-1) & second.any(dim=-1)
    return torch.where(known, cosine, 0)


def _unit(directions: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    return directions / torch.where(length > 0, length, 1)


def _check_normals(name: str, points: Tensor, normals: Tensor, inside: Tensor | None) -> None:
    if normals.shape != points.shape or normals.dtype != points.dtype or normals.device != points.device:
        found = f"{tuple(normals.shape)} {normals.dtype} for {tuple(points.shape)} {points.dtype}"
        raise MetricError(f"normals_{name}: expected one a point, in its type and place, found {found}.")
    bad = ~torch.isfinite(normals).all(dim=2)
    bad = bad if inside is None else bad & inside
    if bool(bad.any()):
        row, point = (int(number) for number in bad.nonzero()[0])
        raise MetricError(f"normals_{name}: expected finite numbers, found others in batch row {row}, point {point}.")


def _root(squared: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0, where that of a distance is any of length at most one."""
    if not squared.requires_grad:
        return squared.sqrt()
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1).sqrt(), 0)


def _parts(values: Tensor, inside: Tensor | None) -> list[np.ndarray]:
    """What is valid of each row."""
    return [row[:count] for row, count in zip(values.numpy(), _counts(values, inside), strict=True)]


def _counts(values: Tensor, inside: Tensor | None) -> list[int]:
    return [values.shape[1]] * len(values) if inside is None else inside.sum(dim=1).tolist()


def _mean(values: Tensor, inside: Tensor | None) -> Tensor:
    """The mean of each row over what is valid; one row has the same bits alone and in a batch."""
    means = [row[:count].mean() for row, count in zip(values, _counts(values, inside), strict=True)]
    return torch.stack(means) if means else values.new_zeros(0)


def _percentile(values: Tensor, inside: Tensor | None, percentile: float | int) -> Tensor:
    """The percentile of each row over what is valid, on the straight line between two ranks."""
    if percentile == 100:  # beyond the lengths there are zeros, which are no maximum
        return values.amax(dim=1)
    if inside is None:
        last = torch.full((len(values), 1), values.shape[1] - 1, device=values.device)
    else:
        values = torch.where(inside, values, torch.inf)
        last = inside.sum(dim=1, keepdim=True) - 1
    ordered = values.sort(dim=1).values
    place = last.to(torch.float64) * (percentile / 100)
    below = place.floor().long()
    low, high = ordered.gather(1, below), ordered.gather(1, torch.minimum(below + 1, last))
    return (low + (high - low) * (place - below).to(values.dtype)).squeeze(1)


def _shares(distances: Tensor, inside: Tensor | None, limits: list[float], strict: bool) -> Tensor:
    """The share of the valid distances of each row that are within each limit (B, T)."""
    counts = []
    for limit in limits:  # one at a time: B x N x T truths of a curve would not fit
        near = distances < limit if strict else distances <= limit
        counts.append((near if inside is None else near & inside).sum(dim=1))
    within = torch.stack(counts, dim=1).to(distances.dtype)
    return within / (distances.shape[1] if inside is None else inside.sum(dim=1, keepdim=True))
