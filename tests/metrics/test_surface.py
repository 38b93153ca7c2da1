"""Distances to the surface itself, and Hausdorff bounds that hold."""

import numpy as np
import pytest

from shapetool.errors import MeshError, MetricError
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.metrics.surface import (
    _to_triangles,
    compare_surfaces,
    directed_hausdorff_interval,
    from_surface,
    hausdorff_interval,
)
from tests.analytic import box_mesh
from tests.naive import triangle_distance_sq


def box(low=(0, 0, 0), high=(1, 1, 1)) -> Mesh:
    return Mesh(*box_mesh(low, high))


def blob(seed: int, faces: int = 30) -> Mesh:
    """Triangles anywhere, of any shape; one is a sliver and one a point."""
    corners = np.random.default_rng(seed).normal(size=(faces, 3, 3))
    corners[0, 2] = corners[0, 0] * 0.5 + corners[0, 1] * 0.5
    corners[1] = corners[1, :1]
    return Mesh(corners.reshape(-1, 3), np.arange(3 * faces).reshape(-1, 3))


def test_the_distance_to_a_triangle_is_that_of_the_slow_twin():
    rng = np.random.default_rng(0)
    points, triangles = rng.normal(size=(5000, 3)), rng.normal(size=(5000, 3, 3))
    triangles[:50, 2] = triangles[:50, 1]  # segments
    triangles[50:60] = triangles[50:60, :1]  # points
    wanted = np.sqrt(triangle_distance_sq(points, triangles))
    np.testing.assert_allclose(_to_triangles(points, triangles), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_no_point_of_a_surface_is_farther_than_the_upper_bound(seed):
    a, b = blob(seed), blob(100 + seed)
    found = directed_hausdorff_interval(a, b, 1e-3)
    weights = np.random.default_rng(seed).dirichlet(np.ones(3) * 0.5, (len(a.faces), 500))
    points = np.einsum("fsk,fkc->fsc", weights, a.triangles).reshape(-1, 3)
    corners = a.triangles.reshape(-1, 3)
    farthest = from_surface(np.concatenate([points, corners]), b)[0].max()
    assert farthest <= found.upper + 1e-12
    assert found.lower <= found.value <= found.upper
    assert found.upper - found.lower <= 1e-3 + 1e-12


def test_a_mesh_with_doubled_faces_is_still_exactly_nowhere_but_on_itself():
    mesh = blob(3)
    doubled = Mesh(
        np.concatenate([mesh.vertices, mesh.vertices]), np.concatenate([mesh.faces, mesh.faces[:, ::-1] + 90])
    )
    assert hausdorff_interval(mesh, doubled).upper == 0


def test_the_bounds_close_in_as_the_tolerance_falls():
    a, b = blob(1), blob(2)
    widths = []
    for tolerance in (1e-1, 1e-2, 1e-4):
        found = hausdorff_interval(a, b, tolerance)
        widths.append(found.upper - found.lower)
        assert widths[-1] <= tolerance + 1e-12
    assert widths[-1] < widths[0]


def test_the_largest_distance_may_lie_inside_a_face():
    roof = Mesh(np.array([[0, 0, 1.0], [4, 0, 1], [0, 4, 1]]), np.array([[0, 1, 2]]))
    corners = np.array([[0, 0, 0.9], [4, 0, 0.9], [0, 4, 0.9]])
    studs = Mesh(np.concatenate([corners, corners * [1, 1, 0.99], corners * 0.99]), np.arange(9).reshape(3, 3).T)
    found = directed_hausdorff_interval(roof, studs, 1e-3)
    assert found.lower > 2  # the middle of the longest side is 2.8 from any stud, the corners 0.1


def test_drawn_points_of_a_real_mesh_are_exactly_on_it(real_data):
    for name in ("classic/fandisk.obj", "classic/spot.obj"):
        mesh = load_mesh(real_data / name)
        found = compare_surfaces(mesh, mesh, 20_000, np.random.default_rng(0))
        assert found.chamfer().item() == 0
        assert found.hausdorff().item() == 0
        assert found.fscore([0.0])[0].item() == 1
        assert found.normal_consistency().item() == 1
        assert hausdorff_interval(mesh, mesh).upper == 0


def test_a_mesh_far_from_the_origin_is_still_nowhere_but_where_it_is():
    mesh = box((1e6, 1e6, 1e6), (1e6 + 1, 1e6 + 1, 1e6 + 1))
    found = compare_surfaces(mesh, mesh, 10_000, np.random.default_rng(0))
    assert found.hausdorff().item() == 0
    moved = box((1e6 + 0.001, 1e6, 1e6), (1e6 + 1.001, 1e6 + 1, 1e6 + 1))
    assert hausdorff_interval(mesh, moved).value == pytest.approx(0.001, rel=1e-6)


def test_questions_without_an_answer_are_refused():
    with pytest.raises(MetricError, match="at least 1 point"):
        compare_surfaces(box(), box(), 0, np.random.default_rng(0))
    with pytest.raises(MetricError, match="tolerance above 0"):
        hausdorff_interval(box(), box(), 0.0)
    flat = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(MeshError, match="area"):
        compare_surfaces(flat, box(), 10, np.random.default_rng(0))
    with pytest.raises(MeshError, match="at least one face"):
        hausdorff_interval(Mesh(np.zeros((3, 3)), np.zeros((0, 3), dtype=int)), box())
