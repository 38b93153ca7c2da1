"""Parts of a surface that touch in an edge or a vertex, moved apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.flood import joined
from shapetool.geometry.half_edges import HalfEdges, half_edges
from shapetool.geometry.mesh import Mesh


@dataclass(frozen=True)
class Parted:
    """A manifold whose vertices may coincide, and where those that do go when their part shrinks."""

    mesh: Mesh
    inward: Float[np.ndarray, "V 3"]  # unit vectors; 0 for a vertex that coincides with none

    def moved(self, by: Float[np.ndarray, " V"]) -> Mesh:
        """The mesh with vertices moved inward."""
        return Mesh(self.mesh.vertices + by[:, None] * self.inward, self.mesh.faces)


def parted(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Parted | None:
    """The faces with a vertex of its own for each part of space that they bound there.

    None if some edge has faces that do not take turns, around it, in going along it one way and the other.
    """
    sides = half_edges(faces)
    joins = _joins(vertices, faces, sides)
    if joins is None or (sides.start[joins[:, 0]] != sides.end[joins[:, 1]]).any():
        return None
    one, other = joins.T
    label = joined(3 * len(faces), np.r_[one, _next(one)], np.r_[_next(other), other])
    corner, index = np.unique(label, return_inverse=True)
    origin = sides.start[corner]
    mesh = Mesh(vertices[origin], index.reshape(-1, 3))
    twin = np.bincount(origin, minlength=len(vertices))[origin] > 1
    return Parted(mesh, np.where(twin[:, None], -_normals(mesh), 0.0))


def _next(side: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """The sides that follow in their faces; a side stands for the corner where it starts, too."""
    return side // 3 * 3 + (side + 1) % 3


def _joins(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], sides: HalfEdges
) -> Int[np.ndarray, "J 2"] | None:
    """Which two sides belong together: where an edge has more than two, those with the inside between their faces."""
    found = [sides.twins()]
    for first, count in zip(sides.first[sides.count > 2], sides.count[sides.count > 2], strict=True):
        several = sides.order[first : first + count]
        start, end = sorted((sides.start[several[0]], sides.end[several[0]]))
        along = vertices[end] - vertices[start]
        across = vertices[faces[several // 3, (several + 2) % 3]] - vertices[start]
        across -= np.outer(across @ along / (along @ along), along)
        second = np.cross(along, across[0]) / np.linalg.norm(along)
        several = several[np.argsort(np.arctan2(across @ second, across @ across[0]))]
        # a face that goes along the edge has the outside at greater angles
        forward = sides.start[several] == start
        if forward[0]:
            several, forward = np.roll(several, -1), np.roll(forward, -1)
        if count % 2 or forward[::2].any() or not forward[1::2].all():
            return None
        found.append(several.reshape(-1, 2))
    return np.concatenate(found)


def _normals(mesh: Mesh) -> Float[np.ndarray, "V 3"]:
    """Unit normals of the vertices: those of their faces by the angles there."""
    sums = np.zeros_like(mesh.vertices)
    triangles, normals = mesh.triangles, mesh.face_normals
    for k in range(3):
        one, other = (triangles[:, (k + step) % 3] - triangles[:, k] for step in (1, 2))
        angle = np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(axis=1))
        np.add.at(sums, mesh.faces[:, k], angle[:, None] * normals)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-300)
