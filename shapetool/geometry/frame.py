"""The unit frame of a shape: where its points are sampled and stored."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes import FRAME_SIZES


@dataclass(frozen=True, eq=False)
class Similarity:
    """A uniform scaling after a shift: ``unit = (original + offset) * scale``."""

    scale: float
    offset: Float[np.ndarray, "3"]

    def apply(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
        """Points of the original frame in the unit frame."""
        return (points + self.offset) * self.scale

    def invert(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
        """Points of the unit frame in the original frame."""
        return points / self.scale - self.offset

    def apply_mesh(self, mesh: Mesh) -> Mesh:
        """The mesh in the unit frame, with the same faces and warnings."""
        return Mesh(self.apply(mesh.vertices), mesh.faces, mesh.warnings)


def fit(mesh: Mesh, kind: str = "sphere", size: float | None = None) -> Similarity:
    """The similarity that brings the mesh into the frame of this kind; vertices of no face count for nothing.

    ``sphere``: box centre at the origin, farthest vertex at ``size`` (1/1.03). ``box``: box centre at the origin,
    longest edge ``size`` (1). ``diagonal``: the same with the box diagonal. ``centroid``: centre of area at the origin,
    farthest vertex at ``size`` (1). ``none``: no change.

    Raises:
        ConfigError: the kind is unknown, or the size is not above 0.
        MeshError: the mesh has no extent, or one that float64 cannot scale.

    Source: ``sphere`` is DeepSDF's (Park et al., CVPR 2019, buffer 1.03), ``diagonal`` IM-NET's (Chen and Zhang, CVPR
    2019), ``centroid`` DISN's (Xu et al., NeurIPS 2019) made reproducible: DISN takes the mean and the largest radius
    of 16,384 random surface points, here the centre is the exact one of the area and the radius that of the vertices.
    """
    if kind not in FRAME_SIZES:
        raise ConfigError(f"unknown frame {kind!r}; known: {', '.join(FRAME_SIZES)}")
    if kind == "none":
        return Similarity(1.0, np.zeros(3))
    size = FRAME_SIZES[kind] if size is None else size
    if not (np.isfinite(size) and size > 0):
        raise ConfigError(f"frame {kind}: the size is {size}; expected a length above 0.")
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[mesh.faces.ravel()] = True
    vertices = mesh.vertices[used]
    if len(vertices) == 0:
        raise MeshError("frame: expected at least one face, found none. Remove the shape from the input.")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    centre = _area_centroid(mesh, low, high) if kind == "centroid" else low / 2 + high / 2
    extent = _extent(vertices, centre, low, high, kind)
    with np.errstate(over="ignore", divide="ignore"):
        scale = float(np.float64(size) / extent)
    if not np.isfinite(scale) or scale == 0:
        raise MeshError(
            f"frame {kind}: expected a mesh with an extent, found one of {extent:g}. Remove it or scale it."
        )
    return Similarity(scale, -centre)


def _extent(
    vertices: Float[np.ndarray, "V 3"],
    centre: Float[np.ndarray, "3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
    kind: str,
) -> float:
    """The length that becomes ``size``, found without squaring numbers that would overflow."""
    edges = high - low
    if kind == "box":
        return float(edges.max())
    spans = edges[None] if kind == "diagonal" else vertices - centre
    largest = float(np.abs(spans).max())
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.sqrt(((spans / largest) ** 2).sum(axis=1)).max())


def _area_centroid(mesh: Mesh, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """The centre of area of the faces, worked out about the box centre in units of the box."""
    centre = low / 2 + high / 2
    unit = float((high - low).max())
    if unit == 0 or not np.isfinite(unit):
        return centre
    triangles = ((mesh.vertices - centre) / unit)[mesh.faces]
    doubled = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    areas = np.sqrt((doubled**2).sum(axis=1))
    total = float(areas.sum())
    if total == 0:
        raise MeshError("frame centroid: expected a mesh with an area, found 0. Remove it, or use --normalize sphere.")
    offset = (areas[:, None] * triangles.mean(axis=1)).sum(axis=0) / total
    return np.asarray(centre + unit * offset)
