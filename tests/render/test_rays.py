import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.render.rays import cast_rays, cast_through, hits_anything
from tests import analytic, naive


def rays_around(count, seed=0):
    rng = np.random.default_rng(seed)
    origins = rng.normal(size=(count, 3)) * 1.5
    return origins, rng.normal(size=(count, 3)) - 0.7 * origins


def test_first_hits_equal_brute_force():
    truth = analytic.overlapping_shells()
    origins, directions = rays_around(2000)
    t, face = cast_rays(Mesh(truth.vertices, truth.faces), origins, directions)
    expected_t, expected_face = naive.brute_first_hit(truth.vertices, truth.faces, origins, directions)
    assert np.array_equal(np.isfinite(t), np.isfinite(expected_t))
    assert np.isfinite(t).sum() > 500
    hit = np.isfinite(t)
    np.testing.assert_allclose(t[hit], expected_t[hit], rtol=1e-12, atol=1e-14)
    assert np.array_equal(face, expected_face)


def test_t_is_in_units_of_the_direction_given():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    t, _ = cast_rays(mesh, np.array([[0.1, 0.2, 5.0]] * 2), np.array([[0, 0, -1.0], [0, 0, -0.25]]))
    assert t.tolist() == [4.0, 16.0]


def test_a_miss_is_infinite_and_minus_one():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    t, face = cast_rays(mesh, np.array([[0, 0, 5.0], [0, 0, 5.0]]), np.array([[0, 0, 1.0], [0, 0, 0.0]]))
    assert t.tolist() == [np.inf, np.inf]
    assert face.tolist() == [-1, -1]


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_no_ray_slips_through_edges_and_vertices_of_a_closed_surface(shift):
    rng = np.random.default_rng(0)
    truth = analytic.box_mesh((-1, -1, -1), (1, 1, 1))
    centre = np.array([0.1, -0.2, 0.3])
    edges = np.concatenate([truth[1][:, [0, 1]], truth[1][:, [1, 2]], truth[1][:, [2, 0]]])
    along = rng.random((200, len(edges), 1)) * truth[0][edges[:, 0]] * 0 + rng.random((200, len(edges), 1))
    on_edges = (truth[0][edges[:, 0]] * (1 - along) + truth[0][edges[:, 1]] * along).reshape(-1, 3)
    targets = np.concatenate([truth[0], on_edges]) + shift
    origins = np.tile(centre + shift, (len(targets), 1))
    mesh = Mesh(truth[0] + shift, truth[1])
    t, _ = cast_rays(mesh, origins, targets - origins)
    assert np.isfinite(t).all()
    start, _, _ = cast_through(mesh, origins, targets - origins)
    assert (np.diff(start) % 2 == 1).all()  # from inside, always an odd number of crossings
    assert hits_anything(mesh, origins, targets - origins).all()


def test_axis_aligned_rays_along_a_tessellated_side_are_counted_evenly():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    ticks = np.linspace(-2, 2, 41)
    y, z = (a.reshape(-1) for a in np.meshgrid(ticks, ticks))
    origins = np.stack([np.full_like(y, -3), y, z], axis=1)
    start, _, _ = cast_through(mesh, origins, np.tile([1.0, 0, 0], (len(y), 1)))
    assert (np.diff(start) % 2 == 0).all()  # from outside to outside
    assert np.diff(start).max() == 2


def test_all_crossings_come_in_order():
    truth = analytic.nested_cavity()
    origins, directions = np.array([[-3.0, 0.01, 0.02]]), np.array([[2.0, 0, 0]])
    start, t, faces = cast_through(Mesh(truth.vertices, truth.faces), origins, directions)
    assert start.tolist() == [0, 4]
    np.testing.assert_allclose(t, [1.0, 1.25, 1.7, 2.0], rtol=1e-14)
    assert len(faces) == 4


def test_far_origins_hit_as_precisely_as_doubles_allow():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    direction = np.array([0.6, -0.48, 0.64])
    target = np.array([-1, 0.1, 0.2])
    for far in (1e3, 1e6, 1e9):
        t, face = cast_rays(mesh, (target - far * direction)[None], direction[None])
        assert t[0] == pytest.approx(far, rel=1e-14)
        assert face[0] in (0, 1)


def test_as_many_directions_as_origins_are_asked_for():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    with pytest.raises(MeshError, match="directions"):
        cast_rays(mesh, np.zeros((2, 3)), np.zeros((3, 3)))
