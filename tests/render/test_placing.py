"""Where cameras stand: the laws of each distribution, at tolerances that follow from the number of draws."""

import math

import numpy as np
import pytest
from scipy.stats import kstest

from shapetool.recipes.views import VIEWS_RECIPES, ViewsRecipe
from shapetool.render.placing import R2N2_NOMINAL_FOV, placed

MANY = 4000
UNLIKELY = 1e-6  # a fair draw is refused once in a million seeds; the seeds are fixed


def stand(recipe, seed=0):
    return placed(recipe, np.random.default_rng(seed))


def test_r2n2_has_the_intrinsics_of_its_images_not_of_its_metadata():
    cameras = stand(VIEWS_RECIPES["r2n2"])
    assert cameras.size == (137, 137)
    assert len(cameras) == 24
    focal, middle = 137 * 35 / 32, 68.5
    np.testing.assert_allclose(
        cameras.intrinsics, np.tile([[focal, 0, middle], [0, focal, middle], [0, 0, 1]], (24, 1, 1))
    )
    assert focal == pytest.approx(149.84, abs=0.005)
    assert math.degrees(2 * math.atan(middle / focal)) == pytest.approx(49.13, abs=0.005)
    assert R2N2_NOMINAL_FOV == 25


@pytest.mark.parametrize("up", ["y", "z"])
def test_r2n2_draws_in_the_ranges_of_choy(up):
    cameras = stand(ViewsRecipe(cameras="r2n2", views=MANY, height=137, width=137, up=up))
    distance = np.linalg.norm(cameras.positions, axis=1)
    axis, other = (1, 2) if up == "y" else (2, 1)
    elevation = np.degrees(np.arcsin(cameras.positions[:, axis] / distance))
    azimuth = np.degrees(np.arctan2(cameras.positions[:, other], cameras.positions[:, 0])) % 360
    for values, low, high in ((distance / 1.75, 0.65, 0.95), (elevation, 25, 30), (azimuth, 0, 360)):
        assert low - 1e-9 <= values.min()
        assert values.max() <= high + 1e-9
        assert kstest((values - low) / (high - low), "uniform").pvalue > UNLIKELY
    np.testing.assert_allclose(cameras.forward, -cameras.positions / distance[:, None], atol=1e-12)


@pytest.mark.parametrize("up", ["y", "z"])
def test_sphere_is_uniform_in_each_coordinate(up):
    cameras = stand(ViewsRecipe(cameras="sphere", views=MANY, radius=3.0, up=up))
    np.testing.assert_allclose(np.linalg.norm(cameras.positions, axis=1), 3, rtol=1e-12)
    for axis in range(3):  # Archimedes: each coordinate of a uniform direction is uniform
        assert kstest(cameras.positions[:, axis] / 6 + 0.5, "uniform").pvalue > UNLIKELY
    # The mean of n directions has a length of about 1/sqrt(n); four times that is beyond one in a million.
    assert np.linalg.norm(cameras.positions.mean(axis=0)) / 3 < 4 / math.sqrt(MANY)


def cap_gap(directions, rng):
    """The largest difference between the share of directions in a cap and its share of the sphere."""
    axes = rng.standard_normal((300, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    heights = rng.uniform(-1, 1, 300)
    inside = (directions @ axes.T > heights).mean(axis=0)
    return float(np.abs(inside - (1 - heights) / 2).max())


def test_hammersley_is_more_even_than_chance():
    for views in (24, 100, 256):
        even, drawn = [], []
        for seed in range(8):
            for name, gaps in (("hammersley", even), ("sphere", drawn)):
                cameras = stand(ViewsRecipe(cameras=name, views=views, radius=1.0), seed)
                gaps.append(cap_gap(cameras.positions, np.random.default_rng(99)))
        assert max(even) < min(drawn)


def test_hammersley_has_one_view_in_each_layer():
    cameras = stand(ViewsRecipe(cameras="hammersley", views=50, radius=1.0), 3)
    layers = np.floor((cameras.positions[:, 1] + 1) / 2 * 50).astype(int)
    assert sorted(layers) == list(range(50))


def test_hammersley_starts_elsewhere_for_each_draw():
    recipe = ViewsRecipe(cameras="hammersley", views=10)
    assert not np.allclose(stand(recipe, 0).pose, stand(recipe, 1).pose)


@pytest.mark.parametrize("cameras", ["sphere", "hammersley", "r2n2"])
def test_the_same_draw_is_the_same_cameras(cameras):
    recipe = ViewsRecipe(cameras=cameras, views=7)
    np.testing.assert_array_equal(stand(recipe, 4).pose, stand(recipe, 4).pose)
    assert not np.array_equal(stand(recipe, 4).pose, stand(recipe, 5).pose)


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
@pytest.mark.parametrize("size", [(60, 90), (90, 60)])
def test_the_unit_sphere_just_fits_the_shorter_side(projection, size):
    recipe = ViewsRecipe(views=5, height=size[0], width=size[1], projection=projection, fov=50.0)
    cameras, short = stand(recipe), int(size[1] < size[0])
    for view in range(5):
        right, up, back = cameras.pose[view, :3, :3].T
        # A ray touches the sphere where it is at a right angle to the radius: for a pinhole at distance d, 1/d before
        # the centre.
        lift = 0.0 if projection == "orthographic" else 1 / np.linalg.norm(cameras.positions[view])
        side = right if short else up
        touching = np.array([lift * back + sign * math.sqrt(1 - lift**2) * side for sign in (1, -1)])
        pixels, _ = cameras.project(touching, view)
        first, last = sorted(pixels[:, 0 if short else 1])
        assert (first, last) == pytest.approx((0, 60), abs=1e-9)


def test_a_radius_that_is_given_is_kept():
    cameras = stand(ViewsRecipe(views=5, radius=4.5))
    np.testing.assert_allclose(np.linalg.norm(cameras.positions, axis=1), 4.5, rtol=1e-12)
