"""A point cloud as something that the kernel measures to."""

import numpy as np
from jaxtyping import Float

from shapetool.geometry.mesh import Mesh


def cloud_mesh(points: Float[np.ndarray, "N 3"]) -> Mesh:
    """Every point as a triangle without size: `closest_point` then finds the nearest point, and its index as the face.

    Raises:
        MeshError: a point is not finite.
    """
    index = np.arange(len(points))
    return Mesh(points, np.stack([index] * 3, axis=1))
