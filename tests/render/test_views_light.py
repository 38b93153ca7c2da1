import numpy as np
import pytest

from shapetool.geometry.mesh import Mesh
from shapetool.render.colours.raw import NEUTRAL
from shapetool.render.views import render_views
from tests import analytic
from tests.render.views_scene import around, sphere, straight, torus, with_settings

BOX = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))


class Places:
    """A colour that tells which face and where in it, through corner colours."""

    def __init__(self, mesh):
        self.corners = 0.5 + 0.4 * mesh.triangles / np.abs(mesh.triangles).max()

    def colours(self, faces, barycentric):
        return np.einsum("kc,kcd->kd", barycentric, self.corners[faces])


def test_a_headlight_shines_by_the_cosine():
    cameras = straight(3.0, 19.0, (21, 21))
    recipe = with_settings(ambient=0.25)
    drawn = render_views(BOX, cameras, recipe).channels
    _, directions = cameras.rays(cameras.pixel_centres(), 0)
    cosine = 1 / np.linalg.norm(directions, axis=1).reshape(21, 21)
    hit = drawn["silhouette"][0]
    expected = np.where(hit, 255 * NEUTRAL * (0.25 + 0.75 * cosine), 255)
    assert np.abs(drawn["rgb"][0] - expected[..., None]).max() <= 0.51
    assert 0 < hit.sum() < hit.size


def test_paint_is_asked_at_the_points_that_are_seen():
    mesh, cameras = torus(0.6, 0.25, 20), around(3, 2.0, (40, 40))
    drawn = render_views(mesh, cameras, with_settings(ambient=1.0, background="black"), Places(mesh)).channels
    expected = 255 * (0.5 + 0.4 * drawn["coordinates"] / np.abs(mesh.triangles).max())
    hit = drawn["silhouette"]
    assert np.abs(drawn["rgb"][hit] - expected[hit]).max() <= 0.51
    assert not drawn["rgb"][~hit].any()


@pytest.mark.parametrize("painted", [False, True])
def test_edges_are_the_mean_of_a_larger_image(painted):
    mesh, cameras = torus(0.6, 0.25, 40), around(3, 2.0, (50, 60))
    paint = Places(mesh) if painted else None
    drawn = render_views(mesh, cameras, with_settings(samples=3), paint).channels
    large = render_views(mesh, cameras.resized(150, 180), with_settings(), paint).channels
    parts = {name: large[name].reshape(3, 50, 3, 60, 3, -1).astype(float) for name in ("alpha", "rgb")}
    alpha = parts["alpha"].mean(axis=(2, 4))[..., 0]
    assert np.array_equal(drawn["alpha"], np.rint(alpha).astype(np.uint8))
    assert np.array_equal(drawn["silhouette"], alpha > 127.5)
    # a pixel without an edge shows its middle, which is the mean but for what the light bends
    off = np.abs(drawn["rgb"] - parts["rgb"].mean(axis=(2, 4)))
    assert off[(alpha > 0) & (alpha < 255)].max() <= 1.1
    assert off.max() <= 8
    assert off.mean() < 0.5  # of which a quarter is rounding
    assert ((alpha > 0) & (alpha < 255)).sum() > 100


def test_depth_and_normals_are_not_filtered():
    mesh, cameras = torus(0.6, 0.25, 40), around(2, 2.0, (50, 60))
    one, many = (render_views(mesh, cameras, with_settings(samples=n)).channels for n in (1, 4))
    for name in ("depth", "ray_length", "normal", "camera_normal", "face", "coordinates"):
        assert np.array_equal(one[name], many[name])


def test_smooth_normals_make_a_coarse_sphere_shine_like_a_fine_one():
    cameras = around(2, 3.0, (60, 60))
    fine = render_views(sphere(0.8, 200), cameras, with_settings()).channels["rgb"].astype(float)
    off = {}
    for smooth in (False, True):
        coarse = render_views(sphere(0.8, 12), cameras, with_settings(smooth=smooth)).channels
        both = coarse["silhouette"] & (fine[..., 0] < 255)
        off[smooth] = np.abs(coarse["rgb"] - fine)[both].mean()
    assert off[True] < 0.5 * off[False]


def test_sharp_edges_stay_sharp():
    cameras = around(3, 4.0, (60, 60))
    flat = render_views(BOX, cameras, with_settings(smooth=False)).channels["rgb"].astype(int)
    kept = render_views(BOX, cameras, with_settings(smooth=True, crease=60.0)).channels["rgb"].astype(int)
    rounded = render_views(BOX, cameras, with_settings(smooth=True, crease=120.0)).channels["rgb"].astype(int)
    assert np.abs(flat - kept).max() <= 1
    assert np.abs(flat - rounded).max() > 20


def test_a_convex_shape_hides_no_sky_from_itself():
    cameras = around(3, 3.0, (50, 50))
    plain = render_views(sphere(0.8, 64), cameras, with_settings(samples=2)).channels
    occluded = render_views(sphere(0.8, 64), cameras, with_settings(samples=2, occlusion=16)).channels
    # rays along the horizon start above the neighbours' planes, but for the widths of the coarse faces
    assert (plain["rgb"] != occluded["rgb"]).mean() < 0.01
    assert np.array_equal(
        render_views(BOX, cameras, with_settings(occlusion=16)).channels["rgb"],
        render_views(BOX, cameras, with_settings()).channels["rgb"],
    )


def test_what_is_closed_off_gets_no_light_from_around():
    cameras = around(2, 1e-3, (30, 30))
    drawn = render_views(BOX, cameras, with_settings(occlusion=4, ambient=1.0)).channels
    assert drawn["silhouette"].all()
    assert not drawn["rgb"].any()


def test_half_of_the_sky_is_hidden_at_the_foot_of_a_wall():
    floor = np.array([[-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0]], dtype=float)
    wall = np.array([[0, -50, 0], [0, 50, 0], [0, 50, 5], [0, -50, 5]], dtype=float)
    mesh = Mesh(np.concatenate([floor, wall]), np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]))
    cameras = straight(10.0, 4000.0, (20, 20))  # two hundredths of a unit to the sides of the foot
    recipe = with_settings(ambient=1.0, occlusion=64)
    drawn = render_views(mesh, cameras, recipe).channels
    beside = np.abs(drawn["coordinates"][..., 2]) < 1e-6
    assert beside.sum() > 300
    np.testing.assert_allclose(drawn["rgb"][beside].mean() / 255, NEUTRAL / 2, rtol=0.05)


def test_a_shadow_falls_away_from_the_lamp():
    floor = np.array([[-9, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]], dtype=float)
    low = analytic.box_mesh((-0.5, -0.5, 0.8), (0.5, 0.5, 1.0))
    mesh = Mesh(np.concatenate([floor, low[0]]), np.concatenate([[[0, 1, 2], [0, 2, 3]], low[1] + 4]))
    cameras = straight(8.0, 60.0, (80, 80))
    plain, shaded = (render_views(mesh, cameras, with_settings(shadows=n)).channels["rgb"].astype(int) for n in (0, 16))
    darker = np.argwhere((plain - shaded)[0, ..., 0] > 20)
    assert len(darker) > 20
    # the lamp stands above and left of the camera, so the shadow is below and right of the middle
    assert (darker.mean(axis=0) > 40).all()
    lit = (plain == shaded).mean()
    assert 0.5 < lit < 1
