"""The named libraries behind `--backend`: same interface, our sign, their errors said aloud."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.geometry.backends import APPROXIMATE, PysdfField, load_backend
from shapetool.geometry.mesh import Mesh, load_mesh

HALF = np.array([1.0, 1.0, 0.05])


def box_distance(points: np.ndarray) -> np.ndarray:
    """The signed distance to the box of half edges HALF, in closed form."""
    beyond = np.abs(points) - HALF
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


def sliver_box(n: int) -> Mesh:
    """A closed thin box: its top is two triangles, its bottom n x n squares, its walls fans of slivers."""
    steps = np.linspace(-1, 1, n + 1)
    bottom = np.array([(x, y, -HALF[2]) for x in steps for y in steps])
    top = np.array([(-1, -1, HALF[2]), (-1, 1, HALF[2]), (1, -1, HALF[2]), (1, 1, HALF[2])])
    index = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    corner = len(bottom) + np.arange(4).reshape(2, 2)
    low, right, up, high = (index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:])
    faces = [np.stack([a.ravel() for a in square], axis=1) for square in ((low, up, right), (right, up, high))]
    faces.append(np.array([[corner[0, 0], corner[1, 0], corner[0, 1]], [corner[1, 0], corner[1, 1], corner[0, 1]]]))
    walls = [
        (index[:, 0], corner[0, 0], corner[1, 0]),
        (index[-1, :], corner[1, 0], corner[1, 1]),
        (index[::-1, -1], corner[1, 1], corner[0, 1]),
        (index[0, ::-1], corner[0, 1], corner[0, 0]),
    ]
    for rim, first, last in walls:
        faces.append(np.array([[a, b, first] for a, b in pairwise(rim)]))
        faces.append(np.array([[rim[-1], last, first]]))
    return Mesh(np.concatenate([bottom, top]), np.concatenate(faces))


def test_the_sliver_box_of_these_tests_is_closed_and_winds_outward():
    mesh = sliver_box(8)
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    assert len(directed) == len(edges)
    assert {(b, a) for a, b in directed} == directed
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 == pytest.approx(8 * HALF.prod())


def test_pysdf_is_negative_inside_like_every_field():
    pytest.importorskip("pysdf", reason="the pysdf extra is not installed")
    field = PysdfField(sliver_box(8))
    distances = field(np.array([[0.1, 0.2, 0.0], [0.1, 0.2, 3.0]]))
    assert distances[0] < 0 < distances[1]
    assert distances.dtype == np.float64
    assert field.sign_method == "pysdf"
    assert field.watertight


def test_pysdf_says_that_it_is_approximate_and_is_on_a_hand_made_sliver_box():
    pytest.importorskip("pysdf", reason="the pysdf extra is not installed")
    field = PysdfField(sliver_box(64))
    assert field.warnings == (APPROXIMATE,)
    # Just above the middle of the top: the nearest vertex lies on the bottom, and no face there is the nearest one.
    points = np.random.default_rng(0).uniform([-0.5, -0.5, 0.06], [0.5, 0.5, 0.1], (500, 3))
    error = np.abs(field(points) - box_distance(points))
    assert np.median(error) > 0.05, "pysdf has become exact here: say so in the docs and drop the warning"


def test_native_is_exact_where_pysdf_is_not():
    field = load_backend("native")(sliver_box(64), "auto", None)
    points = np.random.default_rng(0).uniform([-0.5, -0.5, 0.06], [0.5, 0.5, 0.1], (500, 3))
    # Double rounding of lengths near 1 through one projection.
    np.testing.assert_allclose(field(points), box_distance(points), rtol=0, atol=1e-14)


@pytest.mark.verify
def test_pysdf_is_off_by_more_than_a_percent_of_the_radius_on_a_cad_part(real_data):
    pytest.importorskip("pysdf", reason="the pysdf extra is not installed")
    path = sorted((real_data / "cad").rglob("*Spool_Holder*"))[0]
    mesh = load_mesh(path)
    radius = np.linalg.norm(np.ptp(mesh.vertices, axis=0)) / 2
    rng = np.random.default_rng(0)
    chosen = mesh.vertices[mesh.faces[rng.integers(len(mesh.faces), size=2000)]].mean(axis=1)
    points = (chosen + rng.normal(0, 0.05 * radius, chosen.shape)).astype(np.float32).astype(np.float64)
    native = load_backend("native")(mesh, "auto", None)(points)
    other = load_backend("pysdf")(mesh, "auto", None)(points)
    error = np.abs(np.abs(native) - np.abs(other)) / radius
    assert error.max() > 0.01
    # Both are distances to faces of the mesh, so the exact one is never the larger (up to pysdf's float32).
    assert np.all(np.abs(native) <= np.abs(other) + 1e-5 * radius)


def test_a_vertex_without_faces_does_not_reach_pysdf():
    pytest.importorskip("pysdf", reason="the pysdf extra is not installed")
    mesh = sliver_box(4)
    stray = Mesh(np.concatenate([mesh.vertices, [[0.0, 0.0, 1.0]]]), mesh.faces)
    assert PysdfField(stray)(np.array([[0.0, 0.0, 0.99]]))[0] < 2


def test_pysdf_refuses_a_sign_that_it_cannot_do():
    with pytest.raises(ConfigError, match=r"parity.*--sign winding"):
        PysdfField(sliver_box(2), sign="winding")


def test_a_missing_pysdf_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysdf", None)
    with pytest.raises(ConfigError, match=r"pip install 'shapetool\[pysdf\]'"):
        load_backend("pysdf")


def test_warp_comes_with_the_gpu_extra():
    with pytest.raises(ConfigError, match="comes with the gpu extra"):
        load_backend("warp")


def test_a_misspelt_backend_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"'pysfd'; did you mean 'pysdf'\?.*native, pysdf, warp"):
        load_backend("pysfd")
