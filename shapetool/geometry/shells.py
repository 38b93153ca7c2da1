"""The closed shells of a mesh that meets itself nowhere, and which of them lie in others."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.flood import joined
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh


@dataclass(frozen=True)
class Shells:
    """One entry a shell."""

    of_face: Int[np.ndarray, " F"]
    outward: Bool[np.ndarray, " S"]  # wound so that its own inside is behind its faces
    depth: Int[np.ndarray, " S"]  # how many others enclose it
    around: Int[np.ndarray, " S"]  # how often the others wind around it

    @property
    def single(self) -> bool:
        """Whether every shell has something behind it and nothing in front."""
        return bool((self.around == np.where(self.outward, 0, 1)).all())

    @property
    def cavities(self) -> int:
        """How many enclosed empty spaces there are."""
        return int(((self.around != 0) & (self.around + np.where(self.outward, 1, -1) == 0)).sum())


def shells_of(mesh: Mesh, threads: int = 0) -> Shells:
    """The shells of a closed, oriented mesh, in the order of their lowest vertices."""
    a, b, c = mesh.faces.T
    label = joined(len(mesh.vertices), np.r_[a, b], np.r_[b, c])[a]
    first, shell = np.unique(label, return_inverse=True)
    parts = [Mesh(mesh.vertices, mesh.faces[shell == k]) for k in range(len(first))]
    outward = np.array([part.volume > 0 for part in parts])
    depth, around = np.zeros(len(parts), np.int64), np.zeros(len(parts), np.int64)
    lows, highs = (np.array([part.bounds[k] for part in parts]) for k in range(2))
    for k, part in enumerate(parts):
        within = np.flatnonzero(((lows > lows[k]) & (highs < highs[k])).all(axis=1))
        if len(within):
            winding = kernel_of(part, threads).winding(mesh.vertices[first[within]], "exact", threads)
            turns = np.round(winding).astype(np.int64)
            depth[within] += turns != 0
            around[within] += turns
    return Shells(shell, outward, depth, around)


def outermost(mesh: Mesh, shells: Shells) -> Mesh:
    """Without the shells that others enclose."""
    kept = mesh.faces[shells.depth[shells.of_face] == 0]
    used, faces = np.unique(kept, return_inverse=True)
    vertices: Float[np.ndarray, "V 3"] = mesh.vertices[used]
    return Mesh(vertices, faces.reshape(-1, 3))
