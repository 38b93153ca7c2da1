"""The unit frames: where a shape lands, and that it comes back."""

import numpy as np
import pytest

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.frame import fit
from shapetool.geometry.mesh import Mesh
from tests.analytic import box_mesh

LOW, HIGH = (1.0, 2.0, 3.0), (3.0, 3.0, 7.0)  # edges 2, 1, 4; centre (2, 2.5, 5)


@pytest.fixture
def mesh() -> Mesh:
    """A box off the origin, and one far vertex that no face uses."""
    vertices, faces = box_mesh(LOW, HIGH)
    return Mesh(np.concatenate([vertices, [[1e6, -1e6, 1e6]]]), faces)


def _used(mesh: Mesh) -> np.ndarray:
    return mesh.vertices[np.unique(mesh.faces)]


def test_sphere_puts_the_farthest_vertex_at_1_over_1_03(mesh: Mesh) -> None:
    unit = _used(fit(mesh, "sphere").apply_mesh(mesh))
    assert np.linalg.norm(unit, axis=1).max() == pytest.approx(1 / 1.03, rel=1e-15)
    np.testing.assert_allclose(unit.min(axis=0), -unit.max(axis=0), rtol=0, atol=1e-15)


def test_box_makes_the_longest_edge_1_about_the_origin(mesh: Mesh) -> None:
    unit = _used(fit(mesh, "box").apply_mesh(mesh))
    np.testing.assert_allclose(unit.max(axis=0), [0.25, 0.125, 0.5], rtol=1e-15)
    np.testing.assert_allclose(unit.min(axis=0), [-0.25, -0.125, -0.5], rtol=1e-15)


def test_diagonal_makes_the_box_diagonal_1(mesh: Mesh) -> None:
    unit = _used(fit(mesh, "diagonal").apply_mesh(mesh))
    assert np.linalg.norm(unit.max(axis=0) - unit.min(axis=0)) == pytest.approx(1, rel=1e-15)


def test_none_changes_nothing(mesh: Mesh) -> None:
    frame = fit(mesh, "none")
    assert frame.scale == 1
    assert np.array_equal(frame.apply_mesh(mesh).vertices, mesh.vertices)


def test_centroid_centres_the_area_and_not_the_vertices() -> None:
    # A square of area 4 about the origin and a triangle of area 2 about (2, 2/3): together the centre is (2/3, 2/9).
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0], [1, 0, 0], [3, 0, 0], [2, 2, 0.0]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]]))
    frame = fit(mesh, "centroid")
    np.testing.assert_allclose(-frame.offset, [2 / 3, 2 / 9, 0], rtol=1e-14, atol=1e-15)
    assert np.linalg.norm(frame.apply(vertices), axis=1).max() == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("kind", ["sphere", "box", "diagonal", "centroid", "none"])
def test_unit_is_original_plus_offset_times_scale_and_inverts(mesh: Mesh, kind: str) -> None:
    frame = fit(mesh, kind)
    points = np.random.default_rng(0).normal(size=(100, 3)) * 5
    assert np.array_equal(frame.apply(points), (points + frame.offset) * frame.scale)
    np.testing.assert_allclose(frame.invert(frame.apply(points)), points, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("kind", "size"), [("sphere", 1.0), ("box", 1.98), ("diagonal", 3.0), ("centroid", 0.5)])
def test_a_given_size_scales_the_frame(mesh: Mesh, kind: str, size: float) -> None:
    own = {"sphere": 1 / 1.03, "box": 1.0, "diagonal": 1.0, "centroid": 1.0}[kind]
    assert fit(mesh, kind, size).scale == pytest.approx(fit(mesh, kind).scale * size / own, rel=1e-14)


@pytest.mark.parametrize("kind", ["sphere", "box", "diagonal", "centroid"])
@pytest.mark.parametrize("factor", [1e-90, 1e90])
def test_huge_and_tiny_meshes_reach_the_same_frame(kind: str, factor: float) -> None:
    vertices, faces = box_mesh(LOW, HIGH)
    plain = Mesh(vertices, faces)
    scaled = Mesh(vertices * factor, faces)
    expected = fit(plain, kind).apply(plain.vertices)
    np.testing.assert_allclose(fit(scaled, kind).apply(scaled.vertices), expected, rtol=1e-13, atol=1e-13)


def test_a_mesh_without_extent_is_refused() -> None:
    point = Mesh(np.ones((3, 3)), np.array([[0, 1, 2]]))
    for kind in ("sphere", "box", "diagonal"):
        with pytest.raises(MeshError, match="expected a mesh with an extent"):
            fit(point, kind)
    with pytest.raises(MeshError, match="at least one face"):
        fit(Mesh(np.ones((3, 3)), np.zeros((0, 3), dtype=np.int64)), "sphere")


def test_an_unknown_frame_or_size_is_refused(mesh: Mesh) -> None:
    with pytest.raises(ConfigError, match="unknown frame 'cube'"):
        fit(mesh, "cube")
    with pytest.raises(ConfigError, match="size is -1"):
        fit(mesh, "box", -1.0)
