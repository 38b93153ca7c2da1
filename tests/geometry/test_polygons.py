"""Polygons cut into triangles: area, winding and edges are those of the polygon."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapetool.geometry.polygons import triangulate


def shoelace(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def cut(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The triangles of one polygon laid on a tilted plane, its corners there, and the warnings."""
    tilt = np.linalg.qr(np.array([[1.0, 2, 3], [0, 1, 4], [5, 6, 0]]))[0]
    tilt *= np.sign(np.linalg.det(tilt))
    points = np.column_stack([flat, np.zeros(len(flat))]) @ tilt.T + [10.0, -20, 30]
    faces, warnings = triangulate(points, np.arange(len(flat)), np.array([len(flat)]))
    return faces, points, warnings


def areas(flat: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return np.array([shoelace(flat[face]) for face in faces])


SHAPES = {
    "convex": [[0, 0], [2, 0], [3, 1], [1, 3]],
    "arrow": [[0, 0], [4, 4], [0, 1], [-4, 4]],
    "arrow, the dent first": [[0, 1], [-4, 4], [0, 0], [4, 4]],
    "L": [[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]],
    "corners on a straight edge": [[0, 0], [1, 0], [2, 0], [2, 2], [1, 2], [0, 2], [0, 1]],
    "comb": [[0, 0], [7, 0], [7, 3], [6, 3], [6, 1], [5, 1], [5, 3], [4, 3], [4, 1], [3, 1], [3, 3], [0, 3]],
    "a corner twice": [[0, 0], [2, 0], [2, 2], [2, 2], [1, 1], [0, 2]],
    "hole cut open": [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]],
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_triangles_of_a_polygon_cover_it_once_with_its_winding(name: str) -> None:
    flat = np.array(SHAPES[name], float)
    faces, _, warnings = cut(flat)
    signed = areas(flat, faces)
    assert len(faces) == len(flat) - 2
    assert (signed >= -1e-12).all()
    assert signed.sum() == pytest.approx(shoelace(flat))
    assert warnings == []


@pytest.mark.parametrize("name", SHAPES)
def test_each_edge_of_the_polygon_is_the_edge_of_exactly_one_triangle(name: str) -> None:
    flat = np.array(SHAPES[name], float)
    faces, _, _ = cut(flat)
    edges = [(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True)]
    for start in range(len(flat)):
        assert edges.count((start, (start + 1) % len(flat))) == 1
    inner = [(a, b) for a, b in edges if (a + 1) % len(flat) != b]
    assert all((b, a) in inner for a, b in inner)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 24))
def test_random_star_shaped_polygons_are_covered_once(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    angles = (np.arange(size) + rng.uniform(0.1, 0.9, size)) * 2 * np.pi / size
    flat = rng.uniform(0.2, 1.0, size)[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    faces, _, _ = cut(flat)
    signed = areas(flat, faces)
    assert len(faces) == size - 2
    assert np.abs(signed).sum() == pytest.approx(shoelace(flat), rel=1e-6)


def test_a_polygon_that_crosses_itself_is_cut_as_a_fan_and_counted() -> None:
    faces, _, warnings = cut(np.array([[0, 0], [1, 1], [1, 0], [0, 1.0]]))
    assert len(faces) == 2
    assert "1 polygon cut as a fan" in warnings[0]


def test_polygons_of_mixed_sizes_keep_their_order_and_short_ones_are_counted() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 2, 0.0]])
    faces, warnings = triangulate(vertices, np.array([0, 1, 2, 3, 1, 4, 4, 5, 2, 1]), np.array([4, 2, 4]))
    assert {int(i) for i in faces[:2].ravel()} == {0, 1, 2, 3}
    assert {int(i) for i in faces[2:].ravel()} == {4, 5, 2, 1}
    assert warnings == ["1 face with fewer than three corners left out"]
