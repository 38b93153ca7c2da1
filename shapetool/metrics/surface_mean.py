"""The mean distance between two surfaces with bounds that are proved: no point is drawn."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MetricError
from shapetool.geometry.mesh import Mesh
from shapetool.metrics.surface import ROUNDING, Interval, from_surface, not_shared, quarters

_MOST_PIECES = 200_000
_MOST_CANDIDATES = 4_000_000  # pairs of a piece and a face that may be nearest to it
_GROUP = 128


class _Pieces(NamedTuple):
    """Triangles of one surface, and for each the faces of the other that may be nearest to a point of it."""

    corners: Float[np.ndarray, "K 3 3"]
    piece: Int[np.ndarray, " C"]  # which piece a candidate belongs to, rising
    face: Int[np.ndarray, " C"]


def chamfer_interval(mesh_a: Mesh, mesh_b: Mesh, tolerance: float | None = None) -> Interval:
    """The Chamfer distance `l1_mean` of two surfaces themselves, at most `tolerance` wide where that can be afforded.

    Half of the mean distance from the points of each surface to the other; `value` is the middle. None is a thousandth
    of the diagonal of both.

    Raises:
        MetricError: a tolerance that is not positive, or faces too many to compare each with each.
        MeshError: a mesh without faces.
    """
    there, back = (mean_interval_to(*pair, tolerance) for pair in ((mesh_a, mesh_b), (mesh_b, mesh_a)))
    lower, upper = (there.lower + back.lower) / 2, (there.upper + back.upper) / 2
    return Interval((lower + upper) / 2, lower, upper)


def mean_interval_to(mesh_a: Mesh, mesh_b: Mesh, tolerance: float | None = None) -> Interval:
    """The mean distance from the points of the surface of `mesh_a` to that of `mesh_b`, between two bounds.

    The distance to one triangle is convex. So over a piece its mean is at most that at the three corners, for whichever
    triangle; and it is at least the least of the planes that touch these distances at the piece's middle, over all
    triangles that may be nearest to a point of it: that least is concave, so its mean is at least that at the corners.
    Both are off by the square of the piece's size where one face or a smooth part is nearest. Pieces with the widest
    bounds, times their area, are cut into four.

    Raises:
        MetricError: a tolerance that is not positive, or faces too many to compare each with each.
        MeshError: a mesh without faces.
    """
    both = np.stack([mesh_a.bounds, mesh_b.bounds])
    diagonal = float(np.linalg.norm(both[:, 1].max(axis=0) - both[:, 0].min(axis=0)))
    wanted = 1e-3 * diagonal if tolerance is None else tolerance
    if not wanted > 0:
        raise MetricError(f"expected a tolerance above 0, found {wanted:g}. Give a length in the unit of the meshes.")
    whole = float(_areas(mesh_a.triangles).sum())
    pieces = _begun(not_shared(mesh_a, mesh_b), mesh_b)
    lower = upper = 0.0  # what is settled, times area
    while len(pieces.corners):
        low, high, pieces = _bounds(pieces, mesh_b)
        areas = _areas(pieces.corners)
        gaps = (high - low) * areas
        order = np.argsort(-gaps)
        # What stays may be as wide as half of what is left of the tolerance.
        room = max(0.0, wanted * whole - (upper - lower)) / 2
        left_after = gaps.sum() - np.cumsum(gaps[order])
        cut = order[: int(np.searchsorted(-left_after, -room)) + 1]
        if gaps.sum() <= 2 * room or 4 * len(cut) > _MOST_PIECES or len(pieces.face) > _MOST_CANDIDATES:
            cut = cut[:0]
        stays = np.ones(len(areas), bool)
        stays[cut] = False
        lower, upper = lower + float((low * areas)[stays].sum()), upper + float((high * areas)[stays].sum())
        pieces = _cut(pieces, np.sort(cut))
    return Interval((lower + upper) / 2 / whole, lower / whole, upper / whole)


def _areas(triangles: Float[np.ndarray, "K 3 3"]) -> Float[np.ndarray, " K"]:
    sides = triangles[:, 1:] - triangles[:, :1]
    return np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2


def _begun(corners: Float[np.ndarray, "K 3 3"], mesh: Mesh) -> _Pieces:
    """Whole faces, each with the faces of the other mesh whose surrounding ball comes near enough.

    Raises:
        MetricError: more than can be held.
    """
    centres, reach = _balls(corners)
    others, sizes = _balls(mesh.triangles)
    limit = from_surface(centres, mesh)[0] + 2 * reach
    found: list[tuple[np.ndarray, np.ndarray]] = []
    count = 0
    for group in _groups(centres):
        # Whoever is near to one of a group is as near to its middle, but for how far the group reaches.
        middle = centres[group].mean(axis=0)
        wide = np.linalg.norm(centres[group] - middle, axis=1)
        near = np.flatnonzero(np.linalg.norm(others - middle, axis=1) <= (limit[group] + wide).max() + sizes)
        apart = np.linalg.norm(centres[group][:, None] - others[near], axis=2)
        piece, face = np.nonzero(apart <= limit[group][:, None] + sizes[near])
        count += len(piece)
        if count > 16 * _MOST_CANDIDATES:
            raise MetricError(
                f"expected surfaces whose faces have few others near them, found {count:,} pairs of {len(corners):,} "
                f"and {len(others):,} faces. Draw points instead, or make the meshes coarser."
            )
        found.append((group[piece], near[face]))
    empty = np.zeros(0, np.int64)
    piece, face = (np.concatenate([empty, *part]) for part in (zip(*found, strict=True) if found else ((), ())))
    order = np.argsort(piece, kind="stable")
    return _Pieces(corners, piece[order], face[order])


def _groups(points: Float[np.ndarray, "K 3"]) -> Iterator[Int[np.ndarray, " G"]]:
    """The points by halves along the longer side, down to some that lie together."""
    parts = [np.arange(len(points))] if len(points) else []
    while parts:
        part = parts.pop()
        if len(part) <= _GROUP:
            yield part
            continue
        along = points[part][:, np.ptp(points[part], axis=0).argmax()]
        order = np.argpartition(along, len(part) // 2)
        parts += [part[order[: len(part) // 2]], part[order[len(part) // 2 :]]]


def _balls(triangles: Float[np.ndarray, "K 3 3"]) -> tuple[Float[np.ndarray, "K 3"], Float[np.ndarray, " K"]]:
    """A ball about the middle of each triangle that holds it."""
    centres = triangles.mean(axis=1)
    return centres, np.linalg.norm(triangles - centres[:, None], axis=2).max(axis=1)


def _bounds(pieces: _Pieces, mesh: Mesh) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"], _Pieces]:
    """Bounds of the mean distance of each piece, and the pieces with the candidates that are left."""
    corners, piece, face = pieces
    centres, reach = _balls(corners)
    nearest, at_middle = from_surface(centres, mesh)
    feet = _feet(centres[piece], mesh.triangles[face])
    away = centres[piece] - feet
    distance = np.linalg.norm(away, axis=1)
    size = max(float(np.abs(mesh.bounds).max()), float(np.abs(corners).max()))
    slack = ROUNDING * size
    # A face nearest to a point x of the piece is at most |x - c| farther from the middle c than the nearest one and x.
    kept = distance <= (nearest + 2 * reach + slack)[piece]
    piece, face, away, distance = piece[kept], face[kept], away[kept], distance[kept]
    slope = away / np.where(distance > 0, distance, 1)[:, None]
    steps = (corners - centres[:, None])[piece]
    planes = distance[:, None] + np.einsum("cj,ckj->ck", slope, steps)
    own = _to_faces(corners, mesh.triangles[at_middle])
    # Its plane is below the distance to the face nearest to c somewhere, so at a corner: plane less convex is concave.
    kept = (planes <= own[piece] + slack).any(axis=1)
    piece, face, planes = piece[kept], face[kept], planes[kept]
    first = np.searchsorted(piece, np.arange(len(corners)))  # each piece keeps the face nearest to its middle
    low = np.maximum(np.minimum.reduceat(planes, first, axis=0).mean(axis=1) - slack, 0)
    high = own.mean(axis=1)
    for point in np.moveaxis(corners, 1, 0):
        high = np.minimum(high, _to_faces(corners, mesh.triangles[from_surface(point, mesh)[1]]).mean(axis=1))
    high = np.where(high <= slack, 0, high + slack)
    return np.minimum(low, high), high, _Pieces(corners, piece, face)


def _to_faces(corners: Float[np.ndarray, "K 3 3"], triangles: Float[np.ndarray, "K 3 3"]) -> Float[np.ndarray, "K 3"]:
    """The distance of each corner to the triangle of its piece."""
    return np.stack([np.linalg.norm(at - _feet(at, triangles), axis=1) for at in np.moveaxis(corners, 1, 0)], axis=1)


def _cut(pieces: _Pieces, chosen: Int[np.ndarray, " Q"]) -> _Pieces:
    """The chosen pieces in four each, whose candidates are those of the whole."""
    corners = quarters(pieces.corners[chosen])
    place = np.full(len(pieces.corners), -1)
    place[chosen] = np.arange(len(chosen))
    mine = place[pieces.piece]
    piece, face = mine[mine >= 0], pieces.face[mine >= 0]
    whole = np.concatenate([piece + quarter * len(chosen) for quarter in range(4)])
    return _Pieces(corners, whole, np.tile(face, 4))


def _feet(points: Float[np.ndarray, "C 3"], triangles: Float[np.ndarray, "C 3 3"]) -> Float[np.ndarray, "C 3"]:
    """The nearest point of each triangle: below the point where that is on the face, else on an edge."""
    edges = np.roll(triangles, -1, axis=1) - triangles
    steps = points[:, None] - triangles
    normal = np.cross(edges[:, 0], edges[:, 1])
    squared = np.einsum("cj,cj->c", normal, normal)
    above = (np.einsum("cej,cej->ce", np.cross(normal[:, None], edges), steps) >= 0).all(axis=1) & (squared > 0)
    height = np.einsum("cj,cj->c", normal, steps[:, 0]) / np.where(squared > 0, squared, 1)
    lengths = np.einsum("cej,cej->ce", edges, edges)
    along = np.clip(np.einsum("cej,cej->ce", steps, edges) / np.where(lengths > 0, lengths, 1), 0, 1)
    beside = triangles + along[..., None] * edges
    which = np.linalg.norm(points[:, None] - beside, axis=2).argmin(axis=1)
    return np.where(above[:, None], points - height[:, None] * normal, beside[np.arange(len(points)), which])
