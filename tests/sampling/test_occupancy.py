"""Every recipe's draw of occupancy, checked on a box whose inside is known."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.inside import InsideTest
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import OCCUPANCY_RECIPES, OccupancyRecipe, occupancy_recipe
from shapetool.sampling.occupancy import OccupancySamples, sample_occupancy
from shapetool.sampling.seed import shape_rng
from tests.analytic import box_mesh, box_signed

LOW, HIGH = (-0.5, -0.3, -0.4), (0.5, 0.3, 0.4)
TYPES = {"f32": np.float32, "f16": np.float16}


@pytest.fixture
def mesh() -> Mesh:
    return Mesh(*box_mesh(LOW, HIGH))


def draw(mesh: Mesh, recipe: OccupancyRecipe, shape_id: str = "a") -> OccupancySamples:
    return sample_occupancy(mesh, InsideTest(mesh), recipe, shape_rng(0, shape_id))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", OCCUPANCY_RECIPES)
def test_labels_are_those_of_the_points_as_stored_without_exception(mesh: Mesh, name: str, dtype: str) -> None:
    recipe = occupancy_recipe(name).replace(count=60_001, surface_count=501, dtype=dtype)
    samples = draw(mesh, recipe)
    assert (samples.points.shape, samples.points.dtype) == ((60_001, 3), TYPES[dtype])
    assert (samples.inside.shape, samples.inside.dtype) == ((60_001,), np.bool_)
    signed = box_signed(samples.points.astype(np.float64), LOW, HIGH)
    clear = abs(signed) > 1e-6
    assert np.array_equal(samples.inside[clear], signed[clear] < 0)
    assert samples.surface_points.shape == (501, 3)
    assert np.abs(box_signed(samples.surface_points.astype(float), LOW, HIGH)).max() < 1e-7
    assert samples.warnings == ()
    assert samples.inside_count == samples.inside.sum()
    assert samples.inside_fraction == samples.inside.mean()


def test_a_label_before_the_rounding_would_be_wrong_for_some_points(mesh: Mesh) -> None:
    """What ONet's script does: it labels the point and rounds it then. The draw is hard enough to show it."""
    points = np.random.default_rng(0).uniform(-0.55, 0.55, (100_000, 3))
    stored = points.astype(np.float16).astype(np.float64)
    assert ((box_signed(points, LOW, HIGH) < 0) != (box_signed(stored, LOW, HIGH) < 0)).any()


@pytest.mark.parametrize("name", OCCUPANCY_RECIPES)
def test_the_same_seed_and_id_give_the_same_bytes_and_another_id_does_not(mesh: Mesh, name: str) -> None:
    recipe = occupancy_recipe(name).replace(count=2_000, surface_count=100)
    first, again, other = draw(mesh, recipe), draw(mesh, recipe), draw(mesh, recipe, "b")
    for column in ("points", "inside", "surface_points", "surface_normals"):
        assert getattr(first, column).tobytes() == getattr(again, column).tobytes()
        assert getattr(first, column).tobytes() != getattr(other, column).tobytes()


@pytest.mark.parametrize(("padding", "half"), [(None, 0.55), (0.0, 0.5), (0.5, 0.75)])
def test_uniform_points_fill_the_padded_box_evenly_and_inside_has_its_volume(mesh, padding, half) -> None:
    samples = draw(mesh, occupancy_recipe("onet").replace(padding=padding, surface_count=0))
    points = samples.points.astype(float)
    assert half * 0.999 < np.abs(points).max() <= half * (1 + 2**-11)
    np.testing.assert_allclose(points.var(axis=0), half**2 / 3, rtol=0.02)
    volume = 1.0 * 0.6 * 0.8 / (2 * half) ** 3
    assert samples.inside_fraction == pytest.approx(volume, abs=5 * np.sqrt(0.25 / 100_000))


def test_any_slice_is_a_fair_draw_of_near_and_uniform_points(mesh: Mesh) -> None:
    samples = draw(mesh, occupancy_recipe("vecset").replace(count=80_000))
    close = np.abs(box_signed(samples.points.astype(float), LOW, HIGH)) < 0.01
    shares = close.reshape(8, -1).mean(axis=1)
    assert np.ptp(shares) < 0.04


def test_the_test_is_asked_once_in_float64_for_the_points_as_stored(mesh: Mesh) -> None:
    calls = []

    def test(points: np.ndarray) -> np.ndarray:
        calls.append(points)
        return points[:, 0] < 0

    samples = sample_occupancy(mesh, test, occupancy_recipe("onet").replace(count=500), shape_rng(0, "a"))
    assert [call.dtype for call in calls] == [np.float64]
    assert np.array_equal(calls[0], samples.points)


def test_a_coordinate_that_does_not_fit_is_refused(mesh: Mesh) -> None:
    recipe = occupancy_recipe("onet").replace(box_size=1e6)
    with pytest.raises(MeshError, match="numbers that fit f16"):
        draw(mesh, recipe)
