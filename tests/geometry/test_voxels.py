"""Voxels against closed forms, against the sign of each centre, and against an exact test in whole numbers."""

import numpy as np
import pytest

from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField
from shapetool.geometry.voxels import cell_centres, solid_cells, surface_cells
from tests.analytic import SHAPES, box_mesh

KNOWN = [make() for make in SHAPES if make().inside is not None]


def centres(half: float, count: int) -> np.ndarray:
    axis = -half + (2 * np.arange(count) + 1) * half / count
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def exact_surface(triangles: np.ndarray, edge: int, count: int) -> np.ndarray:
    """Whether the closed cubes of cells of this edge, count along each axis about the origin, meet a triangle.

    All in whole numbers: two convex bodies are apart if and only if one of thirteen axes parts them. An axis is given
    twice as long, so that the middle of a cell is whole.
    """
    low = np.arange(count) * edge - edge * count // 2
    middles = np.stack(np.meshgrid(low, low, low, indexing="ij"), axis=-1).reshape(-1, 3) * 2 + edge
    met = np.zeros(count**3, dtype=bool)
    for corners in triangles.astype(np.int64) * 2:
        edges = np.roll(corners, -1, axis=0) - corners
        units = np.eye(3, dtype=np.int64)
        axes = [*units, np.cross(edges[0], edges[1]), *(np.cross(e, u) for e in edges for u in units)]
        apart = np.zeros(count**3, dtype=bool)
        for axis in axes:
            at, reach = corners @ axis, edge * np.abs(axis).sum()
            apart |= (at.min() > middles @ axis + reach) | (at.max() < middles @ axis - reach)
        met |= ~apart
    return met.reshape(count, count, count)


@pytest.mark.parametrize("count", [2, 7, 32, 50])
@pytest.mark.parametrize("truth", KNOWN, ids=lambda truth: truth.name)
def test_solid_voxels_are_those_whose_centre_is_inside(truth, count: int) -> None:
    solid = solid_cells(SignedField(Mesh(truth.vertices, truth.faces)), 1.1, count)
    points = centres(1.1, count)
    clear = truth.distance(points) > 1e-9
    assert np.array_equal(solid.reshape(-1)[clear], truth.inside(points)[clear])
    assert clear.mean() > 0.9


@pytest.mark.parametrize("sign", ["auto", "winding", "parity"])
def test_solid_voxels_of_a_soup_have_the_sign_of_every_centre(sign: str) -> None:
    rng = np.random.default_rng(3)
    mesh = Mesh(rng.normal(size=(90, 3)) * 0.4, np.arange(90).reshape(-1, 3))
    field = SignedField(mesh, sign)
    axis = cell_centres(0.9, 20)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    assert np.array_equal(solid_cells(field, 0.9, 20).reshape(-1), field(points) < 0)


def test_any_field_of_points_has_solid_voxels() -> None:
    class Ball:
        sign_method, watertight, warnings = "none", True, ()

        def __call__(self, points: np.ndarray) -> np.ndarray:
            return np.linalg.norm(points, axis=1) - 0.7

    points = centres(1.0, 12)
    assert np.array_equal(solid_cells(Ball(), 1.0, 12).reshape(-1), np.linalg.norm(points, axis=1) < 0.7)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [5, 20, 80])
def test_surface_voxels_are_those_whose_closed_cube_meets_a_triangle(seed: int, spread: int) -> None:
    """Corners on a lattice eight times finer than the cells: touching in a face, an edge or a corner is common."""
    rng = np.random.default_rng(seed)
    triangles = rng.integers(-30, 31, (12, 1, 3)) + rng.integers(-spread, spread + 1, (12, 3, 3))
    triangles[0] -= triangles[0] % 8  # corners of cells
    triangles[1, 2] = triangles[1, 1]  # a segment
    triangles[2] = triangles[2, 0]  # a point
    triangles[3, :, 0] = 16  # between two layers
    mesh = Mesh(triangles.reshape(-1, 3).astype(float), np.arange(36).reshape(-1, 3))
    truth = exact_surface(triangles, edge=8, count=8)
    assert np.array_equal(surface_cells(mesh, 32.0, 8), truth)
    scale = 1 / 64 / 3  # no power of two: rounding moves faces off the planes between cells
    assert np.array_equal(surface_cells(Mesh(mesh.vertices * scale, mesh.faces), 32.0 * scale, 8), truth)


def test_a_sliver_far_longer_than_it_is_wide_marks_the_cells_along_it() -> None:
    mesh = Mesh(np.array([[-1, -0.9, 0.31], [1, 0.95, 0.33], [1, 0.95 + 1e-12, 0.33]]), np.array([[0, 1, 2]]))
    line = mesh.vertices[0] + np.linspace(0, 1, 200_001)[:, None] * (mesh.vertices[1] - mesh.vertices[0])
    along = np.zeros((16, 16, 16), dtype=bool)
    along[tuple(np.minimum((line + 1) * 8, 15).astype(int).T)] = True
    found = surface_cells(mesh, 1.0, 16)
    assert (found & ~along).sum() <= 2  # a corner of a cell that the samples on the line may miss
    assert not (along & ~found).any()


def test_a_face_between_two_layers_of_cells_meets_both() -> None:
    mesh = Mesh(*box_mesh((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)))
    found = surface_cells(mesh, 1.0, 4)
    assert found.sum() == 4**3  # the box is made of the middle cells: every cell touches it
    inner = surface_cells(mesh, 0.5, 4)
    assert inner.sum() == 4**3 - 2**3


@pytest.mark.parametrize("truth", [t for t in KNOWN if t.closed], ids=lambda truth: truth.name)
def test_the_solid_ends_at_surface_voxels_only(truth) -> None:
    mesh = Mesh(truth.vertices, truth.faces)
    solid, surface = solid_cells(SignedField(mesh), 1.1, 40), surface_cells(mesh, 1.1, 40)
    for axis in range(3):
        here, there = (np.take(solid, range(a, 39 + a), axis) for a in (0, 1))
        met = np.take(surface, range(39), axis) | np.take(surface, range(1, 40), axis)
        assert not ((here != there) & ~met).any()


def test_threads_change_nothing_and_what_lies_outside_marks_nothing() -> None:
    rng = np.random.default_rng(1)
    mesh = Mesh(rng.normal(size=(3000, 3)), np.arange(3000).reshape(-1, 3))
    assert np.array_equal(surface_cells(mesh, 1.0, 30, 1), surface_cells(mesh, 1.0, 30, 2))
    assert not surface_cells(Mesh(mesh.vertices + 50, mesh.faces), 1.0, 30).any()
