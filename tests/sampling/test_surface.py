"""Surface points lie on their faces, uniform by area, in random order."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.sampling.surface import points_on_edges, sample_surface, sharp_edges
from tests.analytic import box_mesh, box_signed

LOW, HIGH = (-1.0, -0.5, -0.25), (1.0, 0.5, 0.25)  # side areas: x .5, y 1, z 2 (two of each)


@pytest.fixture
def mesh() -> Mesh:
    return Mesh(*box_mesh(LOW, HIGH))


def test_points_lie_on_the_face_that_is_named_with_its_outward_normal(mesh: Mesh) -> None:
    points, normals, faces = sample_surface(mesh, 5000, np.random.default_rng(0))
    assert np.abs(box_signed(points, LOW, HIGH)).max() < 1e-15
    offsets = np.einsum("ij,ij->i", points - mesh.triangles[faces, 0], normals)
    assert np.abs(offsets).max() < 1e-15
    assert (box_signed(points + 1e-3 * normals, LOW, HIGH) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-15)


def test_faces_are_hit_in_proportion_to_their_area(mesh: Mesh) -> None:
    count = 140_000
    _, _, faces = sample_surface(mesh, count, np.random.default_rng(1))
    share = np.bincount(faces // 4, minlength=3) / count
    expected = np.array([0.5, 1.0, 2.0]) / 3.5
    assert np.abs(share - expected).max() < 5 * np.sqrt(0.25 / count)  # five standard errors


def test_points_are_uniform_within_a_triangle() -> None:
    mesh = Mesh(np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))
    points, _, _ = sample_surface(mesh, 60_000, np.random.default_rng(2))
    u, v = points[:, 0] / 2, points[:, 1]
    # moments of the uniform triangle: mean 1/3, variance 1/18, covariance -1/36
    np.testing.assert_allclose([u.mean(), v.mean()], 1 / 3, atol=5 * np.sqrt(1 / 18 / 60_000))
    np.testing.assert_allclose(np.cov(u, v), [[1 / 18, -1 / 36], [-1 / 36, 1 / 18]], atol=1.5e-3)
    assert np.mean(u + v < 0.5) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 60_000))


def test_every_slice_of_the_surface_points_is_a_fair_draw(mesh: Mesh) -> None:
    _, _, faces = sample_surface(mesh, 70_000, np.random.default_rng(3))
    for part in np.split(faces, 10):
        share = np.bincount(part // 4, minlength=3) / 7000
        assert np.abs(share - np.array([0.5, 1.0, 2.0]) / 3.5).max() < 5 * np.sqrt(0.25 / 7000)


def test_the_number_of_points_on_a_face_varies_as_independent_draws_do() -> None:
    square = Mesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    rng = np.random.default_rng(6)
    hits = [np.count_nonzero(sample_surface(square, 100, rng)[2]) for _ in range(2000)]
    # binomial with 100 draws at a half: variance 25; the estimate from 2000 has a relative error of sqrt(2 / 2000)
    assert np.var(hits) == pytest.approx(25, rel=5 * np.sqrt(2 / 2000))


def test_faces_of_zero_area_are_never_drawn() -> None:
    vertices, faces = box_mesh(LOW, HIGH)
    flat = np.array([[0, 0, 1], [0, 1, 1]])
    mesh = Mesh(vertices, np.concatenate([flat[:1], faces, flat[1:]]))
    _, normals, drawn = sample_surface(mesh, 20_000, np.random.default_rng(4))
    assert drawn.min() >= 1
    assert drawn.max() <= 12
    assert np.linalg.norm(normals, axis=1).min() > 0.999


def test_a_mesh_without_area_is_refused_and_no_points_are_no_problem() -> None:
    mesh = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(MeshError, match="faces with an area"):
        sample_surface(mesh, 1, np.random.default_rng(0))
    assert sample_surface(mesh, 0, np.random.default_rng(0))[0].shape == (0, 3)


def test_the_sharp_edges_of_a_box_are_its_twelve_edges(mesh: Mesh) -> None:
    edges = sharp_edges(mesh, 15.0)
    assert len(edges) == 12
    spans = mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]]
    assert (np.count_nonzero(spans, axis=1) == 1).all()
    assert len(sharp_edges(mesh, 90.5)) == 0


def test_a_fold_is_sharp_from_its_own_angle_on_and_a_rim_never() -> None:
    for degrees in (14.0, 16.0):
        turn = np.radians(degrees)
        vertices = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [-np.cos(turn), 0, np.sin(turn)]])
        for second in ([0, 1, 3], [1, 0, 3]):  # wound with its neighbour, and against it
            mesh = Mesh(vertices, np.array([[0, 2, 1], second]))
            found = sharp_edges(mesh, 15.0)
            assert len(found) == (1 if degrees > 15 else 0)
            if len(found):
                assert set(found[0].tolist()) == {0, 1}


def test_points_on_edges_are_uniform_by_length(mesh: Mesh) -> None:
    edges = np.array([[0, 4], [0, 1]])  # 2 long in x, 0.5 long in z
    points = points_on_edges(mesh, edges, 40_000, np.random.default_rng(5))
    on_long = points[:, 2] == LOW[2]
    assert on_long.mean() == pytest.approx(0.8, abs=5 * np.sqrt(0.16 / 40_000))
    assert points[on_long, 0].mean() == pytest.approx(0, abs=5 * 2 / np.sqrt(12 * 32_000))
    assert points[on_long, 0].std() == pytest.approx(2 / np.sqrt(12), rel=0.02)
