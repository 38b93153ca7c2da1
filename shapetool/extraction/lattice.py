"""The surface of a lattice of signed values as a closed mesh."""

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.dual import boundary_of, triangulate
from shapetool.geometry.lattice import Box, lattice_axes
from shapetool.geometry.mesh import Mesh

_LEAST = 1e-6  # of the largest value: how near to zero a node may be and still lie beside the surface


def mesh_of_lattice(values: Float[np.ndarray, "X Y Z"], box: Box) -> Mesh:
    """The zero level of values at the nodes of a box, negative inside: closed, manifold, its faces wound outward.

    One vertex a cell, the mean of where the edges of the cell cross zero by a straight line, so corners sharper than a
    cell are cut. Where the inside reaches the border of the box, it is closed a fiftieth of a cell beyond. Where two
    sheets would touch along the side of a cell, the inside grows by a node.

    Raises:
        MeshError: no node is inside, or a value is not finite.
        ConfigError: a box without extent, or not as many nodes along each axis.
    """
    if not np.isfinite(values).all():
        raise MeshError("lattice: expected finite values. Evaluate the field again.")
    if not (values < 0).any():
        raise MeshError("lattice: expected a node inside, found none: the shape is empty or thinner than a cell.")
    low = np.array([axis[0] for axis in lattice_axes(box, values.shape[0])])
    step = (np.asarray(box[1]) - low) / (np.array(values.shape) - 1)
    # Next to a value this large, the surface is as close to the node of the border as it comes.
    padded = np.pad(values / np.abs(values).max(), 1, constant_values=1e9)
    corners, quads, _ = boundary_of(padded < 0, padded, -_LEAST)
    return triangulate(low + (corners - 1) * step, quads)
