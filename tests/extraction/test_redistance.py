"""Redistanced lattices: right in size where a closed form or a mesh says how large, with the signs they came with."""

import numpy as np
import pytest

from shapetool.errors import ConfigError, MeshError
from shapetool.extraction.redistance import redistanced
from shapetool.geometry.families import build, draw_parameters
from shapetool.geometry.frame import fit
from shapetool.geometry.lattice import lattice_axes, lattice_distances
from shapetool.geometry.mesh import load_mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.fusion import fused_distances, unprojected
from shapetool.render.placing import placed
from shapetool.render.views import render_views

HALF = 1.1 / 1.03  # the cube of `convert` for the frame of a sphere
BOX = ((-HALF,) * 3, (HALF,) * 3)


def nodes_of(box, count):
    return np.stack(np.meshgrid(*lattice_axes(box, count), indexing="ij"), axis=-1)


def through_views(mesh, size, nodes):
    """What the views of a mesh say, before and after, and what is true, in cells."""
    recipe = ViewsRecipe(cameras="hammersley", views=26, height=size, width=size, channels=("depth", "normal"))
    cameras = placed(recipe, np.random.default_rng(0))
    seen = render_views(mesh, cameras, recipe).channels
    cell = 2 * HALF / (nodes - 1)
    fused = fused_distances(cameras, seen["depth"], seen["normal"], BOX, nodes, 3 * cell)
    after = redistanced(fused, BOX, 3 * cell, unprojected(cameras, seen["depth"]).points)
    return fused / cell, after / cell, lattice_distances(mesh, BOX, nodes) / cell


@pytest.mark.parametrize("family", ["chair", "mug", "gear", "knot"])
def test_no_node_of_a_band_is_off_by_more_than_a_cell(family):
    mesh = build(family, draw_parameters(family, np.random.default_rng(0), 48))
    fused, after, true = through_views(fit(mesh).apply_mesh(mesh), 224, 64)
    band = np.abs(true) <= 3
    assert ((after < 0) == (fused < 0)).all()
    assert ((after < 0) == (true < 0))[~band].all()
    assert np.abs(after).max() <= 3
    assert np.abs(after - true)[band].max() <= 1 < np.abs(fused - true)[band].max()
    assert np.abs(after - true)[band].mean() < 0.75 * np.abs(fused - true)[band].mean()


@pytest.mark.verify
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fandisk.obj", "homer.obj", "knight_1k.off", "quadknot_genus1.obj"])
def test_no_node_of_a_hard_real_mesh_is_off_by_more_than_a_cell(real_data, name):
    mesh = load_mesh(real_data / "classic" / name)
    fused, after, true = through_views(fit(mesh).apply_mesh(mesh), 448, 128)
    band = np.abs(true) <= 3
    assert ((after < 0) == (true < 0))[~band].mean() > 0.99
    assert np.abs(after - true)[band].max() <= 1 < np.abs(fused - true)[band].max()


def test_values_of_another_slope_become_the_distances_of_a_ball():
    box, count = ((-1.0, -1.2, -1.0), (1.0, 1.0, 1.1)), 41
    true = np.linalg.norm(nodes_of(box, count), axis=-1) - 0.6
    after = redistanced(true * (2 + true), box, 0.2)
    # The surface of a lattice is off a curved one by a share of cell^2 / radius, and of the slope's change in a cell.
    assert np.abs(after - np.clip(true, -0.2, 0.2)).max() < 0.05**2 / 0.6
    assert np.abs(after).max() == 0.2


def test_points_show_an_edge_that_the_surface_cuts():
    count = 21
    cell = 2 / (count - 1)
    nodes = nodes_of(((-1.0,) * 3, (1.0,) * 3), count) - [0.5 * cell, 0, 0]  # the edge is half way between nodes
    blade = (
        np.abs(nodes[..., 0]) * 8 + nodes[..., 2]
    )  # a wedge of 14 degrees below its edge, along y through the origin
    tall = np.maximum(blade / np.sqrt(65), np.abs(nodes).max(axis=-1) - 0.7)
    above = np.abs(nodes[..., 1]) < 0.5
    above &= (np.abs(nodes[..., 0]) < cell) & (nodes[..., 2] > 0.01) & (nodes[..., 2] < 0.25)
    edge = np.column_stack([np.full(2000, 0.5 * cell), np.linspace(-0.7, 0.7, 2000), np.zeros(2000)])
    true = np.linalg.norm(nodes[above][:, [0, 2]], axis=1)
    box = ((-1.0,) * 3, (1.0,) * 3)
    assert (redistanced(tall, box, 0.5)[above] - true).max() > 1.5 * cell
    assert np.abs(redistanced(tall, box, 0.5, edge)[above] - true).max() < 1e-5


def test_every_node_within_the_truncation_of_a_point_is_asked():
    box, count, reach = ((-1.0,) * 3, (1.0, 1.5, 2.0)), 24, 0.3
    nodes = nodes_of(box, count)
    values = np.linalg.norm(nodes + 0.7, axis=-1) - 0.15
    points = np.random.default_rng(0).uniform([0, 0, 0], [0.9, 1.8, 1.9], (40, 3))  # one side is out of the box
    after = redistanced(values, box, reach, points)
    away = np.linalg.norm(nodes[..., None, :] - points, axis=-1).min(axis=-1)
    far = values > 2 * reach
    np.testing.assert_allclose(after[far], np.minimum(away, reach)[far], atol=1e-12)


def test_what_is_no_lattice_is_refused():
    box = ((-1.0,) * 3, (1.0,) * 3)
    with pytest.raises(ConfigError, match=r"as many nodes along each axis, found \(4, 4, 5\)"):
        redistanced(np.zeros((4, 4, 5)), box, 1.0)
    with pytest.raises(ConfigError, match="truncation is 0"):
        redistanced(-np.ones((4, 4, 4)), box, 0.0)
    with pytest.raises(MeshError, match="finite"):
        redistanced(-np.ones((4, 4, 4)), box, 1.0, np.full((1, 3), np.nan))
