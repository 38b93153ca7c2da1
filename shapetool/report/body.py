"""What a report draws: a mesh or a point cloud behind one interface, and a copy small enough for a page."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import DataError
from shapetool.geometry.cloud import cloud_mesh
from shapetool.geometry.distance import closest_point
from shapetool.geometry.mesh import Mesh
from shapetool.render.rays import cast_rays

MOST_FACES = 8_000  # of a shape that a page lets one turn; about 130 kB
MOST_POINTS = 12_000  # of a cloud, drawn or turned
_BALL = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
_BALL_FACES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


@dataclass(frozen=True)
class Turnable:
    """A shape as a page shows it in 3D: places, the faces between them (none for a cloud), and what was left out."""

    points: Float[np.ndarray, "P 3"]
    faces: Int[np.ndarray, "F 3"]
    note: str


@dataclass(frozen=True, eq=False)
class Body:
    """One side of a pair, as a mesh or as a cloud.

    Raises:
        DataError: a mesh without a face, or a cloud without a point or with a coordinate that is not finite.
    """

    shape: Mesh | Float[np.ndarray, "N 3"]

    def __post_init__(self) -> None:
        """Refuses what has no picture."""
        if isinstance(self.shape, Mesh):
            if not len(self.shape.faces):
                raise DataError("mesh: expected at least one face, found none. Leave the shape out of the pictures.")
            return
        if not len(self.shape) or not np.isfinite(self.shape).all():
            bad = int((~np.isfinite(self.shape).all(axis=1)).sum())
            raise DataError(
                f"point cloud: expected at least one point and finite coordinates, found {len(self.shape)} points, "
                f"{bad} of them not finite. Leave the shape out of the pictures."
            )

    @property
    def is_cloud(self) -> bool:
        """Whether there are points only."""
        return not isinstance(self.shape, Mesh)

    @cached_property
    def points(self) -> Float[np.ndarray, "N 3"]:
        """The points of the cloud, at most MOST_POINTS of them, evenly taken; the used vertices of a mesh."""
        if isinstance(self.shape, Mesh):
            return self.shape.vertices[np.unique(self.shape.faces)]
        step = np.linspace(0, len(self.shape) - 1, min(len(self.shape), MOST_POINTS)).astype(np.int64)
        return np.ascontiguousarray(self.shape[step], np.float64)

    @cached_property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """The lowest and the highest corner of the box around all of it."""
        if isinstance(self.shape, Mesh):
            return self.shape.bounds
        return np.stack([self.shape.min(axis=0), self.shape.max(axis=0)]).astype(np.float64)

    @cached_property
    def _surface(self) -> Mesh:
        """What rays meet: the mesh, or a small octahedron around each point."""
        if isinstance(self.shape, Mesh):
            return self.shape
        extent = float(np.linalg.norm(self.bounds[1] - self.bounds[0]))
        # The points of a surface lie about extent / sqrt(N) apart; half of that leaves no gaps and hides no detail.
        radius = 0.55 * (extent or 1.0) / max(len(self.points), 100) ** 0.5
        vertices = (self.points[:, None] + radius * _BALL).reshape(-1, 3)
        faces = np.arange(len(self.points))[:, None, None] * len(_BALL) + _BALL_FACES
        return Mesh(vertices, faces.reshape(-1, 3))

    @cached_property
    def _target(self) -> Mesh:
        """What distances are taken to: the surface, or all points of the cloud."""
        if isinstance(self.shape, Mesh):
            return self.shape
        return cloud_mesh(self.shape)

    def distances(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """How far each point is from the surface, or from the nearest point of the cloud."""
        return closest_point(self._target, points)[0]

    def hits(
        self, origins: Float[np.ndarray, "R 3"], direction: Float[np.ndarray, "3"]
    ) -> tuple[Int[np.ndarray, " H"], Float[np.ndarray, "H 3"], Float[np.ndarray, "H 3"]]:
        """The rays that meet something, the places to measure there (of a cloud: its points), and the unit normals."""
        t, faces = cast_rays(self._surface, origins, np.broadcast_to(direction, origins.shape).copy())
        rays = np.flatnonzero(faces >= 0)
        if self.is_cloud:
            centres = self.points[faces[rays] // len(_BALL_FACES)]
            outward = origins[rays] + t[rays, None] * direction - centres
            return rays, centres, outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-300)
        return rays, origins[rays] + t[rays, None] * direction, self._surface.face_normals[faces[rays]]

    def turnable(self) -> Turnable:
        """A copy of at most MOST_FACES faces or MOST_POINTS points, all of them places of the shape itself."""
        if not isinstance(self.shape, Mesh):
            some = f"{len(self.points):,} of {len(self.shape):,} points"
            return Turnable(self.points, np.zeros((0, 3), np.int64), some)
        if len(self.shape.faces) <= MOST_FACES:
            points, faces = _split(self.shape)
            return Turnable(points, faces, f"all {len(self.shape.faces):,} faces")
        points, faces = _thin(self.shape)
        return Turnable(points, faces, f"thinned from {len(self.shape.faces):,} to {len(faces):,} faces")


def _split(mesh: Mesh) -> tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, "F 3"]]:
    """The same surface in up to MOST_FACES faces: a colour at the corners of a large face would miss its middle."""
    triangles = mesh.triangles
    while len(triangles) * 4 <= MOST_FACES:
        middles = (triangles + np.roll(triangles, -1, axis=1)) / 2
        corners = [np.stack([triangles[:, k], middles[:, k], middles[:, k - 1]], axis=1) for k in range(3)]
        triangles = np.concatenate([*corners, middles])
    points, faces = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
    return points, faces.reshape(-1, 3)


def _thin(mesh: Mesh) -> tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, "F 3"]]:
    """Vertices that share a cell of a lattice become one of them; the finest lattice of a bisection that is enough."""
    low, high = mesh.bounds
    edge = float((high - low).max())
    coarse, fine, best = 1, 1024, None
    while fine - coarse > 1:
        count = (coarse + fine) // 2
        found = _clustered(mesh, low, edge / count)
        coarse, fine, best = (count, fine, found) if len(found[1]) <= MOST_FACES else (coarse, count, best)
    return best if best is not None else _clustered(mesh, low, edge)


def _clustered(
    mesh: Mesh, low: Float[np.ndarray, "3"], cell: float
) -> tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, "F 3"]]:
    cells = np.floor((mesh.vertices - low) / cell).astype(np.int64)
    _, first, cluster = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    faces = cluster.reshape(-1)[mesh.faces]
    apart = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces = faces[apart]
    _, once = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(once)]
    used, renamed = np.unique(faces, return_inverse=True)
    return mesh.vertices[first[used]], renamed.reshape(-1, 3)
