"""What widely used code calls the earth mover's distance, done as that code does it, for comparison with its numbers.

Neither is the distance: each comes with the interval that holds it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from shapetool.errors import MetricError
from shapetool.metrics.emd import emd

_LEVELS = (*(-(4.0**power) for power in range(7, -2, -1)), 0.0)  # of the annealing, finest first
_NOTHING = 1e-9  # keeps sums of weights from being 0
_TIE = 1e-6  # bids this near to the highest are as high


class LegacyEmd(NamedTuple):
    """The number of the other code, bounds of the earth mover's distance of the same clouds, and what was not matched.

    `distinct` is how many points of b have a partner; in a matching it is all of them. It is -1 where points are
    matched in parts.
    """

    value: float
    lower: float
    upper: float
    distinct: int


def emd_fan(a: Float[np.ndarray, "N 3"], b: Float[np.ndarray, "M 3"]) -> LegacyEmd:
    """The mean cost of the soft matching of PSGN (`approxmatch`), also of PyTorchEMD, latent_3d_points and PointFlow.

    On ten levels, from a kernel e^(-4^7 d^2) to one of all equal weights, mass that is left at the points of a is
    offered to b in the shares of the kernel, and b takes what it has room for. What is given on one level stays, and
    nothing improves the matching later: on spheres and cubes it costs 1.2 to 1.4 times the distance. PyTorchEMD prints
    its sum of squares; this is the mean of lengths, as the other two have it.

    Raises:
        MetricError: clouds that `emd` refuses, or sizes of which none is a multiple of the other.

    Source: Fan, Su and Guibas, "A point set generation network for 3D object reconstruction from a single image",
        CVPR 2017, its released code. In double instead of single precision.
    """
    true = emd(a, b)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    n, m = len(a), len(b)
    if max(n, m) % min(n, m):
        raise MetricError(f"emd_fan: expected sizes of which one is a multiple of the other, found {n} and {m}.")
    squared = _squares(a, b)
    left_a, left_b = np.full(n, max(n, m) / n), np.full(m, max(n, m) / m)
    cost, distances = 0.0, np.sqrt(squared)
    for level in _LEVELS:
        kernel = np.exp(level * squared)
        offered = left_a / (kernel @ left_b + _NOTHING)
        wanted = left_b * (offered @ kernel)
        taken = np.minimum(left_b / (wanted + _NOTHING), 1.0) * left_b
        moved = offered[:, None] * kernel * taken
        cost += float((moved * distances).sum())
        left_b = np.maximum(left_b - wanted, 0.0)
        left_a = np.maximum(left_a - moved.sum(axis=1), 0.0)
    return LegacyEmd(cost / n, true.lower, true.upper, -1)


def emd_msn(
    a: Float[np.ndarray, "N 3"], b: Float[np.ndarray, "M 3"], *, step: float = 0.005, rounds: int = 50
) -> LegacyEmd:
    """The mean distance of the auction of MSN, which many completion networks report and train with.

    In every round each point of a that has no partner bids for its best, by what that is better than the second best,
    and `step`; the highest bid wins, and who was there before is without a partner again. After the last round who has
    none goes to what it bid for, although that has a partner: so points share partners, and the number may be below the
    distance. The defaults are those of training; tests were printed with 0.002 and 10,000.

    Raises:
        MetricError: clouds that `emd` refuses, two sizes, or a step or a number of rounds that is not above 0.

    Source: Liu et al., "Morphing and sampling network for dense point cloud completion", AAAI 2020, its released code.
        In double instead of single precision; of equal bids the last point's wins, where the code leaves it to the
        threads; any number of points instead of multiples of 1,024.
    """
    true = emd(a, b)
    if len(a) != len(b):
        raise MetricError(f"emd_msn: expected as many points in a as in b, found {len(a)} and {len(b)}.")
    if not (step > 0 and rounds > 0):
        raise MetricError(f"emd_msn: expected a step and rounds above 0, found {step} and {rounds}.")
    distances = np.sqrt(_squares(np.asarray(a, np.float64), np.asarray(b, np.float64)))
    count = len(distances)
    prices, partner, owner = np.zeros(count), np.full(count, -1), np.full(count, -1)
    for turn in range(rounds):
        free = np.flatnonzero(partner < 0)
        if not len(free):
            break
        wish, rise = _bids(distances[free] + prices)
        rise += step
        highest = np.full(count, -np.inf)
        np.maximum.at(highest, wish, rise)
        wins = np.abs(rise - highest[wish]) < _TIE
        winner = np.full(count, -1)
        winner[wish[wins]] = free[wins]  # the last of equals stays
        sold = np.flatnonzero(winner >= 0)
        driven_out = owner[sold][owner[sold] >= 0]
        partner[driven_out] = -1
        owner[sold], partner[winner[sold]] = winner[sold], sold
        prices[sold] += highest[sold]
        if turn + 1 == rounds:
            lone = partner[free] < 0
            partner[free[lone]] = wish[lone]
            nobody = np.flatnonzero(partner < 0)  # driven out in this round, so without a wish
            partner[nobody] = (distances[nobody] + prices).argmin(axis=1)
    return LegacyEmd(
        float(distances[np.arange(count), partner].mean()), true.lower, true.upper, len(set(partner.tolist()))
    )


def _bids(costs: Float[np.ndarray, "K N"]) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest column of each row, and by how much the second is dearer; 0 where there is no second."""
    wish = costs.argmin(axis=1)
    if costs.shape[1] == 1:
        return wish, np.zeros(len(costs))
    least = np.partition(costs, 1, axis=1)[:, :2]
    return wish, least[:, 1] - least[:, 0]


def _squares(a: Float[np.ndarray, "N 3"], b: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "N M"]:
    """The squared distance of every pair, of differences."""
    return sum((a[:, None, axis] - b[None, :, axis]) ** 2 for axis in range(3))
