"""The closed-form truths hold here, and a truth that does not hold is seen."""

import math

import pytest

from shapetool.metrics import points
from shapetool.metrics.truths import Truth, all_truths, check


@pytest.mark.parametrize("truth", all_truths(), ids=lambda truth: truth.name)
def test_a_truth_holds(truth):
    outcome = check(truth)
    assert outcome.error == ""
    assert outcome.passed, f"expected {outcome.expected} within {outcome.tolerance}, found {outcome.found}"


def test_no_two_truths_have_one_name():
    names = [truth.name for truth in all_truths()]
    assert len(set(names)) == len(names)


def test_a_number_that_is_off_missing_or_raised_does_not_pass():
    assert not check(Truth("off", 1, lambda: 1 + 2e-12)).passed
    assert not check(Truth("none", 1, lambda: math.nan, math.inf)).passed
    broken = check(Truth("broken", 1, lambda: 1 / 0))
    assert not broken.passed
    assert broken.error.startswith("ZeroDivisionError")


def test_a_metric_that_is_wrong_by_a_factor_is_noticed(monkeypatch):
    right = points.Comparison.chamfer
    monkeypatch.setattr(points.Comparison, "chamfer", lambda self, variant="l1_mean": 2 * right(self, variant))
    wrong = [truth.name for truth in all_truths()[:5] if not check(truth).passed]
    assert len(wrong) == 4
