"""The pieces of a mesh, and a mesh without the small ones."""

import math

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import ConfigError
from shapetool.geometry.flood import joined
from shapetool.geometry.mesh import Mesh

MEASURES = ("volume", "area", "faces")


def drop_small_components(mesh: Mesh, least: float | int, measure: str = "volume") -> Mesh:
    """The mesh without pieces that are smaller than a share of the largest, or have fewer than `least` faces.

    `measure` is `volume` or `area`, of which `least` is a share from 0 to 1, or `faces`, which it counts. Pieces hang
    together through vertices; a cavity is a piece too, and has the volume that it encloses. 0 keeps everything.

    Raises:
        ConfigError: an unknown measure, or a `least` out of range.
    """
    check_least(least, measure)
    if least == 0 or not len(mesh.faces):
        return mesh
    piece = component_of_faces(mesh)
    sizes = _sizes(mesh, piece, measure)
    kept = sizes >= (least if measure == "faces" else least * sizes.max())
    if kept.all():
        return mesh
    used, faces = np.unique(mesh.faces[kept[piece]], return_inverse=True)
    return Mesh(mesh.vertices[used], faces.reshape(-1, 3), mesh.warnings)


def check_least(least: float | int, measure: str) -> None:
    """Nothing, when the measure is known and `least` is in its range.

    Raises:
        ConfigError: otherwise.
    """
    if measure not in MEASURES:
        raise ConfigError(f"unknown measure {measure!r} of a component; known: {', '.join(MEASURES)}.")
    if not (math.isfinite(least) and least >= 0 and (measure == "faces" or least <= 1)):
        wanted = "a number of faces, 0 or more" if measure == "faces" else "a share of the largest, from 0 to 1"
        raise ConfigError(f"smallest component: expected {wanted}, found {least}.")


def component_of_faces(mesh: Mesh) -> Int[np.ndarray, " F"]:
    """The number of the piece that each face belongs to, by the order of their first vertices."""
    a, b, c = mesh.faces.T
    piece: np.ndarray = np.unique(joined(len(mesh.vertices), np.r_[a, b], np.r_[b, c])[a], return_inverse=True)[1]
    return piece


def _sizes(mesh: Mesh, piece: Int[np.ndarray, " F"], measure: str) -> Float[np.ndarray, " C"]:
    if measure == "faces":
        return np.bincount(piece).astype(float)
    if measure == "area":
        return np.bincount(piece, mesh.face_areas)
    a, b, c = np.moveaxis(mesh.triangles - mesh.bounds.mean(axis=0), 1, 0)
    return np.abs(np.bincount(piece, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6))
