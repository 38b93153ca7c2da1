"""Depth images back to the surface they show: as points, and fused into a truncated signed distance."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from shapetool.errors import ConfigError
from shapetool.geometry.lattice import Box, lattice_axes
from shapetool.render.cameras import Cameras

_SLAB = 1 << 18  # nodes at a time: what a view says of them stays in the cache
_FAR = 2.0  # truncations along the ray, beyond which the plane of a pixel says nothing of a node
_EDGE = 0.1  # of the truncation, by which a nearer surface does not count for more
_HIDDEN = 0.01  # of the truncation, the least depth of a node that is hidden from every view


@dataclass(frozen=True, eq=False)
class Unprojected:
    """Points at the centres of all pixels that show something, view by view and row by row.

    `normals` are turned to the camera, `colours` as they are in the image; None where they were not given.
    """

    points: Float[np.ndarray, "K 3"]
    normals: Float[np.ndarray, "K 3"] | None
    colours: np.ndarray | None  # (K, 3) u1


def unprojected(
    cameras: Cameras, depth: np.ndarray, normals: np.ndarray | None = None, images: np.ndarray | None = None
) -> Unprojected:
    """The points of N depth images (N, H, W), 0 where there is none, with what the other images have there.

    Raises:
        ConfigError: not as many images, or not as large, as the cameras have.
    """
    _check(cameras, depth)
    points = np.concatenate([cameras.unproject(image, view) for view, image in enumerate(depth)])
    seen = depth > 0
    turned = None if normals is None else normals[seen].astype(np.float64)
    return Unprojected(points, turned, None if images is None else images[seen])


def fused_distances(
    cameras: Cameras, depth: np.ndarray, normals: np.ndarray, box: Box, resolution: int, truncation: float
) -> Float[np.ndarray, "X Y Z"]:
    """The signed distance at `resolution`^3 nodes of the box, cut at -truncation and truncation, negative inside.

    What a view says of a node is its distance from the plane of the nearest pixel, if the surface there is within two
    truncations along the ray. A node takes the mean of what the views say, weighted by the square of the cosine of the
    angle between ray and normal over that distance. Nodes that a view sees through are outside, and so are
    those in fewer than half of the images; the others, hidden from every view, are inside: as far as `truncation`, but
    beside a node that is known to be outside, no farther from it than it is away.

    Raises:
        ConfigError: not as many images, or not as large, as the cameras have; fewer than two nodes; a truncation that
            is not above 0.
    Source: Curless and Levoy, "A volumetric method for building complex models from range images", SIGGRAPH 1996.
        Theirs are distances along the line of sight: here they are to the plane that the pixel shows, so that a slanted
        surface stays where it is. Their weight is the cosine: here the nearer of two faces counts for more, which keeps
        edges and the space between walls.
        Carving is part of it from the start: a node is seen through only where the 3 x 3 pixels around it all are, and
        what other views say of a surface in front of such a node is dropped, so that thin walls keep their thickness.
    """
    _check(cameras, depth)
    if not truncation > 0:
        raise ConfigError(f"truncation is {truncation}; expected a distance above 0.")
    axes = lattice_axes(box, resolution)
    looks = [_Look.of(cameras, depth[view], normals[view], view) for view in range(len(cameras))]
    values = np.empty((resolution,) * 3)
    thick = max(1, _SLAB // resolution**2)
    for start in range(0, resolution, thick):
        part = slice(start, start + thick)
        values[part] = _fused((axes[0][part], axes[1], axes[2]), cameras, looks, truncation)
    return _steadied(values, truncation, [float(axis[1] - axis[0]) for axis in axes])


@dataclass(frozen=True, eq=False)
class _Look:
    """What one view shows, by pixel: depth, the least depth around, and the plane of the surface."""

    depth: Float[np.ndarray, " HW"]
    nearest: Float[np.ndarray, " HW"]  # inf where nothing is around
    plane: Float[np.ndarray, "HW 4"]
    cosine: Float[np.ndarray, " HW"]
    length: Float[np.ndarray, " HW"]  # along the ray for a depth of 1

    @classmethod
    def of(cls, cameras: Cameras, depth: np.ndarray, normals: np.ndarray, view: int) -> "_Look":
        """The look of one view."""
        origins, directions = cameras.rays(cameras.pixel_centres(), view)
        flat, normal = depth.reshape(-1).astype(np.float64), normals.reshape(-1, 3).astype(np.float64)
        length = np.linalg.norm(directions, axis=1)
        points = origins + flat[:, None] * directions
        plane = np.column_stack([normal, -(normal * points).sum(axis=1)])
        cosine = -(normal * directions).sum(axis=1) / length
        rows = np.pad(np.where(depth > 0, depth, np.inf), 1, mode="edge")
        rows = np.minimum(np.minimum(rows[:-2], rows[1:-1]), rows[2:])
        around = np.minimum(np.minimum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        return cls(flat, around.reshape(-1).astype(np.float64), plane, np.maximum(cosine, 0), length)


def projected_nodes(
    axes: tuple[np.ndarray, np.ndarray, np.ndarray], cameras: Cameras, view: int
) -> tuple[Float[np.ndarray, "2 X Y Z"], Float[np.ndarray, "X Y Z"], Bool[np.ndarray, "X Y Z"]]:
    """The pixel coordinates of the nodes of a lattice, their depth, and which of them are in the image."""
    turn = cameras.pose[view, :3, :3] * [1, -1, -1]
    shift = cameras.pose[view, :3, 3] @ turn
    x, y, z = (axis.reshape([-1 if k == j else 1 for j in range(3)]) for k, axis in enumerate(axes))
    local = [x * turn[0, k] + y * turn[1, k] + z * turn[2, k] - shift[k] for k in range(3)]
    depth = local[2]
    ahead = depth > 0
    scale = 1.0 if cameras.orthographic else 1 / np.where(ahead, depth, 1)
    matrix = cameras.intrinsics[view]
    across, down = local[0] * scale, local[1] * scale
    u = matrix[0, 0] * across + matrix[0, 1] * down + matrix[0, 2]
    v = matrix[1, 1] * down + matrix[1, 2]
    height, width = cameras.size
    seen = (u >= 0) & (u < width) & (v >= 0) & (v < height) & (ahead | cameras.orthographic)
    return np.stack([u, v]), depth, seen


def _fused(
    axes: tuple[np.ndarray, np.ndarray, np.ndarray], cameras: Cameras, looks: list[_Look], truncation: float
) -> Float[np.ndarray, "X Y Z"]:
    """The values at the nodes of a slab."""
    shape = tuple(len(axis) for axis in axes)
    count = int(np.prod(shape))
    total, weight = np.zeros((2, count)), np.zeros((2, count))  # what was said from within, and from without
    free, pictured = np.zeros(count, bool), np.zeros(count, np.int64)
    points = [np.broadcast_to(axis.reshape([-1 if k == j else 1 for j in range(3)]), shape).reshape(-1)
              for k, axis in enumerate(axes)]  # fmt: skip
    for look, nodes, pixels, depth in _seen(axes, cameras, looks):
        pictured[nodes] += 1
        free[nodes[depth < look.nearest[pixels]]] = True
        before = (look.depth[pixels] - depth) * look.length[pixels]
        near = np.flatnonzero((np.abs(before) <= _FAR * truncation) & (look.depth[pixels] > 0))
        nodes, pixels, before = nodes[near], pixels[near], before[near]
        plane = look.plane[pixels]
        said = sum(plane[:, k] * points[k][nodes] for k in range(3)) + plane[:, 3]
        # Beside a slanted pixel the sides of its plane and of its ray differ, and far along the ray the plane is wrong.
        agreed = ((said > 0) == (before > 0)) | (np.abs(before) < truncation / 2)
        known = (np.abs(said) <= truncation) & agreed
        nodes, said = nodes[known], said[known]
        trust = (look.cosine[pixels[known]] / (np.abs(said) + _EDGE * truncation)) ** 2
        for side in (0, 1):
            of = (said > 0) == bool(side)
            total[side, nodes[of]] += trust[of] * said[of]
            weight[side, nodes[of]] += trust[of]
    weight[0, free] = total[0, free] = 0  # what is in front of a node seen through is another surface
    told = weight.sum(axis=0) > 0
    values = np.where(free | (2 * pictured < len(cameras)), truncation, -truncation)
    values[told] = total.sum(axis=0)[told] / weight.sum(axis=0)[told]
    return values.reshape(shape)


def _steadied(values: np.ndarray, truncation: float, steps: list[float]) -> Float[np.ndarray, "X Y Z"]:
    """The values, with hidden nodes no deeper than a distance can be beside a node outside whose value views told.

    So the surface crosses between them where that node says, and not next to it.
    """
    told = np.where((values > 0) & (values < truncation), values, -np.inf)
    least = np.full_like(values, -truncation)
    for axis, step in enumerate(steps):
        beside, most = np.moveaxis(told, axis, 0), np.moveaxis(least, axis, 0)
        most[1:] = np.maximum(most[1:], beside[:-1] - step)
        most[:-1] = np.maximum(most[:-1], beside[1:] - step)
    least = np.minimum(least, -_HIDDEN * truncation)  # a node that nothing was seen through stays inside
    return np.where(values == -truncation, least, values)


def _seen(
    axes: tuple[np.ndarray, np.ndarray, np.ndarray], cameras: Cameras, looks: list[_Look]
) -> Iterator[tuple[_Look, np.ndarray, np.ndarray, np.ndarray]]:
    """For each view the nodes in its image, their pixels and their depth."""
    for view, look in enumerate(looks):
        (u, v), depth, seen = projected_nodes(axes, cameras, view)
        nodes = np.flatnonzero(seen)
        pixels = v.reshape(-1)[nodes].astype(np.int64) * cameras.size[1] + u.reshape(-1)[nodes].astype(np.int64)
        yield look, nodes, pixels, depth.reshape(-1)[nodes]


def _check(cameras: Cameras, images: np.ndarray) -> None:
    expected = (len(cameras), *cameras.size)
    if images.shape[:3] != expected:
        raise ConfigError(f"images: expected {expected} for these cameras, found {images.shape[:3]}.")
