"""Other code's numbers: as they were measured of that code, as naive loops have them, and beside the true interval."""

import numpy as np
import pytest

from shapetool.errors import MetricError
from shapetool.metrics.emd import emd
from shapetool.metrics.emd_legacy import emd_fan, emd_msn


def sphere(rng, count):
    points = rng.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) / 2


@pytest.fixture(scope="module")
def spheres():
    """Two draws of a sphere of radius .5: in single precision others' CUDA code was re-stated on these very points."""
    rng = np.random.default_rng(0)
    return sphere(rng, 1024), sphere(rng, 1024)


def test_the_soft_matching_is_above_the_distance_as_was_measured(spheres):
    found = emd_fan(*spheres)
    assert found.lower <= 0.066675 + 5e-7
    assert found.upper == pytest.approx(0.066675, abs=5e-7)
    assert found.value == pytest.approx(0.091937, abs=1e-6)


def test_the_short_auction_is_below_the_distance_as_was_measured(spheres):
    found = emd_msn(*spheres)
    assert found.value == pytest.approx(0.045923, rel=2e-3)  # equal bids go another way in another precision
    assert abs(found.distinct - 951) <= 2
    assert found.value < 0.7 * found.lower


def test_the_long_auction_is_nearly_the_distance(spheres):
    found = emd_msn(*spheres, step=0.002, rounds=10_000)
    assert found.value == pytest.approx(0.066339, rel=2e-3)
    assert found.distinct == 1023  # so it is no matching even then


def loops(a, b):
    """The soft matching, a point at a time."""
    n, m = len(a), len(b)
    left_a, left_b = [max(n, m) // n * 1.0] * n, [max(n, m) // m * 1.0] * m
    cost = 0.0
    for power in (7, 6, 5, 4, 3, 2, 1, 0, -1, None):
        level = 0.0 if power is None else -(4.0**power)
        kernel = [[np.exp(level * ((x - y) ** 2).sum()) for y in b] for x in a]
        share_a = [left_a[i] / (1e-9 + sum(kernel[i][j] * left_b[j] for j in range(m))) for i in range(n)]
        share_b = []
        for j in range(m):
            wanted = sum(kernel[i][j] * share_a[i] for i in range(n)) * left_b[j]
            share_b.append(min(left_b[j] / (wanted + 1e-9), 1.0) * left_b[j])
            left_b[j] = max(0.0, left_b[j] - wanted)
        for i in range(n):
            given = [kernel[i][j] * share_a[i] * share_b[j] for j in range(m)]
            cost += sum(w * np.linalg.norm(a[i] - y) for w, y in zip(given, b, strict=True))
            left_a[i] = max(0.0, left_a[i] - sum(given))
    return cost / n


@pytest.mark.parametrize(("n", "m"), [(6, 6), (4, 8), (9, 3), (1, 5)])
def test_the_soft_matching_is_that_of_loops(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.random((n, 3)), rng.random((m, 3))
    found = emd_fan(a, b)
    assert found.value == pytest.approx(loops(a, b), rel=1e-12)
    true = emd(a, b)
    assert (found.lower, found.upper) == (true.lower, true.upper)


def test_an_auction_that_ends_is_within_its_step_of_the_distance():
    rng = np.random.default_rng(5)
    a, b = rng.random((60, 3)), rng.random((60, 3))
    found = emd_msn(a, b, step=1e-3, rounds=100_000)
    assert found.distinct == 60
    assert found.lower <= found.value <= found.upper + 1e-3  # Bertsekas: each point is within a step of its best


def test_one_point_and_the_same_points_are_matched():
    one = np.zeros((1, 3))
    assert emd_msn(one, one + np.array([3.0, 0, 0])).value == 3
    # The weights are kept from 0 by 1e-9, which stays as a share of the mass.
    assert emd_fan(one, one + np.array([3.0, 0, 0])).value == pytest.approx(3, rel=1e-6)
    a = np.random.default_rng(6).random((30, 3))
    assert emd_msn(a, a).value == 0


def test_what_their_code_cannot_do_is_refused():
    a = np.random.default_rng(7).random((6, 3))
    with pytest.raises(MetricError, match="one is a multiple of the other, found 6 and 4"):
        emd_fan(a, a[:4])
    with pytest.raises(MetricError, match="as many points in a as in b, found 6 and 3"):
        emd_msn(a, a[:3])
    with pytest.raises(MetricError, match="step and rounds above 0"):
        emd_msn(a, a, step=0.0)
    for function in (emd_fan, emd_msn):
        with pytest.raises(MetricError, match="at least one point"):
            function(a[:0], a)
