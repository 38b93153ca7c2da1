"""The native kernel of a mesh: built on first use, kept as long as the mesh lives.

Its integer arrays come as numpy's `longlong`; callers view them as `int64`, which is the same eight bytes.
"""

from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh
from shapetool.native._kernel import Kernel, add_noise, points_on_faces, simd, surface_cells

__all__ = ["Kernel", "add_noise", "finite_points", "kernel_of", "points_on_faces", "simd", "surface_cells"]

_kernels: WeakKeyDictionary[Mesh, Kernel] = WeakKeyDictionary()


def kernel_of(mesh: Mesh, threads: int | None = None) -> Kernel:
    """The bounding volume hierarchy of the mesh, shared by all that ask for it.

    `threads` is how many threads build it; None for all cores.

    Raises:
        MeshError: the mesh has no face.
    """
    kernel = _kernels.get(mesh)
    if kernel is None:
        if not len(mesh.faces):
            raise MeshError("expected a mesh with at least one face, found none.")
        kernel = _kernels[mesh] = Kernel(mesh.vertices, mesh.faces, threads or 0)
    return kernel


def finite_points(points: Float[np.ndarray, "P 3"], name: str = "points") -> Float[np.ndarray, "P 3"]:
    """The points as C-contiguous float64.

    Raises:
        MeshError: wrong shape, or a point that is not finite; the message names the row.
    """
    converted = np.ascontiguousarray(points, dtype=np.float64)
    if converted.ndim != 2 or converted.shape[1] != 3:
        raise MeshError(f"expected {name} of shape (N, 3), found {converted.shape}.")
    finite = np.isfinite(converted)
    if not finite.all():
        row = int(np.argmin(finite.all(axis=1)))
        raise MeshError(f"{name} row {row}: expected finite coordinates, found {converted[row].tolist()}.")
    return converted
