import numpy as np
import pytest

from shapetool.geometry.mesh import Mesh
from shapetool.geometry.topology import analyse
from tests import analytic


def mesh_of(truth):
    return Mesh(truth.vertices, truth.faces)


@pytest.mark.parametrize(
    "shape",
    [
        analytic.nested_cavity,
        analytic.nested_shells,
        analytic.overlapping_shells,
        analytic.thin_plate,
        analytic.open_box,
    ],
)
def test_closed_oriented_and_intersecting_are_seen(shape):
    truth = shape()
    found = analyse(mesh_of(truth))
    assert found.watertight == truth.closed
    assert found.oriented == truth.oriented
    assert found.self_intersecting == truth.self_intersecting


def test_a_box_has_its_volume_and_area():
    found = analyse(Mesh(*analytic.box_mesh((0, 0, 0), (2, 3, 4))))
    assert found.volume == pytest.approx(24, rel=1e-14)
    assert found.area == pytest.approx(52, rel=1e-14)
    assert (found.components, found.open_edges, found.manifold) == (1, 0, True)


def test_one_turned_face_spoils_three_edges():
    vertices, faces = analytic.box_mesh((0, 0, 0), (1, 1, 1))
    faces = faces.copy()
    faces[3] = faces[3, ::-1]
    found = analyse(Mesh(vertices, faces))
    assert found.misoriented_edges == 3
    assert not found.oriented
    assert found.watertight


def test_two_boxes_that_share_an_edge_are_not_manifold_there():
    a, faces = analytic.box_mesh((0, 0, 0), (1, 1, 1))
    b, _ = analytic.box_mesh((1, 1, 0), (2, 2, 1))
    vertices, joined = np.unique(np.concatenate([a, b]), axis=0, return_inverse=True)
    found = analyse(Mesh(vertices, joined.reshape(-1)[np.concatenate([faces, faces + 8])]))
    assert found.nonmanifold_edges == 1
    assert not found.watertight


def test_two_boxes_that_share_a_corner_have_one_vertex_with_two_fans():
    a, faces = analytic.box_mesh((0, 0, 0), (1, 1, 1))
    b, _ = analytic.box_mesh((1, 1, 1), (2, 2, 2))
    vertices, joined = np.unique(np.concatenate([a, b]), axis=0, return_inverse=True)
    found = analyse(Mesh(vertices, joined.reshape(-1)[np.concatenate([faces, faces + 8])]))
    assert (found.nonmanifold_vertices, found.nonmanifold_edges, found.components) == (1, 0, 2)


def grid(n, height):
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    faces = np.concatenate([np.stack([i, i + n, i + 1], 1), np.stack([i + 1, i + n, i + n + 1], 1)])
    return np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3), faces


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.1])
def test_flat_regions_do_not_count_as_meeting_themselves(turn):
    vertices, faces = grid(30, lambda x, y: 0 * x)
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    assert analyse(Mesh(vertices @ rotation.T, faces)).intersecting_pairs == 0


@pytest.mark.parametrize("depth", [1e-3, 1e-6, 1e-9])
def test_a_vertex_pushed_through_a_face_is_seen_however_little(depth):
    vertices, faces = analytic.box_mesh((0, 0, 0), (1, 1, 1))
    spike = np.array([[0.2, 0.3, 1 - depth], [0.1, 0.2, 2.0], [0.4, 0.3, 2.0]])  # its tip dips into the top side
    mesh = Mesh(np.concatenate([vertices, spike]), np.concatenate([faces, [[8, 9, 10]]]))
    assert analyse(mesh).self_intersecting
    clear = spike + np.array([0, 0, 2 * depth])
    assert not analyse(Mesh(np.concatenate([vertices, clear]), mesh.faces)).self_intersecting


def test_two_faces_lying_back_to_back_are_folded():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    found = analyse(Mesh(vertices, np.array([[0, 1, 2], [0, 2, 1]])))
    assert found.folded_edges == 3
    assert found.watertight


def test_a_needle_counts_as_degenerate():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, 1e-10, 0], [0, 1, 0]])
    assert analyse(Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]))).degenerate_faces == 1
