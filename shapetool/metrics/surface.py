"""Distances to the surface itself: no second draw of points, so no floor; and Hausdorff with bounds that are proved.

The surfaces are meshes and the distances those of the kernel, so this is numpy, on the CPU.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MetricError
from shapetool.geometry.distance import closest_point
from shapetool.geometry.mesh import Mesh
from shapetool.metrics.errors import cosines
from shapetool.metrics.scores import Scores
from shapetool.sampling.surface import sample_surface

ROUNDING = 16 * float(np.finfo(np.float64).eps)  # of the largest coordinate: what a point on a face may be off it
_MOST = 200_000  # pieces of triangles in the search for the largest distance


@dataclass(frozen=True)
class Interval:
    """A number and two bounds that hold for certain, up to rounding."""

    value: float
    lower: float
    upper: float


def compare_surfaces(
    mesh_a: Mesh, mesh_b: Mesh, count: int, rng: np.random.Generator, threads: int | None = None
) -> Scores:
    """`count` points of each surface against the other surface, with the normals of the faces at both ends.

    Distances below the rounding of the coordinates are 0, so that a mesh is exactly 0 from itself.

    Raises:
        MetricError: no points are wanted.
        MeshError: a mesh without faces or area.
    """
    if count < 1:
        raise MetricError(f"expected at least 1 point on each surface, found {count}.")
    points_a, normals_a, _ = sample_surface(mesh_a, count, rng)
    points_b, normals_b, _ = sample_surface(mesh_b, count, rng)
    forward, facing_b = from_surface(points_a, mesh_b, threads)
    backward, facing_a = from_surface(points_b, mesh_a, threads)
    return Scores(
        forward**2,
        backward**2,
        cosines(normals_a, mesh_b.face_normals, facing_b[:, None])[:, 0],
        cosines(normals_b, mesh_a.face_normals, facing_a[:, None])[:, 0],
    )


def from_surface(
    points: Float[np.ndarray, "P 3"], mesh: Mesh, threads: int | None = None
) -> tuple[Float[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """The distance from each point to the surface, 0 where rounding could have made it, and the face there.

    Raises:
        MeshError: a mesh without faces, or a point that is not finite.
    """
    distances, faces, _ = closest_point(mesh, points, threads)
    size = max(float(np.abs(mesh.bounds).max()), float(np.abs(points).max(initial=0.0)))
    return np.where(distances <= ROUNDING * size, 0.0, distances), faces


def hausdorff_interval(mesh_a: Mesh, mesh_b: Mesh, tolerance: float | None = None) -> Interval:
    """The Hausdorff distance between two surfaces, with bounds at most `tolerance` apart where that can be afforded.

    None is a ten-thousandth of the diagonal of both.

    Raises:
        MetricError: a tolerance that is not positive.
        MeshError: a mesh without faces.
    """
    there = directed_hausdorff_interval(mesh_a, mesh_b, tolerance)
    back = directed_hausdorff_interval(mesh_b, mesh_a, tolerance)
    bounds = (max(getattr(there, side), getattr(back, side)) for side in ("value", "lower", "upper"))
    return Interval(*bounds)


def directed_hausdorff_interval(mesh_a: Mesh, mesh_b: Mesh, tolerance: float | None = None) -> Interval:
    """The largest distance from a point of the surface of `mesh_a` to that of `mesh_b`; `value` is the lower bound.

    The distance to one triangle is convex, so over a piece of a face it is largest at a corner: the largest distance of
    the three corners to any one triangle of b bounds that of the piece to b. Pieces that may hold more than the largest
    distance found so far are cut into four, until none promises more than the tolerance. On smooth surfaces
    the gap falls to a quarter with every cut.

    Raises:
        MetricError: a tolerance that is not positive.
        MeshError: a mesh without faces.

    Source: Tang, Lee and Kim, "Interactive Hausdorff distance computation for general polygonal models", TOG 2009, for
        bounds by culling; the convex bound stands in place of theirs.
    """
    both = np.stack([mesh_a.bounds, mesh_b.bounds])
    diagonal = float(np.linalg.norm(both[:, 1].max(axis=0) - both[:, 0].min(axis=0)))
    wanted = 1e-4 * diagonal if tolerance is None else tolerance
    if not wanted > 0:
        raise MetricError(f"expected a tolerance above 0, found {wanted:g}. Give a length in the unit of the meshes.")
    pieces, lower, settled = not_shared(mesh_a, mesh_b), 0.0, 0.0
    while len(pieces):
        corners, nearest = _corners(pieces, mesh_b)
        lower = max(lower, float(corners.max()))
        upper = _convex_bound(pieces, nearest, mesh_b)
        open_ = upper > lower + wanted
        settled = max(settled, float(upper[~open_].max(initial=0.0)))
        if 4 * open_.sum() > _MOST:
            settled = max(settled, float(upper.max()))
            break
        pieces = quarters(pieces[open_])
    return Interval(lower, lower, max(lower, settled))


def not_shared(mesh_a: Mesh, mesh_b: Mesh) -> Float[np.ndarray, "K 3 3"]:
    """The triangles of a that are not triangles of b with the same corners: those are at distance 0."""
    a, b = (np.sort(mesh.triangles.reshape(-1, 3, 3).view("f8,f8,f8")[..., 0], axis=1) for mesh in (mesh_a, mesh_b))
    known = set(map(bytes, b))
    return mesh_a.triangles[[bytes(row) not in known for row in a]]


def _corners(pieces: Float[np.ndarray, "K 3 3"], mesh: Mesh) -> tuple[Float[np.ndarray, "K 4"], Int[np.ndarray, "K 4"]]:
    """The distances of the three corners and the middle of each piece, and the faces they are nearest to."""
    asked = np.concatenate([pieces, pieces.mean(axis=1, keepdims=True)], axis=1)
    distances, faces = from_surface(asked.reshape(-1, 3), mesh)
    return distances.reshape(-1, 4), faces.reshape(-1, 4)


def _convex_bound(
    pieces: Float[np.ndarray, "K 3 3"], faces: Int[np.ndarray, "K 4"], mesh: Mesh
) -> Float[np.ndarray, " K"]:
    """The least, over the four candidates, of the largest distance of the corners to that one triangle."""
    bounds = np.full(len(pieces), np.inf)
    size = max(float(np.abs(mesh.bounds).max()), float(np.abs(pieces).max()))
    for candidate in faces.T:
        triangles = mesh.triangles[candidate]
        largest = np.max([_to_triangles(pieces[:, corner], triangles) for corner in range(3)], axis=0)
        bounds = np.minimum(bounds, largest)
    return np.where(bounds <= ROUNDING * size, 0.0, bounds)


def _to_triangles(points: Float[np.ndarray, "K 3"], triangles: Float[np.ndarray, "K 3 3"]) -> Float[np.ndarray, " K"]:
    """The distance of each point to its triangle: to the plane where it stands above the face, else to the edges."""
    edges = np.roll(triangles, -1, axis=1) - triangles
    steps = points[:, None] - triangles
    normal = np.cross(edges[:, 0], edges[:, 1])
    length = np.linalg.norm(normal, axis=1)
    inward = np.einsum("kec,kec->ke", np.cross(normal[:, None], edges), steps)
    above = (inward >= 0).all(axis=1) & (length > 0)
    height = np.abs(np.einsum("kc,kc->k", normal, steps[:, 0])) / np.where(length > 0, length, 1)
    squares = np.einsum("kec,kec->ke", edges, edges)
    along = np.einsum("kec,kec->ke", steps, edges) / np.where(squares > 0, squares, 1)
    beside = np.linalg.norm(steps - np.clip(along, 0, 1)[..., None] * edges, axis=2).min(axis=1)
    return np.where(above, np.minimum(height, beside), beside)


def quarters(pieces: Float[np.ndarray, "K 3 3"]) -> Float[np.ndarray, "Q 3 3"]:
    """Each piece cut through the middles of its sides."""
    a, b, c = np.moveaxis(pieces, 1, 0)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate(
        [np.stack(corners, axis=1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
