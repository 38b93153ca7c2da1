"""The points of one shape and whether they are inside."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from shapetool.geometry.mesh import Mesh
from shapetool.recipes import OccupancyRecipe
from shapetool.sampling.mixture import draw_mixture, rounded
from shapetool.sampling.surface import sample_surface

Test = Callable[[Float[np.ndarray, "P 3"]], Bool[np.ndarray, " P"]]


@dataclass(frozen=True, eq=False)
class OccupancySamples:
    """The record of one shape in its unit frame; rows are shuffled, so every slice is a fair draw."""

    points: Float[np.ndarray, "P 3"]
    inside: Bool[np.ndarray, " P"]
    surface_points: Float[np.ndarray, "M 3"]
    surface_normals: Float[np.ndarray, "M 3"]
    warnings: tuple[str, ...] = ()

    @property
    def inside_count(self) -> int:
        """The number of points inside; 0 means that nothing told inside from outside."""
        return int(np.count_nonzero(self.inside))

    @property
    def inside_fraction(self) -> float:
        """The share of points inside, from 0 to 1."""
        return self.inside_count / max(len(self.inside), 1)


def sample_occupancy(mesh: Mesh, test: Test, recipe: OccupancyRecipe, rng: np.random.Generator) -> OccupancySamples:
    """Points of the mesh as the recipe says, exactly ``recipe.count`` of them, and whether each is inside.

    ``mesh`` is in its unit frame and ``test`` tells its inside. Points are rounded to the type they are stored in
    before the test is asked, so that a label belongs to the point as stored.

    Raises:
        MeshError: the mesh has no area, or a coordinate does not fit the stored type.
    """
    points, warnings = draw_mixture(mesh, recipe, rng)
    points = points.take(rng.permutation(len(points)), axis=0)
    surface_points, surface_normals, _ = sample_surface(mesh, recipe.surface_count, rng)
    return OccupancySamples(
        points=points,
        inside=test(points.astype(np.float64)),
        surface_points=rounded(surface_points, np.float32, recipe.normalize),
        surface_normals=surface_normals.astype(np.float32),
        warnings=warnings,
    )
