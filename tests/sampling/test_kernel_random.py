"""The kernel's own random numbers: their laws, their independence, and what it refuses."""

import numpy as np
import pytest
from scipy import stats

from shapetool.geometry import kernel
from shapetool.sampling.seed import kernel_seed

COUNT = 1_000_000
TAIL = 3.6541528853610088  # where the lowest layer of the ziggurat ends


def normals(seed: int, count: int = COUNT) -> np.ndarray:
    points = np.empty((count, 3), np.float32)
    base = np.zeros((count, 3), np.float32)
    kernel.add_noise(base, 1.0, kernel_seed(np.random.default_rng(seed)), points)
    return points


def test_noise_is_normal_from_the_middle_to_the_far_tail() -> None:
    drawn = normals(1).ravel().astype(np.float64)
    edges = np.concatenate([[-np.inf, -4.5], np.linspace(-4, 4, 161), [4.5, np.inf]])
    expected = np.diff(stats.norm.cdf(edges)) * drawn.size
    observed = np.histogram(drawn, np.nan_to_num(edges, posinf=1e9, neginf=-1e9))[0]
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-4
    beyond = np.abs(drawn[np.abs(drawn) > TAIL])
    assert stats.poisson.interval(1 - 1e-6, drawn.size * 2 * stats.norm.sf(TAIL))[0] < len(beyond)
    assert stats.kstest(beyond, lambda x: 1 - stats.norm.sf(x) / stats.norm.sf(TAIL)).pvalue > 1e-4


def test_neighbouring_noise_is_independent() -> None:
    drawn = normals(2)
    flat = drawn.ravel().astype(np.float64)
    bound = 5 / np.sqrt(flat.size)
    for lag in (1, 2, 3, 6):
        assert abs(np.mean(flat[:-lag] * flat[lag:])) < bound
        assert abs(np.corrcoef(np.abs(flat[:-lag]), np.abs(flat[lag:]))[0, 1]) < bound
        assert abs(np.mean(np.sign(flat[:-lag]) * np.sign(flat[lag:]))) < bound
        assert abs(np.corrcoef(np.sign(flat[:-lag]), np.abs(flat[lag:]))[0, 1]) < bound


def test_noise_is_added_to_its_place_with_its_spread() -> None:
    base = np.tile(np.array([[10, -20, 30]], np.float32), (COUNT, 1))
    points = np.empty_like(base)
    kernel.add_noise(base, 0.25, kernel_seed(np.random.default_rng(3)), points)
    assert np.allclose(points.mean(axis=0), [10, -20, 30], atol=5 * 0.25 / np.sqrt(COUNT) + 2e-5)
    assert np.allclose(points.std(axis=0), 0.25, rtol=5 / np.sqrt(2 * COUNT) + 1e-4)


def test_an_odd_number_of_points_is_filled_to_the_end() -> None:
    assert np.abs(normals(4, 1)).min() > 0
    assert np.abs(normals(4, 3)).min() > 0
    assert np.array_equal(normals(4, 3)[:1], normals(4, 1))


def test_streams_of_two_seeds_share_nothing() -> None:
    assert not np.isin(normals(5, 1000), normals(6, 1000)).any()


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_points_on_faces_are_uniform_and_stay_on_them(precision: type) -> None:
    triangles = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 5], [2, 0, 5], [0, 0, 9]]], precision)
    faces = np.repeat([0, 1], COUNT // 2)
    points = kernel.points_on_faces(triangles, faces, kernel_seed(np.random.default_rng(7)))
    assert points.dtype == precision
    low, high = points[: COUNT // 2], points[COUNT // 2 :]
    assert (low[:, 2] == 0).all()
    assert (high[:, 1] == 0).all()
    assert (low[:, 0] + low[:, 1] <= 1 + 1e-6).all()
    for part in (low[:, :2], high[:, [0, 2]] / [2, 4] - [0, 1.25]):
        u, v = np.asarray(part[:, 0], float), np.asarray(part[:, 1], float)
        # In a triangle, u is distributed as 1 - sqrt(1 - q), and v / (1 - u) is uniform whatever u is.
        assert stats.kstest(1 - (1 - u) ** 2, "uniform").pvalue > 1e-4
        assert stats.kstest((v / np.maximum(1 - u, 1e-9))[u < 0.99], "uniform").pvalue > 1e-4


def test_what_does_not_fit_is_refused() -> None:
    seed = kernel_seed(np.random.default_rng(8))
    with pytest.raises(ValueError, match="face 1 is not below 1"):
        kernel.points_on_faces(np.zeros((1, 3, 3)), np.array([0, 1]), seed)
    with pytest.raises(ValueError, match="as many places as points"):
        kernel.add_noise(np.zeros((2, 3), np.float32), 1.0, seed, np.zeros((3, 3), np.float32))
