"""Unsigned distance from points to the triangles of a mesh."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.kernel import finite_points, kernel_of
from shapetool.geometry.mesh import Mesh


def closest_point(
    mesh: Mesh, points: Float[np.ndarray, "P 3"], threads: int | None = None
) -> tuple[Float[np.ndarray, " P"], Int[np.ndarray, " P"], Float[np.ndarray, "P 3"]]:
    """The distance to the surface, the face it is reached on, and the closest point on that face.

    Right to double rounding, slivers included: single precision only finds candidates, double precision decides
    between them. Of several faces at the same distance the one with the lowest index is returned, whatever the threads
    or the order of the points.

    Raises:
        MeshError: no face, or a point that is not finite.
    """
    distances, faces, closest = kernel_of(mesh, threads).closest(finite_points(points), threads or 0)
    return distances, faces.view(np.int64), closest
