"""Points of solid lattices: where they are, what is said of them, and which come first."""

import numpy as np
import pytest

from shapetool.recipes import PROGRESSIVE
from shapetool.sampling.cells import METHODS, WIDENED, beside_boundary, lattice_points, set_size

HALF = WIDENED / 2


def blob(size: int, seed: int = 0) -> np.ndarray:
    """A solid lattice without symmetry that is filled up to one of its sides."""
    axes = np.stack(np.meshgrid(*[np.arange(size) / size] * 3, indexing="ij"))
    centre = np.random.default_rng(seed).uniform(0.2, 0.8, 3)
    return (np.abs(axes - centre[:, None, None, None]) < np.array([0.6, 0.2, 0.1])[:, None, None, None]).all(axis=0)


def at(solid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether the voxel that holds each point is filled; beyond the lattice none is."""
    cells = np.floor((points + 0.5) * len(solid)).astype(int)
    known = ((cells >= 0) & (cells < len(solid))).all(axis=1)
    return known & solid[tuple(np.where(known[:, None], cells, 0).T)]


@pytest.mark.parametrize("method", METHODS)
def test_the_label_of_a_point_of_the_lattice_itself_is_that_of_its_voxel(method):
    solid = blob(32)
    points, inside = lattice_points(solid, 32, method, 3000, np.random.default_rng(0))
    assert points.shape == (3000, 3)
    assert np.array_equal(inside, at(solid, points))
    assert 100 < inside.sum() < 2900
    centres = (points + HALF) / WIDENED * 36 - 0.5  # 32 cells and two empty ones on each side
    np.testing.assert_allclose(centres, np.rint(centres), atol=1e-9)


@pytest.mark.parametrize("method", ["v2", "mixed"])
def test_a_voxel_of_a_coarse_cell_has_the_label_of_the_cell_and_its_own(method):
    solid = blob(32)
    points, inside = lattice_points(solid, 16, method, 3000, np.random.default_rng(0))
    assert np.array_equal(inside, at(solid, points))
    cells = solid.reshape(16, 2, 16, 2, 16, 2).any(axis=(1, 3, 5))
    assert np.array_equal(inside, at(cells, points))
    assert (np.rint((points + HALF) / WIDENED * 36 - 0.5) % 2 == 1).any(axis=0).all()  # not first voxels only


def test_the_first_generation_takes_centres_of_coarse_cells_that_count_as_filled_if_any_voxel_is():
    solid = np.zeros((32, 32, 32), dtype=bool)
    solid[7, 20, 9] = True
    points, inside = lattice_points(solid, 16, "v1", 18**3, np.random.default_rng(0))
    assert len(np.unique(points.round(9), axis=0)) == 18**3  # every cell once, the border with them
    np.testing.assert_allclose(points[inside], [[-0.5 + 3.5 / 16, -0.5 + 10.5 / 16, -0.5 + 4.5 / 16]], atol=1e-12)
    np.testing.assert_allclose(np.abs(points).max(), HALF - 0.5 / 16)


def test_cells_near_the_boundary_come_first():
    solid = np.zeros((32, 32, 32), dtype=bool)
    solid[16, 10, 20] = True
    centre = (np.array([16, 10, 20]) + 0.5) / 32 - 0.5
    for method, window in (("v1", 3), ("v2", 1)):
        total = round(set_size(method, 32) * 1.125**3)
        points, _ = lattice_points(solid, 32, method, total, np.random.default_rng(0))
        steps = np.abs((points - centre) * 32).max(axis=1)
        assert len(np.unique(points.round(9), axis=0)) == total
        assert (steps < window + 0.5).sum() == (2 * window + 1) ** 3
    points, _ = lattice_points(solid, 32, "mixed", 1000, np.random.default_rng(0))
    beside = np.abs((points - centre) * 32).sum(axis=1) < 1.5  # the voxel and its six neighbours
    assert 500 <= beside.sum() < 510


@pytest.mark.parametrize("method", PROGRESSIVE)
def test_sets_are_as_large_as_the_authors(method):
    assert {across: set_size(method, across) for across in (16, 32, 64)} == PROGRESSIVE[method]


def test_cells_beside_the_boundary_are_those_with_a_different_neighbour():
    filled = np.random.default_rng(1).random((7, 7, 7)) < 0.2
    expected = np.zeros_like(filled)
    for place in np.ndindex(filled.shape):
        for axis in range(3):
            for step in (-1, 1):
                other = list(place)
                other[axis] += step
                if 0 <= other[axis] < 7:
                    expected[place] |= filled[place] != filled[tuple(other)]
    assert np.array_equal(beside_boundary(filled), expected)
    assert not expected.all()


@pytest.mark.parametrize("method", METHODS)
def test_points_follow_from_the_arguments_and_are_as_many_as_asked_for(method):
    solid = blob(16, seed=3)
    for count in (1, 10, 9000):  # more than there are cells as well
        points, inside = lattice_points(solid, 16, method, count, np.random.default_rng(5))
        again, labels = lattice_points(solid, 16, method, count, np.random.default_rng(5))
        assert len(points) == count
        assert np.array_equal(points, again)
        assert np.array_equal(inside, labels)
    other, _ = lattice_points(solid, 16, method, 9000, np.random.default_rng(6))
    assert not np.array_equal(points, other)


def test_where_nothing_is_filled_points_are_anywhere():
    points, inside = lattice_points(np.zeros((16, 16, 16), dtype=bool), 16, "mixed", 4000, np.random.default_rng(0))
    assert not inside.any()
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=5 * HALF / np.sqrt(3 * 4000))
