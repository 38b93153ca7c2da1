import numpy as np
import pytest

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.lattice import lattice_axes, lattice_distances
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField, signed_distance
from tests import analytic
from tests.geometry.test_distance import soup

UNIT = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
UNEVEN = ((-1.3, -0.7, -2.0), (0.9, 1.1, 0.4))


def nodes(box, resolution: int) -> np.ndarray:
    """Every node in `ij` order, by the formula of the docstring."""
    steps = np.arange(resolution) / (resolution - 1)
    axes = [low + steps * (high - low) for low, high in zip(*box, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def same_points(box, resolution: int) -> np.ndarray:
    return np.stack(np.meshgrid(*lattice_axes(box, resolution), indexing="ij"), axis=-1).reshape(-1, 3)


def round_mesh(faces_along: int) -> Mesh:
    """A closed, bumpy ball of 2 * n^2 faces, more or less."""
    angle = np.linspace(0, 2 * np.pi, 2 * faces_along, endpoint=False)
    height = np.linspace(0, np.pi, faces_along + 1)[1:-1]
    ring = np.stack(np.broadcast_arrays(
        np.sin(height)[:, None] * np.cos(angle), np.sin(height)[:, None] * np.sin(angle), np.cos(height)[:, None]
    ), axis=-1)  # fmt: skip
    ring = ring * (0.7 + 0.1 * np.sin(5 * angle)[:, None] * np.sin(height)[:, None, None])
    vertices = np.concatenate([ring.reshape(-1, 3), [[0, 0, 0.7], [0, 0, -0.7]]])
    columns = len(angle)
    faces = []
    for row in range(len(height) - 1):
        for j in range(columns):
            a, b = row * columns + j, row * columns + (j + 1) % columns
            faces += [(a, a + columns, b), (b, a + columns, b + columns)]
    top, bottom, last = len(vertices) - 2, len(vertices) - 1, (len(height) - 1) * columns
    for j in range(columns):
        faces += [(top, j, (j + 1) % columns), (bottom, last + (j + 1) % columns, last + j)]
    return Mesh(vertices, np.array(faces))


def test_nodes_stand_in_ij_order_and_the_corners_are_those_of_the_box():
    values = lattice_distances(Mesh(*analytic.box_mesh((-0.5, -0.25, -1), (0.5, 0.25, 1))), UNEVEN, 7)
    beyond = np.abs(nodes(UNEVEN, 7)) - (0.5, 0.25, 1)
    truth = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0)
    np.testing.assert_allclose(values, truth, rtol=0, atol=4e-15)
    x, y, z = lattice_axes(UNEVEN, 7)
    assert (x[0], y[0], z[0]) == UNEVEN[0]
    assert (x[-1], y[-1], z[-1]) == UNEVEN[1]


@pytest.mark.parametrize("box", [UNIT, UNEVEN], ids=["unit", "uneven"])
@pytest.mark.parametrize("sign", ["auto", "pseudonormal", "winding", "parity"])
@pytest.mark.parametrize(
    "shape", [analytic.nested_cavity, analytic.sharp_wedge, analytic.overlapping_shells, analytic.open_box]
)
def test_a_lattice_has_the_bits_of_scattered_points(shape, sign, box):
    truth = shape()
    mesh = Mesh(truth.vertices, truth.faces)
    values = lattice_distances(mesh, box, 21, sign=sign)
    assert values.shape == (21, 21, 21)
    assert np.array_equal(values.ravel(), signed_distance(mesh, same_points(box, 21), sign=sign))


@pytest.mark.parametrize("faces_along", [6, 30, 120])  # few triangles a cluster, many, and more than one takes
@pytest.mark.parametrize("resolution", [2, 8, 33])
def test_it_has_them_whatever_the_cells_and_the_triangles_measure(faces_along, resolution):
    mesh = round_mesh(faces_along)
    values = lattice_distances(mesh, UNIT, resolution)
    assert np.array_equal(values.ravel(), signed_distance(mesh, same_points(UNIT, resolution)))


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e9])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e20])
def test_it_has_them_at_any_size_and_far_from_the_origin(offset, scale):
    vertices, faces = soup(np.random.default_rng(3), 300, 0.1)
    mesh = Mesh((vertices + offset) * scale, faces)
    box = tuple(tuple((np.full(3, corner) + offset) * scale) for corner in (-2.0, 2.0))
    values = lattice_distances(mesh, box, 12)
    assert np.array_equal(values.ravel(), signed_distance(mesh, same_points(box, 12)))


def test_a_box_far_away_from_the_mesh_is_measured_too():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    box = ((2e15, 0.0, 0.0), (4e15, 1.0, 1.0))  # where single precision ends
    values = lattice_distances(mesh, box, 3)
    np.testing.assert_allclose(values, nodes(box, 3)[..., 0] - 1, rtol=1e-15)


def test_threads_change_no_bit():
    mesh = round_mesh(30)
    one, three = (lattice_distances(mesh, UNIT, 40, threads=n) for n in (1, 3))
    assert np.array_equal(one, three)


def test_every_instruction_set_gives_the_same_lattice(run_python):
    script = (
        "import hashlib; import numpy as np; from tests.geometry.test_lattice import round_mesh, UNIT;"
        "from shapetool.geometry.kernel import simd; from shapetool.geometry.lattice import lattice_distances;"
        "r = [lattice_distances(round_mesh(n), UNIT, 21) for n in (6, 30, 120)];"
        "print(simd(), hashlib.sha256(b''.join(x.tobytes() for x in r)).hexdigest())"
    )
    results = dict(run_python(script, SHAPETOOL_SIMD=name).split() for name in ("baseline", "avx2", "avx512"))
    assert "baseline" in results
    assert len(set(results.values())) == 1


def test_truncation_cuts_both_ways_and_changes_nothing_between():
    mesh = round_mesh(12)
    whole, cut = lattice_distances(mesh, UNIT, 16), lattice_distances(mesh, UNIT, 16, truncate=0.1)
    near = np.abs(whole) < 0.1
    assert near.any()
    assert np.array_equal(cut[near], whole[near])
    assert np.array_equal(cut[~near], np.sign(whole[~near]) * 0.1)


def test_a_field_is_taken_as_it_is():
    mesh = round_mesh(12)
    field = SignedField(mesh, sign="parity")
    assert np.array_equal(lattice_distances(field, UNIT, 9), lattice_distances(mesh, UNIT, 9, sign="parity"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((UNIT, 1), "at least 2 nodes"),
        ((((0.0, 0.0, 0.0), (1.0, 1.0, 0.0)), 8), "low below high"),
        ((((0.0, 0.0, 0.0), (1.0, 1.0, float("inf"))), 8), "finite"),
        ((UNIT, 8, "floods"), "floods"),
        ((UNIT, 8, "auto", 0.0), "above 0"),
        ((UNIT, 8, "auto", float("nan")), "above 0"),
    ],
)
def test_what_makes_no_lattice_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        lattice_distances(round_mesh(6), *arguments)


def test_a_mesh_without_a_face_is_refused():
    with pytest.raises(MeshError, match="at least one face"):
        lattice_distances(Mesh(np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int64)), UNIT, 4)
