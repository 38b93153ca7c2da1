"""How far a measured value may be from what infinitely many points would give, and what a perfect shape would score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MetricError
from shapetool.metrics.intervals import ANYTHING, within
from shapetool.metrics.tree import Tree

Z_95 = 1.959963984540054
# About as many points tell the density of their cloud to one part in a hundred, the floor to one in two hundred.
_ASKED = 10_000
# The jackknife counts the effect of neighbours that go one at a time, which overstates the variance where distances are
# mere gaps of the sampling. The share to take off was fitted once to spheres and cubes of 512 and 2,048 points.
_OVERSTATED = 0.9


@dataclass(frozen=True)
class Interval:
    """A value with its standard error and the interval that holds the truth in 95 of 100 draws."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.value - Z_95 * self.error

    @property
    def high(self) -> float:
        """The upper end."""
        return self.value + Z_95 * self.error


@dataclass(frozen=True, eq=False)
class Gaps:
    """The two nearest neighbours of each point on the other side, nearest first."""

    distances: Float[np.ndarray, "N 2"]
    index: Int[np.ndarray, "N 2"]


def gaps(points: Float[np.ndarray, "N 3"], others: Float[np.ndarray, "M 3"]) -> Gaps:
    """The two nearest of `others` of each point; with one other, that one twice.

    Raises:
        MetricError: a side without points, or a number that is not finite.
    """
    _check(points=points, others=others)
    return _gaps(Tree(points), Tree(others), len(others))


def between(
    pred: Float[np.ndarray, "N 3"], true: Float[np.ndarray, "M 3"], *, dense: bool = True
) -> tuple[Gaps, Gaps, tuple[float, float]]:
    """`gaps` of each side to the other, and with `dense` the `density_of` each (else 0), of two trees.

    Raises:
        MetricError: a side without points, or a number that is not finite.
    """
    _check(points=pred, others=true)
    pred_tree, true_tree = Tree(pred), Tree(true)
    forward, backward = _gaps(pred_tree, true_tree, len(true)), _gaps(true_tree, pred_tree, len(pred))
    if not dense:
        return forward, backward, (0.0, 0.0)
    return forward, backward, (_density(pred, pred_tree), _density(true, true_tree))


def cosines(
    normals: Float[np.ndarray, "N 3"], others: Float[np.ndarray, "M 3"], index: Int[np.ndarray, "N K"]
) -> Float[np.ndarray, "N K"]:
    """`shapetool.metrics.points.cosines` of each normal with those of K others, axis by axis, which is faster."""
    own, theirs = _unit_columns(normals), np.stack([column.take(index) for column in _unit_columns(others)])
    dot = sum(mine[:, None] * other for mine, other in zip(own, theirs, strict=True))
    side = np.where(dot < 0, -1.0, 1.0)
    gap_sq = sum((mine[:, None] - side * other) ** 2 for mine, other in zip(own, theirs, strict=True))
    known = own.any(axis=0).reshape(-1, 1) & theirs.any(axis=0)
    found: np.ndarray = np.where(known, side * (1 - gap_sq / 2), 0.0)
    return found


def _unit_columns(directions: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "3 N"]:
    columns = directions.T.copy()
    length = np.sqrt((columns**2).sum(axis=0))
    return columns / np.where(length > 0, length, 1)


def _check(**clouds: np.ndarray) -> None:
    for name, cloud in clouds.items():
        if not len(cloud) or not np.isfinite(cloud).all():
            raise MetricError(f"{name}: expected at least one point, all finite, found {len(cloud)}. Leave it out.")


def _gaps(points: Tree, tree: Tree, others: int) -> Gaps:
    squared, index = tree.nearest_of(points, min(2, others))
    if others == 1:
        squared, index = np.repeat(squared, 2, axis=1), np.repeat(index, 2, axis=1)
    return Gaps(np.sqrt(squared), index)


def two_way(
    forward: Float[np.ndarray, "N 2"],
    backward: Float[np.ndarray, "M 2"],
    forward_index: Int[np.ndarray, " N"],
    backward_index: Int[np.ndarray, " M"],
    weights: tuple[float, float] = (0.5, 0.5),
) -> float:
    """The standard error of a weighted sum of two means over nearest neighbours, both samplings included.

    Column 0 holds each point's score with its nearest neighbour, column 1 the score it would have if that were gone.
    A point counts twice: as one that is measured and as one that others are measured to. Leaving out one at a time
    gives an upper bound; ignoring the second role a lower one; the two are combined.

    Source: Efron and Stein, "The jackknife estimate of variance", Annals of Statistics, 1981.
    """
    n, m = len(forward), len(backward)
    if min(n, m) < 3:
        return math.nan
    own = weights[0] * (forward[:, 0] - forward[:, 0].mean()) / n
    other = weights[1] * (backward[:, 0] - backward[:, 0].mean()) / m
    gone_pred = np.bincount(backward_index, weights=backward[:, 1] - backward[:, 0], minlength=n) * weights[1] / m
    gone_true = np.bincount(forward_index, weights=forward[:, 1] - forward[:, 0], minlength=m) * weights[0] / n
    simple = float((own**2).sum() + (other**2).sum())
    left_out = float(n * np.var(gone_pred - own) + m * np.var(gone_true - other))
    if left_out <= 0:
        return 0.0
    overlap = 1 - min(1.0, simple / left_out)
    return math.sqrt(left_out * (1 - _OVERSTATED * overlap**2))


def iid(values: Float[np.ndarray, " N"]) -> float:
    """The standard error of a mean of independent values; NaN of fewer than two."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `hits` of `count` draws were counted.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA, 1927.
    """
    if not count:
        return 0.0, 1.0
    share, squared = hits / count, Z_95**2
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    reach = Z_95 / (1 + squared / count) * math.sqrt(share * (1 - share) / count + squared / (4 * count**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


# The 97.5 % points of Student's t for 1 to 30 degrees of freedom; from there the expansion is right to 1e-4.
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


def t_95(degrees: int) -> float:
    """The 97.5 % point of Student's t, to 1e-4; NaN of less than one degree of freedom.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5.
    """
    if degrees < 1:
        return math.nan
    if degrees <= len(_STUDENT):
        return _STUDENT[degrees - 1]
    z, v = Z_95, float(degrees)
    powers = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v**power for power, term in enumerate(powers, 1))


def mean_interval(values: Sequence[float], limits: tuple[float, float] = ANYTHING) -> tuple[float, float, float]:
    """The mean of independent values and the 95 % interval of what it estimates; NaN ends of fewer than two.

    It is Student's, but that no end leaves the `limits` of the values (`within`).
    """
    if not values:
        return math.nan, math.nan, math.nan
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan, math.nan
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    reach = t_95(len(values) - 1) * spread / math.sqrt(len(values))
    return mean, *within(mean, reach, *limits)


def expected_gap(true: float, density: float) -> float:
    """The mean distance to the nearest of points strewn with this density on a plane that is `true` away.

    At 0 it is the floor: what two samplings of one surface have. Flat surfaces; curvature adds a small part.
    """
    x = true * math.sqrt(math.pi * density)
    # e^(x^2) erfc(x) overflows in its parts; beyond 5 its series is right to 1e-6.
    tail = (
        math.exp(x * x) * math.erfc(x) if x < 5 else (1 - 1 / (2 * x * x) + 3 / (4 * x**4)) / (x * math.sqrt(math.pi))
    )
    return true + tail / (2 * math.sqrt(density))


def debiased_gap(measured: float, density: float) -> float:
    """The distance of a plane at which `expected_gap` is what was measured; 0 where that is at most the floor."""
    if measured <= expected_gap(0.0, density):
        return 0.0
    low, high = 0.0, measured
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_gap(middle, density) < measured else (low, middle)
    return (low + high) / 2


def fscore_ceiling(threshold: float, densities: tuple[float, float]) -> float:
    """The F-score of two samplings of one surface, of the prediction's and the truth's density."""
    recall, precision = (-math.expm1(-math.pi * density * threshold**2) for density in densities)
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def density_of(points: Float[np.ndarray, "N 3"]) -> float:
    """Points per area of the surface that a cloud was strewn on, from the gaps between them; 0 where unknown.

    Of points strewn on a plane the mean squared distance to the nearest other is 1 / (pi density). Of large clouds,
    10,000 to 20,000 points in even steps are asked.
    """
    return _density(points, Tree(points)) if len(points) else 0.0


def _density(cloud: Float[np.ndarray, "N 3"], tree: Tree) -> float:
    if len(cloud) < 2:
        return 0.0
    some = cloud[:: max(1, len(cloud) // _ASKED)]
    squared = float(tree.nearest(some, 2)[0][:, 1].mean())
    return 1 / (math.pi * squared) if squared > 0 else 0.0
