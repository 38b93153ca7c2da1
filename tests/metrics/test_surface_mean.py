"""Bounds of the mean distance between surfaces: they hold what many points have, and are as narrow as asked."""

import math

import numpy as np
import pytest

from shapetool.errors import MetricError
from shapetool.geometry.distance import closest_point
from shapetool.geometry.mesh import Mesh
from shapetool.metrics import surface_mean
from shapetool.metrics.surface_mean import chamfer_interval, mean_interval_to
from shapetool.sampling.surface import sample_surface
from tests.analytic import box_mesh


def box(low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0)):
    return Mesh(*box_mesh(low, high))


def soup(seed, count=20, size=0.4):
    """Triangles that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    corners = rng.random((count, 1, 3)) + size * rng.normal(size=(count, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


@pytest.mark.parametrize("seed", range(8))
def test_the_bounds_hold_what_many_points_have(seed):
    a, b = soup(seed), soup(100 + seed, count=30, size=0.1)
    found = mean_interval_to(a, b, 5e-3)
    points, _, _ = sample_surface(a, 200_000, np.random.default_rng(seed))
    drawn = closest_point(b, points)[0]
    error = 5 * drawn.std() / math.sqrt(len(drawn))
    assert found.lower - error <= drawn.mean() <= found.upper + error
    assert 0 <= found.upper - found.lower <= 5e-3 * (1 + 1e-9)
    assert found.lower <= found.value <= found.upper


def test_both_ways_are_halved():
    a, b = soup(1), soup(2)
    there, back, both = mean_interval_to(a, b, 0.01), mean_interval_to(b, a, 0.01), chamfer_interval(a, b, 0.01)
    assert both.lower == (there.lower + back.lower) / 2
    assert both.upper == (there.upper + back.upper) / 2


def test_a_mesh_is_exactly_nothing_from_itself_and_from_a_part_of_a_larger_one():
    a = soup(3)
    assert mean_interval_to(a, a) == surface_mean.Interval(0.0, 0.0, 0.0)
    assert mean_interval_to(a, Mesh(np.r_[a.vertices, soup(4).vertices], np.r_[a.faces, soup(4).faces + 60])).upper == 0


def test_parallel_squares_are_as_far_apart_as_they_are():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    found = mean_interval_to(Mesh(corners, faces), Mesh(2 * corners - np.array([0.5, 0.5, 0.25]), faces), 1e-9)
    assert found.lower == pytest.approx(0.25, abs=1e-9)
    assert found.upper == pytest.approx(0.25, abs=1e-9)


def test_the_bounds_grow_with_the_shapes_and_stay_where_these_are_moved():
    a, b = box(), box((0.2, 0.3, 0.1), (1.4, 1.1, 0.8))
    here = chamfer_interval(a, b, 5e-4)
    for scale, shift in ((1.0, 1000.0), (64.0, 0.0), (1 / 64, -3.0)):
        moved = [Mesh(mesh.vertices * scale + shift, mesh.faces) for mesh in (a, b)]
        there = chamfer_interval(*moved, 0.01 * scale)
        assert there.lower <= here.upper * scale
        assert here.lower * scale <= there.upper
        assert there.upper - there.lower <= 0.01 * scale * (1 + 1e-9)


def test_a_face_without_area_weighs_nothing():
    a = box()
    flat = Mesh(np.r_[a.vertices, [[9.0, 9, 9], [10, 9, 9], [11, 9, 9]]], np.r_[a.faces, [[8, 9, 10]]])
    b = box((0.5, 0, 0), (1.5, 1, 1))
    assert mean_interval_to(flat, b, 0.01).upper == pytest.approx(mean_interval_to(a, b, 0.01).upper, abs=0.01)


def test_the_feet_are_those_of_the_kernel():
    rng = np.random.default_rng(5)
    points, triangles = rng.normal(size=(500, 3)), rng.normal(size=(500, 3, 3))
    triangles[:20, 2] = (triangles[:20, 0] + triangles[:20, 1]) / 2  # without area
    feet = surface_mean._feet(points, triangles)
    for point, triangle, foot in zip(points, triangles, feet, strict=True):
        distance, _, place = closest_point(Mesh(triangle, np.array([[0, 1, 2]])), point[None])
        assert np.linalg.norm(point - foot) == pytest.approx(distance[0], rel=1e-9)
        assert foot == pytest.approx(place[0], abs=1e-6)


def test_faces_far_away_are_not_asked_and_groups_hold_every_point():
    points = np.random.default_rng(6).random((1000, 3))
    groups = list(surface_mean._groups(points))
    assert sorted(np.concatenate(groups)) == list(range(1000))
    assert max(map(len, groups)) <= surface_mean._GROUP
    a, far = box(), box((50.0, 0, 0), (51, 1, 1))
    both = Mesh(np.r_[a.vertices + 0.1, far.vertices], np.r_[a.faces, far.faces + 8])
    begun = surface_mean._begun(a.triangles, both)
    assert begun.face.max() < 12
    assert (np.diff(begun.piece) >= 0).all()


def test_what_makes_no_sense_is_refused(monkeypatch):
    for tolerance in (0.0, -1.0, math.nan):
        with pytest.raises(MetricError, match="tolerance above 0"):
            mean_interval_to(box(), box((0.5, 0, 0), (1.5, 1, 1)), tolerance)
    monkeypatch.setattr(surface_mean, "_MOST_CANDIDATES", 2)
    with pytest.raises(MetricError, match="found 144 pairs of 12 and 12 faces"):
        mean_interval_to(box(), box((0.5, 0, 0), (1.5, 1, 1)), 0.1)


def test_where_it_cannot_be_afforded_the_bounds_are_wider_and_still_hold(monkeypatch):
    truth = (0.3 + (1 - 0.4**3) / 6 + 2 * 0.09) / 6
    monkeypatch.setattr(surface_mean, "_MOST_PIECES", 100)
    found = chamfer_interval(box(), box((0.3, 0, 0), (1.3, 1, 1)), 1e-6)
    assert found.upper - found.lower > 1e-3
    assert found.lower <= truth <= found.upper
