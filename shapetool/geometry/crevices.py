"""A rebuilt surface led into the crevices of the input that the lattice was too coarse to enter."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.dual import triangulate
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.pullback import STAND_OFF, moved_apart

_ROUNDS = 6
# In cells: what lies nearer than this is not led to.
_NEAR = 0.1


def led_into_crevices(
    mesh: Mesh,
    result: Mesh,
    quads: Int[np.ndarray, "Q 4"],
    shown: Float[np.ndarray, "P 3"],
    step: float,
    threads: int = 0,
) -> Mesh:
    """The result with vertices moved to points of `mesh` that it covers, where no face comes to meet another.

    Across a crevice narrower than a cell or two the surface is a bridge. Of the points `shown` that lie under it, and
    that nothing of `mesh` hides from the bridge, each corner of the bridge goes to the furthest one it is nearest to;
    then the rest of the bridge is a wall. What is deeper is reached from there, a round later.
    """
    surface = kernel_of(mesh, threads)
    for _ in range(_ROUNDS):
        cover = kernel_of(result, threads)
        away, face, bridge = cover.closest(shown, threads)
        far = np.flatnonzero(away > _NEAR * step)
        far = far[cover.winding(shown[far], "fast", threads) > 0.5]
        shown = shown[far]
        ahead = shown - bridge[far]
        seen = surface.first_hits(np.ascontiguousarray(bridge[far]), ahead, threads)[0] > 1 - 1e-6
        if not seen.any():
            break
        points, away, corners = shown[seen], away[far[seen]], result.faces[face[far[seen]]]
        distance = ((result.vertices[corners] - points[:, None]) ** 2).sum(axis=2)
        vertex = corners[np.arange(len(corners)), distance.argmin(axis=1)]
        order = np.lexsort((away, vertex))
        chosen = order[np.append(vertex[order][1:] != vertex[order][:-1], True)]
        vertex, points = vertex[chosen], points[chosen]
        back = result.vertices[vertex] - points
        share = np.minimum(STAND_OFF * step / np.maximum(np.linalg.norm(back, axis=1), 1e-300), 1.0)
        target = result.vertices.copy()
        target[vertex] = points + share[:, None] * back
        result = triangulate(moved_apart(result.vertices, target, quads, step, threads), quads)
    return result
