"""The earth mover's distance: closed forms, laws, scipy's assignment and linear programs, and bounds that hold."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist

from shapetool.errors import MetricError
from shapetool.metrics.emd import Flow, emd

SEED = 20


def sphere(count: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None] / 2


def cube(count: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.uniform(-0.5, 0.5, (count, 3))
    points[np.arange(count), rng.integers(0, 3, count)] = rng.choice([-0.5, 0.5], count)
    return points


def line(*places: float) -> np.ndarray:
    return np.array([[x, 0.0, 0.0] for x in places])


def assigned(a: np.ndarray, b: np.ndarray) -> float:
    """The least mean distance by scipy."""
    costs = cdist(a, b)
    return costs[linear_sum_assignment(costs)].mean()


def moved(costs: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> float:
    """The least cost of the transport problem as a linear program."""
    n, m = costs.shape
    rows, columns = np.repeat(np.eye(n), m, axis=1), np.tile(np.eye(m), n)
    done = linprog(
        costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([supply, demand]), method="highs"
    )
    assert done.status == 0
    return done.fun


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        (line(0), line(3), 3.0),
        (line(0, 1), line(0.4, 10), 4.7),  # the nearest first would cost 5.3 at the swap
        (line(0, 1), line(1, 2), 1.0),
        (line(0, 1, 2), line(2, 0, 1), 0.0),
        (line(0, 4), line(1), 2.0),
        (line(5), line(4, 6, 8), 5 / 3),
    ],
)
def test_on_a_line_it_is_known(a, b, value):
    result = emd(a, b)
    assert result.value == pytest.approx(value, abs=1e-15)
    assert result.lower <= value * (1 + 1e-15)
    assert value <= result.upper * (1 + 1e-15)
    assert result.gap < 1e-13


def test_squared_costs_are_asked_for_by_name_and_keep_no_root():
    assert emd(line(0, 1), line(1, 2), cost="distance_sq").value == 1.0  # greedy: 2
    assert emd(line(0), line(3), cost="distance_sq").value == 9.0


def test_it_unpacks_as_the_contract_says():
    value, lower, upper, assignment = emd(line(0, 5), line(5, 0))
    assert (value, lower, upper) == (0.0, 0.0, 0.0)
    assert assignment.tolist() == [1, 0]


def test_it_equals_scipy_on_a_thousand_small_clouds():
    rng = np.random.default_rng(SEED)
    for case in range(1000):
        count = int(rng.integers(1, 65))
        a, b = rng.normal(size=(count, 3)), rng.normal(size=(count, 3)) + 2 * rng.integers(0, 2)
        if case % 4 == 0:
            a, b = np.round(a), np.round(b)  # ties and points that coincide
        result, optimum = emd(a, b), assigned(a, b)
        assert result.value == pytest.approx(optimum, rel=1e-13, abs=0)  # sums in another order
        assert result.lower <= optimum * (1 + 1e-15)
        assert optimum <= result.upper
        assert result.gap <= 1e-12
        assert sorted(result.assignment) == list(range(count))
        each = np.linalg.norm(a - b[result.assignment], axis=1)
        assert each.mean() == pytest.approx(result.value, rel=1e-13, abs=0)


@pytest.mark.parametrize("other", [sphere, cube])
def test_at_2048_points_it_is_certified_and_equals_scipy(other):
    rng = np.random.default_rng(SEED)
    a, b = sphere(2048, rng), other(2048, rng)
    result = emd(a, b)
    assert result.gap <= 1e-9
    assert result.value == pytest.approx(assigned(a, b), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("other", [sphere, cube])
def test_ten_thousand_points_are_certified(other):
    rng = np.random.default_rng(SEED)
    result = emd(sphere(10_000, rng), other(10_000, rng))
    assert result.gap <= 1e-6
    assert (np.sort(result.assignment) == np.arange(10_000)).all()


@pytest.mark.parametrize("cost", ["distance", "distance_sq"])
def test_the_bounds_hold_against_all_permutations(cost):
    rng = np.random.default_rng(SEED)
    for count in (2, 3, 5, 7):
        a, b = rng.normal(size=(2, count, 3))
        costs = cdist(a, b) if cost == "distance" else cdist(a, b) ** 2
        best = min(costs[np.arange(count), list(p)].mean() for p in itertools.permutations(range(count)))
        result = emd(a, b, cost=cost)
        assert result.lower <= best * (1 + 1e-15)
        assert best <= result.upper * (1 + 1e-15)
        assert result.value == pytest.approx(best, rel=1e-14)


def test_one_point_is_as_far_from_many_as_they_are_on_the_average():
    rng = np.random.default_rng(SEED)
    one, many = rng.normal(size=(1, 3)), rng.normal(size=(1000, 3))
    for a, b in ((one, many), (many, one)):
        result = emd(a, b)
        assert result.value == pytest.approx(np.linalg.norm(many - one, axis=1).mean(), rel=1e-13)
        assert result.gap <= 1e-12


@pytest.mark.parametrize("sizes", [(1, 7), (12, 20), (20, 12), (24, 12), (12, 24), (13, 8)])
@pytest.mark.parametrize("cost", ["distance", "distance_sq"])
def test_unequal_sizes_equal_a_linear_program(sizes, cost):
    rng = np.random.default_rng(SEED)
    a, b = (rng.normal(size=(n, 3)) for n in sizes)
    costs = cdist(a, b) if cost == "distance" else cdist(a, b) ** 2
    result = emd(a, b, cost=cost)
    optimum = moved(costs, np.full(sizes[0], 1 / sizes[0]), np.full(sizes[1], 1 / sizes[1]))
    assert result.value == pytest.approx(optimum, rel=1e-9)  # the tolerance of the program
    assert result.gap <= 1e-12
    flow = result.assignment
    assert isinstance(flow, Flow)
    assert np.bincount(flow.a_index, flow.mass, sizes[0]) == pytest.approx(1 / sizes[0], abs=1e-15)
    assert np.bincount(flow.b_index, flow.mass, sizes[1]) == pytest.approx(1 / sizes[1], abs=1e-15)
    assert math.fsum(costs[flow.a_index, flow.b_index] * flow.mass) == pytest.approx(result.value, rel=1e-14)


def test_weights_equal_a_linear_program_and_points_without_weight_are_left_out():
    rng = np.random.default_rng(SEED)
    for _ in range(20):
        n, m = rng.integers(1, 25, 2)
        a, b, wa, wb = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)), rng.uniform(size=n), rng.uniform(size=m)
        if m > 1:
            wb[rng.integers(m)] = 0
        result = emd(a, b, a_weights=wa, b_weights=5 * wb)
        optimum = moved(cdist(a, b), wa / wa.sum(), wb / wb.sum())
        assert result.value == pytest.approx(optimum, rel=1e-8)
        assert result.lower <= result.value <= result.upper
        assert result.gap <= 1e-12
        assert set(result.assignment.b_index) <= set(np.flatnonzero(wb))


@pytest.mark.parametrize("other", [sphere, cube])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_thousand_points_of_other_sizes_or_weights_are_certified_and_the_flow_is_one(other, weighted):
    rng = np.random.default_rng(SEED)
    a, b = sphere(1000, rng), other(999, rng)
    weights = [rng.uniform(size=len(x)) ** 3 if weighted else np.ones(len(x)) for x in (a, b)]
    given = dict(zip(("a_weights", "b_weights"), weights, strict=True)) if weighted else {}
    result = emd(a, b, **given)
    assert result.gap <= 1e-11
    flow = result.assignment
    for index, weight in ((flow.a_index, weights[0]), (flow.b_index, weights[1])):
        assert np.bincount(index, flow.mass, len(weight)) == pytest.approx(weight / weight.sum(), abs=1e-15)
    assert len(flow.mass) < len(a) + len(b)  # a tree: no circle of points exchanges mass
    each = np.linalg.norm(a[flow.a_index] - b[flow.b_index], axis=1)
    assert math.fsum(each * flow.mass) == pytest.approx(result.value, rel=1e-13)


def test_ties_points_far_apart_and_weights_of_all_sizes_equal_a_linear_program():
    rng = np.random.default_rng(SEED)
    for case in range(60):
        n, m = rng.integers(2, 40, 2)
        a, b = np.round(2 * rng.normal(size=(n, 3))) / 2, np.round(2 * rng.normal(size=(m, 3))) / 2
        a[: n // 2] += 1000 * (case % 3 == 0)
        b[: m // 3] += 1000 * (case % 3 == 0)
        wa, wb = 10.0 ** rng.uniform(-4, 0, n), rng.integers(1, 4, m).astype(float)
        result = emd(a, b, a_weights=wa, b_weights=wb)
        optimum = moved(cdist(a, b), wa / wa.sum(), wb / wb.sum())
        assert result.value == pytest.approx(optimum, rel=1e-6)  # the program's feasibility, of masses down to 1e-6
        assert result.gap <= 1e-11


@pytest.mark.parametrize("sizes", [(700, 700), (700, 699), (300, 900)])
@pytest.mark.parametrize("rtol", [0.2, 0.01])
def test_a_search_that_may_end_early_keeps_its_bounds(sizes, rtol):
    rng = np.random.default_rng(SEED)
    a, b = sphere(sizes[0], rng), cube(sizes[1], rng)
    exact, early = emd(a, b), emd(a, b, rtol=rtol)
    assert early.gap <= rtol
    assert early.lower <= exact.value <= early.upper * (1 + 1e-15)
    if rtol == 0.2:
        assert early.gap > 1e-9  # it did end early
    again = emd(a, b, rtol=rtol)
    assert again[:3] == early[:3]


INTERRUPTED = """
import signal, numpy as np
from shapetool.metrics.emd import emd
rng = np.random.default_rng(0)
a, b = rng.normal(size=(200_000, 3)), rng.normal(size=({count}, 3))
try:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(1)
    emd(a, b)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize("count", [200_000, 199_999])
def test_ctrl_c_ends_a_long_search(count):
    # Many minutes of work: the limit is for a kernel that does not listen.
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(count=count)],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == "stopped\n", done.stderr


def test_a_weight_of_two_is_the_point_twice():
    rng = np.random.default_rng(SEED)
    a, b, weights = rng.normal(size=(30, 3)), rng.normal(size=(45, 3)), rng.integers(1, 4, 30)
    twice = emd(np.repeat(a, weights, axis=0), b)
    assert emd(a, b, a_weights=weights).value == pytest.approx(twice.value, rel=1e-12)


@pytest.mark.parametrize("places", [1, 3, 40])
def test_a_cloud_that_collapsed_to_few_places_is_still_matched_one_to_one(places):
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(300, 3)), rng.normal(size=(places, 3))[rng.integers(0, places, 300)]
    for x, y in ((a, b), (b, a)):
        result = emd(x, y)
        assert result.value == pytest.approx(assigned(x, y), rel=1e-12)
        assert result.gap <= 1e-12
        assert sorted(result.assignment) == list(range(300))
        assert np.linalg.norm(x - y[result.assignment], axis=1).mean() == pytest.approx(result.value, rel=1e-13)


def test_duplicating_every_point_changes_nothing():
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(2, 60, 3))
    assert emd(np.repeat(a, 3, axis=0), np.repeat(b, 3, axis=0)).value == pytest.approx(emd(a, b).value, rel=1e-13)


@pytest.mark.parametrize("count", [1, 2, 700])
def test_on_one_axis_the_sorted_are_matched(count):
    rng = np.random.default_rng(SEED)
    a, b = np.zeros((2, count, 3))
    a[:, 1], b[:, 1] = rng.normal(size=(2, count))
    result = emd(a, b)
    assert result.value == pytest.approx(np.abs(np.sort(a[:, 1]) - np.sort(b[:, 1])).mean(), rel=1e-12)
    assert result.gap <= 1e-10


def test_a_shift_costs_its_length_and_a_scaling_its_share():
    rng = np.random.default_rng(SEED)
    a = sphere(500, rng) + 0.1
    shift = np.array([0.3, -0.2, 0.6])
    assert emd(a, a + shift).value == pytest.approx(0.7, rel=1e-12)
    assert emd(a, a + shift, cost="distance_sq").value == pytest.approx(0.49, rel=1e-12)
    assert emd(a, 1.5 * a).value == pytest.approx(0.5 * np.linalg.norm(a, axis=1).mean(), rel=1e-12)


def test_the_same_cloud_in_another_order_is_at_no_distance():
    rng = np.random.default_rng(SEED)
    a = sphere(400, rng)
    order = rng.permutation(400)
    value, lower, upper, assignment = emd(a, a[order])
    assert (value, lower, upper) == (0.0, 0.0, 0.0)
    assert (order[assignment] == np.arange(400)).all()


def test_distance_is_symmetric_and_keeps_the_triangle_inequality():
    rng = np.random.default_rng(SEED)
    a, b, c = sphere(200, rng), cube(150, rng), rng.normal(size=(90, 3))
    ab, bc, ac = emd(a, b).value, emd(b, c).value, emd(a, c).value
    assert emd(b, a).value == pytest.approx(ab, rel=1e-13)
    assert ac <= ab + bc
    assert np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)) <= ab <= math.sqrt(emd(a, b, cost="distance_sq").value)


@pytest.mark.parametrize("offset", [10.0, 1000.0, 1e6])
def test_far_from_the_origin_it_stays_what_it_is(offset):
    rng = np.random.default_rng(SEED)
    a, b = np.round(rng.normal(size=(2, 300, 3)), 3)
    there = emd(a + offset, b + offset)
    assert there.value == pytest.approx(emd(a, b).value, rel=1e-9)  # the sums round: 1e6 has 1e-10 steps
    assert there.gap <= 1e-12


@pytest.mark.parametrize("exponent", [-900, 900])
def test_no_square_overflows_or_vanishes(exponent):
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(2, 50, 3))
    there = emd(np.ldexp(a, exponent), np.ldexp(b, exponent))
    assert there.value == math.ldexp(emd(a, b).value, exponent)


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(SEED)
    a, b = sphere(900, rng), cube(700, rng)
    one, three = emd(a, b, threads=1), emd(a, b, threads=3)
    assert one[:3] == three[:3]
    assert all((x == y).all() for x, y in zip(one.assignment, three.assignment, strict=True))


def test_tensors_are_taken_as_they_come():
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(2, 40, 3))
    assert emd(torch.tensor(a, requires_grad=True), torch.tensor(b))[:3] == emd(a, b)[:3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"a": np.zeros((0, 3))}, "at least one point in a"),
        ({"b": np.zeros((4, 2))}, r"b of shape \(N, 3\), found \(4, 2\)"),
        ({"a": line(0, math.nan)}, "a row 1: expected finite"),
        ({"cost": "squared"}, "unknown cost 'squared'.*distance_sq"),
        ({"a_weights": [1.0]}, "expected 2 weights of a"),
        ({"b_weights": [1.0, -1.0]}, "weights of b"),
        ({"b_weights": [0.0, 0.0]}, "weights of b"),
        ({"b_weights": [1.0, math.inf]}, "weights of b"),
        ({"rtol": 1.0}, "expected rtol from 0"),
        ({"rtol": math.nan}, "expected rtol from 0"),
    ],
)
def test_what_has_no_distance_is_refused_with_the_reason(arguments, words):
    with pytest.raises(MetricError, match=words):
        emd(**{"a": line(0, 1), "b": line(2, 3), **arguments})
