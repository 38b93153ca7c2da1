"""The visual hull: of solids that are their own hull, of one that is not, and of outlines known by hand."""

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.geometry import analytic
from shapetool.geometry.lattice import lattice_axes
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.hull import REACH, hull_distances, outline_distance
from shapetool.render.placing import placed
from shapetool.render.sphere_trace import sphere_traced_views
from shapetool.render.views import render_views
from tests.analytic import box_mesh

BOX = ((-1.0,) * 3, (1.0,) * 3)
NODES = 48
CELL = 2 / (NODES - 1)


def silhouettes(draw, views=40, **settings):
    recipe = ViewsRecipe(cameras="hammersley", views=views, height=160, width=160, samples=1, **settings)
    cameras = placed(recipe, np.random.default_rng(0))
    return cameras, draw(cameras, recipe).channels["silhouette"]


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_the_hull_of_a_ball_is_the_ball(projection):
    ball = analytic.sphere(0.7)
    given = silhouettes(lambda *seen: sphere_traced_views(ball, *seen), projection=projection)
    mesh = mesh_of_lattice(hull_distances(*given, BOX, NODES), BOX)
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert radius.min() > 0.7 - 0.5 * CELL  # half a pixel, and the cut corners of cells
    assert radius.max() < 0.7 + 2 * CELL  # between the cones of 40 views
    assert np.abs(radius - 0.7).mean() < CELL


def test_the_hull_holds_the_shape_and_no_node_that_a_silhouette_leaves_out():
    solid = Mesh(*box_mesh((-0.5, -0.4, -0.6), (0.5, 0.45, 0.3)))
    cameras, seen = silhouettes(lambda *given: render_views(solid, *given))
    values = hull_distances(cameras, seen, BOX, NODES)
    nodes = np.stack(np.meshgrid(*lattice_axes(BOX, NODES), indexing="ij"), axis=-1).reshape(-1, 3)
    true = analytic.box((-0.5, -0.4, -0.6), (0.5, 0.45, 0.3))(nodes)
    pixel = 3 / cameras.intrinsics[0, 0, 0] * 1.5
    assert (values.reshape(-1)[true < -pixel] < 0).all()
    for view in range(len(cameras)):
        pixels, _ = cameras.project(nodes[values.reshape(-1) < -pixel], view)
        u, v = pixels.astype(int).T
        assert seen[view][v, u].all()


def test_a_dent_that_no_silhouette_shows_is_filled():
    bowl = analytic.sphere(0.7)

    def dented(points):
        return np.maximum(bowl(points), 0.5 - np.linalg.norm(points - [0, 0, 0.45], axis=1))

    given = silhouettes(lambda *seen: sphere_traced_views(dented, *seen))
    values = hull_distances(*given, BOX, NODES)
    nodes = np.stack(np.meshgrid(*lattice_axes(BOX, NODES), indexing="ij"), axis=-1)
    middle = np.linalg.norm(nodes - [0, 0, 0.15], axis=-1) < 0.1
    assert (dented(nodes[middle]) > 0).all()
    assert (values[middle] < 0).all()


def test_the_distance_from_an_outline_is_that_of_every_pair_of_pixels():
    rng = np.random.default_rng(0)
    image = np.zeros((23, 31), bool)
    image[5:15, 8:20] = True
    image ^= rng.random(image.shape) < 0.02
    found = outline_distance(image)
    centres = np.stack(np.meshgrid(np.arange(23), np.arange(31), indexing="ij"), axis=-1).astype(float)
    for row, column in np.ndindex(image.shape):
        others = centres[image != image[row, column]]
        away = min(np.linalg.norm(others - [row, column], axis=1).min() - 0.5, REACH)
        inside = -1 if image[row, column] else 1
        # Beyond the reach a pixel is only known to be far; a diagonal within it may still be longer than the reach.
        assert found[row, column] == pytest.approx(inside * away, abs=1e-9)


def test_silhouettes_of_other_cameras_are_refused():
    cameras = placed(ViewsRecipe(views=2, height=4, width=4), np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"expected \(2, 4, 4\)"):
        hull_distances(cameras, np.zeros((2, 4, 5), bool), BOX, 8)
