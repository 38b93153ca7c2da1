import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.distance import closest_point
from shapetool.geometry.mesh import Mesh
from tests import analytic, naive

SHAPES = [
    analytic.nested_cavity,
    analytic.overlapping_shells,
    analytic.thin_plate,
    analytic.sharp_wedge,
    analytic.open_box,
    analytic.sliver_box,
    analytic.doubled_box,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_distances_equal_the_closed_form_to_double_rounding(shape):
    truth = shape()
    points = truth.queries(5000)
    distances, faces, closest = closest_point(Mesh(truth.vertices, truth.faces), points)
    np.testing.assert_allclose(distances, truth.distance(points), rtol=0, atol=2e-15)
    np.testing.assert_allclose(np.linalg.norm(points - closest, axis=1), distances, rtol=0, atol=2e-15)
    of_face = np.sqrt(naive.triangle_distance_sq(closest, truth.vertices[truth.faces[faces]]))
    assert of_face.max() < 2e-15  # the closest point lies on the face that is named


def soup(rng, count, size):
    centres = rng.uniform(-1, 1, (count, 1, 3))
    return (centres + size * rng.normal(size=(count, 3, 3))).reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize(("count", "size"), [(1, 1.0), (7, 1.0), (9, 0.1), (40, 0.5), (3000, 0.02), (5000, 1.0)])
def test_distances_equal_brute_force_on_random_triangles(count, size):
    rng = np.random.default_rng(count)
    vertices, faces = soup(rng, count, size)
    points = rng.uniform(-2, 2, (500, 3))
    distances, _, _ = closest_point(Mesh(vertices, faces), points)
    np.testing.assert_allclose(distances, naive.brute_distance(vertices, faces, points), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("thinness", [1e-3, 1e-6, 1e-9, 1e-12, 0.0])
def test_distances_to_slivers_are_those_of_brute_force(thinness):
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-1, 1, (2, 300, 3))
    t = rng.uniform(0.1, 0.9, (300, 1))
    c = a + t * (b - a) + thinness * rng.normal(size=(300, 3))
    vertices = np.stack([a, b, c], axis=1).reshape(-1, 3)
    faces = np.arange(900).reshape(-1, 3)
    points = np.concatenate([rng.uniform(-1, 1, (1000, 3)), vertices + 1e-4 * rng.normal(size=vertices.shape)])
    distances, _, _ = closest_point(Mesh(vertices, faces), points)
    # 1e-8 edge lengths below which a triangle counts as its edges, in either implementation
    np.testing.assert_allclose(distances, naive.brute_distance(vertices, faces, points), rtol=0, atol=5e-8)


def test_triangles_too_small_for_the_scene_hide_no_others():
    rng = np.random.default_rng(0)
    corners = 10.0 ** rng.uniform(-30, 0, (5000, 1, 3)) * (1 + 1e-3 * rng.normal(size=(5000, 3, 3)))
    vertices, faces = corners.reshape(-1, 3), np.arange(15000).reshape(-1, 3)
    points = 0.5 * rng.normal(size=(300, 3))
    distances, _, _ = closest_point(Mesh(vertices, faces), points)
    np.testing.assert_allclose(distances, naive.brute_distance(vertices, faces, points), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e6, 1e39, 1e90])
@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_scaling_and_moving_a_mesh_scales_its_distances(scale, shift):
    truth = analytic.nested_cavity()
    points = truth.queries(2000)
    moved = Mesh((truth.vertices + shift) * scale, truth.faces)
    distances, _, _ = closest_point(moved, (points + shift) * scale)
    # the shift itself rounds coordinates at 1000 to 1e-13
    np.testing.assert_allclose(distances / scale, truth.distance(points), rtol=0, atol=1e-12)


@pytest.mark.parametrize("far", [1e2, 1e5, 1e9, 1e16])
def test_queries_far_away_are_exact_too(far):
    truth = analytic.sharp_wedge()
    points = far * np.random.default_rng(0).normal(size=(50, 3))
    distances, _, _ = closest_point(Mesh(truth.vertices, truth.faces), points)
    np.testing.assert_allclose(distances, naive.brute_distance(truth.vertices, truth.faces, points), rtol=1e-14, atol=0)


def test_neither_threads_nor_the_order_of_points_change_a_bit():
    rng = np.random.default_rng(5)
    vertices, faces = soup(rng, 400, 0.2)
    points = rng.uniform(-1, 1, (3000, 3))
    first = closest_point(Mesh(vertices, faces), points, threads=1)
    order = rng.permutation(len(points))
    second = closest_point(Mesh(vertices, faces), points[order], threads=4)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a[order], b)


def test_the_lowest_of_equally_near_faces_is_returned():
    truth = analytic.thin_plate()
    faces = np.concatenate([truth.faces, truth.faces, truth.faces])
    _, found, _ = closest_point(Mesh(truth.vertices, faces), truth.queries(1000))
    assert found.max() < len(truth.faces)


def test_every_instruction_set_gives_the_same_bits(run_python):
    script = (
        "import numpy as np, hashlib; from tests.geometry.test_distance import soup;"
        "from shapetool.geometry.mesh import Mesh; from shapetool.geometry.distance import closest_point;"
        "from shapetool.geometry.kernel import simd; rng = np.random.default_rng(0); v, f = soup(rng, 500, .1);"
        "r = closest_point(Mesh(v, f), rng.uniform(-1, 1, (5000, 3)));"
        "print(simd(), hashlib.sha256(b''.join(x.tobytes() for x in r)).hexdigest())"
    )
    results = dict(run_python(script, SHAPETOOL_SIMD=name).split() for name in ("baseline", "avx2", "avx512"))
    assert "baseline" in results
    assert len(set(results.values())) == 1


def test_no_points_give_no_distances():
    truth = analytic.thin_plate()
    distances, faces, closest = closest_point(Mesh(truth.vertices, truth.faces), np.zeros((0, 3)))
    assert distances.shape == (0,)
    assert faces.shape == (0,)
    assert closest.shape == (0, 3)


def test_a_point_that_is_not_finite_is_refused_with_its_row():
    truth = analytic.thin_plate()
    points = np.zeros((4, 3))
    points[2, 1] = np.nan
    with pytest.raises(MeshError, match="row 2"):
        closest_point(Mesh(truth.vertices, truth.faces), points)


def test_a_mesh_without_faces_is_refused():
    with pytest.raises(MeshError, match="at least one face"):
        closest_point(Mesh(np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int64)), np.zeros((1, 3)))


def test_faces_that_lie_closer_together_than_a_float_can_divide_by_are_told_apart_elsewhere():
    # Along x the middles of the faces differ by less than 16 over the largest float, and by more than nothing.
    rng = np.random.default_rng(3)
    corners = rng.random((64, 3, 3))
    corners[:, :, 0] = 1e-41 * np.arange(64)[:, None]
    mesh = Mesh(corners.reshape(-1, 3), np.arange(192).reshape(-1, 3))
    points = rng.uniform(-1, 2, (50, 3))
    distances, _, _ = closest_point(mesh, points)
    np.testing.assert_allclose(distances, naive.brute_distance(mesh.vertices, mesh.faces, points), atol=1e-12)
