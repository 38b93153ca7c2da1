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


def needles(count, seed=0):
    """Long thin triangles through one middle: their boxes cover one another, so that no ray is spared many of them."""
    rng = np.random.default_rng(seed)
    along = rng.normal(size=(count, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    aside = 0.05 * rng.normal(size=(count, 3))
    return np.stack([-along, along, along + aside], axis=1).reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize("spread", [0.01, 10.0], ids=["one heading", "all headings"])
def test_many_rays_in_one_call_hit_what_the_crossings_of_each_say(spread):
    rng = np.random.default_rng(0)
    mesh = Mesh(*needles(6000))
    directions = np.array([0.4, 0.5, 0.6]) + spread * rng.normal(size=(9000, 3))
    origins = 0.4 * rng.normal(size=(9000, 3)) - 3 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    t, face = cast_rays(mesh, origins, directions)
    start, every_t, every_face = cast_through(mesh, origins, directions)
    hit = np.diff(start) > 0
    assert 0.2 < hit.mean() < 1
    assert np.array_equal(np.isfinite(t), hit)
    assert np.array_equal(t[hit], every_t[start[:-1][hit]])
    assert np.array_equal(face[hit], every_face[start[:-1][hit]])
    assert np.array_equal(hits_anything(mesh, origins, directions), hit)


@pytest.mark.parametrize("seed", range(6))
def test_every_heading_finds_the_faces_of_a_box_from_within(seed):
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    lengths = np.random.default_rng(seed).permutation([0.2, 0.5, 1.0])
    directions = signs * lengths
    t, face = cast_rays(Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1))), np.zeros((8, 3)), directions)
    assert t.tolist() == [1.0] * 8
    where = (t[:, None] * directions)[:, np.argmax(lengths)]
    vertices, faces = analytic.box_mesh((-1, -1, -1), (1, 1, 1))
    np.testing.assert_array_equal(vertices[faces[face]][:, :, np.argmax(lengths)], np.repeat(where[:, None], 3, axis=1))


def test_a_ray_hits_the_same_whatever_goes_with_it():
    truth = analytic.nested_cavity()
    mesh = Mesh(truth.vertices, truth.faces)
    origins, directions = rays_around(70_000)
    directions[::1000] = 0
    t, face = cast_rays(mesh, origins, directions, threads=1)
    for threads, some in ((2, slice(None)), (3, slice(5, 66_000)), (1, slice(7, 90))):
        again_t, again_face = cast_rays(mesh, origins[some], directions[some], threads=threads)
        assert np.array_equal(again_t, t[some])
        assert np.array_equal(again_face, face[some])
    for i in range(40):
        again_t, again_face = cast_rays(mesh, origins[i : i + 1], directions[i : i + 1])
        assert again_t[0] == t[i]
        assert again_face[0] == face[i]


def test_no_rays_hit_nothing():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    none = np.zeros((0, 3))
    t, face = cast_rays(mesh, none, none)
    assert t.shape == face.shape == hits_anything(mesh, none, none).shape == (0,)
    assert cast_through(mesh, none, none)[0].tolist() == [0]


def test_every_instruction_set_hits_the_same_bits(run_python):
    script = (
        "import numpy as np, hashlib; from tests.render.test_rays import needles, rays_around;"
        "from shapetool.geometry.mesh import Mesh; from shapetool.geometry.kernel import simd;"
        "from shapetool.render.rays import cast_rays, cast_through, hits_anything;"
        "m, rays = Mesh(*needles(500)), rays_around(5000);"
        "r = (*cast_rays(m, *rays), hits_anything(m, *rays), *cast_through(m, *rays));"
        "print(simd(), hashlib.sha256(b''.join(x.tobytes() for x in r)).hexdigest())"
    )
    results = dict(run_python(script, SHAPETOOL_SIMD=name).split() for name in ("baseline", "avx2", "avx512"))
    assert "baseline" in results
    assert len(set(results.values())) == 1
