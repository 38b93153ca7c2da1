"""Intervals of set scores: what they cover, measured over many draws, and where they have to end."""

import math

import numpy as np
import pytest
from scipy import stats

from shapetool.metrics.intervals import ANYTHING, LENGTH, SHARE, within
from shapetool.metrics.set_errors import jsd_interval, set_intervals
from shapetool.metrics.sets import SetScores, divergence


def scored(samples: np.ndarray, references: np.ndarray) -> SetScores:
    """The scores of sets of points under the plain distance, from the whole matrix."""
    every, count = np.concatenate([samples, references]), len(samples)
    far = np.linalg.norm(every[:, None] - every, axis=2)
    np.fill_diagonal(far, np.inf)
    across = np.concatenate([far[:count, count:].argmin(axis=1) + count, far[count:, :count].argmin(axis=1)])
    nearest = far.argmin(axis=1)
    of_sample = np.arange(len(every)) < count
    distances = far[np.arange(len(every)), across]
    return SetScores(
        mmd=float(distances[count:].mean()),
        coverage=len(set(across[:count])) / len(references),
        nearest_accuracy=float((of_sample[nearest] == of_sample).mean()),
        pairs=0,
        measured=0,
        across=across,
        distances=distances,
        nearest=nearest,
    )


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.0, 0.7), (0.5, 0.0)])
def test_most_intervals_hold_the_mean_of_many_draws(scale, shift):
    draws = 120
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        samples, references = scale * rng.normal(size=(70, 4)) + shift, rng.normal(size=(70, 4))
        scores = scored(samples, references)
        ends = set_intervals(scores, 70, rng, resamples=300)
        found.append([(getattr(scores, name), *ends[name]) for name in ("mmd", "coverage", "nearest_accuracy")])
    values, low, high = np.moveaxis(np.array(found), 2, 0)
    held = ((low <= values.mean(axis=0)) & (values.mean(axis=0) <= high)).mean(axis=0)
    # 95 of 100 are meant; four standard deviations of 120 draws are 0.08, and resampling groups is right to some 15 %.
    assert (held >= 0.85).all(), held
    width = (high - low).mean(axis=0) / (2 * 1.96 * values.std(axis=0))
    assert (width < 1.8).all(), width  # they are no wider than that either
    assert (width > 0.75).all(), width


def test_sets_that_tell_nothing_have_no_interval_or_one_of_no_width():
    one = scored(np.zeros((1, 3)), np.ones((1, 3)))
    ends = set_intervals(one, 1, np.random.default_rng(0))
    assert all(math.isnan(low) and math.isnan(high) for low, high in ends.values())
    apart = scored(np.random.default_rng(1).normal(size=(9, 3)) + 90, np.random.default_rng(2).normal(size=(9, 3)))
    assert set_intervals(apart, 9, np.random.default_rng(0))["nearest_accuracy"] == (1.0, 1.0)


def test_the_interval_of_jsd_lies_about_it_and_shrinks_with_more_clouds():
    rng = np.random.default_rng(3)
    widths = []
    for count in (20, 320):
        first, second = (rng.poisson(rate, (count, 50)).astype(float) for rate in (2.0, np.linspace(1, 3, 50)))
        low, high = jsd_interval(first, second, rng, resamples=200)
        assert 0 <= low < divergence(first.sum(axis=0), second.sum(axis=0)) < high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 2  # four times narrower is expected
    assert math.isnan(jsd_interval(np.ones((1, 5)), np.ones((4, 5)), rng)[0])


def test_an_interval_that_stays_in_its_range_is_left_alone():
    assert within(0.5, 0.2, *SHARE) == (0.3, 0.7)
    assert within(5.0, 2.0, *LENGTH) == (3.0, 7.0)
    assert within(-1.0, 2.0, *ANYTHING) == (-3.0, 1.0)


@pytest.mark.parametrize(("value", "reach"), [(0.02, 0.6), (0.5, 0.6), (0.97, 0.1)])
def test_the_end_of_a_share_that_would_leave_is_taken_by_its_logit(value, reach):
    slope = 1 / (value * (1 - value))
    by_logit = stats.logistic.cdf(stats.logistic.ppf(value) + np.array([-1, 1]) * reach * slope)
    low, high = within(value, reach, *SHARE)
    assert low == pytest.approx(by_logit[0] if value - reach < 0 else value - reach, abs=1e-12)
    assert high == pytest.approx(by_logit[1] if value + reach > 1 else value + reach, abs=1e-12)
    assert 0 <= low < value < high <= 1


def test_the_end_of_a_length_that_would_leave_is_taken_by_its_logarithm():
    assert within(2.0, 3.0, *LENGTH) == pytest.approx((2 * math.exp(-1.5), 5.0))


def test_at_the_end_of_the_range_the_interval_ends_and_nothing_overflows():
    assert within(1.0, 0.1, *SHARE) == (0.9, 1.0)
    assert within(0.0, 0.1, *LENGTH) == (0.0, 0.1)
    assert within(1.0, 0.0, *SHARE) == (1.0, 1.0)
    low, high = within(1e-12, 0.5, *SHARE)
    assert 0 <= low <= high <= 1
    low, high = within(1e-300, 1.0, *LENGTH)
    assert (low >= 0, high) == (True, 1.0)
    assert all(math.isnan(end) for end in within(0.5, math.nan, *SHARE))
