"""Every recipe's draw, checked on a box and a ball whose distances are known."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import SDF_RECIPES, SdfRecipe, sdf_recipe
from shapetool.sampling.sdf import SdfSamples, sample_sdf
from shapetool.sampling.seed import shape_rng
from tests.analytic import box_mesh, box_signed

LOW, HIGH = (-0.6, -0.4, -0.5), (0.6, 0.4, 0.5)


@pytest.fixture
def mesh() -> Mesh:
    return Mesh(*box_mesh(LOW, HIGH))


def _field(points: np.ndarray) -> np.ndarray:
    assert points.dtype == np.float64
    return box_signed(points, LOW, HIGH)


def _draw(mesh: Mesh, recipe: SdfRecipe, shape_id: str = "a") -> SdfSamples:
    return sample_sdf(mesh, _field, recipe, shape_rng(0, shape_id))


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("name", SDF_RECIPES)
def test_every_recipe_gives_its_exact_counts_and_the_distance_of_the_point_as_stored(
    mesh: Mesh, name: str, dtype: str
) -> None:
    recipe = sdf_recipe(name).replace(count=6_001, surface_count=501, dtype=dtype)
    samples = _draw(mesh, recipe)
    stored = {"f32": np.float32, "f16": np.float16}[dtype]
    assert (samples.points.shape, samples.points.dtype) == ((6_001, 3), stored)
    assert (samples.distances.shape, samples.distances.dtype) == ((6_001,), stored)
    assert np.array_equal(samples.distances, _field(samples.points.astype(np.float64)).astype(stored))
    assert (samples.surface_points.shape, samples.surface_points.dtype) == ((501, 3), np.float32)
    assert np.abs(_field(samples.surface_points.astype(float))).max() < 1e-7
    assert samples.surface_normals.dtype == np.float32
    assert 0 < samples.inside_fraction < 1
    assert samples.inside_count == np.count_nonzero(_field(samples.points.astype(float)) < 0)
    assert samples.warnings == ()


@pytest.mark.parametrize("name", SDF_RECIPES)
def test_the_same_seed_and_id_give_the_same_bytes_and_another_id_does_not(mesh: Mesh, name: str) -> None:
    recipe = sdf_recipe(name).replace(count=2_000, surface_count=100)
    first, again, other = _draw(mesh, recipe), _draw(mesh, recipe), _draw(mesh, recipe, "b")
    for column in ("points", "distances", "surface_points", "surface_normals"):
        assert getattr(first, column).tobytes() == getattr(again, column).tobytes()
        assert getattr(first, column).tobytes() != getattr(other, column).tobytes()


def test_the_field_is_asked_once_for_all_points_of_a_mixture(mesh: Mesh) -> None:
    calls = []

    def field(points: np.ndarray) -> np.ndarray:
        calls.append(len(points))
        return _field(points)

    sample_sdf(mesh, field, sdf_recipe("dora").replace(count=3_000), shape_rng(0, "a"))
    assert calls == [3_000]


@pytest.mark.parametrize("std", [0.05, 0.0025])
def test_near_points_leave_the_surface_by_a_normal_offset_of_the_given_spread(std: float) -> None:
    # One large square in the plane z = 0: z of a near point is the noise itself, x the square's own spread and noise.
    flat = Mesh(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    recipe = SdfRecipe(name="near", count=100_000, near_stds=(std,), near_weights=(1.0,), surface_count=10)
    points = sample_sdf(flat, lambda p: p[:, 2], recipe, shape_rng(0, "a")).points.astype(float)
    noise = points[:, 2]
    assert noise.std() == pytest.approx(std, rel=5 / np.sqrt(2 * 100_000))
    assert abs(noise.mean()) < 5 * std / np.sqrt(100_000)
    assert np.mean(noise**4) / std**4 == pytest.approx(3, abs=5 * np.sqrt(96 / 100_000))
    assert points[:, 0].var() == pytest.approx(1 / 3 + std**2, rel=0.02)


@pytest.mark.parametrize("name", ["deepsdf-code", "deepsdf-paper", "deepsdf-test", "mesh-to-sdf", "vecset", "dora"])
def test_the_parts_of_a_mixture_appear_with_their_fractions_and_spreads(name: str) -> None:
    """The second moment off the plane is the weighted sum of the parts' own: std^2, and size^2 / 3 or / 5 in a ball."""
    flat = Mesh(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    recipe = sdf_recipe(name).replace(count=200_000, surface_count=10)
    noise = sample_sdf(flat, lambda p: p[:, 2], recipe, shape_rng(0, "a")).points[:, 2].astype(float)
    variance = {"box": 1 / 3, "ball": 1 / 5}[recipe.uniform_region] * recipe.uniform_size**2
    parts = [*(std**2 for std in recipe.near_stds), variance, *(std**2 for std in recipe.sharp_stds)]
    expected = np.dot(parts, recipe.weights) / sum(recipe.weights)
    assert np.mean(noise**2) == pytest.approx(expected, rel=0.04)
    far = np.mean(np.abs(noise) > 0.5) * sum(recipe.weights) / recipe.uniform_weight
    beyond = {"box": 1 - 0.5 / recipe.uniform_size, "ball": 5 / 16}[recipe.uniform_region]
    if max(recipe.near_stds) < 0.1:  # no near point gets that far
        assert far == pytest.approx(beyond, rel=0.06)


def test_near_blocks_share_their_surface_points() -> None:
    flat = Mesh(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    recipe = SdfRecipe(name="pairs", count=2_000, near_stds=(0.0, 0.0), near_weights=(1.0, 1.0), surface_count=0)
    points = sample_sdf(flat, lambda p: p[:, 2], recipe, shape_rng(0, "a")).points
    assert len(np.unique(points, axis=0)) == 1_000


def test_a_smaller_near_block_is_a_fair_choice_of_the_surface(mesh: Mesh) -> None:
    recipe = SdfRecipe(name="uneven", count=44_000, near_stds=(0.0, 3.0), near_weights=(1.0, 10.0), surface_count=0)
    samples = _draw(mesh, recipe)
    on_surface = samples.points[np.abs(samples.distances) < 1e-6].astype(float)
    assert len(on_surface) == 4_000
    assert np.abs(on_surface.mean(axis=0)).max() < 5 * 0.5 / np.sqrt(4_000)


def test_uniform_points_fill_the_cube_evenly(mesh: Mesh) -> None:
    points = _draw(mesh, sdf_recipe("uniform").replace(count=80_000)).points.astype(float)
    assert points.min() >= -1
    assert points.max() <= 1
    octants = np.bincount(((points > 0) @ [1, 2, 4]).astype(int), minlength=8)
    assert np.abs(octants - 10_000).max() < 5 * 100
    np.testing.assert_allclose(points.var(axis=0), 1 / 3, rtol=0.02)


def test_uniform_points_of_a_ball_have_its_radial_law(mesh: Mesh) -> None:
    recipe = SdfRecipe(name="ball", count=80_000, uniform_weight=1.0, uniform_region="ball", uniform_size=2.0)
    radius = np.linalg.norm(_draw(mesh, recipe).points.astype(float), axis=1)
    assert radius.max() <= 2 * (1 + 1e-6)
    shells = np.histogram((radius / 2) ** 3, bins=8, range=(0, 1 + 1e-6))[0]
    assert np.abs(shells - 10_000).max() < 5 * 100


@pytest.mark.parametrize("name", SDF_RECIPES)
def test_every_slice_of_the_points_is_a_fair_draw(mesh: Mesh, name: str) -> None:
    samples = _draw(mesh, sdf_recipe(name).replace(count=32_000, surface_count=10))
    near = np.abs(samples.distances.astype(float)) < np.median(np.abs(samples.distances.astype(float)))
    right = samples.points[:, 0] > 0
    for k in range(8):
        part = slice(4_000 * k, 4_000 * (k + 1))
        assert near[part].mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(4_000))
        assert right[part].mean() == pytest.approx(right.mean(), abs=5 * 0.5 / np.sqrt(4_000))


def test_sharp_points_gather_on_the_edges(mesh: Mesh) -> None:
    recipe = sdf_recipe("dora").replace(count=20_000, near_weights=(0, 0), uniform_weight=0)
    points = np.abs(_draw(mesh, recipe).points.astype(float))
    gaps = np.sort(np.abs(points - np.array(HIGH)), axis=1)  # to an edge: the two least gaps are the noise
    off_edge = np.hypot(gaps[:, 0], gaps[:, 1])
    expected = np.sqrt(2 * np.mean(np.square(recipe.sharp_stds)))
    assert np.sqrt(np.mean(off_edge**2)) == pytest.approx(expected, rel=0.05)


def test_a_mesh_without_sharp_edges_takes_surface_points_and_says_so() -> None:
    flat = Mesh(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    recipe = sdf_recipe("dora").replace(count=7_000)
    samples = sample_sdf(flat, lambda p: p[:, 2], recipe, shape_rng(0, "a"))
    assert samples.points.shape == (7_000, 3)
    assert samples.warnings == ("no edge sharper than 15 degrees: ordinary surface points took its place",)


def test_coordinates_beyond_the_stored_type_are_refused_with_a_way_out() -> None:
    huge = Mesh(*box_mesh((0.0, 0.0, 0.0), (1e6, 1e6, 1e6)))
    recipe = sdf_recipe("deepsdf-code").replace(count=1_000, normalize="none")
    field = lambda p: box_signed(p, (0.0,) * 3, (1e6,) * 3)  # noqa: E731
    assert np.isfinite(sample_sdf(huge, field, recipe, shape_rng(0, "a")).points).all()
    with pytest.raises(MeshError, match=r"fit f16, found a coordinate .* --normalize sphere"):
        sample_sdf(huge, field, recipe.replace(dtype="f16"), shape_rng(0, "a"))
    beyond = Mesh(huge.vertices * 1e40, huge.faces)
    with pytest.raises(MeshError, match="fit f32"):
        sample_sdf(beyond, field, recipe, shape_rng(0, "a"))


def test_an_all_outside_record_is_counted_as_such(mesh: Mesh) -> None:
    samples = sample_sdf(mesh, lambda p: np.abs(_field(p)), sdf_recipe("uniform").replace(count=100), shape_rng(0, "a"))
    assert samples.inside_count == 0
    assert samples.inside_fraction == 0.0
