"""Intervals of the scores of sets: what another draw of clouds would change, by the bootstrap."""

import math

import numpy as np
from jaxtyping import Float, Int

from shapetool.metrics.errors import Z_95
from shapetool.metrics.intervals import LENGTH, SHARE, within
from shapetool.metrics.sets import SetScores, divergence

RESAMPLES = 1000
_AT_ONCE = 100  # draws whose counts of points are held at a time
Ends = tuple[float, float]


def set_intervals(
    scores: SetScores, samples: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Ends]:
    """The 95 % intervals of `mmd`, `coverage` and `nearest_accuracy`; NaN ends where nothing can be drawn anew.

    Groups of clouds are drawn with replacement, and each keeps its nearest cloud. Clouds that share a neighbour say the
    same thing more than once, so they go together: for MMD the references with one nearest sample; for 1-NNA what is
    linked by being nearest. Coverage is drawn by references, which overstates its spread by up to a half.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; groups as in its section 8.
    """
    references = len(scores.across) - samples
    of_sample = np.arange(len(scores.across)) < samples
    covered = np.isin(np.arange(references), scores.across[:samples] - samples)
    right = of_sample[scores.nearest] == of_sample
    drawn = {
        "mmd": _drawn(scores.across[samples:], scores.distances[samples:], rng, resamples),
        "coverage": _drawn(np.arange(references), covered.astype(np.float64), rng, resamples),
        "nearest_accuracy": _drawn(_linked(scores.nearest), right.astype(np.float64), rng, resamples),
    }
    values = {"mmd": scores.mmd, "coverage": scores.coverage, "nearest_accuracy": scores.nearest_accuracy}
    return {
        name: within(values[name], Z_95 * spread, *(LENGTH if name == "mmd" else SHARE))
        for name, spread in drawn.items()
    }


def jsd_interval(
    samples: Float[np.ndarray, "S K"],
    references: Float[np.ndarray, "R K"],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Ends:
    """The 95 % interval of JSD from the counts of each cloud (`occupancy`), clouds drawn with replacement."""
    if min(len(samples), len(references)) < 2:
        return math.nan, math.nan
    met = (samples.sum(axis=0) + references.sum(axis=0)) > 0  # few of the nodes, and the others say nothing
    samples, references = samples[:, met], references[:, met]
    found: list[float] = []
    for begin in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - begin)
        sides = [_weights(len(side), rng, count) @ side for side in (samples, references)]
        found += [divergence(first, second) for first, second in zip(*sides, strict=True)]
    # Draws repeat clouds, which makes sets look more different than they are: their spread counts, not their place.
    value = divergence(samples.sum(axis=0), references.sum(axis=0))
    return within(value, Z_95 * float(np.std(found, ddof=1)), *SHARE)


def _drawn(
    group: Int[np.ndarray, " N"], values: Float[np.ndarray, " N"], rng: np.random.Generator, resamples: int
) -> float:
    """The spread of the mean of the values over draws of groups; NaN of a single group."""
    names, place = np.unique(group, return_inverse=True)
    if len(names) < 2:
        return math.nan
    sums, counts = np.bincount(place, values), np.bincount(place).astype(np.float64)
    weights = _weights(len(names), rng, resamples)
    return float(np.std((weights @ sums) / (weights @ counts), ddof=1))


def _weights(count: int, rng: np.random.Generator, resamples: int) -> Float[np.ndarray, "B N"]:
    return rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)


def _linked(nearest: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """A name for each group of clouds that lead to one another from nearest to nearest."""
    name = np.arange(len(nearest))
    while True:
        lower = np.minimum(name, name[nearest])
        np.minimum.at(lower, nearest, lower)
        if (lower == name).all():
            return name
        name = lower
