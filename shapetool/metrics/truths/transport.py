"""The truths of clouds whose points are matched one to one: the earth mover's distance and its certificate."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Float

from shapetool.metrics.emd import Emd, approximate_emd, emd
from shapetool.metrics.points import compare
from shapetool.metrics.truths.clouds import cloud, line, sphere
from shapetool.metrics.truths.truth import ROUNDING, Truth, worst

_ALONG = np.array([1.0, 2, 2]) / 3  # a direction of length 1
_TWELVE_DIGITS = "rounding, relative"


def truths() -> list[Truth]:
    """P1 to P9 of the earth mover's distance, the rest of L1, and G7."""
    return [*_lines(), *_nothing(), *_collinear(), *_whole_clouds(), *_chain(), *_gradient()]


def _on(places: np.ndarray) -> Float[np.ndarray, "N 3"]:
    return places[:, None] * _ALONG


def _squared(a: np.ndarray, b: np.ndarray) -> float:
    return emd(a, b, cost="distance_sq").value


def _lines() -> list[Truth]:
    """P1, P4, P5, P9.

    {0, 1} and {.4, 10}: in order (.4 + 9) / 2 = 4.7; crosswise (10 + .6) / 2 = 5.3, although .6 and .4 are nearest.
    {0, 1} and {1, 2}: in order 1 and 1, crosswise 2 and 0. Both have mean 1, but of squares the second has 2, and that
    is what one gets who takes the nearest pair first. Points that stand thrice move thrice, each a third of the mass.
    """
    a, b, c, d = (line(*places)[0] for places in ((0, 1), (0.4, 10), (0, 1), (1, 2)))
    return [
        Truth("P1", "one pair 3 apart: EMD", 3, lambda: emd(line(0)[0], line(3)[0]).value),
        Truth("P4", "{0, 1} and {.4, 10}: EMD", 4.7, lambda: emd(a, b).value),
        Truth("P5", "{0, 1} and {1, 2}: EMD", 1, lambda: emd(c, d).value),
        Truth("P5", "{0, 1} and {1, 2}: EMD of squares", 1, lambda: emd(c, d, cost="distance_sq").value),
        Truth("P9", "every point thrice: EMD", 4.7, lambda: emd(a.repeat(3, 1), b).value),
        Truth("P9", "every point thrice on both sides: EMD", 4.7, lambda: emd(a.repeat(3, 1), b.repeat(3, 1)).value),
        Truth("P9", "every weight thrice: EMD", 4.7, lambda: emd(a, b, a_weights=[3, 3], b_weights=[3, 3]).value),
    ]


def _nothing() -> list[Truth]:
    """P2, P3: a cloud and itself, in another order: 0, and both bounds with it."""
    a = cloud(300, 40)[0]
    shuffled = a[torch.from_numpy(np.random.default_rng(41).permutation(300))]

    def bounds(other: torch.Tensor) -> float:
        found = emd(a, other)
        return max(abs(found.value), abs(found.lower), abs(found.upper))

    return [
        Truth("P2", "a cloud and itself: EMD and both bounds", 0, lambda: bounds(a), 0),
        Truth("P3", "a cloud and itself shuffled: EMD and both bounds", 0, lambda: bounds(shuffled), 0),
    ]


def _collinear() -> list[Truth]:
    """P6: on a line sorted points meet.

    i against i^2, i < n: mean(i^2 - i) = (n - 1)(n - 2) / 3. i against i, of which the upper half of n is moved by n:
    n / 2, and n^2 / 2 of squares.
    """
    shuffle = np.random.default_rng(42).permutation
    few, many = np.arange(100.0), np.arange(500.0)
    a, b = _on(shuffle(few)), _on(shuffle(few**2))
    c, d = _on(shuffle(many)), _on(shuffle(np.where(many < 250, many, many + 500)))
    fourth = sum((i * i - i) ** 2 for i in range(100)) / 100  # mean of (i^2 - i)^2, whole numbers until the end
    values: list[tuple[str, float, Callable[[], float]]] = [
        ("100 points of a line, i and i^2: EMD", 99 * 98 / 3, lambda: emd(a, b).value),
        ("100 points of a line, i and i^2: EMD of squares", fourth, partial(_squared, a, b)),
        ("500 points of a line, half moved by 500: EMD", 250, lambda: emd(c, d).value),
        ("500 points of a line, half moved by 500: EMD of squares", 500**2 / 2, partial(_squared, c, d)),
    ]
    return [Truth("P6", name, value, measure, ROUNDING * value, _TWELVE_DIGITS) for name, value, measure in values]


def _whole_clouds() -> list[Truth]:
    """P7, P8, P12: a cloud and itself moved, or grown, goes to itself.

    By Jensen no plan is shorter than the way of the middle; t = (.3, .4, 1.2) is 1.3 long. Grown by s = 1.3 about 0,
    ||y|| - ||x|| bounds the way from x to y: |s - 1| times the mean of ||x||, which is .5 on a sphere.
    """
    x = cloud(400, 43)[0].numpy()
    ball = sphere(400, 44, 0.5)[0].numpy()
    moved, grown, other = x + np.array([0.3, 0.4, 1.2]), 1.3 * ball, cloud(300, 45)[0].numpy()

    def gap() -> float:
        found = emd(ball, x)
        return found.gap if found.lower <= found.value <= found.upper else math.nan

    def carried(by: float | int) -> float:
        here = emd(ball, other[:200]).value
        return abs(emd(ball + by, other[:200] + by).value - here) / here

    return [
        Truth("P7", "a cloud moved by 1.3: EMD", 1.3, lambda: emd(x, moved).value),
        Truth("P7", "a cloud moved by 1.3: EMD of squares", 1.69, partial(_squared, x, moved)),
        Truth("P8", "a sphere of radius .5 grown by 1.3: EMD", 0.15, lambda: emd(ball, grown).value),
        Truth("P8", "a sphere of radius .5 grown by 1.3: EMD of squares", 0.0225, partial(_squared, ball, grown)),
        Truth("P12", "both clouds moved by 1,000: relative change of EMD", 0, lambda: carried(1000), 1e-9, "as moved"),
        Truth("L1", "EMD of two clouds: share that is not certified", 0, gap),
    ]


def _chain() -> list[Truth]:
    """L1: the order of distances, on clouds small enough to try all 720 pairings.

    The way of the middle, the mean distances to the nearest, and the prices are below the least mean way W1; W1 is
    below the root of the least mean square W2 (Jensen), and W2 below the least longest way Winf. Chamfer l1_mean is the
    middle of two such means; Hausdorff is below Winf, as each point's nearest is at most as far as its partner.
    """
    pairings = np.array(list(itertools.permutations(range(6))))

    def violated(seed: int) -> float:
        a, b = (cloud(6, seed + k)[0] for k in range(2))
        ways = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").numpy()[np.arange(6), pairings]
        first, second, last = ways.mean(axis=1).min(), math.sqrt((ways**2).mean(axis=1).min()), ways.max(axis=1).min()
        near, found, nearly = compare(a[None], b[None]), emd(a, b), approximate_emd(a[None], b[None], rtol=0.1)
        below = (
            (a.mean(dim=0) - b.mean(dim=0)).norm().item(),
            near.forward.mean().item(),
            near.backward.mean().item(),
            near.chamfer().item(),
            found.lower,
            nearly.lower.item(),
        )
        steps = [first - second, second - last, near.hausdorff().item() - last, abs(found.value - first)]
        return worst(*(low - first for low in below), *steps, first - found.upper, first - nearly.upper.item())

    def triangle(cost: Callable[..., Emd]) -> float:
        a, b, c = (cloud(20, seed)[0] for seed in (60, 61, 62))
        return worst(cost(a, c).value - cost(a, b).value - cost(b, c).value)

    return [
        *(Truth("L1", f"order of distances, pair {seed}", 0, partial(violated, 50 + 2 * seed)) for seed in range(3)),
        Truth("L1", "EMD: a way longer than its detour", 0, lambda: triangle(emd)),
    ]


def _gradient() -> list[Truth]:
    """G7: the gradient of the mean way of N pairs is a unit vector over N at each point, and its opposite at the other.

    At partners that coincide it is 0.
    """
    count = 12

    def at() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        a, b = cloud(count, 63).requires_grad_(), cloud(count, 64).requires_grad_()
        found = approximate_emd(a, b, rtol=0.1)
        to_a, to_b = torch.autograd.grad(found.value.sum(), (a, b))
        return to_a[0], to_b[0], found.assignment[0]

    def lengths() -> float:
        to_a, _, _ = at()
        return (to_a.norm(dim=1) * count - 1).abs().max().item()

    def opposite() -> float:
        to_a, to_b, partner = at()
        return (to_a + to_b[partner]).abs().max().item() if len(set(partner.tolist())) == count else math.nan

    def resting() -> float:
        a = cloud(count, 63).requires_grad_()
        return torch.autograd.grad(approximate_emd(a, a.detach(), rtol=0.1).value.sum(), a)[0].abs().max().item()

    return [
        Truth("G7", "gradient of EMD: lengths times N less 1", 0, lengths),
        Truth("G7", "gradient of EMD: sum of partners", 0, opposite),
        Truth("G5", "gradient of EMD at coinciding points", 0, resting, 0),
    ]
