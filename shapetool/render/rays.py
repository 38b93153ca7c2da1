"""Rays against the triangles of a mesh."""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.kernel import finite_points, kernel_of
from shapetool.geometry.mesh import Mesh


def cast_rays(
    mesh: Mesh, origins: Float[np.ndarray, "R 3"], directions: Float[np.ndarray, "D 3"], threads: int | None = None
) -> tuple[Float[np.ndarray, " R"], Int[np.ndarray, " R"]]:
    """The first hit of each ray: t with `origin + t * direction` on the surface, and the face; inf and -1 on a miss.

    Directions need not be unit vectors; a zero direction hits nothing. Both sides of a face are hit, and a ray through
    an edge or a vertex hits one of the faces there, never the gap between them.

    Raises:
        MeshError: no face, a number that is not finite, or not as many directions as origins.
    Source: Woop, Benthin, Wald, "Watertight ray/triangle intersection", JCGT 2013, in double precision.
    """
    t, faces = kernel_of(mesh, threads).first_hits(*_checked(origins, directions), threads or 0)
    return t, faces.view(np.int64)


def hits_anything(
    mesh: Mesh, origins: Float[np.ndarray, "R 3"], directions: Float[np.ndarray, "D 3"], threads: int | None = None
) -> Bool[np.ndarray, " R"]:
    """Whether each ray meets the surface at all: what a shadow asks, and cheaper than the first hit.

    Raises:
        MeshError: no face, a number that is not finite, or not as many directions as origins.
    """
    return kernel_of(mesh, threads).any_hits(*_checked(origins, directions), threads or 0)


def cast_through(
    mesh: Mesh, origins: Float[np.ndarray, "R 3"], directions: Float[np.ndarray, "D 3"], threads: int | None = None
) -> tuple[Int[np.ndarray, " R1"], Float[np.ndarray, " H"], Int[np.ndarray, " H"]]:
    """Every crossing: where each ray's hits start (R + 1 numbers), then t, in order along the ray, and the faces.

    A ray through an edge or vertex of a closed surface crosses it as often as a ray just beside it, so that crossings
    can be counted.

    Raises:
        MeshError: no face, a number that is not finite, or not as many directions as origins.
    """
    start, t, faces = kernel_of(mesh, threads).all_hits(*_checked(origins, directions), threads or 0)
    return start.view(np.int64), t, faces.view(np.int64)


def _checked(
    origins: Float[np.ndarray, "R 3"], directions: Float[np.ndarray, "D 3"]
) -> tuple[Float[np.ndarray, "R 3"], Float[np.ndarray, "D 3"]]:
    if len(origins) != len(directions):
        raise MeshError(f"expected as many directions as origins, found {len(directions)} and {len(origins)}.")
    return finite_points(origins, "origins"), finite_points(directions, "directions")
