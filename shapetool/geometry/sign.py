"""What tells inside from outside: the generalized winding number."""

import numpy as np
from jaxtyping import Float

from shapetool.geometry.kernel import finite_points, kernel_of
from shapetool.geometry.mesh import Mesh


def winding_number(
    mesh: Mesh, points: Float[np.ndarray, "P 3"], exact: bool = False, threads: int | None = None
) -> Float[np.ndarray, " P"]:
    """How often the surface winds around each point: 1 inside a closed mesh wound outward, 0 outside, between the two
    beside an opening.

    The fast form takes far triangles together, by their moments up to second order; the worst error measured on real
    meshes was 2e-4. `exact` sums every triangle's solid angle. On the surface itself the value is the mean of its two
    sides.

    Raises:
        MeshError: no face, or a point that is not finite.
    Source: Jacobson, Kavan, Sorkine-Hornung, "Robust inside-outside segmentation using generalized winding numbers",
        SIGGRAPH 2013; Barill, Dickson, Schmidt, Levin, Jacobson, "Fast winding numbers for soups and clouds",
        SIGGRAPH 2018 (opening ratio 4 where the paper has 2; moments of the triangles, not of their centroids).
    """
    return kernel_of(mesh, threads).winding(finite_points(points), "exact" if exact else "fast", threads or 0)
