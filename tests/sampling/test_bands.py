"""DISN's bands: quarters of the points, uniform in space within each band, and shortfalls passed on."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import sdf_recipe
from shapetool.sampling.sdf import SdfSamples, sample_sdf
from shapetool.sampling.seed import shape_rng
from tests.analytic import box_mesh

MESH = Mesh(*box_mesh((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)))  # only for the surface points beside


def _ball(radius: float, count: int, **overrides: object) -> SdfSamples:
    recipe = sdf_recipe("disn").replace(count=count, surface_count=10, **overrides)
    return sample_sdf(MESH, lambda p: np.linalg.norm(p, axis=1) - radius, recipe, shape_rng(0, "a"))


def test_each_of_the_four_bands_gets_a_quarter() -> None:
    values = _ball(0.7, 8_000).distances.astype(float) - 0.003
    # a value on an edge may fall to either side when it is rounded to float32
    counts = np.histogram(values, bins=[-0.1 - 1e-7, -0.03, 0.0, 0.03, 0.1 + 1e-7])[0]
    assert counts.sum() == 8_000
    assert np.abs(counts - 2_000).max() <= 2


def test_points_are_uniform_in_space_within_a_band() -> None:
    samples = _ball(0.7, 40_000)
    radius = np.linalg.norm(samples.points.astype(float), axis=1)
    for low, high in ((-0.1, -0.03), (-0.03, 0.0), (0.0, 0.03), (0.03, 0.1)):
        inner, outer = 0.703 + low, 0.703 + high
        shell = samples.points[(radius > inner) & (radius < outer)].astype(float)
        place = (np.linalg.norm(shell, axis=1) ** 3 - inner**3) / (outer**3 - inner**3)
        fifths = np.histogram(place, bins=5, range=(0, 1))[0] / len(shell)
        assert np.abs(fifths - 0.2).max() < 5 * np.sqrt(0.16 / len(shell))
        assert np.abs(shell.mean(axis=0)).max() < 5 * 0.45 / np.sqrt(len(shell))


def test_what_a_band_lacks_goes_to_the_next_one() -> None:
    # A ball of radius 0.02 has no point deeper than 0.02: the first band is empty, its quarter goes to the second.
    samples = _ball(0.02, 4_000)
    values = samples.distances.astype(float) - 0.003
    counts = np.histogram(values, bins=[-0.1, -0.03, 0.0, 0.03, 0.1001])[0]
    assert counts[0] == 0
    assert counts.sum() == 4_000
    assert any("band [-0.097, -0.027) gave 0 of 1000 points" in warning for warning in samples.warnings)


def test_bands_that_hold_nothing_are_an_error_and_no_endless_loop() -> None:
    recipe = sdf_recipe("disn").replace(count=100)
    with pytest.raises(MeshError, match=r"expected 100 points with distances .* found 0\. Use --normalize centroid"):
        sample_sdf(MESH, lambda p: np.full(len(p), 5.0), recipe, shape_rng(0, "a"))


def test_a_band_that_the_lattice_hopes_for_but_never_meets_stops_at_the_cap() -> None:
    asked = []

    def field(points: np.ndarray) -> np.ndarray:
        asked.append(len(points))
        return np.where(len(points) == 48**3, 0.05, 5.0) * np.ones(len(points))

    with pytest.raises(MeshError, match="found 0"):
        sample_sdf(MESH, field, sdf_recipe("disn").replace(count=40), shape_rng(0, "a"))
    assert len(asked) <= 1 + 4 * 12
