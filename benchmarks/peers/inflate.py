"""How watertight meshes are commonly made: the surface at a small unsigned distance, its outer shells kept.

The level is 2 / resolution where the longest side is 2, so one cell. The lattice and the exact distances are those of
`shapetool repair`; the common tools keep one piece, here every outer shell stays.
"""

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from shapetool.geometry.flood import distances_near, lattice_around
from shapetool.geometry.mesh import Mesh

CELLS = 1.0


def inflate(mesh: Mesh, resolution: int) -> Mesh:
    """The outer shells of the points one cell from the surface."""
    lattice = lattice_around(mesh, resolution, CELLS + 1)
    distances = np.minimum(distances_near(mesh, lattice, CELLS + 2, 0), CELLS + 2)
    pieces, _ = ndimage.label(distances > CELLS)
    distances[(pieces != pieces[0, 0, 0]) & (pieces > 0)] = 0  # inner shells go
    vertices, faces, _, _ = marching_cubes(distances, CELLS, gradient_direction="ascent")
    return Mesh(lattice.points(vertices.astype(np.float64)), faces.astype(np.int64))
