"""The labels of every recipe of occupancy, against closed forms and against winding numbers summed face by face."""

from pathlib import Path

import numpy as np
import pytest

from shapetool.geometry.families import build, draw_parameters
from shapetool.geometry.frame import fit
from shapetool.geometry.inside import InsideTest
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.recipes import OCCUPANCY_RECIPES, occupancy_recipe
from shapetool.sampling.occupancy import OccupancySamples, sample_occupancy
from shapetool.sampling.seed import shape_rng
from tests.analytic import SHAPES
from tests.naive import brute_distance, brute_winding

CLEAR = 1e-6  # nearer to the surface than this a label may be either
KNOWN = [shape for shape in SHAPES if shape().closed and shape().inside is not None]
FAMILIES = ("gear", "knot", "mug")
MODELS = ("classic/3holes_genus3.off", "classic/knight_1k.off", "classic/bumpy_2k.off")


def drawn(mesh: Mesh, name: str, dtype: str) -> tuple[Mesh, OccupancySamples, np.ndarray]:
    """The mesh in the frame of a recipe, the samples with all points that the recipe has, and these in float64."""
    recipe = occupancy_recipe(name).replace(surface_count=10, dtype=dtype)
    unit = fit(mesh, recipe.normalize, recipe.frame_size).apply_mesh(mesh)
    samples = sample_occupancy(unit, InsideTest(unit), recipe, shape_rng(0, "a"))
    return unit, samples, samples.points.astype(np.float64)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("name", OCCUPANCY_RECIPES)
@pytest.mark.parametrize("shape", KNOWN, ids=lambda shape: shape.__name__)
def test_labels_are_those_of_the_closed_form_without_exception(shape, name: str, dtype: str) -> None:
    truth = shape()
    mesh = Mesh(truth.vertices, truth.faces)
    recipe = occupancy_recipe(name)
    frame = fit(mesh, recipe.normalize, recipe.frame_size)
    _, samples, points = drawn(mesh, name, dtype)
    original = frame.invert(points)
    clear = truth.distance(original) * frame.scale > CLEAR
    assert clear.mean() > 0.99
    assert np.array_equal(samples.inside[clear], truth.inside(original)[clear])


def winding_agrees(mesh: Mesh, name: str, dtype: str, count: int) -> None:
    """Nothing; fails where one of the first points, or one near the surface, is not on the side of its winding number.

    The first are a fair draw; near ones are picked by the distance to vertices, which costs nothing.
    """
    unit, samples, points = drawn(mesh, name, dtype)
    vertices = unit.vertices[np.random.default_rng(0).permutation(len(unit.vertices))[:20]]
    some = points[:20_000]
    near = [np.argpartition(((some - vertex) ** 2).sum(axis=1), 9)[:9] for vertex in vertices]
    chosen = np.unique(np.concatenate([np.arange(count), *near]))
    clear = brute_distance(unit.vertices, unit.faces, points[chosen]) > CLEAR
    chosen = chosen[clear]
    winding = brute_winding(unit.vertices, unit.faces, points[chosen])
    assert np.abs(winding - np.rint(winding)).max() < 1e-6  # closed
    assert np.array_equal(samples.inside[chosen], winding > 0.5)
    assert clear.mean() > 0.95
    assert samples.inside[chosen].any()


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("name", OCCUPANCY_RECIPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_labels_of_closed_meshes_are_those_of_the_exact_winding_number(family: str, name: str, dtype: str) -> None:
    mesh = build(family, draw_parameters(family, np.random.default_rng(2), segments=24))
    winding_agrees(mesh, name, dtype, 600)


@pytest.mark.slow
@pytest.mark.verify
@pytest.mark.parametrize("name", OCCUPANCY_RECIPES)
@pytest.mark.parametrize("model", MODELS)
def test_labels_of_real_closed_meshes_are_those_of_the_exact_winding_number(
    model: str, name: str, real_data: Path
) -> None:
    winding_agrees(load_mesh(real_data / model), name, "f16", 1_000)
