"""The points of one shape and their signed distances."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import SdfRecipe
from shapetool.sampling.bands import sample_bands
from shapetool.sampling.mixture import STORED, does_not_fit, draw_mixture, rounded
from shapetool.sampling.surface import sample_surface

Field = Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]]


@dataclass(frozen=True, eq=False)
class SdfSamples:
    """The record of one shape in its unit frame; rows are shuffled, so every slice is a fair draw."""

    points: Float[np.ndarray, "P 3"]
    distances: Float[np.ndarray, " P"]
    surface_points: Float[np.ndarray, "M 3"]
    surface_normals: Float[np.ndarray, "M 3"]
    warnings: tuple[str, ...] = ()

    @property
    def inside_count(self) -> int:
        """The number of points with a negative distance; 0 means that nothing told inside from outside."""
        return int(np.count_nonzero(self.distances < 0))

    @property
    def inside_fraction(self) -> float:
        """The share of points with a negative distance, from 0 to 1."""
        return self.inside_count / max(len(self.distances), 1)


def sample_sdf(mesh: Mesh, field: Field, recipe: SdfRecipe, rng: np.random.Generator) -> SdfSamples:
    """Points and distances of the mesh as the recipe says, exactly ``recipe.count`` of them.

    ``mesh`` is in its unit frame and ``field`` is its signed distance, negative inside. Points are rounded to the type
    they are stored in before the field is asked, so that a distance belongs to the point as stored. All parts but the
    bands are asked for in one call.

    Raises:
        MeshError: the mesh has no area, a band cannot be filled, or a number does not fit the stored type.
    """
    stored = STORED[recipe.dtype]
    counts = recipe.part_counts()
    points, warnings = draw_mixture(mesh, recipe, rng)
    distances = _asked(field, points)
    if sum(counts["band"]):
        in_bands, band_distances, band_warnings = sample_bands(field, recipe, counts["band"], stored, rng)
        points = np.concatenate([points, in_bands])
        distances = np.concatenate([distances, band_distances])
        warnings += band_warnings
    order = rng.permutation(len(points))
    surface_points, surface_normals, _ = sample_surface(mesh, recipe.surface_count, rng)
    with np.errstate(over="ignore"):
        values = distances.astype(stored)
    if not np.isfinite(values).all():
        raise MeshError(does_not_fit("a distance", recipe.dtype, recipe.normalize))
    return SdfSamples(
        points=points.take(order, axis=0),
        distances=values.take(order),
        surface_points=rounded(surface_points, np.float32, recipe.normalize),
        surface_normals=surface_normals.astype(np.float32),
        warnings=warnings,
    )


def _asked(field: Field, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """The field at the points as stored, in float64."""
    return field(points.astype(np.float64)) if len(points) else np.zeros(0)
