"""The points of one shape and their signed distances."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry import kernel
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import SdfRecipe
from shapetool.sampling.bands import sample_bands
from shapetool.sampling.seed import kernel_seed
from shapetool.sampling.surface import draw_faces, points_on_edges, points_on_faces, sample_surface, sharp_edges

Field = Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]]

_STORED = {"f32": np.float32, "f16": np.float16}


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
    stored = _STORED[recipe.dtype]
    counts = recipe.part_counts()
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        points, warnings = _mixture(mesh, recipe, counts, rng)
    points = _rounded(points, stored, recipe)
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
        raise MeshError(_does_not_fit("a distance", recipe))
    return SdfSamples(
        points=points.take(order, axis=0),
        distances=values.take(order),
        surface_points=_rounded(surface_points, np.float32, recipe),
        surface_normals=surface_normals.astype(np.float32),
        warnings=warnings,
    )


def _mixture(
    mesh: Mesh, recipe: SdfRecipe, counts: dict[str, tuple[int, ...]], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "P 3"], tuple[str, ...]]:
    """The points of all parts but the bands, part after part, and what is odd about them."""
    near, uniform, sharp = counts["near"], counts["uniform"][0], counts["sharp"]
    points = np.empty((sum(near) + uniform + sum(sharp), 3), dtype=np.float32)
    end = _add_noisy(points, 0, near, recipe.near_stds, _surface_base(mesh, max(near, default=0), rng), rng)
    points[end : end + uniform] = _uniform(recipe, uniform, rng)
    end += uniform
    warnings: tuple[str, ...] = ()
    if sum(sharp):
        edges = sharp_edges(mesh, recipe.sharp_angle)
        if len(edges):
            base = points_on_edges(mesh, edges, max(sharp), rng).astype(np.float32)
        else:
            base = _surface_base(mesh, max(sharp), rng)
            warnings = (f"no edge sharper than {recipe.sharp_angle:g} degrees: ordinary surface points took its place",)
        _add_noisy(points, end, sharp, recipe.sharp_stds, base, rng)
    return points, warnings


def _surface_base(mesh: Mesh, count: int, rng: np.random.Generator) -> Float[np.ndarray, "M 3"]:
    """Surface points to start from, in float32 and in the order of the faces: the noise and the shuffle come later."""
    return points_on_faces(mesh.triangles.astype(np.float32), draw_faces(mesh, count, rng), rng)


def _add_noisy(
    points: Float[np.ndarray, "P 3"],
    start: int,
    counts: tuple[int, ...],
    stds: tuple[float, ...],
    base: Float[np.ndarray, "M 3"],
    rng: np.random.Generator,
) -> int:
    """Fills the rows from ``start`` with noisy copies of the base, one block a standard deviation; returns the end.

    Every block starts from the same surface points, as in DeepSDF; a smaller block takes a random choice of them.
    """
    for count, std in zip(counts, stds, strict=True):
        chosen = base if count == len(base) else base.take(np.sort(rng.permutation(len(base))[:count]), axis=0)
        kernel.add_noise(chosen, std, kernel_seed(rng), points[start : start + count])
        start += count
    return start


def _uniform(recipe: SdfRecipe, count: int, rng: np.random.Generator) -> Float[np.ndarray, "P 3"]:
    """Points uniform in the cube or in the ball of the recipe, without rejection."""
    size = np.float32(recipe.uniform_size)
    if recipe.uniform_region == "box":
        cube: Float[np.ndarray, "P 3"] = (rng.random((count, 3), dtype=np.float32) * 2 - 1) * size
        return cube
    directions = rng.standard_normal((count, 3))
    radii = np.cbrt(rng.random(count)) / np.maximum(np.sqrt((directions**2).sum(axis=1)), np.finfo(float).tiny)
    ball: Float[np.ndarray, "P 3"] = (directions * radii[:, None]).astype(np.float32) * size
    return ball


def _asked(field: Field, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """The field at the points as stored, in float64."""
    return field(points.astype(np.float64)) if len(points) else np.zeros(0)


def _rounded(points: Float[np.ndarray, "P 3"], stored: Any, recipe: SdfRecipe) -> Float[np.ndarray, "P 3"]:
    """The points in the type they are stored in.

    Raises:
        MeshError: a coordinate does not fit.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded: Float[np.ndarray, "P 3"] = points.astype(stored, copy=False)
    if not np.isfinite(rounded).all():
        raise MeshError(_does_not_fit("a coordinate", recipe))
    return rounded


def _does_not_fit(what: str, recipe: SdfRecipe) -> str:
    return (
        f"samples: expected numbers that fit {recipe.dtype}, found {what} that does not in the frame "
        f"{recipe.normalize!r}. Use --normalize sphere."
    )
