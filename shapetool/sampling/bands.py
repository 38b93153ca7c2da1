"""Points whose distance lies in given bands about the surface, uniform in space within each band."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.recipes import SdfRecipe

_CELLS = 48
_ROUNDS = 12
_LARGEST_ROUND = 400_000


def sample_bands(
    field: Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]],
    recipe: SdfRecipe,
    counts: tuple[int, ...],
    stored: Any,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, " P"], tuple[str, ...]]:
    """Points in the stored type, band after band, their distances in float64, and a warning for each short band.

    The distance changes by at most a step's length over a step, so a cell whose centre is farther from a band than
    half the cell's diagonal holds none of it. Candidates are uniform in the cells that are left, and those that lie in
    the band are kept: uniform in the band, without a lattice of 257^3 distances. Twelve rounds are the cap; what a band
    lacks then is wanted of the next one.

    Raises:
        MeshError: the last band cannot give what is left.
    """
    half = recipe.band_box / _CELLS
    axis = (np.arange(_CELLS) * 2 + 1) * half - recipe.band_box
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    reach = np.abs(field(centres))
    points: list[Float[np.ndarray, "P 3"]] = []
    distances: list[Float[np.ndarray, " P"]] = []
    warnings: list[str] = []
    short = 0
    for i, count in enumerate(counts):
        low, high = recipe.band_edges[i] + recipe.band_iso, recipe.band_edges[i + 1] + recipe.band_iso
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        slack = half * np.sqrt(3.0) * (1 + 1e-9)
        cells = centres[(reach >= nearest - slack) & (reach <= max(abs(low), abs(high)) + slack)]
        wanted = count + short
        found, values = _fill(field, cells, half, (low, high), wanted, stored, rng)
        points.append(found)
        distances.append(values)
        short = wanted - len(found)
        if short:
            warnings.append(f"band [{low:g}, {high:g}) gave {len(found)} of {wanted} points")
    if short:
        raise MeshError(
            f"bands: expected {sum(counts)} points with distances between {recipe.band_edges[0]:g} and "
            f"{recipe.band_edges[-1]:g} of {recipe.band_iso:g} in [-{recipe.band_box:g}, {recipe.band_box:g}]^3, "
            f"found {sum(counts) - short}. Use --normalize centroid, or another recipe."
        )
    return np.concatenate(points), np.concatenate(distances), tuple(warnings)


def _fill(
    field: Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]],
    cells: Float[np.ndarray, "C 3"],
    half: float,
    band: tuple[float, float],
    wanted: int,
    stored: Any,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, " P"]]:
    """Up to ``wanted`` points of the cells whose distance is in the half-open band, and these distances."""
    points = np.zeros((0, 3), dtype=stored)
    distances = np.zeros(0)
    tried = 0
    for _ in range(_ROUNDS):
        missing = wanted - len(points)
        if missing <= 0 or len(cells) == 0:
            break
        share = max(len(points) / tried, 0.02) if tried else 0.15
        size = min(int(missing / share * 1.1) + 64, _LARGEST_ROUND)
        tried += size
        offsets = (rng.random((size, 3)) * 2 - 1) * half
        candidates = (cells[rng.integers(len(cells), size=size)] + offsets).astype(stored)
        values = field(candidates.astype(np.float64))
        kept = (values >= band[0]) & (values < band[1])
        points = np.concatenate([points, candidates[kept]])
        distances = np.concatenate([distances, values[kept]])
    return points[:wanted], distances[:wanted]
