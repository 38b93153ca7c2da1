import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry import analytic as fields
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import CHANNELS
from shapetool.render.rays import cast_rays
from shapetool.render.views import bytes_needed, render_views, standing_inside
from tests import analytic, naive
from tests.render.views_scene import around, needles, sphere, straight, torus, with_settings

PLAIN = with_settings()
BOX = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))


def rays_of(cameras, view):
    return cameras.rays(cameras.pixel_centres(), view)


def same_as_rays(mesh, cameras, tolerance=1e-6):
    """Holds every pixel to the ray of its centre; returns the share of hits."""
    drawn = render_views(mesh, cameras, PLAIN).channels
    for view in range(len(cameras)):
        origins, directions = rays_of(cameras, view)
        t, faces = cast_rays(mesh, origins, directions)
        hit = faces >= 0
        got = drawn["face"][view].reshape(-1)
        other = got != faces
        # where two faces are met at one t, rounding chooses
        t_of, _ = cast_rays(mesh, origins[other], directions[other])
        assert np.array_equal(np.isfinite(t_of), got[other] >= 0)
        assert other.mean() < 1e-3
        depth, length = drawn["depth"][view].reshape(-1), np.linalg.norm(directions, axis=1)
        np.testing.assert_allclose(depth[hit], t[hit], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(drawn["ray_length"][view].reshape(-1)[hit], (t * length)[hit], rtol=tolerance)
        points = origins[hit] + t[hit, None] * directions[hit]
        np.testing.assert_allclose(drawn["coordinates"][view].reshape(-1, 3)[hit], points, atol=tolerance * 10)
        assert not depth[~hit].any()
        assert np.array_equal(drawn["silhouette"][view].reshape(-1), hit)
        normals = drawn["normal"][view].reshape(-1, 3)
        np.testing.assert_allclose(np.linalg.norm(normals[hit], axis=1), 1, atol=1e-6)
        assert ((normals * directions).sum(axis=1)[hit] < 1e-6).all()
        steep = np.abs((normals * mesh.face_normals[got]).sum(axis=1))
        np.testing.assert_allclose(steep[hit], 1, atol=1e-6)
        local = drawn["camera_normal"][view].reshape(-1, 3) @ cameras.pose[view, :3, :3].T
        np.testing.assert_allclose(local, normals, atol=1e-6)
        assert not normals[~hit].any()
    return float((drawn["face"] >= 0).mean())


@pytest.mark.parametrize("flat", [False, True], ids=["perspective", "orthographic"])
@pytest.mark.parametrize("distance", [0.0, 0.3, 2.5, 40.0])
@pytest.mark.parametrize("kind", ["needles", "shells", "sphere"])
def test_pixels_hit_what_the_rays_of_their_centres_hit(kind, distance, flat):
    shells = analytic.overlapping_shells()
    meshes = {"needles": needles(300), "shells": Mesh(shells.vertices, shells.faces), "sphere": sphere(0.7, 24)}
    # from far away pixels are wide, unless the lens is long
    cameras = around(5, distance, (37, 52), flat=flat)
    share = same_as_rays(meshes[kind], cameras)
    assert share > (0 if distance == 40 and not flat else 0.05)


def test_pixels_hit_what_brute_force_hits():
    mesh, cameras = needles(80, seed=3), around(2, 1.5, (24, 24))
    drawn = render_views(mesh, cameras, PLAIN).channels
    for view in range(2):
        t, face = naive.brute_first_hit(mesh.vertices, mesh.faces, *rays_of(cameras, view))
        assert 0.05 < np.isfinite(t).mean() < 1
        assert np.array_equal(drawn["face"][view].reshape(-1), face)
        expected = np.where(np.isfinite(t), t, 0)
        np.testing.assert_allclose(drawn["depth"][view].reshape(-1), expected, rtol=1e-6)


@pytest.mark.parametrize("shift", [1e3, 1e6])
def test_views_far_from_the_origin_are_those_at_it(shift):
    mesh, cameras = sphere(0.7, 20), around(3, 2.5, (40, 30))
    here = render_views(mesh, cameras, PLAIN).channels
    pose = cameras.pose.copy()
    pose[:, :3, 3] += shift
    moved = type(cameras)(cameras.size, cameras.intrinsics, pose)
    there = render_views(Mesh(mesh.vertices + shift, mesh.faces), moved, PLAIN).channels
    assert (here["face"] != there["face"]).mean() < 1e-3
    both = (here["face"] >= 0) & (there["face"] >= 0)
    np.testing.assert_allclose(there["depth"][both], here["depth"][both], atol=1e-7 + 1e-15 * shift * 100)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_unit_of_length_does_not_matter(scale):
    mesh, cameras = needles(100), around(2, 1.5, (30, 30))
    here = render_views(mesh, cameras, PLAIN).channels
    pose = cameras.pose.copy()
    pose[:, :3, 3] *= scale
    sized = type(cameras)(cameras.size, cameras.intrinsics, pose)
    there = render_views(Mesh(mesh.vertices * scale, mesh.faces), sized, PLAIN).channels
    assert np.array_equal(there["face"], here["face"])
    np.testing.assert_allclose(there["depth"], here["depth"] * scale, rtol=1e-6)


def test_the_depth_of_a_box_is_exact():
    for flat in (False, True):
        drawn = render_views(BOX, straight(4.0, 8.0, (31, 31), flat), PLAIN).channels
        assert set(np.unique(drawn["depth"][drawn["silhouette"]])) == {3.0}
        assert np.array_equal(np.unique(drawn["normal"][drawn["silhouette"]], axis=0), [[0, 0, 1]])
        assert drawn["silhouette"][0].sum() == (5 * 5 if not flat else 17 * 17)


def far_off(mesh, distance, field, cameras, steep):
    """How far the depth of a field is from the one drawn, where the surface is met steeply; and how many pixels."""
    drawn = render_views(mesh, cameras, PLAIN).channels
    worst, count = 0.0, 0
    for view in range(len(cameras)):
        origins, directions = rays_of(cameras, view)
        depth = drawn["depth"][view].reshape(-1).astype(np.float64)
        normals = drawn["normal"][view].reshape(-1, 3)
        sharp = -(normals * directions).sum(axis=1) > steep * np.linalg.norm(directions, axis=1)
        origins, directions, depth = origins[sharp], directions[sharp], depth[sharp]
        low, high = depth - distance, depth + distance
        assert (field(origins + low[:, None] * directions) > 0).all()
        assert (field(origins + high[:, None] * directions) < 0).all()
        for _ in range(40):
            middle = (low + high) / 2
            out = field(origins + middle[:, None] * directions) > 0
            low, high = np.where(out, middle, low), np.where(out, high, middle)
        worst, count = max(worst, float(np.abs(depth - low).max())), count + int(sharp.sum())
    return worst, count


@pytest.mark.parametrize("flat", [False, True], ids=["perspective", "orthographic"])
def test_the_depth_of_a_sphere_is_the_closed_form(flat):
    # cells of 0.5 * pi / 512 lie up to 5e-6 below a sphere of radius 0.5; depth magnifies that by 1 / cosine
    worst, count = far_off(sphere(0.5, 512), 1e-3, fields.sphere(0.5), around(3, 2.0, (64, 64), flat=flat), 0.6)
    assert worst < 1e-5
    assert count > 1000


def test_the_depth_of_a_torus_is_the_closed_form():
    ring, tube, steps = 0.3, 0.12, 720
    worst, count = far_off(torus(ring, tube, steps), 1e-3, fields.torus(ring, tube), around(3, 1.5, (64, 64)), 0.6)
    assert worst < 1e-5
    assert count > 400


@pytest.mark.parametrize("flat", [False, True], ids=["perspective", "orthographic"])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_silhouette_of_a_sphere_has_its_area(samples, flat):
    radius, distance, focal = 0.8, 3.0, 300.0
    cameras = straight(distance, focal, (512, 512), flat)
    drawn = render_views(sphere(radius, 256), cameras, with_settings(samples=samples)).channels
    across = focal * radius * (1 if flat else 1 / np.sqrt(distance**2 - radius**2))
    cameras = straight(distance, focal, (512, 512), flat)
    assert across < 250
    for covered in (drawn["silhouette"].sum(), drawn["alpha"].sum() / 255):
        assert covered == pytest.approx(np.pi * across**2, rel=1e-3)


@pytest.mark.parametrize("settings", [{}, {"samples": 3}, {"shadows": 3, "occlusion": 4, "samples": 2}])
def test_threads_do_not_change_a_bit(settings):
    mesh = torus(0.6, 0.25, 30)
    for count in (1, 7):
        cameras = around(count, 2.0, (41, 33))
        one = render_views(mesh, cameras, with_settings(**settings), threads=1).channels
        for threads in (2, 3, 64):
            other = render_views(mesh, cameras, with_settings(**settings), threads=threads).channels
            assert all(np.array_equal(one[name], other[name]) for name in CHANNELS)


def test_every_instruction_set_draws_the_same_bits(run_python):
    script = (
        "import hashlib; from tests.render.views_scene import *; from shapetool.geometry.kernel import simd;"
        "from shapetool.render.views import render_views;"
        "h, r = hashlib.sha256(), with_settings(samples=3, smooth=True);"
        "v = [render_views(torus(0.6, 0.25, 40), around(2, 2.0, (40, 40), flat=f), r).channels for f in (False, True)];"
        "[h.update(image.tobytes()) for one in v for image in one.values()]; print(simd(), h.hexdigest())"
    )
    results = dict(run_python(script, SHAPETOOL_SIMD=name).split() for name in ("baseline", "avx2", "avx512"))
    assert "baseline" in results
    assert len(set(results.values())) == 1


def test_a_view_is_the_same_alone_and_among_others():
    mesh, cameras = torus(0.6, 0.25, 30), around(4, 2.0, (40, 30))
    recipe = with_settings(samples=3, shadows=2, occlusion=2)
    together = render_views(mesh, cameras, recipe).channels
    alone = render_views(mesh, cameras[2:3], recipe).channels
    assert all(np.array_equal(together[name][2], alone[name][0]) for name in CHANNELS)


@pytest.mark.parametrize("kind", ["box", "torus", "sphere", "shells"])
def test_no_pixel_looks_through_a_closed_surface(kind):
    shells = analytic.nested_shells()
    mesh, inside = {
        "box": (BOX, (0.0, 0.0, 0.0)),
        "torus": (torus(0.6, 0.25, 50), (0.6, 0.0, 0.0)),
        "sphere": (sphere(0.7, 40), (0.0, 0.0, 0.0)),
        "shells": (Mesh(shells.vertices, shells.faces), shells.vertices.mean(axis=0)),
    }[kind]
    cameras = around(6, 1e-3, (90, 90))
    axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    pose = cameras.pose.copy()
    pose[:3, :3, :3] = [np.roll(axes, k, axis=0) for k in range(3)]  # along the axes, pixels through the vertices
    pose[:, :3, 3] += inside
    pose[:3, :3, 3] = inside
    matrix = cameras.intrinsics.copy()
    matrix[:3] = [[44.5, 0, 44.5], [0, 44.5, 44.5], [0, 0, 1]]
    drawn = render_views(mesh, type(cameras)((90, 90), matrix, pose), PLAIN).channels
    assert (drawn["face"] >= 0).all()
    assert (drawn["depth"] > 0).all()


def test_cameras_that_stand_inside_are_named():
    cameras = around(4, 0.5, (4, 4))
    pose = cameras.pose.copy()
    pose[[1, 2], :3, 3] *= 6
    assert standing_inside(BOX, type(cameras)((4, 4), cameras.intrinsics, pose)) == [0, 3]
    assert standing_inside(BOX, around(3, 9.0, (4, 4))) == []


def test_a_mesh_without_faces_is_refused():
    with pytest.raises(MeshError, match="at least one face"):
        render_views(Mesh(np.zeros((3, 3)), np.zeros((0, 3), int)), around(1, 2.0, (4, 4)), PLAIN)


def test_memory_is_told_beforehand():
    recipe = with_settings(views=3, height=20, width=30)
    drawn = render_views(BOX, around(3, 3.0, (20, 30)), recipe).channels
    assert set(drawn) == set(CHANNELS)
    held = sum(image.nbytes for image in drawn.values())
    assert held <= bytes_needed(recipe) <= held + 3 * 600 * 400
    assert bytes_needed(with_settings(views=10_000, height=4096, width=4096)) > 8.8e12
