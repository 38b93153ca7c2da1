"""Pairs of faces that meet, counted exactly by libigl's CGAL.

Those that share an edge or a corner count where they meet elsewhere too, and so do mere touches. Faces with the same
three corners do not; they make edges with more than two faces.
"""

import igl.copyleft.cgal as cgal
import numpy as np

ENOUGH = 1_000_000


def intersecting_pairs(vertices: np.ndarray, faces: np.ndarray) -> int:
    """How many pairs there are, up to ENOUGH."""
    v, f = np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces, np.int64)
    return len(cgal.remesh_self_intersections(v, f, True, False, False, False, ENOUGH)[2])
