"""The truths of sets of clouds against each other: MMD, coverage, 1-NNA and JSD."""

import math
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import torch
from jaxtyping import Float

from shapetool.metrics.emd import emd
from shapetool.metrics.points import chamfer
from shapetool.metrics.sets import SetScores, jsd, set_scores
from shapetool.metrics.truths.clouds import cloud
from shapetool.metrics.truths.truth import Truth

_Clouds = list[Float[np.ndarray, "N 3"]]


def truths() -> list[Truth]:
    """C1 to C4."""
    return [*_known(), *_one_distribution(), *_divergence()]


def _along(places: Sequence[float | int]) -> _Clouds:
    """One cloud of 20 points, moved along x: its EMD between two places is how far these are apart (P7)."""
    base = cloud(20, 70)[0].numpy() / 10
    return [base + np.array([place, 0, 0]) for place in places]


def _by_emd(a: np.ndarray, b: np.ndarray) -> float:
    return emd(a, b).value


def _by_chamfer(a: np.ndarray, b: np.ndarray) -> float:
    return chamfer(torch.from_numpy(a)[None], torch.from_numpy(b)[None]).item()


def _known() -> list[Truth]:
    """C1, C2: references at 0, .1, ... .7.

    Samples at the same places: each reference has its sample at 0, and is that sample's nearest. At 50.1, 50.2, ...
    50.6: the nearest sample is the first for every reference, on average 50.1 - .35 away; every sample's nearest
    reference is the one at .7; and every cloud's nearest other one is of its own set. At .04, .14, ... .74 the nearest
    is .04 away and of the other set.
    """
    references = [place / 10 for place in range(8)]
    far = cache(lambda: _scores([50.1 + place / 10 for place in range(6)], references))
    between = cache(lambda: _scores([place + 0.04 for place in references], references))

    clouds = _along(references)
    itself = {
        "EMD": cache(lambda: set_scores(clouds, clouds, _by_emd, emd=True)),
        "chamfer": cache(lambda: set_scores(clouds, clouds, _by_chamfer)),
    }

    def mmd(by: str) -> float:
        return itself[by]().mmd

    def coverage(by: str) -> float:
        return itself[by]().coverage

    return [
        *(Truth("C1", f"a set and itself by {by}: MMD", 0, partial(mmd, by), 0) for by in itself),
        *(Truth("C1", f"a set and itself by {by}: coverage", 1, partial(coverage, by), 0) for by in itself),
        Truth("C2", "sets 50 apart: MMD", 49.75, lambda: far().mmd),
        Truth("C2", "sets 50 apart: coverage", 1 / 8, lambda: far().coverage, 0),
        Truth("C2", "sets 50 apart: 1-NNA", 1, lambda: far().nearest_accuracy, 0),
        Truth("C2", "sets between each other: MMD", 0.04, lambda: between().mmd),
        Truth("C2", "sets between each other: coverage", 1, lambda: between().coverage, 0),
        Truth("C2", "sets between each other: 1-NNA", 0, lambda: between().nearest_accuracy, 0),
    ]


def _scores(samples: Sequence[float | int], references: Sequence[float | int]) -> SetScores:
    return set_scores(_along(samples), _along(references), _by_emd, emd=True)


def _one_distribution() -> list[Truth]:
    """C3: of 60 and 60 clouds drawn alike, 59 of the 119 others of each are of its own set."""
    everything = np.random.default_rng(71).normal(size=(120, 1, 3))
    clouds = list(everything)

    def accuracy() -> float:
        return set_scores(clouds[:60], clouds[60:], _by_emd, emd=True).nearest_accuracy

    tolerance = 4 * 0.5 / math.sqrt(120)
    return [Truth("C3", "sets drawn alike: 1-NNA", 59 / 119, accuracy, tolerance, "4 errors of 120 draws")]


def _divergence() -> list[Truth]:
    """C4: JSD in bits is the entropy of the middle less the mean entropy.

    Two places of which each set has its own: 1 - 0. One set in both places evenly, the other in one: the middle is
    (3/4, 1/4), and half a bit goes off.
    """
    left, right = np.array([[-0.25, 0, 0]]), np.array([[0.25, 0, 0]])
    both = np.concatenate([left, right])
    middle = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) - 0.5
    return [
        Truth("C4", "a set and itself: JSD", 0, partial(jsd, [both], [both]), 0),
        Truth("C4", "sets in two places: JSD", 1, partial(jsd, [left], [right])),
        Truth("C4", "one place and two: JSD", middle, partial(jsd, [left], [both])),
    ]
