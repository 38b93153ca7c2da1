"""Pieces of a mesh by size, and normals of a field at its vertices."""

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.extraction.components import component_of_faces, drop_small_components
from shapetool.extraction.refine import vertex_normals
from shapetool.extraction.surface import extract_surface
from shapetool.geometry import analytic
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.topology import analyse
from tests.analytic import box_mesh

SIZES = (1.0, 0.5, 0.1)  # sides of cubes: volumes 1, 1/8, 1/1000, areas 6, 3/2, 6/100
BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def cubes():
    vertices, faces = [], []
    for k, size in enumerate(SIZES):
        corners, triangles = box_mesh((3.0 * k, 0.0, 0.0), (3.0 * k + size, size, size))
        vertices.append(corners)
        faces.append(triangles + 8 * k)
    return Mesh(np.concatenate(vertices), np.concatenate(faces))


@pytest.mark.parametrize(
    ("least", "measure", "left"),
    [
        (0.0, "volume", 3),
        (0.0011, "volume", 2),
        (0.0009, "volume", 3),
        (0.126, "volume", 1),
        (0.24, "area", 2),
        (0.26, "area", 1),
        (1.0, "volume", 1),
        (12, "faces", 3),
    ],
)
def test_pieces_below_a_share_of_the_largest_are_dropped(least, measure, left):
    mesh = drop_small_components(cubes(), least, measure)
    assert component_of_faces(mesh).max() + 1 == left
    assert mesh.volume == pytest.approx(sum(size**3 for size in SIZES[:left]))
    assert len(mesh.vertices) == 8 * left  # none without a face


def test_pieces_with_few_faces_are_dropped_and_all_of_them_leave_nothing():
    assert len(drop_small_components(cubes(), 13, "faces").faces) == 0


def test_a_cavity_is_a_piece_with_the_volume_that_it_encloses():
    outer, inner = box_mesh((-1.0,) * 3, (1.0,) * 3), box_mesh((-0.5,) * 3, (0.5,) * 3)
    mesh = Mesh(np.concatenate([outer[0], inner[0]]), np.concatenate([outer[1], inner[1][:, ::-1] + 8]))
    assert drop_small_components(mesh, 0.1).volume == pytest.approx(7)
    assert drop_small_components(mesh, 0.2).volume == pytest.approx(8)


def test_where_the_mesh_lies_does_not_matter():
    far = Mesh(cubes().vertices + 1e6, cubes().faces)
    assert len(drop_small_components(far, 0.126).faces) == 12


@pytest.mark.parametrize(
    ("least", "measure"), [(-0.1, "volume"), (1.5, "area"), (float("nan"), "faces"), (-1, "faces")]
)
def test_a_share_out_of_range_is_refused(least, measure):
    with pytest.raises(ConfigError, match="smallest component"):
        drop_small_components(cubes(), least, measure)
    with pytest.raises(ConfigError, match="unknown measure 'weight'"):
        drop_small_components(cubes(), 0.1, "weight")


def test_normals_of_the_field_are_those_of_the_shape():
    mesh = extract_surface(analytic.sphere(0.7), BOX, 40)
    normals = vertex_normals(analytic.sphere(0.7), mesh)
    truth = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(normals, truth, atol=1e-6)


def test_where_the_field_is_flat_the_faces_give_the_normal():
    mesh = extract_surface(analytic.sphere(0.7), BOX, 40)
    normals = vertex_normals(lambda points: np.where(points[:, 2] > 0.0123, analytic.sphere(0.7)(points), 1.0), mesh)
    truth = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert (normals * truth).sum(axis=1).min() > 0.98
    assert analyse(mesh).sound
