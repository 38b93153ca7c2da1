"""A known motion is found again, and what is not asked for is not touched."""

import numpy as np
import pytest

from shapetool.errors import ConfigError, MetricError
from shapetool.metrics.alignment import STAY, align

RNG = np.random.default_rng(4)
CLOUD = RNG.standard_normal((400, 3)) * [1.0, 0.6, 0.3]


def turn(angle):
    axis = np.array([1.0, 2.0, 2.0]) / 3
    across = np.cross(np.eye(3), axis)
    return np.eye(3) * np.cos(angle) - np.sin(angle) * across + (1 - np.cos(angle)) * np.outer(axis, axis)


@pytest.mark.parametrize("paired", [True, False])
def test_a_similarity_is_undone_to_six_digits(paired):
    moved = 1.3 * CLOUD @ turn(0.1).T + [0.2, -0.1, 0.05]
    found = align("similarity", moved, CLOUD, paired=paired)
    assert np.abs(found(moved) - CLOUD).max() < 1e-6
    assert found.scale == pytest.approx(1 / 1.3, rel=1e-6)
    assert np.linalg.det(found.rotation) == pytest.approx(1, abs=1e-12)


def test_icp_turns_and_shifts_but_keeps_the_size():
    moved = CLOUD @ turn(0.1).T + [0.2, -0.1, 0.05]
    found = align("icp", moved, CLOUD)
    assert found.scale == 1
    assert np.abs(found(moved) - CLOUD).max() < 1e-6


def test_center_and_scale_do_what_their_names_say():
    moved = 2 * CLOUD + [3.0, 0, 0]
    centred = align("center", moved, CLOUD)
    assert centred.scale == 1
    assert np.allclose(centred(moved).mean(axis=0), CLOUD.mean(axis=0), atol=1e-12)
    assert np.allclose(align("scale", moved, CLOUD)(moved), CLOUD, atol=1e-12)
    assert align("none", moved, CLOUD) is STAY


def test_a_mirrored_shape_is_turned_and_never_mirrored_back():
    found = align("icp", CLOUD * [-1, 1, 1], CLOUD, paired=True)
    assert np.linalg.det(found.rotation) == pytest.approx(1, abs=1e-12)


def test_the_matrix_says_what_the_motion_does():
    found = align("similarity", CLOUD, 2 * CLOUD @ turn(0.4).T + 1, paired=True)
    matrix = np.array(found.matrix).reshape(4, 4)
    whole = np.c_[CLOUD, np.ones(len(CLOUD))] @ matrix.T
    assert np.allclose(whole[:, :3], found(CLOUD), atol=1e-12)


def test_what_cannot_be_aligned_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        align("scales", CLOUD, CLOUD)
    with pytest.raises(MetricError, match="found one point"):
        align("scale", np.ones((3, 3)), CLOUD)
    with pytest.raises(MetricError, match="found one point"):
        align("similarity", np.ones((400, 3)), CLOUD, paired=True)
    with pytest.raises(MetricError, match="points on both sides"):
        align("center", np.zeros((0, 3)), CLOUD)
