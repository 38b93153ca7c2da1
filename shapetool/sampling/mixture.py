"""The mixture of near, uniform and sharp points that every sampling command draws from a mesh."""

from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry import kernel
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import OccupancyRecipe, SdfRecipe
from shapetool.sampling.seed import kernel_seed
from shapetool.sampling.surface import draw_faces, points_on_edges, points_on_faces, sharp_edges

STORED: dict[str, Any] = {"f32": np.float32, "f16": np.float16}

Recipe = SdfRecipe | OccupancyRecipe


def draw_mixture(
    mesh: Mesh, recipe: Recipe, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "P 3"], tuple[str, ...]]:
    """The points of all parts but the bands in the type they are stored in, part after part, and what is odd there.

    Raises:
        MeshError: the mesh has no area, or a coordinate does not fit the stored type.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        points, warnings = _mixture(mesh, recipe, recipe.part_counts(), rng)
    return rounded(points, STORED[recipe.dtype], recipe.normalize), warnings


def _mixture(
    mesh: Mesh, recipe: Recipe, counts: dict[str, tuple[int, ...]], rng: np.random.Generator
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


def _uniform(recipe: Recipe, count: int, rng: np.random.Generator) -> Float[np.ndarray, "P 3"]:
    """Points uniform in the cube or in the ball of the recipe, without rejection."""
    size = np.float32(recipe.uniform_size)
    if recipe.uniform_region == "box":
        cube: Float[np.ndarray, "P 3"] = (rng.random((count, 3), dtype=np.float32) * 2 - 1) * size
        return cube
    directions = rng.standard_normal((count, 3))
    radii = np.cbrt(rng.random(count)) / np.maximum(np.sqrt((directions**2).sum(axis=1)), np.finfo(float).tiny)
    ball: Float[np.ndarray, "P 3"] = (directions * radii[:, None]).astype(np.float32) * size
    return ball


def rounded(points: Float[np.ndarray, "P 3"], stored: Any, frame: str) -> Float[np.ndarray, "P 3"]:
    """The points in the type they are stored in.

    Raises:
        MeshError: a coordinate does not fit.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        stored_points: Float[np.ndarray, "P 3"] = points.astype(stored, copy=False)
    if not np.isfinite(stored_points).all():
        raise MeshError(does_not_fit("a coordinate", "f16" if stored is np.float16 else "f32", frame))
    return stored_points


def does_not_fit(what: str, dtype: str, frame: str) -> str:
    """The words for a number that overflows the type it is stored in."""
    return (
        f"samples: expected numbers that fit {dtype}, found {what} that does not in the frame "
        f"{frame!r}. Use --normalize sphere."
    )
