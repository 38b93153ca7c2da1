"""Depth back to the surface: points lie on it, and the fused field has its sign and its zero where the solid has."""

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.geometry.distance import closest_point
from shapetool.geometry.families import build, draw_parameters
from shapetool.geometry.frame import fit
from shapetool.geometry.lattice import lattice_axes, lattice_distances
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras
from shapetool.render.fusion import fused_distances, projected_nodes, unprojected
from shapetool.render.placing import placed
from shapetool.render.views import render_views
from tests.analytic import box_mesh

BOX = ((-1.0,) * 3, (1.0,) * 3)
NODES = 64
CELL = 2 / (NODES - 1)
RECIPE = ViewsRecipe(cameras="hammersley", views=26, height=160, width=160, samples=1)
FAMILIES = ("chair", "mug", "gear", "knot")


def unit_mesh(family, seed=0):
    mesh = build(family, draw_parameters(family, np.random.default_rng(seed), 48))
    return fit(mesh).apply_mesh(mesh)


def seen(mesh, recipe=RECIPE):
    cameras = placed(recipe, np.random.default_rng(0))
    return cameras, render_views(mesh, cameras, recipe).channels


@pytest.fixture(scope="module", params=FAMILIES)
def shape(request):
    mesh = unit_mesh(request.param)
    return mesh, *seen(mesh)


def test_unprojected_depth_lies_on_the_surface(shape):
    mesh, cameras, channels = shape
    cloud = unprojected(cameras, channels["depth"], channels["normal"], channels["rgb"])
    away, faces, _ = closest_point(mesh, cloud.points)
    footprint = channels["depth"][channels["depth"] > 0].min() / cameras.intrinsics[0, 0, 0]
    assert away.mean() < footprint / 1000
    assert len(cloud.points) == len(cloud.normals) == len(cloud.colours) == (channels["depth"] > 0).sum()
    # Points of an edge belong to two faces; all others have the normal of theirs.
    agree = (cloud.normals * mesh.face_normals[faces]).sum(axis=1)
    assert (agree > 0.999).mean() > 0.98


def test_the_fused_field_has_the_right_sign_and_its_surface_is_within_a_cell(shape):
    mesh, cameras, channels = shape
    band = 3 * CELL
    fused = fused_distances(cameras, channels["depth"], channels["normal"], BOX, NODES, band)
    true = lattice_distances(mesh, BOX, NODES)
    away = np.abs(true) > band
    assert ((fused < 0) == (true < 0))[away].mean() > 0.99
    assert np.abs(fused).max() <= band
    assert np.abs(fused - true)[~away].mean() < CELL / 2
    surface = mesh_of_lattice(fused, BOX)
    off = closest_point(mesh, surface.vertices)[0]
    assert off.mean() < CELL / 4
    assert np.quantile(off, 0.99) < CELL


def test_a_hidden_node_is_no_deeper_than_a_node_outside_beside_it_allows():
    mesh = unit_mesh("knot")
    cameras, channels = seen(mesh, ViewsRecipe(cameras="hammersley", views=4, height=160, width=160, samples=1))
    fused = fused_distances(cameras, channels["depth"], channels["normal"], BOX, NODES, 3 * CELL)
    told, met = (fused > 0) & (fused < 3 * CELL), 0
    for axis in range(3):
        outside, hidden = np.moveaxis(told, axis, 0), np.moveaxis(fused == -3 * CELL, axis, 0)
        assert not (outside[1:] & hidden[:-1]).any()
        assert not (outside[:-1] & hidden[1:]).any()
        value = np.moveaxis(fused, axis, 0)
        crossed = (value[1:] > 0) & (value[1:] < CELL) & (value[:-1] < 0)
        met += (np.abs(value[1:] - value[:-1] - CELL)[crossed] < 1e-12).sum()
    assert met > 0  # a surface that no view shows is where the node outside says


def test_what_most_images_show_and_none_sees_through_is_inside_whatever_another_looks_at():
    mesh = Mesh(*box_mesh((-0.5,) * 3, (0.5,) * 3))
    cameras, channels = seen(mesh)
    pose = cameras.pose.copy()
    pose[:2, :3, 3] *= 20  # too far to the side to have the box in the image
    pose[:2, :3, :3] = pose[:2, :3, :3] @ np.diag([-1.0, 1.0, -1.0])
    aside = Cameras(cameras.size, cameras.intrinsics, pose)
    depth = channels["depth"].copy()
    depth[:2] = 0
    fused = fused_distances(aside, depth, channels["normal"], BOX, NODES, 3 * CELL)
    true = lattice_distances(mesh, BOX, NODES)
    deep = np.abs(true) > 3 * CELL
    assert ((fused < 0) == (true < 0))[deep].all()


def test_thin_walls_stay_within_a_band_that_is_thicker_than_they_are():
    low, high = (-0.5, -0.5, -0.03), (0.5, 0.5, 0.03)
    cameras, channels = seen(Mesh(*box_mesh(low, high)))
    fused = fused_distances(cameras, channels["depth"], channels["normal"], BOX, NODES, 4 * CELL)
    surface = mesh_of_lattice(fused, BOX)
    assert surface.volume == pytest.approx(1 * 1 * 0.06, rel=0.15)


def test_nodes_that_no_view_sees_are_inside_and_nodes_beside_all_images_outside():
    cameras, channels = seen(Mesh(*box_mesh((-0.5,) * 3, (0.5,) * 3)))
    one = cameras[:1]
    fused = fused_distances(one, channels["depth"][:1], channels["normal"][:1], ((-3.0,) * 3, (3.0,) * 3), 61, 0.2)
    nodes = np.stack(np.meshgrid(*lattice_axes(((-3.0,) * 3, (3.0,) * 3), 61), indexing="ij"), axis=-1).reshape(-1, 3)
    pixels, depth = one.project(nodes, 0)
    pictured = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < 160).all(axis=1)
    assert (fused.reshape(-1)[~pictured] == 0.2).all()
    behind = nodes - one.positions[0]
    behind = np.linalg.norm(behind, axis=1) > np.linalg.norm(one.positions[0]) + 1.2
    across = np.linalg.norm(np.cross(nodes, one.forward[0]), axis=1) < 0.3
    assert (behind & across).any()
    assert (fused.reshape(-1)[behind & across] == -0.2).all()


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_nodes_land_where_the_camera_projects_them(projection):
    recipe = ViewsRecipe(views=2, height=20, width=30, projection=projection)
    cameras = placed(recipe, np.random.default_rng(1))
    axes = lattice_axes(BOX, 5)
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    for view in range(2):
        pixels, depth, _ = projected_nodes(axes, cameras, view)
        true, far = cameras.project(nodes, view)
        np.testing.assert_allclose(pixels.reshape(2, -1).T, true, atol=1e-9)
        np.testing.assert_allclose(depth.reshape(-1), far, atol=1e-12)


def test_an_orthographic_camera_fuses_as_well():
    mesh = unit_mesh("mug")
    recipe = ViewsRecipe(cameras="hammersley", views=26, height=160, width=160, samples=1, projection="orthographic")
    cameras, channels = seen(mesh, recipe)
    fused = fused_distances(cameras, channels["depth"], channels["normal"], BOX, NODES, 3 * CELL)
    off = closest_point(mesh, mesh_of_lattice(fused, BOX).vertices)[0]
    assert off.mean() < CELL / 4


def test_images_of_other_cameras_are_refused():
    cameras = placed(RECIPE, np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"expected \(26, 160, 160\) for these cameras, found \(25, 160, 160\)"):
        unprojected(cameras, np.zeros((25, 160, 160), np.float32))
    with pytest.raises(ConfigError, match="truncation is 0"):
        fused_distances(cameras, np.zeros((26, 160, 160)), np.zeros((26, 160, 160, 3)), BOX, 8, 0.0)
