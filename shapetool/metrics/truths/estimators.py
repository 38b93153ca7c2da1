"""The truths of what drawn points tell: how much a distance between draws is too large, and what intervals hold."""

import math
from collections.abc import Callable
from functools import cache, partial

import numpy as np

from shapetool.metrics.errors import Z_95, debiased_gap, expected_gap, fscore_ceiling, gaps, iid, two_way
from shapetool.metrics.points import Comparison, compare
from shapetool.metrics.truths.clouds import sphere
from shapetool.metrics.truths.truth import Truth

_COUNT, _RADIUS = 10_000, 0.5
_DENSITY = _COUNT / (4 * math.pi * _RADIUS**2)
_SEEDS = 400
_TWO_IN_HUNDRED = "1.8 standard errors of 400 seeds"
Distances = tuple[np.ndarray, np.ndarray]


def truths() -> list[Truth]:
    """S9 and S10."""
    return [*_floors(), *_intervals()]


@cache
def _spheres(gap: float) -> Comparison:
    """Draws from the spheres of radius .5 and .5 + gap."""
    return compare(sphere(_COUNT, 6, _RADIUS), sphere(_COUNT, 7, _RADIUS + gap))


@cache
def _error(gap: float, power: int) -> float:
    """The standard error of the mean distance from the first draw to the second, to the power."""
    inner, outer = sphere(_COUNT, 6, _RADIUS)[0].numpy(), sphere(_COUNT, 7, _RADIUS + gap)[0].numpy()
    there, back = gaps(inner, outer), gaps(outer, inner)
    ways = there.distances**power, back.distances**power
    return two_way(*ways, there.index[:, 0], back.index[:, 0], (1.0, 0.0))


def _floors() -> list[Truth]:
    """S9: of points strewn on a plane with density D the nearest is farther than r with probability e^(-pi D r^2).

    From a point that is d beside the plane, the mean is d + e^(x^2) erfc(x) / (2 sqrt(D)) with x = d sqrt(pi D), and
    the mean square is d^2 + 1 / (pi D). Within a threshold t a perfect shape finds 1 - e^(-pi D t^2).
    """

    def biased(gap: float) -> float:
        reach = gap * math.sqrt(math.pi * _DENSITY)
        return gap + math.exp(reach**2) * math.erfc(reach) / (2 * math.sqrt(_DENSITY))

    def plain(gap: float) -> float:
        return _spheres(gap).forward.mean().item()

    def squares(gap: float) -> float:
        """How many standard errors the mean square less its floor is from the truth."""
        debiased = _spheres(gap).forward_sq.mean().item() - 1 / (math.pi * _DENSITY)
        return (debiased - gap**2) / _error(gap, 2)

    def lengths(gap: float) -> float:
        debiased = debiased_gap(plain(gap), _DENSITY)
        # A change of the true distance changes the mean by less than itself, so an error of the mean is stretched.
        slope = (expected_gap(gap + 1e-6, _DENSITY) - expected_gap(gap - 1e-6, _DENSITY)) / 2e-6
        return (debiased - gap) / (_error(gap, 1) / slope)

    def within() -> float:
        return _spheres(0.0).fscore([0.01])[0].item()

    ceiling = 1 - math.exp(-math.pi * _DENSITY * 0.01**2)
    return [
        *(
            Truth(
                "S9",
                f"two draws from spheres {gap} apart: mean distance",
                biased(gap),
                partial(plain, gap),
                0.01 * biased(gap),
                "the sphere is curved",
            )
            for gap in (0.0, 0.002, 0.01)
        ),
        *(
            Truth("S9", f"spheres {gap} apart: debiased square, in errors", 0, partial(squares, gap), 3, "3 errors")
            for gap in (0.0, 0.002, 0.01)
        ),
        Truth("S9", "spheres .01 apart: debiased distance, in errors", 0, partial(lengths, 0.01), 3, "3 errors"),
        Truth("S9", "a perfect sphere of 10,000 points: f-score at .01", ceiling, within, 0.01, "3 errors"),
        Truth("S9", "f-score ceiling at .01", ceiling, lambda: fscore_ceiling(0.01, (_DENSITY, _DENSITY)), 1e-12),
    ]


def _intervals() -> list[Truth]:
    """S10: of 400 intervals of 95 %, between 93 and 97 of 100 hold the closed form of three pairs."""
    pairs = (_overlapping_squares, _nested_squares, _shifted_cubes)
    return [
        Truth(
            "S10",
            f"intervals that hold, {pair.__name__[1:].replace('_', ' ')}",
            0.95,
            partial(_held, pair),
            0.02,
            _TWO_IN_HUNDRED,
        )
        for pair in pairs
    ] + [Truth("S10", "intervals that hold, two draws of squares", 0.95, _held_between_draws, 0.02, _TWO_IN_HUNDRED)]


def _held(pair: Callable[[np.random.Generator, int], tuple[Distances, float]]) -> float:
    """The share of seeds whose interval of the distance to a surface holds the truth."""
    held = 0
    for seed in range(_SEEDS):
        (there, back), truth = pair(np.random.default_rng(seed), 500)
        value, error = (float(there.mean()) + float(back.mean())) / 2, math.hypot(iid(there), iid(back)) / 2
        held += abs(value - truth) <= Z_95 * error
    return held / _SEEDS


def _overlapping_squares(rng: np.random.Generator, count: int) -> tuple[Distances, float]:
    """Unit squares at height 0 and .1, one moved by .3: over .7 of each the other is .1 away.

    Over the rest it is sqrt(.1^2 + u^2), u to .3, of which the integral is (u sqrt(.1^2 + u^2) + .1^2 asinh(10 u)) / 2.
    """
    beyond = np.maximum(rng.random((2, count)) - 0.7, 0)
    truth = 0.7 * 0.1 + (0.3 * math.hypot(0.1, 0.3) + 0.1**2 * math.asinh(3)) / 2
    there, back = np.hypot(0.1, beyond)
    return (there, back), truth


def _nested_squares(rng: np.random.Generator, count: int) -> tuple[Distances, float]:
    """The square of side 1 in that of side 1.2: the first lies in the second, which sticks out by .1 on each side.

    Four strips of .1 have a mean of .05, and four corners of .1 by .1 the mean distance of a square to its corner,
    (sqrt(2) + asinh(1)) / 3 of its side.
    """
    beyond = np.maximum(np.abs(1.2 * rng.random((count, 2)) - 0.6) - 0.5, 0)
    corner = (math.sqrt(2) + math.asinh(1)) / 3
    truth = (4 * 0.1 * 0.05 + 4 * 0.1**3 * corner) / 1.2**2 / 2
    return (np.zeros(count), np.hypot(*beyond.T)), truth


def _shifted_cubes(rng: np.random.Generator, count: int) -> tuple[Distances, float]:
    """Surfaces of unit cubes, one moved by .3 along x: the closed form of S2."""
    t = 0.3
    distances = []
    for _ in range(2):
        points = rng.random((count, 3)) - 0.5
        axis = rng.integers(0, 3, count)
        points[np.arange(count), axis] = rng.choice([-0.5, 0.5], count)
        away = np.abs(points - [t, 0, 0]) - 0.5
        outside = np.linalg.norm(np.maximum(away, 0), axis=1)
        distances.append(np.abs(outside + np.minimum(away.max(axis=1), 0)))
    return (distances[0], distances[1]), (t + (1 - (1 - 2 * t) ** 3) / 6 + 2 * t**2) / 6


def _held_between_draws() -> float:
    """The share of seeds whose interval of two draws holds what they estimate: both sides were drawn.

    The draws are of two unit squares that have no edge (a point at 0 stands beside one at 1), .02 apart, so that the
    closed form of S9 is exact: no edge and no curvature.
    """
    count, gap, held = 192, 0.02, 0
    truth = expected_gap(gap, float(count))
    for seed in range(_SEEDS):
        pred, true = np.random.default_rng(seed).random((2, 2, count))
        along = np.abs(pred[:, :, None] - true[:, None])
        ways = np.minimum(along, 1 - along) ** 2
        apart = np.sqrt(ways[0] + ways[1] + gap**2)
        (there, towards), (back, onto) = _two_nearest(apart), _two_nearest(apart.T)
        value = (float(there[:, 0].mean()) + float(back[:, 0].mean())) / 2
        held += abs(value - truth) <= Z_95 * two_way(there, back, towards, onto)
    return held / _SEEDS


def _two_nearest(apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two least distances of each row, and the column of the first."""
    index = apart.argpartition(1, axis=1)[:, :2]
    return np.take_along_axis(apart, index, axis=1), index[:, 0]
