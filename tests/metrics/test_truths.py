"""The closed-form truths hold here, all of them are there, and a metric that is wrong in a known way does not pass."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from shapetool.metrics import nearest, points
from shapetool.metrics.emd import Emd
from shapetool.metrics.points import Comparison
from shapetool.metrics.scores import Scores
from shapetool.metrics.sets import SetScores
from shapetool.metrics.surface import Interval
from shapetool.metrics.truths import Truth, all_truths, check
from shapetool.metrics.truths import estimators as estimators_of
from shapetool.metrics.truths import gradients as gradients_of
from shapetool.metrics.truths import points as points_of
from shapetool.metrics.truths import sets as sets_of
from shapetool.metrics.truths import solids as solids_of
from shapetool.metrics.truths import transport as transport_of
from shapetool.metrics.volume import Overlap

# The numbered truths; those of mesh losses come with the losses.
IDS = {
    *(f"P{number}" for number in range(1, 14)),
    "L1",
    *(f"S{number}" for number in range(1, 13)),
    *(f"G{number}" for number in range(1, 8)),
    *(f"C{number}" for number in range(1, 5)),
}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "truths.md"


@pytest.mark.parametrize("truth", all_truths(), ids=lambda truth: f"{truth.id} {truth.name}")
def test_a_truth_holds(truth):
    outcome = check(truth)
    assert outcome.error == ""
    assert outcome.passed, f"expected {truth.expected} within {truth.tolerance}, found {outcome.found}"


def test_every_number_of_the_table_has_a_truth_and_a_row_that_derives_it():
    assert {truth.id for truth in all_truths()} == IDS
    rows = re.findall(r"^\| ([A-Z]\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == IDS


def test_no_two_truths_have_one_name():
    names = [truth.name for truth in all_truths()]
    assert len(set(names)) == len(names)


def test_a_tolerance_beyond_rounding_says_what_it_is_made_of():
    silent = [truth.name for truth in all_truths() if truth.tolerance > 1e-12 and truth.because == "rounding"]
    assert silent == []
    assert {truth.because for truth in all_truths() if truth.tolerance == 0} == {"exact"}


def test_a_number_that_is_off_missing_or_raised_does_not_pass():
    assert not check(Truth("P1", "off", 1, lambda: 1 + 2e-12)).passed
    assert not check(Truth("P1", "none", 1, lambda: math.nan, math.inf)).passed
    broken = check(Truth("P1", "broken", 1, lambda: 1 / 0))
    assert not broken.passed
    assert broken.error.startswith("ZeroDivisionError")


def greedy(a, b, **options):
    """The nearest pair first, then the nearest of those that are left: a plan, and no more than that."""
    costs = cdist(np.asarray(a), np.asarray(b)) ** (2 if options.get("cost") == "distance_sq" else 1)
    left, total, partner = costs.copy(), 0.0, np.zeros(len(costs), np.int64)
    for _ in costs:
        row, column = np.unravel_index(left.argmin(), left.shape)
        total, partner[row] = total + costs[row, column], column
        left[row], left[:, column] = np.inf, np.inf
    return Emd(total / len(costs), 0.0, total / len(costs), partner)


def expanded(a, b, lengths_a, lengths_b):
    """Squares by |a|^2 + |b|^2 - 2ab."""
    squared = (a**2).sum(2)[:, :, None] + (b**2).sum(2)[:, None] - 2 * a @ b.transpose(1, 2)
    return squared.amin(dim=2).clamp(min=0), squared.argmin(dim=2)


def recall_by_prediction(self, thresholds, *, strict=False):
    """True positives of the prediction, false negatives of the truth."""
    hits = (self.forward <= thresholds[0]).sum()
    missed = (self.backward > thresholds[0]).sum()
    precision, recall = hits / len(self.forward), hits / (hits + missed)
    return np.array([2 * precision * recall / (precision + recall)]), np.array([precision]), np.array([recall])


def planted(name, wrong):
    """The method replaced by `wrong`, which gets the right one first, in batches and in single pairs."""

    def change(owner):
        right = getattr(owner, name)
        return owner, name, lambda self, *given, **named: wrong(right, self, *given, **named)

    return [change(owner) for owner in (Comparison, Scores)]


FAULTS = {
    "chamfer without its half": (
        planted("chamfer", lambda right, *given: 2 * right(*given)),
        {"P1", "P4", "P9", "S1", "S2", "S5", "G6"},
    ),
    "squared hausdorff": (
        planted("directed_hausdorff", lambda right, *given: tuple(way**2 for way in right(*given))),
        {"P1", "P4", "L1", "G4"},
    ),
    "recall counted on the prediction": ([(Scores, "fscore", recall_by_prediction)], {"P10"}),
    "unsigned normals": (planted("normal_consistency", lambda right, self, signed=False: right(self)), {"S7"}),
    "expanded squares": ([(nearest, way, expanded) for way in ("_by_trees", "_found")], {"P12"}),
    "a root without a slope at 0": ([(points, "_root", torch.sqrt)], {"G5"}),
    "greedy matching": ([(transport_of, "emd", greedy)], {"P5", "P6", "L1"}),
    "error bars of one sampling": (
        [(estimators_of, "two_way", lambda f, b, *_: math.hypot(f[:, 0].std(), b[:, 0].std()) / 2 / len(f) ** 0.5)],
        {"S10"},
    ),
    "error bars that are too short": (
        [(estimators_of, "iid", lambda values: 0.8 * values.std() / len(values) ** 0.5)],
        {"S10"},
    ),
    "a floor left in": ([(estimators_of, "debiased_gap", lambda measured, _: measured)], {"S9"}),
    "a soft minimum that is hard": (
        [(gradients_of, "soft_chamfer", lambda a, b, **_: points.chamfer(a, b))],
        {"G6"},
    ),
    "bounds below the largest distance": (
        [(solids_of, "hausdorff_interval", lambda *_: Interval(0.05, 0.05, 0.05))],
        {"S1", "S2", "S5", "S11", "S12"},
    ),
    "bounds of a mean beside it": (
        [(solids_of, "chamfer_interval", lambda *_: Interval(0.03, 0.0295, 0.0305))],
        {"S12"},
    ),
    "IoU of everything": (
        [(solids_of, "iou", lambda *_, **__: Overlap(1, 1, 1, 1, 1, "boolean"))],
        {"S1", "S2", "S3", "S5"},
    ),
    "an empty cloud that is near everything": (
        [(points_of, "chamfer", lambda a, *_, **__: torch.zeros(len(a)))],
        {"P1", "P4", "P9", "P13"},
    ),
    "sets that are always alike": ([(sets_of, "set_scores", lambda *_, **__: SetScores(0.0, 1.0, 0.5, 1, 1))], {"C2"}),
    "a divergence that is always 0": ([(sets_of, "jsd", lambda *_: 0.0)], {"C4"}),
}


@pytest.fixture
def afresh():
    """Nothing measured before the fault stands, and nothing measured under it stays."""
    kept = (estimators_of._spheres, estimators_of._error, solids_of._compared, solids_of._lattice)
    for function in kept:
        function.cache_clear()
    yield
    for function in kept:
        function.cache_clear()


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_known_fault_is_noticed(fault, monkeypatch):
    changes, ids = FAULTS[fault]
    for where, name, wrong in changes:
        monkeypatch.setattr(where, name, wrong)
    noticed = {truth.id for truth in all_truths() if truth.id in ids and not check(truth).passed}
    assert noticed == ids
