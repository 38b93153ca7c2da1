"""The truths of clouds whose points are matched with their nearest: Chamfer, Hausdorff, F-score and normals."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from shapetool.errors import MetricError
from shapetool.metrics.nearest import nearest
from shapetool.metrics.points import chamfer, compare, fscore, hausdorff, normal_consistency
from shapetool.metrics.truths.clouds import cloud, line
from shapetool.metrics.truths.truth import Truth, worst


def truths() -> list[Truth]:
    """P1 to P4, P9 to P13 and S7, and of L1 what needs no matching."""
    return [*_pair(), *_lines(), *_traps(), *_moves(), *_batches(), *_chain(), *_planes()]


def _pair() -> list[Truth]:
    """P1: one point against one, three apart: the mean distance each way is 3, and its square 9."""
    a, b = line(0), line(3)
    values = {"l1_mean": 3, "l1_sum": 6, "l2sq_mean": 9, "l2sq_sum": 18}
    return [
        *(
            Truth("P1", f"one pair 3 apart: chamfer {name}", of, partial(_chamfer, a, b, name), 0)
            for name, of in values.items()
        ),
        Truth("P1", "one pair 3 apart: hausdorff", 3, lambda: hausdorff(a, b).item(), 0),
    ]


def _lines() -> list[Truth]:
    """P4, P9: {0, 1} and {.4, 10} have .4 and .6 to go there, .4 and 9 back; standing thrice changes no mean."""
    a, b = line(0, 1), line(0.4, 10)
    return [
        Truth("P4", "{0, 1} and {.4, 10}: chamfer l1_mean", 2.6, lambda: chamfer(a, b).item()),
        Truth("P4", "{0, 1} and {.4, 10}: hausdorff", 9, lambda: hausdorff(a, b).item()),
        Truth("P4", "{0, 1} to {.4, 10}: directed hausdorff", 0.6, lambda: _ways(a, b)[0]),
        Truth("P4", "{.4, 10} to {0, 1}: directed hausdorff", 9, lambda: _ways(a, b)[1]),
        Truth("P9", "every point thrice: chamfer l1_mean", 2.6, lambda: chamfer(a.repeat(1, 3, 1), b).item()),
    ]


def _traps() -> list[Truth]:
    """P10, P11: what other code gets wrong.

    Of 100 true points the first 50 are predicted 20 times each: all are right (P = 1) and half is there (R = 1/2), so
    F = 2 P R / (P + R) = 2/3; who counts both on one side has .976. From the origin (.9, .9) is nearer than (1.4, 0),
    although its coordinates sum up to more. Who is near and how far is asked of one length here: sqrt(1.62) there,
    and sqrt(1.62) and 1.4 back; code that finds neighbours by one and measures by another has 3.4 for 3.
    """
    true, first_half = line(*range(100)), line(*[place for place in range(50) for _ in range(20)])
    trap, near = line(0), torch.tensor([[[0.9, 0.9, 0], [1.4, 0, 0]]], dtype=torch.float64)

    def part(place: int) -> float:
        return fscore(first_half, true, [0.001])[place].item()

    parts, back = {"f-score": 2 / 3, "precision": 1, "recall": 0.5}, (math.sqrt(1.62) + 1.4) / 2
    return [
        *(
            Truth("P10", f"half of 100 points, 20 times each: {name}", value, partial(part, place))
            for place, (name, value) in enumerate(parts.items())
        ),
        Truth("P11", "nearest by length: distance", math.sqrt(1.62), lambda: _ways(trap, near)[0]),
        Truth(
            "P11", "nearest by length: chamfer l1_sum", back + math.sqrt(1.62), partial(_chamfer, trap, near, "l1_sum")
        ),
    ]


def _chamfer(a: Tensor, b: Tensor, variant: str) -> float:
    return chamfer(a, b, variant=variant).item()


def _score(a: Tensor, b: Tensor, threshold: float | int) -> float:
    return fscore(a, b, [threshold])[0].item()


def _ways(a: Tensor, b: Tensor) -> list[float]:
    """Both directed Hausdorff distances."""
    return [way.item() for way in compare(a, b).directed_hausdorff()]


def _moves() -> list[Truth]:
    """P2, P3, P12: nothing is between a cloud and itself, in any order; and both may stand anywhere."""
    a, b = cloud(500, 0), cloud(400, 1)
    shuffled = a[:, torch.from_numpy(np.random.default_rng(2).permutation(500))]

    def numbers(first: Tensor, second: Tensor) -> Tensor:
        found = compare(first, second)
        return torch.stack([found.chamfer(), found.chamfer("l2sq_sum"), found.hausdorff(), found.hausdorff(90)])

    def moved(by: float | int) -> float:
        return ((numbers(a + by, b + by) - numbers(a, b)) / numbers(a, b)).abs().max().item()

    # On this lattice both places are exact in float32, where expanded squares lose all digits.
    exact = [torch.from_numpy(np.random.default_rng(seed).integers(0, 1024, (1, 300, 3)) / 1024) for seed in (3, 4)]

    def moved_in_single() -> float:
        here, there = (numbers(*(both.float() + by for both in exact)) for by in (0, 1000))
        return ((there - here) / here).abs().max().item()

    rounded = "coordinates of 1,000 are rounded to 1e-13"
    return [
        Truth("P2", "a cloud and itself: all distances", 0, lambda: numbers(a, a).abs().max().item(), 0),
        Truth("P2", "a cloud and itself: f-score at 0", 1, partial(_score, a, a, 0.0), 0),
        Truth(
            "P3", "a cloud and itself shuffled: all distances", 0, lambda: numbers(a, shuffled).abs().max().item(), 0
        ),
        Truth("P12", "both clouds moved by 10: relative change", 0, lambda: moved(10), 1e-6, rounded),
        Truth("P12", "both clouds moved by 1,000: relative change", 0, lambda: moved(1000), 1e-6, rounded),
        Truth("P12", "the same in float32", 0, moved_in_single, 1e-6, "sums of squares are rounded to 6e-8"),
    ]


def _batches() -> list[Truth]:
    """P13: a pair has the same bits alone, padded, in a batch and in any order of it; an empty cloud has none."""
    a, b = cloud(500, 0), cloud(400, 1)

    def ragged() -> float:
        padded = torch.cat([a, torch.full_like(a, torch.nan)], dim=1)
        found = chamfer(padded.repeat(2, 1, 1), b.repeat(2, 1, 1), lengths_a=torch.tensor([500, 500]))
        return (found - chamfer(a, b)).abs().max().item()

    def in_order() -> float:
        firsts, seconds = (torch.cat([cloud(60, seed + k) for k in range(3)]) for seed in (10, 20))
        there, back = compare(firsts, seconds).chamfer(), compare(firsts.flip(0), seconds.flip(0)).chamfer()
        return (there - back.flip(0)).abs().max().item()

    def in_pieces() -> float:
        whole = nearest(a, b)[0]  # by a tree; the pieces are few enough for all pairs
        pieces = torch.cat([nearest(piece, b)[0] for piece in torch.split(a, 40, dim=1)], dim=1)
        return (pieces / whole - 1).abs().max().item()

    def refused(first: Tensor, lengths: Tensor | None = None) -> float:
        try:
            return chamfer(first, b, lengths_a=lengths).item() * 0
        except MetricError:
            return 1.0

    return [
        Truth("P13", "padded in a batch and alone: difference", 0, ragged, 0),
        Truth("P13", "a batch in two orders: difference", 0, in_order, 0),
        Truth("P13", "whole and in pieces of 40 points: relative difference", 0, in_pieces),
        Truth("P13", "a cloud without points is refused", 1, lambda: refused(a[:, :0]), 0),
        Truth("P13", "a cloud of length 0 is refused", 1, lambda: refused(a, torch.tensor([0])), 0),
    ]


def _chain() -> list[Truth]:
    """L1: directed distances are at most the larger one, which keeps the triangle's law; Chamfer does not keep it.

    From {0} to {10} it is 10; by way of {0, 10} it is 2.5 twice, so 5 is missing.
    """
    a, b, c = (cloud(8, seed) for seed in (30, 31, 32))
    one, both, other = line(0), line(0, 10), line(10)

    def order() -> float:
        found = compare(a, b)
        ways = [way.item() for way in found.directed_hausdorff()]
        return worst(max(ways) - found.hausdorff().item(), found.chamfer().item() - found.hausdorff().item())

    def detour(distance: Callable[[Tensor, Tensor], Tensor], *way: Tensor) -> float:
        direct, first, second = (distance(way[i], way[j]).item() for i, j in ((0, 2), (0, 1), (1, 2)))
        return direct - first - second

    return [
        Truth("L1", "directed hausdorff and chamfer above hausdorff", 0, order, 0),
        Truth("L1", "hausdorff: a way longer than its detour", 0, lambda: worst(detour(hausdorff, a, b, c))),
        Truth("L1", "chamfer: {0} to {10} less the way by {0, 10}", 5, lambda: detour(chamfer, one, both, other)),
    ]


def _planes() -> list[Truth]:
    """S7: normals that are flipped, and a plane tilted by 30 degrees."""
    a = cloud(20, 5)
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand_as(a)
    angle = math.radians(30)
    tilted = torch.tensor([math.sin(angle), 0, math.cos(angle)], dtype=torch.float64).expand_as(a)
    return [
        Truth("S7", "flipped normals: consistency", 1, lambda: normal_consistency(a, up, a, -up).item(), 0),
        Truth("S7", "flipped normals: signed", -1, lambda: normal_consistency(a, up, a, -up, signed=True).item(), 0),
        Truth("S7", "plane tilted by 30 degrees", math.cos(angle), lambda: normal_consistency(a, up, a, tilted).item()),
    ]
