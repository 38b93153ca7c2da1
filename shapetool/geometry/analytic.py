"""Shapes whose signed distance has a closed form; every function is exact everywhere, negative inside.

A shape is a function of points (P, 3) -> (P,). The makers here take the numbers of a shape and return that function, so
that it can stand wherever a mesh's field can.

Source: the formulas are those of Quilez, "Distance functions", iquilezles.org, worked out again; only the exact ones.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

Field = Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]]


def sphere(radius: float) -> Field:
    """The ball about the origin: |p| - radius."""

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        return np.linalg.norm(points, axis=1) - radius

    return distance


def box(low: Sequence[float], high: Sequence[float]) -> Field:
    """The solid box between two corners, its sides along the axes."""
    first, last = np.asarray(low, dtype=float), np.asarray(high, dtype=float)

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        beyond = np.maximum(first - points, points - last)
        return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)

    return distance


def torus(ring: float, tube: float) -> Field:
    """The torus about the z axis whose tube of radius ``tube`` runs along a circle of radius ``ring``."""

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        return np.hypot(np.hypot(points[:, 0], points[:, 1]) - ring, points[:, 2]) - tube

    return distance


def capsule(half_length: float, radius: float) -> Field:
    """All points within ``radius`` of the segment from -half_length to half_length on the z axis."""

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        along = points[:, 2] - np.clip(points[:, 2], -half_length, half_length)
        return np.sqrt(points[:, 0] ** 2 + points[:, 1] ** 2 + along**2) - radius

    return distance


def cylinder(half_length: float, radius: float) -> Field:
    """The solid cylinder about the z axis with flat ends at -half_length and half_length."""

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        return _prism(np.hypot(points[:, 0], points[:, 1]) - radius, points[:, 2], half_length)

    return distance


def rounded(field: Field, radius: float) -> Field:
    """All points within ``radius`` of a solid: its distance minus the radius; exact outside of the solid itself."""
    return lambda points: field(points) - radius


def disjoint(fields: Sequence[Field]) -> Field:
    """Several solids that neither touch nor overlap: the least of their distances."""
    return lambda points: np.min([field(points) for field in fields], axis=0)


def revolution(profile: Float[np.ndarray, "N 2"]) -> Field:
    """The solid that an outline of (radius, z) corners sweeps about the z axis; corners on the axis close it.

    The outline runs from the axis to the axis or is a ring away from it; the side along the axis is no surface.
    """
    starts, ends = profile, np.roll(profile, -1, axis=0)
    surface = (starts[:, 0] > 0) | (ends[:, 0] > 0)

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        flat = np.stack([np.hypot(points[:, 0], points[:, 1]), points[:, 2]], axis=1)
        nearest = segment_distance(flat, starts[surface], ends[surface])
        return np.where(in_polygon(flat, [profile]), -nearest, nearest)

    return distance


def extrusion(outlines: Sequence[Float[np.ndarray, "_ 2"]], half_height: float) -> Field:
    """The solid over a region of the xy plane, from -half_height to half_height.

    The region is what an odd number of the outlines encloses, so an outline within another is a hole.
    """
    starts = np.concatenate(list(outlines))
    ends = np.concatenate([np.roll(outline, -1, axis=0) for outline in outlines])

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        flat = points[:, :2]
        nearest = segment_distance(flat, starts, ends)
        return _prism(np.where(in_polygon(flat, outlines), -nearest, nearest), points[:, 2], half_height)

    return distance


def box_union(boxes: Float[np.ndarray, "N 2 3"]) -> Field:
    """The union of boxes that may touch and overlap, each given by its low and its high corner.

    Outside, the nearest box decides. Inside, the nearest part of the union's boundary does: each side of a box less
    what the other boxes cover, which is a set of rectangles.
    """
    from shapetool.geometry.boxes import boundary_rectangles

    low, high = boundary_rectangles(boxes)
    solids = [box(low_corner, high_corner) for low_corner, high_corner in boxes.tolist()]

    def distance(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        result = np.min([solid(points) for solid in solids], axis=0)
        buried = np.flatnonzero(result <= 0)
        nearest_sq = np.full(len(buried), np.inf)
        for corner, opposite in zip(low, high, strict=True):
            gap = points[buried] - np.clip(points[buried], corner, opposite)
            np.minimum(nearest_sq, (gap**2).sum(axis=1), out=nearest_sq)
        result[buried] = -np.sqrt(nearest_sq)
        return result

    return distance


def segment_distance(
    points: Float[np.ndarray, "P 2"], starts: Float[np.ndarray, "N 2"], ends: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, " P"]:
    """The distance of points in the plane to the nearest of the segments."""
    nearest_sq = np.full(len(points), np.inf)
    for start, end in zip(starts, ends, strict=True):
        along = end - start
        to_point = points - start
        length_sq = along @ along
        part = np.clip(to_point @ along / length_sq, 0, 1) if length_sq > 0 else np.zeros(len(points))
        np.minimum(nearest_sq, ((to_point - part[:, None] * along) ** 2).sum(axis=1), out=nearest_sq)
    return np.sqrt(nearest_sq)


def in_polygon(
    points: Float[np.ndarray, "P 2"], outlines: Sequence[Float[np.ndarray, "_ 2"]]
) -> Bool[np.ndarray, " P"]:
    """True where a ray to the right crosses the outlines an odd number of times."""
    inside = np.zeros(len(points), dtype=bool)
    for outline in outlines:
        for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            spans = (start[1] > points[:, 1]) != (end[1] > points[:, 1])
            if spans.any():
                turn = (end[0] - start[0]) * (points[:, 1] - start[1]) - (end[1] - start[1]) * (points[:, 0] - start[0])
                inside ^= spans & ((turn > 0) == (end[1] > start[1]))
    return inside


def _prism(
    across: Float[np.ndarray, " P"], height: Float[np.ndarray, " P"], half_height: float
) -> Float[np.ndarray, " P"]:
    """The distance of a solid between two planes, from the distance to its outline in the plane."""
    beyond = np.abs(height) - half_height
    return np.hypot(np.maximum(across, 0), np.maximum(beyond, 0)) + np.minimum(np.maximum(across, beyond), 0)
