"""Pinhole and orthographic cameras: where the points of a scene land in an image, and the rays back.

A pose is camera-to-world with OpenGL axes: x right, y up, and the camera looks along -z. Pixels are counted from the
upper left corner of the image, u to the right and v downwards, so that the centre of the first pixel is at (0.5, 0.5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError

_RIGID = 1e-6  # how far a pose may be from a rotation and still be one


@dataclass(frozen=True, eq=False)
class Cameras:
    """N cameras with images of one size, in the unit of the scene.

    `intrinsics` are in pixels, [[fx, skew, cx], [0, fy, cy], [0, 0, 1]], and act on (x, -y, -z) of camera space. An
    orthographic camera has pixels a unit of length for fx and fy.

    Raises:
        ConfigError: a shape that does not fit, a number that is not finite, a pose that is no rotation and shift or is
            left-handed, or a focal length that is not above 0; the message names the camera.
    """

    size: tuple[int, int]  # height, width
    intrinsics: Float[np.ndarray, "N 3 3"]
    pose: Float[np.ndarray, "N 4 4"]
    orthographic: bool = False

    def __post_init__(self) -> None:
        count = len(self.pose)
        if self.intrinsics.shape != (count, 3, 3) or self.pose.shape != (count, 4, 4):
            found = f"{self.intrinsics.shape} and {self.pose.shape}"
            raise ConfigError(f"cameras: expected intrinsics (N, 3, 3) and poses (N, 4, 4), found {found}.")
        if min(self.size) < 1:
            raise ConfigError(f"cameras: expected images of at least one pixel, found {self.size}.")
        for number in range(count):
            _check_intrinsics(self.intrinsics[number], number)
            _check_pose(self.pose[number], number)

    def __len__(self) -> int:
        return len(self.pose)

    def __getitem__(self, chosen: slice | Sequence[int]) -> "Cameras":
        """Some of the cameras."""
        return replace(self, intrinsics=self.intrinsics[chosen], pose=self.pose[chosen])

    @property
    def positions(self) -> Float[np.ndarray, "N 3"]:
        """Where the cameras stand."""
        return np.ascontiguousarray(self.pose[:, :3, 3])

    @property
    def forward(self) -> Float[np.ndarray, "N 3"]:
        """The unit direction in which each one looks."""
        return np.ascontiguousarray(-self.pose[:, :3, 2])

    def resized(self, height: int, width: int) -> "Cameras":
        """The same views in images of another size, the whole of the old image in the whole of the new one."""
        by = np.diag([width / self.size[1], height / self.size[0], 1.0])
        return replace(self, size=(height, width), intrinsics=by @ self.intrinsics)

    def project(
        self, points: Float[np.ndarray, "P 3"], view: int
    ) -> tuple[Float[np.ndarray, "P 2"], Float[np.ndarray, " P"]]:
        """The pixel coordinates (u, v) of points, and their depth along the optical axis.

        What lies behind a pinhole, at a depth of 0 or below, has pixel coordinates without a meaning.
        """
        local = (points - self.pose[view, :3, 3]) @ self.pose[view, :3, :3] * [1, -1, -1]
        depth = local[:, 2].copy()
        local[:, 2] = 1.0
        if not self.orthographic:
            with np.errstate(divide="ignore", invalid="ignore"):
                local[:, :2] /= depth[:, None]
        return local @ self.intrinsics[view, :2].T, depth

    def rays(
        self, pixels: Float[np.ndarray, "P 2"], view: int
    ) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "P 3"]]:
        """Origins and directions of the rays through pixel coordinates (u, v).

        `origin + depth * direction` has that depth: off the axis of a pinhole directions are longer than 1, and the
        length along the ray is the depth times theirs.
        """
        plane = np.linalg.solve(self.intrinsics[view], np.column_stack([pixels, np.ones(len(pixels))]).T).T
        rotation, position = self.pose[view, :3, :3], self.pose[view, :3, 3]
        if self.orthographic:
            origins = position + (plane * [1, -1, 0]) @ rotation.T
            return origins, np.broadcast_to(-rotation[:, 2], origins.shape).copy()
        return np.broadcast_to(position, plane.shape).copy(), (plane * [1, -1, -1]) @ rotation.T

    def pixel_centres(self) -> Float[np.ndarray, "HW 2"]:
        """The coordinates (u, v) of the middle of every pixel, row by row."""
        height, width = self.size
        u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        return np.column_stack([u.ravel(), v.ravel()])

    def unproject(self, depth: Float[np.ndarray, "H W"], view: int) -> Float[np.ndarray, "K 3"]:
        """The points of the scene at the centres of all pixels whose depth is above 0, row by row."""
        origins, directions = self.rays(self.pixel_centres(), view)
        flat = depth.reshape(-1, 1).astype(np.float64)
        points: np.ndarray = (origins + flat * directions)[flat[:, 0] > 0]
        return points


def look_at(
    positions: Float[np.ndarray, "N 3"], target: Sequence[float | int] = (0, 0, 0), up: str = "y"
) -> Float[np.ndarray, "N 4 4"]:
    """Poses of cameras that look at a point with the axis `up` upwards in the image.

    One that looks along that axis has the next axis upwards (z after y, y after z).
    """
    axes = np.eye(3)
    above, other = (axes[1], axes[2]) if up == "y" else (axes[2], axes[1])
    back = positions - np.asarray(target, dtype=np.float64)
    length = np.linalg.norm(back, axis=1, keepdims=True)
    back = np.where(length > 0, back / np.where(length > 0, length, 1), above)
    right = np.cross(above, back)
    along = np.linalg.norm(right, axis=1, keepdims=True) < 1e-9
    right = np.where(along, np.cross(other, back), right)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    pose = np.tile(np.eye(4), (len(positions), 1, 1))
    pose[:, :3, 0], pose[:, :3, 1], pose[:, :3, 2], pose[:, :3, 3] = right, np.cross(back, right), back, positions
    return pose


def pinhole(focal: float | int, size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Intrinsics with square pixels and the principal point in the middle of the image; `focal` in pixels."""
    height, width = size
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=np.float64)


def focal_of(fov: float | int, pixels: int) -> float:
    """The focal length in pixels at which `fov` degrees fill so many pixels.

    Raises:
        ConfigError: a field of view that is not between 0 and 180 degrees.
    """
    if not 0 < fov < 180:
        raise ConfigError(f"expected a field of view between 0 and 180 degrees, found {fov}.")
    return pixels / 2 / math.tan(math.radians(fov) / 2)


def directions_of(
    azimuth: Float[np.ndarray, " N"], elevation: Float[np.ndarray, " N"], up: str = "y"
) -> Float[np.ndarray, "N 3"]:
    """Unit vectors at angles in degrees: azimuth 0 is +x, and grows from there anticlockwise seen from above.

    With z up that is towards +y, with y up towards -z.
    """
    a, e = np.radians(azimuth), np.radians(elevation)
    x, y, z = np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)
    return np.column_stack([x, z, -y] if up == "y" else [x, y, z])


def _check_intrinsics(matrix: Float[np.ndarray, "3 3"], number: int) -> None:
    if not np.isfinite(matrix).all() or not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise ConfigError(
            f"camera {number}: expected finite intrinsics with focal lengths above 0, found {matrix.tolist()}."
        )
    if matrix[1, 0] or tuple(matrix[2]) != (0, 0, 1):
        raise ConfigError(
            f"camera {number}: expected intrinsics [[fx, skew, cx], [0, fy, cy], [0, 0, 1]], found {matrix.tolist()}."
        )


def _check_pose(pose: Float[np.ndarray, "4 4"], number: int) -> None:
    if not np.isfinite(pose).all():
        raise ConfigError(f"camera {number}: expected a finite pose, found {pose.tolist()}.")
    if np.abs(pose[3] - [0, 0, 0, 1]).max() > _RIGID:
        raise ConfigError(f"camera {number}: expected a last row of 0 0 0 1 in its pose, found {pose[3].tolist()}.")
    rotation = pose[:3, :3]
    off = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if off > _RIGID:
        raise ConfigError(
            f"camera {number}: expected a rotation in its pose, found one that is off by {off:.2g}: it scales or "
            "shears. Poses are camera-to-world, rigid."
        )
    if np.linalg.det(rotation) < 0:
        raise ConfigError(
            f"camera {number}: expected a right-handed pose, found a left-handed one, which mirrors the image. "
            "OpenGL axes are x right, y up, z backwards; from OpenCV's, turn the signs of the second and third column."
        )
