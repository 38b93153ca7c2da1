"""The sign of the flood: against shapes decided by hand, the exact winding number, and what no winding number tells."""

import numpy as np
import pytest

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.flood_sign import Flood, FloodField
from shapetool.geometry.inside import InsideTest
from shapetool.geometry.lattice import lattice_distances
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import signed_distance
from shapetool.geometry.sign import winding_number
from tests import analytic

COARSE = Flood(resolution=64)
UNIT = ((-1.1, -1.1, -1.1), (1.1, 1.1, 1.1))


def mesh_of(truth: analytic.Truth) -> Mesh:
    return Mesh(truth.vertices, truth.faces)


def muddled(truth: analytic.Truth) -> Mesh:
    """The same surface with every third face turned, so that no winding number helps."""
    faces = truth.faces.copy()
    faces[::3] = faces[::3, ::-1]
    return Mesh(truth.vertices, faces)


def bent_tube(n: int = 48) -> Mesh:
    """A closed, bumpy ring about the z axis, wound outward."""
    a, b = np.meshgrid(2 * np.pi * np.arange(n) / n, 2 * np.pi * np.arange(n // 2) / (n // 2), indexing="ij")
    thick = 0.2 + 0.05 * np.cos(5 * a)
    out = 0.7 + thick * np.cos(b)
    vertices = np.stack([out * np.cos(a), out * np.sin(a), thick * np.sin(b)], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(n), np.arange(n // 2), indexing="ij")

    def at(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p % n) * (n // 2) + q % (n // 2)

    one = np.stack([at(i, j), at(i + 1, j), at(i + 1, j + 1)], axis=-1).reshape(-1, 3)
    two = np.stack([at(i, j), at(i + 1, j + 1), at(i, j + 1)], axis=-1).reshape(-1, 3)
    return Mesh(vertices, np.concatenate([one, two]))


@pytest.mark.parametrize(
    "shape",
    [analytic.nested_shells, analytic.overlapping_shells, analytic.thin_plate, analytic.sharp_wedge],
    ids=lambda f: f.__name__,
)
def test_faces_wound_at_random_change_no_sign(shape):
    truth = shape()
    points = truth.queries(20000)
    distances = FloodField(muddled(truth), flood=COARSE)(points)
    assert not ((distances < 0) != truth.inside(points))[abs(distances) > 1e-9].any()
    np.testing.assert_allclose(abs(distances), truth.distance(points), rtol=0, atol=2e-15)


def test_signs_are_those_of_the_exact_winding_number_on_a_curved_surface_with_faces_turned():
    mesh = bent_tube()
    rng = np.random.default_rng(3)
    points = np.concatenate([mesh.vertices + rng.normal(0, 0.02, mesh.vertices.shape), rng.uniform(-1, 1, (20000, 3))])
    turned = mesh.faces.copy()
    turned[::2] = turned[::2, ::-1]
    distances = FloodField(Mesh(mesh.vertices, turned), flood=COARSE)(points)
    inside = winding_number(mesh, points, exact=True) > 0.5
    assert inside.any()
    assert not ((distances < 0) != inside)[abs(distances) > 1e-9].any()


@pytest.mark.parametrize(
    "shape",
    [analytic.nested_cavity, analytic.nested_shells, analytic.overlapping_shells, analytic.inside_out_box],
    ids=lambda f: f.__name__,
)
def test_a_closed_oriented_surface_has_the_signs_of_its_winding_number(shape):
    truth = shape()
    points = truth.queries(20000)
    distances = signed_distance(mesh_of(truth), points, sign="flood")
    assert not ((distances < 0) != truth.inside(points))[abs(distances) > 1e-12].any()


def test_shells_turned_against_each_other_are_both_solid():
    first, second = (analytic.box_mesh((x, -0.5, -0.5), (x + 0.8, 0.5, 0.5)) for x in (-1.0, 0.2))
    mesh = Mesh(np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1][:, ::-1] + 8]))
    points = np.array([[-0.6, 0.1, 0.1], [0.6, 0.1, 0.1], [0.0, 0.1, 0.1]])
    np.testing.assert_allclose(signed_distance(mesh, points, sign="flood"), [-0.4, -0.4, 0.2], atol=1e-12)


def test_without_orientation_a_cavity_is_inside_for_no_flood_comes_there():
    truth = analytic.nested_cavity()
    hollow = np.array([[0.0, 0.1, -0.1]])
    assert FloodField(mesh_of(truth))(hollow)[0] > 0
    assert FloodField(muddled(truth), flood=COARSE)(hollow)[0] < 0


def test_a_box_with_every_face_twice_is_solid_and_a_sheet_encloses_nothing():
    truth = analytic.doubled_box()
    points = truth.queries(5000)
    solid = analytic.box_signed(points, (-1, -0.6, -0.4), (1, 0.6, 0.4))
    for vertices, faces in (
        (truth.vertices, truth.faces),
        (np.concatenate([truth.vertices] * 2), np.concatenate([truth.faces[:12], truth.faces[12:] + 8])),
    ):
        distances = FloodField(Mesh(vertices, faces), flood=COARSE)(points)
        np.testing.assert_allclose(distances, np.where(solid < 0, -1, 1) * truth.distance(points), atol=2e-15)
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    both = np.array([[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]])
    assert (FloodField(Mesh(square, both), flood=COARSE)(points) >= 0).all()


def narrow_box() -> Mesh:
    """A box 2 long without its top, whose mouth is 0.4 wide."""
    vertices, faces = analytic.box_mesh((-1.0, -0.2, -0.5), (1.0, 0.2, 0.5))
    top = (vertices[faces][:, :, 2] == 0.5).all(axis=1)
    return Mesh(vertices, faces[~top])


@pytest.mark.parametrize(("gap", "inside"), [(0.0, False), (0.1, False), (0.25, True)])
def test_an_opening_is_closed_below_the_gap_and_open_above(gap, inside):
    middle = np.array([[0.1, 0.02, -0.1]])
    field = FloodField(narrow_box(), flood=Flood(64, gap))
    assert (field(middle)[0] < 0) == inside
    assert not field.watertight


def test_nodes_have_the_values_of_points_and_threads_change_no_bit():
    mesh = narrow_box()
    axes = [np.linspace(-1, 1, n) for n in (17, 12, 9)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    one, two = FloodField(mesh, 1, Flood(64, 0.25)), FloodField(Mesh(mesh.vertices, mesh.faces), 2, Flood(64, 0.25))
    values = one.at_nodes(*axes)
    assert np.array_equal(values, one(points.reshape(-1, 3)).reshape(values.shape))
    assert np.array_equal(values, two.at_nodes(*axes))
    assert (values < 0).any()


def test_inside_and_lattices_take_the_sign_too():
    truth = analytic.overlapping_shells()
    points = truth.queries(3000)
    assert np.array_equal(InsideTest(mesh_of(truth), "flood")(points), truth.inside(points))
    values = lattice_distances(mesh_of(truth), UNIT, 9, sign="flood")
    assert np.array_equal(values, lattice_distances(mesh_of(truth), UNIT, 9, sign="winding"))


def test_what_cannot_be_flooded_is_refused():
    with pytest.raises(ConfigError, match="flood_resolution is 4"):
        Flood(resolution=4)
    with pytest.raises(ConfigError, match=r"flood_gap is 0\.6"):
        Flood(gap=0.6)
    with pytest.raises(MeshError, match="extent"):
        FloodField(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))
