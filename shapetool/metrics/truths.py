"""Numbers that are known in closed form, and how far the metrics are from them on this machine.

Each truth is worked out on paper, from the shapes alone; its tolerance is rounding, or the error of a mesh that stands
for a curved surface, or a number of standard errors of a fixed draw.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from shapetool.metrics.points import chamfer, compare, fscore, hausdorff, normal_consistency

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Truth:
    """One number: what it is of, what it has to be, and how it is measured."""

    name: str
    expected: float | int
    measure: Callable[[], float]
    tolerance: float | int = _ROUNDING  # absolute


@dataclass(frozen=True)
class Outcome:
    """What a truth came to here."""

    name: str
    expected: float | int
    found: float
    tolerance: float | int
    seconds: float
    error: str = ""  # why there is no number

    @property
    def passed(self) -> bool:
        """Whether the number is within its tolerance; a number that is none never is."""
        return abs(self.found - self.expected) <= self.tolerance


def check(truth: Truth) -> Outcome:
    """Measures one truth; whatever is raised is an outcome too."""
    start = time.perf_counter()
    found, error = math.nan, ""
    try:
        found = float(truth.measure())
    except Exception as raised:  # a self-test reports what is broken, it does not break
        error = f"{type(raised).__name__}: {raised}"
    return Outcome(truth.name, truth.expected, found, truth.tolerance, time.perf_counter() - start, error)


def all_truths() -> list[Truth]:
    """Every truth, those of points, of gradients, of estimators and of solids."""
    from shapetool.metrics.truths_solid import solid_truths

    return [*_pair(), *_lines(), *_laws(), *_gradients(), *_planes(), *_estimators(), *solid_truths()]


def _line(*places: float | int, dtype: torch.dtype = torch.float64) -> Tensor:
    """One cloud on the x axis."""
    return torch.tensor([[[place, 0, 0] for place in places]], dtype=dtype)


def _cloud(count: int, seed: int) -> Tensor:
    """One cloud drawn from the normal distribution."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, count, 3)))


def _sphere(count: int, seed: int, radius: float) -> Tensor:
    """One cloud spread evenly at random over a sphere."""
    points = np.random.default_rng(seed).normal(size=(1, count, 3))
    return torch.from_numpy(points / np.linalg.norm(points, axis=2, keepdims=True) * radius)


def _pair() -> list[Truth]:
    """P1: one point against one, three apart."""
    a, b = _line(0), _line(3)
    values = {"l1_mean": 3, "l1_sum": 6, "l2sq_mean": 9, "l2sq_sum": 18}
    chamfers = [
        Truth(f"one pair 3 apart: chamfer {variant}", value, partial(_chamfer, a, b, variant))
        for variant, value in values.items()
    ]
    return [*chamfers, Truth("one pair 3 apart: hausdorff", 3, lambda: hausdorff(a, b).item())]


def _lines() -> list[Truth]:
    """P4, P9, P10, P11: clouds on a line and traps."""
    a, b = _line(0, 1), _line(0.4, 10)
    true, first_half = _line(*range(100)), _line(*[place for place in range(50) for _ in range(20)])
    trap, near = _line(0), torch.tensor([[[0.9, 0.9, 0], [1.4, 0, 0]]], dtype=torch.float64)
    truths = [
        Truth("{0, 1} and {.4, 10}: chamfer l1_mean", 2.6, lambda: chamfer(a, b).item()),
        Truth("{0, 1} and {.4, 10}: hausdorff", 9, lambda: hausdorff(a, b).item()),
        Truth("{0, 1} to {.4, 10}: directed hausdorff", 0.6, lambda: _ways(a, b)[0]),
        Truth("{.4, 10} to {0, 1}: directed hausdorff", 9, lambda: _ways(a, b)[1]),
        Truth("every point thrice: chamfer l1_mean", 2.6, lambda: chamfer(a.repeat(1, 3, 1), b).item()),
        Truth("neighbours are Euclidean: directed distance", math.hypot(0.9, 0.9), _directed(trap, near)),
    ]
    parts = {"f-score": 2 / 3, "precision": 1, "recall": 0.5}
    for place, (name, value) in enumerate(parts.items()):
        measure = lambda p=place: fscore(first_half, true, [0.001])[p].item()  # noqa: E731 - one of a row
        truths.append(Truth(f"half of 100 points, 20 times each: {name}", value, measure))
    return truths


def _chamfer(a: Tensor, b: Tensor, variant: str) -> float:
    return chamfer(a, b, variant=variant).item()


def _ways(a: Tensor, b: Tensor) -> list[float]:
    """Both directed Hausdorff distances."""
    return [way.item() for way in compare(a, b).directed_hausdorff()]


def _directed(a: Tensor, b: Tensor) -> Callable[[], float]:
    return lambda: compare(a, b).forward.mean().item()


def _laws() -> list[Truth]:
    """P2, P3, P7, P12, P13: what is 0 whatever the cloud, and differences between two ways to ask."""
    a, b = _cloud(500, 0), _cloud(400, 1)
    shuffled = a[:, torch.from_numpy(np.random.default_rng(2).permutation(500))]

    def numbers(first: Tensor, second: Tensor) -> Tensor:
        found = compare(first, second)
        return torch.stack([found.chamfer(), found.chamfer("l2sq_sum"), found.hausdorff(), found.hausdorff(90)])

    def moved(by: float | int) -> float:
        return ((numbers(a + by, b + by) - numbers(a, b)) / numbers(a, b)).abs().max().item()

    def ragged() -> float:
        padded = torch.cat([a, torch.full_like(a, torch.nan)], dim=1)
        found = chamfer(padded.repeat(2, 1, 1), b.repeat(2, 1, 1), lengths_a=torch.tensor([500, 500]))
        return (found - chamfer(a, b)).abs().max().item()

    return [
        Truth("a cloud and itself: all distances", 0, lambda: numbers(a, a).abs().max().item(), 0),
        Truth("a cloud and itself shuffled: all distances", 0, lambda: numbers(a, shuffled).abs().max().item(), 0),
        Truth("both clouds moved by 10: relative change", 0, lambda: moved(10), 1e-6),
        Truth("both clouds moved by 1,000: relative change", 0, lambda: moved(1000), 1e-6),
        Truth("padded in a batch and alone: difference", 0, ragged, 0),
    ]


def _gradients() -> list[Truth]:
    """G2 to G5: laws of the gradient."""

    def at(variant: str) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
        a, b = _cloud(50, 3).requires_grad_(), _cloud(40, 4).requires_grad_()
        value = hausdorff(a, b) if variant == "hausdorff" else chamfer(a, b, variant=variant)
        to_a, to_b = torch.autograd.grad(value.sum(), (a, b))
        return a.detach(), b.detach(), to_a, to_b, value.item()

    def force(variant: str) -> float:
        _, _, to_a, to_b, _ = at(variant)
        return (to_a.sum(dim=(0, 1)) + to_b.sum(dim=(0, 1))).abs().max().item()

    def moment(variant: str) -> float:
        a, b, to_a, to_b, _ = at(variant)
        turning = torch.linalg.cross(a, to_a).sum(dim=(0, 1)) + torch.linalg.cross(b, to_b).sum(dim=(0, 1))
        return turning.abs().max().item()

    def degree(variant: str) -> float:
        a, b, to_a, to_b, value = at(variant)
        return ((a * to_a).sum() + (b * to_b).sum()).item() / value

    def resting() -> float:
        a = _cloud(50, 3).requires_grad_()
        return torch.autograd.grad((chamfer(a, a.detach()) + hausdorff(a, a.detach())).sum(), a)[0].abs().max().item()

    truths = [Truth("gradient at coinciding points", 0, resting, 0)]
    for variant, power in (("l1_mean", 1), ("l2sq_sum", 2), ("hausdorff", 1)):
        truths += [
            Truth(f"gradient of {variant}: sum", 0, partial(force, variant)),
            Truth(f"gradient of {variant}: moment", 0, partial(moment, variant)),
            Truth(f"gradient of {variant}: degree", power, partial(degree, variant)),
        ]
    return truths


def _planes() -> list[Truth]:
    """S7: normals that are flipped, and a plane tilted by 30 degrees."""
    a = _cloud(20, 5)
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand_as(a)
    angle = math.radians(30)
    tilted = torch.tensor([math.sin(angle), 0, math.cos(angle)], dtype=torch.float64).expand_as(a)
    return [
        Truth("flipped normals: consistency", 1, lambda: normal_consistency(a, up, a, -up).item(), 0),
        Truth("flipped normals: signed", -1, lambda: normal_consistency(a, up, a, -up, signed=True).item(), 0),
        Truth("plane tilted by 30 degrees", math.cos(angle), lambda: normal_consistency(a, up, a, tilted).item()),
    ]


def _estimators() -> list[Truth]:
    """S9: two draws of 10,000 points from spheres; a flat surface has e^(x^2) erfc(x) / (2 sqrt(density)) beyond d."""
    count, radius = 10_000, 0.5
    density = count / (4 * math.pi * radius**2)

    def biased(gap: float) -> float:
        reach = gap * math.sqrt(math.pi * density)
        return gap + math.exp(reach**2) * math.erfc(reach) / (2 * math.sqrt(density))

    def measured(gap: float) -> float:
        return compare(_sphere(count, 6, radius), _sphere(count, 7, radius + gap)).forward.mean().item()

    return [
        Truth(f"two draws from spheres {gap} apart", biased(gap), partial(measured, gap), 0.01 * biased(gap))
        for gap in (0.0, 0.002, 0.01)
    ]
