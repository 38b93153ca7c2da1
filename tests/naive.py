"""Slow twins of what the kernel computes, in float64 and plain numpy; nothing here comes from shapetool.

They look at every triangle. Triangles are passed over only when a sphere around them lies farther than some other
triangle's centre, which cannot change a minimum.
"""

import numpy as np

_PAIRS = 2_000_000  # of point and triangle in memory at once


def _segment_distance_sq(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    edge = b - a
    length_sq = (edge**2).sum(-1)
    t = np.clip(((p - a) * edge).sum(-1) / np.where(length_sq > 0, length_sq, 1), 0, 1)
    return ((p - a - t[..., None] * edge) ** 2).sum(-1)


def triangle_distance_sq(p: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Squared distance of points (N, 3) to triangles (N, 3, 3), row by row.

    The least of the three edges, or the plane where the foot of the perpendicular lies within all three.
    """
    a, b, c = triangle[..., 0, :], triangle[..., 1, :], triangle[..., 2, :]
    best = np.minimum(
        _segment_distance_sq(p, a, b), np.minimum(_segment_distance_sq(p, b, c), _segment_distance_sq(p, c, a))
    )
    normal = np.cross(b - a, c - a)
    length_sq = (normal**2).sum(-1)
    longest_sq = np.maximum(((b - a) ** 2).sum(-1), np.maximum(((c - b) ** 2).sum(-1), ((a - c) ** 2).sum(-1)))
    within = length_sq > 1e-18 * longest_sq**2  # of a thinner one the edges are the triangle, to 1e-9 of its length
    for start, end in ((a, b), (b, c), (c, a)):
        within &= (np.cross(normal, end - start) * (p - start)).sum(-1) >= 0
    height = ((p - a) * normal).sum(-1)
    return np.where(within, height**2 / np.where(length_sq > 0, length_sq, 1), best)


def brute_distance(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The distance of each point to the nearest triangle."""
    triangles = vertices[faces]
    centres = triangles.mean(axis=1)
    radii = np.linalg.norm(triangles - centres[:, None], axis=2).max(axis=1)
    out = np.empty(len(points))
    step = max(1, _PAIRS // len(faces))
    for start in range(0, len(points), step):
        p = points[start : start + step]
        to_centre = np.sqrt(sum((p[:, None, k] - centres[None, :, k]) ** 2 for k in range(3)))
        reach = (to_centre + radii).min(axis=1) * (1 + 1e-12)
        row, column = np.nonzero(to_centre - radii <= reach[:, None])
        best = np.full(len(p), np.inf)
        np.minimum.at(best, row, triangle_distance_sq(p[row], triangles[column]))
        out[start : start + step] = np.sqrt(best)
    return out


def brute_winding(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The generalized winding number: the solid angles of all triangles over 4 pi (van Oosterom and Strackee 1983)."""
    triangles = vertices[faces]
    out = np.empty(len(points))
    step = max(1, _PAIRS // 4 // len(faces))
    for start in range(0, len(points), step):
        r = triangles[None] - points[start : start + step, None, None]
        length = np.sqrt((r**2).sum(-1))
        a, b, c = r[..., 0, :], r[..., 1, :], r[..., 2, :]
        volume = (a * np.cross(b, c)).sum(-1)
        rest = length.prod(-1)
        rest += (a * b).sum(-1) * length[..., 2] + (b * c).sum(-1) * length[..., 0] + (c * a).sum(-1) * length[..., 1]
        out[start : start + step] = np.arctan2(volume, rest).sum(-1) / (2 * np.pi)
    return out


def brute_first_hit(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first t >= 0 of each ray and its face (Moeller and Trumbore 1997); inf and -1 on a miss."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    t_out, face_out = np.full(len(origins), np.inf), np.full(len(origins), -1)
    for i, (origin, direction) in enumerate(zip(origins, directions, strict=True)):
        h = np.cross(direction, c - a)
        det = ((b - a) * h).sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = ((origin - a) * h).sum(-1) / det
            q = np.cross(origin - a, b - a)
            v = (q * direction).sum(-1) / det
            t = ((c - a) * q).sum(-1) / det
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0) & (det != 0)
        if hit.any():
            face_out[i] = np.flatnonzero(hit)[np.argmin(t[hit])]
            t_out[i] = t[face_out[i]]
    return t_out, face_out
