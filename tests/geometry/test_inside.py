"""Inside without distances: the same labels as by hand, as the winding number and as the signed distance have them."""

import numpy as np
import pytest

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.inside import InsideTest, is_inside
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField, signed_distance
from tests import analytic, naive


def crowd(truth: analytic.Truth, count: int, dtype: str) -> np.ndarray:
    """Points close to the shape, uniform ones, and ones on its planes and corners, as stored in a type."""
    rng = np.random.default_rng(5)
    low, high = truth.vertices.min(axis=0), truth.vertices.max(axis=0)
    uniform = rng.uniform(low - 0.05, high + 0.05, (2 * count, 3))
    flat = uniform[:1000].copy()
    flat[:, 0] = rng.choice(truth.vertices[:, 0], 1000)
    points = np.concatenate([truth.queries(count), uniform, flat, truth.vertices])
    return points.astype(dtype).astype(np.float64)


@pytest.mark.parametrize("dtype", ["f8", "f2"])
@pytest.mark.parametrize("shape", analytic.SHAPES, ids=lambda f: f.__name__)
def test_labels_are_those_of_the_signed_distance_and_of_the_shape_itself(shape, dtype):
    truth = shape()
    mesh, points = Mesh(truth.vertices, truth.faces), crowd(truth, 30_000, dtype)
    inside, distances = is_inside(mesh, points), signed_distance(mesh, points)
    assert np.array_equal(inside, distances < 0)
    if truth.inside is not None:
        # In the plane of an opening the winding number may be one half exactly: that is a surface, too.
        half = abs(naive.brute_winding(mesh.vertices, mesh.faces, points) - 0.5) < 1e-9
        clear = (truth.distance(points) > 1e-9) & ~half
        assert clear.sum() > 80_000
        assert np.array_equal(inside[clear], truth.inside(points)[clear])
        assert inside.any()
        assert not inside.all()


@pytest.mark.parametrize("sign", ["auto", "pseudonormal", "winding", "parity"])
@pytest.mark.parametrize("shape", [analytic.nested_shells, analytic.overlapping_shells, analytic.open_box])
def test_every_sign_keeps_its_own_labels(shape, sign):
    truth = shape()
    mesh, points = Mesh(truth.vertices, truth.faces), crowd(truth, 10_000, "f4")
    assert np.array_equal(is_inside(mesh, points, sign), signed_distance(mesh, points, sign) < 0)


def closed_soup(rng: np.random.Generator, count: int) -> Mesh:
    """Tetrahedra thrown into one another, wound outward: closed and oriented, whatever they cut."""
    corners = rng.uniform(-1, 1, (count, 1, 3)) + rng.uniform(-0.5, 0.5, (count, 4, 3))
    turned = np.linalg.det(corners[:, 1:] - corners[:, :1]) < 0
    corners[turned] = corners[turned][:, [0, 2, 1, 3]]
    sides = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    faces = (4 * np.arange(count)[:, None, None] + sides).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3), faces)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["f8", "f2"])
def test_solids_that_cut_one_another_are_decided_as_by_the_exact_winding_number(seed, dtype):
    rng = np.random.default_rng(seed)
    mesh = closed_soup(rng, 30)
    points = rng.uniform(-1.7, 1.7, (20_000, 3)).astype(dtype).astype(np.float64)
    test = InsideTest(mesh)
    assert (test.watertight, test.sign_method) == (True, "crossings")
    inside = test(points)
    exact = naive.brute_winding(mesh.vertices, mesh.faces, points)
    assert np.array_equal(inside, exact > 0.5)
    assert 200 < inside.sum() < 10_000


@pytest.mark.parametrize("seed", range(4))
def test_open_soups_are_asked_point_by_point_and_get_the_same_labels(seed, asked):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-1, 1, (40, 1, 3)) + rng.uniform(-0.9, 0.9, (40, 3, 3))
    mesh = Mesh(corners.reshape(-1, 3), np.arange(120).reshape(-1, 3))
    points = rng.uniform(-1.5, 1.5, (5_000, 3))
    exact = naive.brute_winding(mesh.vertices, mesh.faces, points)
    sure = abs(exact - 0.5) > 1e-6
    assert np.array_equal(is_inside(mesh, points)[sure], (exact > 0.5)[sure])
    assert asked == [5_000]


def test_a_closed_mesh_wound_both_ways_is_asked_point_by_point(asked):
    vertices, faces = analytic.box_mesh((-1, -1, -1), (1, 1, 1))
    faces[:3] = faces[:3, ::-1]
    mesh, points = Mesh(vertices, faces), np.random.default_rng(0).uniform(-1.2, 1.2, (20_000, 3))
    exact = naive.brute_winding(mesh.vertices, mesh.faces, points)
    sure = abs(exact - 0.5) > 1e-6
    assert np.array_equal(is_inside(mesh, points)[sure], (exact > 0.5)[sure])
    assert asked == [20_000]


def test_a_clear_shape_costs_no_distance(asked):
    truth = analytic.nested_shells()
    mesh = Mesh(truth.vertices, truth.faces)
    points = np.random.default_rng(0).uniform(-1.1, 1.1, (200_000, 3)) * np.abs(truth.vertices).max()
    inside = is_inside(mesh, points)
    assert asked == []
    clear = truth.distance(points) > 1e-9
    assert np.array_equal(inside[clear], truth.inside(points)[clear])


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_few_points_are_decided_too(count):
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (count, 3))
    assert np.array_equal(is_inside(mesh, points), (np.abs(points) < 1).all(axis=1))


def test_points_on_the_surface_and_far_away_are_not_inside():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    points = np.array([[1.0, 0, 0], [1, 1, 1], [-1, 0.3, 0.2], [1e300, 0, 0], [0, -1e9, 0], [0, 0, 0]])
    assert is_inside(mesh, points).tolist() == [False] * 5 + [True]


def test_shapes_far_from_the_origin_and_of_any_size_are_decided():
    low, high = np.array([-1, -0.5, -0.01]), np.array([1, 0.5, 0.01])
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (20_000, 3)) * (1, 1, 0.05)
    truth = analytic.box_signed(points, low, high)
    for scale, shift in ((1e-6, 0.0), (1e6, 0.0), (1.0, 1e4), (1.0, 1e8)):
        mesh = Mesh(analytic.box_mesh(low, high)[0] * scale + shift, analytic.box_mesh(low, high)[1])
        clear = abs(truth) > 1e-9 + 1e-15 * shift
        assert np.array_equal(is_inside(mesh, points * scale + shift)[clear], (truth < 0)[clear])


def test_bad_points_and_signs_are_refused():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    with pytest.raises(MeshError, match="row 1"):
        is_inside(mesh, np.array([[0, 0, 0], [np.nan, 0, 0]]))
    with pytest.raises(ConfigError, match="unknown sign"):
        is_inside(mesh, np.zeros((1, 3)), "parrity")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many points the signed distance is asked for, call by call."""
    calls: list[int] = []
    measure = SignedField.__call__

    def counted(self: SignedField, points: np.ndarray) -> np.ndarray:
        calls.append(len(points))
        return measure(self, points)

    monkeypatch.setattr(SignedField, "__call__", counted)
    return calls
