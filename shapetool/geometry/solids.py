"""Closed meshes, wound outward, made by turning an outline, stretching it, or moving a ring along a path."""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.mesh import Mesh


def revolve(profile: Float[np.ndarray, "N 2"], segments: int) -> Mesh:
    """The solid that an outline of (radius, z) corners sweeps about the z axis, in so many flat segments.

    The outline runs against the clock with the radius to the right and z up; corners on the axis become one vertex,
    and a side along the axis becomes no face. The mesh lies within ``turning_error`` of the true solid of revolution.
    """
    vertices, index = _turned(profile, segments)
    return _compact(vertices, _turned_faces(index, np.ones(index.shape, dtype=bool)))


def turning_error(radius: float, segments: int) -> float:
    """The largest gap between a circle and the regular polygon in it: r (1 - cos(pi / n))."""
    return radius * 2 * float(np.sin(np.pi / segments / 2)) ** 2


def arc(radius: float, centre: tuple[float, float], start: float, end: float, steps: int) -> Float[np.ndarray, "N 2"]:
    """``steps + 1`` points of a circle in the plane between two angles in degrees, from 0 at the right, both included.

    A point less than 1e-12 radii from the axis of revolution is put on it.
    """
    angles = np.radians(np.linspace(start, end, steps + 1))
    points = np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], axis=1)
    points[np.abs(points[:, 0]) < 1e-12 * radius, 0] = 0.0
    return points


def ring_prism(outer: Float[np.ndarray, "N 2"], inner: Float[np.ndarray, "N 2"], half_height: float) -> Mesh:
    """The prism between two outlines against the clock; corner k of both lies on one ray from the origin."""
    count = len(outer)
    flat = np.concatenate([outer, inner, outer, inner])
    heights = np.repeat([half_height, -half_height], 2 * count)
    here = np.arange(count)
    following = np.roll(here, -1)
    top_out, top_in, low_out, low_in = (np.stack([here, following]) + k * count for k in range(4))
    faces = np.concatenate(
        [
            _quads(top_out[0], top_out[1], top_in[1], top_in[0]),
            _quads(low_in[0], low_in[1], low_out[1], low_out[0]),
            _quads(low_out[0], low_out[1], top_out[1], top_out[0]),
            _quads(top_in[0], top_in[1], low_in[1], low_in[0]),
        ]
    )
    return Mesh(np.column_stack([flat, heights]), faces)


def closed_tube(path: Float[np.ndarray, "N 3"], sides: Float[np.ndarray, "N 3"], radius: float, segments: int) -> Mesh:
    """A tube around a closed path; ``sides`` is a unit vector across the path at each point of it."""
    along = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = sides - (sides * along).sum(axis=1, keepdims=True) * along
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    second = np.cross(along, across)
    angles = np.arange(segments) * (2 * np.pi / segments)
    turned = np.cos(angles)[:, None] * across[:, None] + np.sin(angles)[:, None] * second[:, None]
    rings = path[:, None] + radius * turned
    index = np.arange(len(path) * segments).reshape(len(path), segments)
    return Mesh(rings.reshape(-1, 3), _ring_faces(np.vstack([index, index[:1]])))


def revolve_with_handle(
    profile: Float[np.ndarray, "N 2"],
    segments: int,
    rows: tuple[tuple[int, int], tuple[int, int]],
    half_width: int,
    depth: float,
) -> Mesh:
    """A solid of revolution with a handle on its outer wall, joined without a seam.

    ``rows`` are the profile rows (first, last) of the upper and the lower place where the handle grows out of the
    wall, which is upright there; each place is ``2 * half_width`` segments wide about the direction of x. The handle
    follows half an ellipse that reaches ``depth`` away from the wall. Both places need equally many rows.
    """
    vertices, index = _turned(profile, segments)
    kept = np.ones(index.shape, dtype=bool)
    columns = np.arange(-half_width, half_width) % segments
    for first, last in rows:
        kept[first:last, columns] = False
    body = _turned_faces(index, kept)
    upper, lower = (_outline(index, first, last, half_width) for first, last in rows)
    rings = [upper]
    middle = _handle_rings(vertices, upper, lower, depth, steps=48)
    for k in range(len(middle)):
        rings.append(len(vertices) + k * len(upper) + np.arange(len(upper)))
    # The path turns over: the top of the section at its start is the bottom at its end.
    rings.append(_outline(index, rows[1][0], rows[1][1], half_width, turned=True))
    handle = _ring_faces(np.stack(rings))
    return _compact(np.concatenate([vertices, middle.reshape(-1, 3)]), np.concatenate([body, handle]))


def _turned(
    profile: Float[np.ndarray, "N 2"], segments: int
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "N S"]]:
    """The turned corners, and the vertex of each corner and segment; a corner on the axis has one for all."""
    angles = np.arange(segments) * (2 * np.pi / segments)
    radius, height = profile[:, :1], np.repeat(profile[:, 1:], segments, axis=1)
    vertices = np.stack([radius * np.cos(angles), radius * np.sin(angles), height], axis=-1).reshape(-1, 3)
    index = np.arange(len(vertices)).reshape(len(profile), segments)
    index[profile[:, 0] == 0] = index[profile[:, 0] == 0][:, :1]
    return vertices, index


def _turned_faces(index: Int[np.ndarray, "N S"], kept: Bool[np.ndarray, "N S"]) -> Int[np.ndarray, "F 3"]:
    """Two triangles a kept cell, less those that the axis squeezes to nothing."""
    above = np.roll(index, -1, axis=0)
    cells = (index, np.roll(index, -1, axis=1), np.roll(above, -1, axis=1), above)
    faces = _quads(*(corner[kept] for corner in cells))
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]


def _ring_faces(rings: Int[np.ndarray, "K S"]) -> Int[np.ndarray, "F 3"]:
    """The wall between consecutive rings, each against the clock seen from where the path goes."""
    lower, upper = rings[:-1], rings[1:]
    corners = (lower, np.roll(lower, -1, axis=1), np.roll(upper, -1, axis=1), upper)
    return _quads(*(corner.ravel() for corner in corners))


def _quads(
    a: Int[np.ndarray, " Q"], b: Int[np.ndarray, " Q"], c: Int[np.ndarray, " Q"], d: Int[np.ndarray, " Q"]
) -> Int[np.ndarray, "F 3"]:
    return np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)


def _outline(
    index: Int[np.ndarray, "N S"], first: int, last: int, half_width: int, turned: bool = False
) -> Int[np.ndarray, " K"]:
    """The vertices around a patch of the wall, against the clock seen from outside; ``turned`` mirrors it upside down.

    The patch spans the rows from ``first`` to ``last``, and the segments within ``half_width`` of the first one.
    """
    segments = index.shape[1]
    left, right = -half_width, half_width
    bottom = [(first, j) for j in range(left, right)]
    side = [(i, right) for i in range(first, last)]
    top = [(last, j) for j in range(right, left, -1)]
    back = [(i, left) for i in range(last, first, -1)]
    corners = bottom + side + top + back
    if turned:
        corners = [(first + last - i, j) for i, j in corners]
    return np.array([index[i, j % segments] for i, j in corners])


def _handle_rings(
    vertices: Float[np.ndarray, "V 3"],
    upper: Int[np.ndarray, " K"],
    lower: Int[np.ndarray, " K"],
    depth: float,
    steps: int,
) -> Float[np.ndarray, "T K 3"]:
    """The sections of the handle between its two ends: ellipses as wide and as high as the patches."""
    start, end = vertices[upper], vertices[lower]
    low, high = start.min(axis=0), start.max(axis=0)
    half = (high - low) / 2
    local = (start - (low + high) / 2)[:, 1:] / half[1:]
    angles = np.arctan2(local[:, 1], local[:, 0])
    top, bottom = (low + high)[2] / 2, (end[:, 2].min() + end[:, 2].max()) / 2
    rise, wall = (top - bottom) / 2, high[0]
    turn = np.linspace(0, np.pi, steps + 2)[1:-1]
    centres = np.stack([wall + depth * np.sin(turn), np.zeros(steps), (top + bottom) / 2 + rise * np.cos(turn)], axis=1)
    along = np.stack([depth * np.cos(turn), np.zeros(steps), -rise * np.sin(turn)], axis=1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 2], np.zeros(steps), along[:, 0]], axis=1)
    sideways = half[1] * np.cos(angles)[None, :, None] * np.array([0.0, 1.0, 0.0])
    return centres[:, None] + sideways + half[2] * np.sin(angles)[None, :, None] * across[:, None]


def _compact(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Mesh:
    """The mesh without the vertices that no face uses."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return Mesh(vertices[used], renumbered.reshape(-1, 3))
