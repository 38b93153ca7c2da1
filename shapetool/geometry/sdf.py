"""Signed distance to a mesh: exact in value, and with the sign of the generalized winding number."""

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError
from shapetool.geometry.backends import load_backend
from shapetool.geometry.kernel import finite_points, kernel_of
from shapetool.geometry.mesh import Mesh

SIGN_METHODS = ("auto", "pseudonormal", "winding", "parity", "flood")


class SignedField:
    """A mesh as a function of points: (P, 3) to distances (P,), negative inside, in the units of the mesh.

    `sign` chooses what tells inside:

    - `auto`: pseudonormals where they provably give the winding number (closed, oriented, manifold, no two faces
      meeting but in an edge or corner they share; how shells nest is counted), the winding number otherwise;
    - `pseudonormal`: the side of the closest face, edge or vertex, proved or not;
    - `winding`: inside where the generalized winding number exceeds one half;
    - `parity`: the majority of three rays that count crossings.

    A closed mesh that is wound inside out is turned first, with a warning.

    Raises:
        ConfigError: unknown sign method, or the flood, which has a field of its own.
        MeshError: no face, or points that are not finite.
    Source: Baerentzen and Aanaes, "Signed distance computation using the angle weighted pseudonormal", TVCG 2005, with
        one difference: the pseudonormal tells which side of the closest face a point is on, and the winding number in
        front of that face is added, so that cavities and nested shells come out as the winding number has them.
    """

    def __init__(self, mesh: Mesh, sign: str = "auto", threads: int | None = None) -> None:
        """Builds the hierarchy over `mesh` with `threads` threads (None: all cores)."""
        check_sign(sign)
        if sign == "flood":
            raise ConfigError("the flood has a field of its own: shapetool.geometry.flood_sign.FloodField.")
        self._threads = threads or 0
        self._kernel = kernel_of(mesh, threads)
        surface = self._kernel.topology(False, self._threads)
        warnings = []
        if surface["closed"] and surface["oriented"] and surface["volume"] < 0:
            self._kernel = kernel_of(Mesh(mesh.vertices, mesh.faces[:, ::-1]), threads)
            warnings.append("inside out: flipped.")
        self.watertight = bool(surface["closed"])
        proved = sign in ("auto", "pseudonormal") and self._kernel.pseudonormals_hold(self._threads)
        if sign == "pseudonormal" and not proved:
            warnings.append(
                "pseudonormals may give wrong signs here: the mesh is open, meets itself or is not manifold."
            )
        self.sign_method: str = sign if sign != "auto" else "pseudonormal" if proved else "winding"
        self.warnings: tuple[str, ...] = tuple(warnings)
        # Around a closed surface wound one way, winding numbers are whole, so only its faces part inside from outside.
        whole = bool(surface["closed"] and surface["oriented"])
        self.changes_at_surface: bool = whole and (proved or self.sign_method == "winding")

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """The signed distance of each point."""
        return self._kernel.distances(finite_points(points), self.sign_method, self._threads)

    def at_nodes(
        self, x: Float[np.ndarray, " X"], y: Float[np.ndarray, " Y"], z: Float[np.ndarray, " Z"]
    ) -> Float[np.ndarray, "X Y Z"]:
        """The signed distances at (x_i, y_j, z_k): what a call with all these points gives, sooner.

        The axes are finite, contiguous float64, and near nodes are neighbours in them.
        """
        return self._kernel.lattice(x, y, z, self.sign_method, self._threads)


def check_sign(sign: str) -> None:
    """Nothing, if `sign` names a method.

    Raises:
        ConfigError: it does not.
    """
    if sign not in SIGN_METHODS:
        raise ConfigError(f"unknown sign method {sign!r}; known: {', '.join(SIGN_METHODS)}.")


def signed_distance(
    mesh: Mesh,
    points: Float[np.ndarray, "P 3"],
    sign: str = "auto",
    backend: str = "native",
    threads: int | None = None,
) -> Float[np.ndarray, " P"]:
    """The distance of each point to the surface, negative inside; see `SignedField` for `sign`, `FloodField` for flood.

    Raises:
        ConfigError: unknown sign method or backend.
        MeshError: no face, or a point that is not finite.
    """
    return load_backend(backend)(mesh, sign, threads)(points)
