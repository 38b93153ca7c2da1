"""The points of one shape and whether they are inside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from shapetool.geometry.backends import Field
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField
from shapetool.geometry.voxels import cell_centres, solid_cells
from shapetool.recipes import OccupancyRecipe
from shapetool.sampling.mixture import STORED, draw_mixture, rounded
from shapetool.sampling.progressive import FINEST, progressive_sets
from shapetool.sampling.surface import sample_surface

Test = Callable[[Float[np.ndarray, "P 3"]], Bool[np.ndarray, " P"]]


@dataclass(frozen=True, eq=False)
class OccupancySamples:
    """The record of one shape in its unit frame; rows are shuffled, so every slice is a fair draw.

    `more` are the columns that only some recipes have.
    """

    points: Float[np.ndarray, "P 3"]
    inside: Bool[np.ndarray, " P"]
    surface_points: Float[np.ndarray, "M 3"]
    surface_normals: Float[np.ndarray, "M 3"]
    warnings: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inside_count(self) -> int:
        """The number of points inside; 0 means that nothing told inside from outside."""
        return int(np.count_nonzero(self.inside))

    @property
    def inside_fraction(self) -> float:
        """The share of points inside, from 0 to 1."""
        return self.inside_count / max(len(self.inside), 1)


def sample_occupancy(
    mesh: Mesh, test: Test, recipe: OccupancyRecipe, rng: np.random.Generator, distances: Field | None = None
) -> OccupancySamples:
    """Points of the mesh as the recipe says, exactly ``recipe.count`` of them, and whether each is inside.

    ``mesh`` is in its unit frame and ``test`` tells its inside; ``distances`` are its signed ones if they are at hand,
    for the voxels of progressive sets. Points are rounded to the type they are stored in before the test is asked, so
    that a label belongs to the point as stored.

    Raises:
        MeshError: the mesh has no area, or a coordinate does not fit the stored type.
    """
    warnings: tuple[str, ...] = ()
    more: dict[str, Any] = {}
    if recipe.progressive:
        filled = solid_cells(distances or SignedField(mesh, recipe.sign), recipe.uniform_size, FINEST)
        sets = progressive_sets(filled, recipe, rng)
        points = rounded(sets.points, STORED[recipe.dtype], recipe.normalize)
        more = {"order": sets.order, "voxels": sets.voxels}
    else:
        points, warnings = draw_mixture(mesh, recipe, rng)
        points = np.concatenate([points, _centres(recipe, rng)])
        points = points.take(rng.permutation(len(points)), axis=0)
    surface_points, surface_normals, _ = sample_surface(mesh, recipe.surface_count, rng)
    return OccupancySamples(
        points=points,
        inside=test(points.astype(np.float64)),
        surface_points=rounded(surface_points, np.float32, recipe.normalize),
        surface_normals=surface_normals.astype(np.float32),
        warnings=warnings,
        more=more,
    )


def _centres(recipe: OccupancyRecipe, rng: np.random.Generator) -> Float[np.ndarray, "P 3"]:
    """Centres of cells in a random choice, none twice before all are taken."""
    count, across = sum(recipe.part_counts()["band"]), recipe.centre_cells
    rounds = -(-count // across**3)
    chosen = [rng.permutation(across**3) for _ in range(rounds)]
    cells = np.concatenate([np.zeros(0, dtype=np.int64), *chosen])[:count]
    axis = cell_centres(recipe.uniform_size, across)
    points = axis[np.stack(np.unravel_index(cells, (across, across, across)), axis=1)]
    return rounded(points, STORED[recipe.dtype], recipe.normalize)
