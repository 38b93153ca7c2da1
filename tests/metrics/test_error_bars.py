"""Error bars hold the truth as often as they say; floors and ceilings are what two samplings of one surface have."""

import math

import numpy as np
import pytest
import torch

from shapetool.errors import MetricError
from shapetool.metrics import errors
from shapetool.metrics.errors import (
    debiased_gap,
    density_of,
    expected_gap,
    fscore_ceiling,
    gaps,
    iid,
    mean_interval,
    t_95,
    two_way,
    wilson,
)
from shapetool.metrics.points import cosines

SEEDS = [pytest.param(100, 0.88, 1.0), pytest.param(400, 0.93, 0.97, marks=pytest.mark.slow)]


def cylinder(rng, count, shift=(0.0, 0.0, 0.0)):
    angle = 2 * np.pi * rng.random(count)
    return np.stack([0.3 * np.cos(angle), 0.3 * np.sin(angle), rng.random(count) - 0.5], axis=1) + shift


def box(rng, count, edges=(1.0, 0.2, 0.6)):
    edges = np.array(edges)
    areas = np.prod(edges) / edges
    axis = rng.choice(3, count, p=areas / areas.sum())
    points = rng.random((count, 3)) - 0.5
    points[np.arange(count), axis] = np.where(rng.random(count) < 0.5, 0.5, -0.5)
    return points * edges


def sphere(rng, count, shift=(0.0, 0.0, 0.0)):
    points = rng.standard_normal((count, 3))
    return 0.4 * points / np.linalg.norm(points, axis=1, keepdims=True) + shift


PAIRS = {
    "cylinder": (cylinder, lambda rng, count: cylinder(rng, count, (0.04, 0.0, 0.02))),
    "box": (box, lambda rng, count: box(rng, count, (1.05, 0.25, 0.6))),
    "sphere": (sphere, lambda rng, count: sphere(rng, count, (0.03, 0.0, 0.0))),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("seeds", "least", "most"), SEEDS)
def test_the_interval_of_two_samplings_holds_what_it_estimates(name, seeds, least, most):
    values, bars = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        pred, true = PAIRS[name][0](rng, 512), PAIRS[name][1](rng, 512)
        there, back = gaps(pred, true), gaps(true, pred)
        values.append((there.distances[:, 0].mean() + back.distances[:, 0].mean()) / 2)
        bars.append(two_way(there.distances, back.distances, there.index[:, 0], back.index[:, 0]))
    middle = np.mean(values)  # what infinitely many draws of as many points have
    held = np.mean(np.abs(np.array(values) - middle) <= errors.Z_95 * np.array(bars))
    assert least <= held <= most


def overlapping_squares(rng, count):
    """Unit squares at height 0 and 0.1, one moved by 0.3: distances of independent points to the other square."""
    beyond = np.maximum(rng.random((2, count)) - 0.7, 0)
    truth = 0.7 * 0.1 + (0.3 * math.hypot(0.1, 0.3) + 0.1**2 * math.asinh(3)) / 2
    return np.hypot(0.1, beyond), truth


def nested_squares(rng, count):
    """The square of side 1 in that of side 1.2, in one plane."""
    beyond = np.maximum(np.abs(1.2 * rng.random((count, 2)) - 0.6) - 0.5, 0)
    corner = (math.sqrt(2) + math.asinh(1)) / 3
    truth = (2 * 0.1**2 + 4 * 0.1**3 * corner) / 1.2**2 / 2
    return (np.zeros(count), np.hypot(*beyond.T)), truth


def shifted_cubes(rng, count):
    """Unit cubes, one moved by 0.3 along x."""
    distances = []
    for _ in range(2):
        points = box(rng, count, (1.0, 1.0, 1.0)) + 0.5
        away = np.abs(points - [0.8, 0.5, 0.5]) - 0.5
        outside = np.linalg.norm(np.maximum(away, 0), axis=1)
        distances.append(np.abs(outside + np.minimum(away.max(axis=1), 0)))
    return distances, (0.3 + (1 - (1 - 0.6) ** 3) / 6 + 2 * 0.3**2) / 6


@pytest.mark.parametrize("pair", [overlapping_squares, nested_squares, shifted_cubes], ids=lambda pair: pair.__name__)
@pytest.mark.parametrize(("seeds", "least", "most"), SEEDS)
def test_the_interval_of_distances_to_a_surface_holds_the_closed_form(pair, seeds, least, most):
    held = 0
    for seed in range(seeds):
        (there, back), truth = pair(np.random.default_rng(seed), 1000)
        value, bar = (there.mean() + back.mean()) / 2, math.hypot(iid(there), iid(back)) / 2
        held += abs(value - truth) <= errors.Z_95 * bar
    assert least <= held / seeds <= most


def test_the_floor_is_what_two_samplings_of_a_sphere_have():
    rng = np.random.default_rng(0)
    found = [gaps(sphere(rng, 4096), sphere(rng, 4096)).distances[:, 0].mean() for _ in range(8)]
    density = 4096 / (4 * math.pi * 0.4**2)
    assert math.isclose(np.mean(found), expected_gap(0.0, density), rel_tol=0.01)
    assert math.isclose(expected_gap(0.0, density), 0.5 / math.sqrt(density), rel_tol=1e-15)


@pytest.mark.parametrize("true", [0.0, 0.003, 0.02, 0.4])
def test_what_the_floor_added_can_be_taken_off_again(true):
    assert math.isclose(debiased_gap(expected_gap(true, 2000.0), 2000.0), true, rel_tol=1e-6, abs_tol=1e-9)


def test_a_gap_far_above_the_spacing_is_left_alone_and_nothing_overflows():
    assert math.isclose(expected_gap(1e3, 1e4), 1e3, rel_tol=1e-6)
    x = 4.9999 / math.sqrt(math.pi * 1e4), 5.0001 / math.sqrt(math.pi * 1e4)
    assert expected_gap(x[0], 1e4) < expected_gap(x[1], 1e4)  # where the series takes over


def test_a_cloud_tells_its_density():
    rng = np.random.default_rng(1)
    density = density_of(sphere(rng, 8192))
    assert math.isclose(density, 8192 / (4 * math.pi * 0.4**2), rel_tol=0.03)
    assert density_of(np.zeros((1, 3))) == 0
    assert density_of(np.zeros((9, 3))) == 0


def test_a_perfect_shape_reaches_the_ceiling_and_no_more():
    rng = np.random.default_rng(2)
    pred, true = sphere(rng, 2048), sphere(rng, 2048)
    precision, recall = ((gaps(*pair).distances[:, 0] <= 0.02).mean() for pair in ((pred, true), (true, pred)))
    density = 2048 / (4 * math.pi * 0.4**2)
    ceiling = fscore_ceiling(0.02, (density, density))
    assert math.isclose(ceiling, 1 - math.exp(-math.pi * density * 0.02**2), rel_tol=1e-12)
    assert abs(2 * precision * recall / (precision + recall) - ceiling) < 0.03  # three of its standard errors


def test_neighbours_far_from_the_origin_are_those_at_it():
    rng = np.random.default_rng(3)
    pred, true = rng.integers(0, 1000, (300, 3)) / 1024, rng.integers(0, 1000, (200, 3)) / 1024  # exact when moved
    here, there = gaps(pred, true), gaps(pred + 2.0**20, true + 2.0**20)
    assert np.array_equal(here.distances, there.distances)


def test_both_ways_at_once_are_the_two_ways_and_the_two_densities():
    rng = np.random.default_rng(4)
    pred, true = sphere(rng, 700, (5.0, 0.0, 0.0)), cylinder(rng, 500)
    there, back, densities = errors.between(pred, true)
    for found, alone in ((there, gaps(pred, true)), (back, gaps(true, pred))):
        assert np.array_equal(found.index, alone.index)
        assert np.array_equal(found.distances, alone.distances)
    assert densities == pytest.approx((density_of(pred), density_of(true)), rel=1e-12)
    assert errors.between(pred, true, dense=False)[2] == (0, 0)


def test_cosines_of_neighbours_are_those_of_the_clouds_metric():
    rng = np.random.default_rng(5)
    normals, others = rng.standard_normal((60, 3)), rng.standard_normal((40, 3))
    normals[0], others[:3], others[3] = 0, 0, 7 * normals[1]  # without length; of one direction
    index = np.concatenate([rng.integers(0, 40, (60, 1)), np.arange(60)[:, None] % 4], axis=1)
    found = errors.cosines(normals, others, index)
    pairs = torch.from_numpy(np.repeat(normals[:, None], 2, axis=1)), torch.from_numpy(others[index])
    assert np.allclose(found, cosines(*pairs).numpy(), rtol=0, atol=1e-15)
    assert errors.cosines(normals[1:2], others, np.array([[3]])) == 1
    assert not found[0].any()
    assert not found[:, 1][index[:, 1] < 3].any()


def test_one_point_has_a_distance_and_no_error_bar():
    found = gaps(np.zeros((1, 3)), np.array([[3.0, 0, 0]]))
    assert found.distances.tolist() == [[3, 3]]
    assert math.isnan(two_way(found.distances, found.distances, found.index[:, 0], found.index[:, 0]))


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.array([[np.nan, 0, 0]])])
def test_no_point_or_no_number_is_refused(points):
    with pytest.raises(MetricError, match="expected at least one point, all finite"):
        gaps(np.zeros((2, 3)), points)


def test_intervals_of_shares_and_means_are_those_of_the_textbook():
    from scipy import stats

    for hits, count in ((0, 10), (3, 10), (50, 50)):
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)
    for degrees in (1, 2, 3, 5, 29, 30, 31, 60, 1000):
        assert t_95(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-4)
    mean, low, high = mean_interval([1.0, 2.0, 4.0, 9.0])
    assert mean == 4
    assert mean - low == pytest.approx(stats.t.ppf(0.975, 3) * stats.sem([1, 2, 4, 9]), rel=0.01)
    assert high - mean == pytest.approx(mean - low)
    assert math.isnan(mean_interval([])[0])
    assert mean_interval([0.99, 0.97, 0.6], (0.0, 1.0))[2] < 1 < mean_interval([0.99, 0.97, 0.6])[2]
