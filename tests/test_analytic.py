"""The hand-written truths, checked by slow sums over their own triangles."""

from collections import Counter

import numpy as np
import pytest

from tests.analytic import SHAPES, Truth


def _triangle_distance(point: np.ndarray, triangle: np.ndarray) -> float:
    """The distance of one point to one triangle: its plane where the foot lies within, else its three sides."""
    normal = np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])
    best = np.inf
    if normal @ normal > 0:
        foot = point - normal * ((point - triangle[0]) @ normal) / (normal @ normal)
        turns = [np.cross(triangle[(i + 1) % 3] - triangle[i], foot - triangle[i]) @ normal for i in range(3)]
        if min(turns) >= 0:
            best = float(np.linalg.norm(point - foot))
    for i in range(3):
        side = triangle[(i + 1) % 3] - triangle[i]
        part = np.clip((point - triangle[i]) @ side / (side @ side), 0, 1)
        best = min(best, float(np.linalg.norm(point - triangle[i] - part * side)))
    return best


def _winding(point: np.ndarray, triangles: np.ndarray) -> float:
    """The sum of the solid angles of the triangles over 4 pi (van Oosterom and Strackee, 1983)."""
    a, b, c = np.moveaxis(triangles - point, 1, 0)
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    top = np.einsum("ij,ij->i", a, np.cross(b, c))
    bottom = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(np.arctan2(top, bottom).sum() / (2 * np.pi))


@pytest.fixture(params=SHAPES, ids=[make.__name__ for make in SHAPES])
def truth(request: pytest.FixtureRequest) -> Truth:
    return request.param()


def test_the_distance_is_that_of_the_nearest_triangle(truth: Truth) -> None:
    points = truth.queries(90)
    slow = [min(_triangle_distance(p, t) for t in truth.vertices[truth.faces]) for p in points]
    # 1e-9: the naive foot on a needle of 1e-7 loses digits, the box formula does not
    np.testing.assert_allclose(truth.distance(points), slow, rtol=0, atol=1e-9)


def test_inside_is_where_the_winding_number_says_so(truth: Truth) -> None:
    points = truth.queries(300)
    winding = np.array([_winding(p, truth.vertices[truth.faces]) for p in points])
    clear = truth.distance(points) > 1e-6
    if truth.inside is None:
        np.testing.assert_allclose(winding[clear], 0, atol=1e-9)
        return
    if truth.name == "inside-out box":
        winding = -winding
    assert np.array_equal(truth.inside(points)[clear], winding[clear] > 0.5)
    assert 0 < truth.inside(points).mean() < 1


def test_closed_and_oriented_are_true_of_the_faces(truth: Truth) -> None:
    directed = Counter((int(f[i]), int(f[(i + 1) % 3])) for f in truth.faces for i in range(3))
    paired = all(count == 1 and directed[(b, a)] == 1 for (a, b), count in directed.items())
    assert paired == truth.closed
    a, b, c = np.moveaxis(truth.vertices[truth.faces], 1, 0)
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    if truth.closed:
        assert (volume > 0) == truth.oriented
