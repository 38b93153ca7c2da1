"""Set metrics against closed forms, and against all pairs computed one by one."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shapetool.errors import MetricError
from shapetool.metrics.emd_bounds import EmdBounds
from shapetool.metrics.sets import jsd, set_scores


def exact_emd(a: np.ndarray, b: np.ndarray) -> float:
    """The mean cost of the best assignment; of clouds of other sizes, with each point as often as makes them equal."""
    size = np.lcm(len(a), len(b))
    a, b = np.repeat(a, size // len(a), axis=0), np.repeat(b, size // len(b), axis=0)
    cost = cdist(a, b)
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    cost = cdist(a, b) ** 2
    return float(cost.min(axis=1).mean() + cost.min(axis=0).mean())


def brute(samples: list, references: list, distance) -> tuple[float, float, float]:
    """MMD, coverage and 1-NNA from whole matrices."""
    clouds = [*samples, *references]
    full = np.array([[distance(a, b) if a is not b else np.inf for b in clouds] for a in clouds])
    count = len(samples)
    is_sample = np.arange(len(clouds)) < count
    cross = full[:count, count:]
    accuracy = (is_sample[full.argmin(axis=1)] == is_sample).mean()
    return cross.min(axis=0).mean(), len(set(cross.argmin(axis=1))) / len(references), accuracy


def ellipsoids(rng: np.random.Generator, count: int, size: int, stretch: float = 1.0) -> list[np.ndarray]:
    clouds = []
    for _ in range(count):
        points = rng.normal(size=(size, 3))
        axes = rng.uniform(0.1, 0.45, 3) * [stretch, 1, 1]
        clouds.append(points / np.linalg.norm(points, axis=1, keepdims=True) * axes)
    return clouds


@pytest.mark.parametrize("seed", range(5))
def test_pruned_scores_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    samples, references = ellipsoids(rng, 14, 32, 1.2), ellipsoids(rng, 12, 32)
    scores = set_scores(samples, references, exact_emd, emd=True)
    mmd, coverage, accuracy = brute(samples, references, exact_emd)
    assert scores.mmd == pytest.approx(mmd, abs=1e-14)
    assert (scores.coverage, scores.nearest_accuracy) == (coverage, accuracy)
    assert scores.pairs == 26 * 25 // 2
    assert scores.measured < scores.pairs  # else nothing was pruned


def test_pruned_scores_of_clouds_of_other_sizes_are_those_of_all_pairs():
    rng = np.random.default_rng(7)
    samples, references = ellipsoids(rng, 8, 12), ellipsoids(rng, 7, 18)
    scores = set_scores(samples, references, exact_emd, emd=True)
    assert (scores.mmd, scores.coverage, scores.nearest_accuracy) == pytest.approx(
        brute(samples, references, exact_emd)
    )


def test_pruning_keeps_ties_as_all_pairs_decide_them():
    rng = np.random.default_rng(3)
    samples = ellipsoids(rng, 5, 16)
    twice = [*samples, *(cloud.copy() for cloud in samples)]  # each nearest to its copy, at distance 0
    references = [cloud.copy() for cloud in samples[:3]]
    scores = set_scores(twice, references, exact_emd, emd=True)
    assert (scores.mmd, scores.coverage, scores.nearest_accuracy) == brute(twice, references, exact_emd)
    assert scores.nearest_accuracy == 10 / 13


def test_chamfer_scores_are_those_of_all_pairs_and_each_pair_is_measured_once():
    rng = np.random.default_rng(1)
    samples, references = ellipsoids(rng, 9, 40), ellipsoids(rng, 11, 40)
    asked = []

    def counted(a: np.ndarray, b: np.ndarray) -> float:
        asked.append((a.tobytes(), b.tobytes()))
        return chamfer(a, b)

    scores = set_scores(samples, references, counted)
    expected = brute(samples, references, chamfer)
    assert (scores.mmd, scores.coverage, scores.nearest_accuracy) == pytest.approx(expected, abs=1e-14)
    assert len(asked) == len(set(asked)) == scores.measured <= scores.pairs


def test_a_set_against_itself_and_sets_far_apart_have_the_known_scores():
    clouds = ellipsoids(np.random.default_rng(2), 6, 24)
    same = set_scores(clouds, [cloud.copy() for cloud in clouds], exact_emd, emd=True)
    assert (same.mmd, same.coverage, same.nearest_accuracy) == (0, 1, 0)
    away = set_scores([cloud + 50 for cloud in clouds], clouds, exact_emd, emd=True)
    assert (away.coverage, away.nearest_accuracy) == (1 / 6, 1)


def test_a_moved_cloud_has_the_move_as_mmd():
    cloud = ellipsoids(np.random.default_rng(4), 1, 30)[0]
    scores = set_scores([cloud + np.array([0.3, 0.4, 0])], [cloud], exact_emd, emd=True)
    assert scores.mmd == pytest.approx(0.5, abs=1e-12)
    assert (scores.coverage, scores.nearest_accuracy, scores.pairs) == (1, 0, 1)


def test_sets_of_one_distribution_are_hardly_told_apart():
    rng = np.random.default_rng(5)
    scores = set_scores(ellipsoids(rng, 60, 24), ellipsoids(rng, 60, 24), chamfer)
    # 120 draws of which each is right with probability one half, though not independently: four standard deviations.
    assert abs(scores.nearest_accuracy - 0.5) < 4 * 0.5 / 120**0.5


@pytest.mark.parametrize(("n", "m"), [(32, 32), (20, 30), (1, 24), (7, 5)])
def test_the_bounds_are_below_the_distance_and_tight_for_a_move(n, m):
    rng = np.random.default_rng(n * m)
    for _ in range(20):
        a, b = ellipsoids(rng, 1, n)[0], ellipsoids(rng, 1, m)[0] + rng.normal(0, 0.1, 3)
        truth = exact_emd(a, b)
        bounds = EmdBounds([a, b])
        assert bounds.quick(0, np.array([1]))[0] <= truth
        assert bounds.close(0, 1) <= truth
    a = ellipsoids(rng, 1, n)[0]
    direction = np.array([0.2, 0.1, 0.9])
    # 32 directions over a half sphere leave none farther than 20 degrees: cos 20 = 0.94.
    assert EmdBounds([a, a + direction]).quick(0, np.array([1]))[0] > 0.94 * np.linalg.norm(direction)


def test_jsd_has_its_closed_forms():
    rng = np.random.default_rng(6)
    cloud = ellipsoids(rng, 1, 500)[0]
    assert jsd([cloud], [cloud.copy()]) == 0
    left, right = [[-0.25, 0.0, 0.0]], [[0.25, 0.0, 0.0]]
    assert jsd([np.array(left)], [np.array(right)]) == pytest.approx(1, abs=1e-15)
    # p = (1, 0), q = (1/2, 1/2): the entropy of (3/4, 1/4) less half a bit.
    expected = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5
    assert jsd([np.array(left)], [np.array(left + right)]) == pytest.approx(expected, abs=1e-15)
    assert jsd([np.array(left), np.array(right)], [np.array(left + right)]) == 0


def test_jsd_counts_at_the_nearest_node_that_the_ball_keeps():
    rng = np.random.default_rng(8)
    clouds = [rng.normal(size=(300, 3)) for _ in range(2)]
    clouds = [0.5 * c / np.linalg.norm(c, axis=1, keepdims=True) * rng.random((300, 1)) ** 0.2 for c in clouds]
    axis = np.linspace(-0.5, 0.5, 9)
    nodes = np.array([[x, y, z] for x in axis for y in axis for z in axis])
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= 0.5]
    p, q = (np.bincount(cdist(c, nodes).argmin(axis=1), minlength=len(nodes)) / 300 for c in clouds)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = sum(np.nansum(share * np.log2(share / middle)) for share in (p, q)) / 2
    assert jsd(clouds[:1], clouds[1:], 9) == pytest.approx(expected, abs=1e-13)


def test_bad_input_is_named():
    good, nan = np.zeros((4, 3)), np.full((4, 3), np.nan)
    with pytest.raises(MetricError, match="samples: expected at least one cloud"):
        set_scores([], [good], exact_emd)
    with pytest.raises(MetricError, match=r"references\[1\].*12 numbers that are not finite"):
        set_scores([good], [good, nan], exact_emd)
    with pytest.raises(MetricError, match=r"samples\[0\].*\(0, 3\)"):
        jsd([np.zeros((0, 3))], [good])
    with pytest.raises(MetricError, match="1 of 5 outside"):
        jsd([np.vstack([good, [[0.6, 0, 0]]])], [good])
    with pytest.raises(MetricError, match="gave NaN"):
        set_scores([good], [good], lambda _a, _b: float("nan"))
    for few in (1, 2):
        with pytest.raises(MetricError, match=f"resolution is {few}"):
            jsd([good], [good], few)
