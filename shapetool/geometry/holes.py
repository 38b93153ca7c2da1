"""Small holes closed by triangles between the vertices of their border."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.mesh import Mesh

LONGEST_BORDER = 400  # edges; the time grows with the third power, 0.5 s here
_THIN = 1e-6  # of the size of a hole: a triangle of less height is taken only where there is no other
_ROUND = 1e-3  # how much the square of a triangle's longest edge counts beside its area, to choose among equal areas


def fill_holes(mesh: Mesh, size: float) -> tuple[Mesh, int]:
    """The mesh with patches over its small holes, and how many there are; its own vertices and faces stay as they are.

    A hole is a closed way along edges with one face, of which no two meet in a vertex. It is small when the diagonal of
    its box is at most `size` times the longest side of the mesh, and its border has at most `LONGEST_BORDER` edges.
    Patches have the least area that triangles between the vertices of the border can have, and are wound as the faces
    beside them. Whether the result is sound is for the caller to ask: a patch may meet other faces.

    Source: Barequet and Sharir, "Filling gaps in the boundary of a polyhedron", CAGD 1995; here short edges decide
        between equal areas, and triangles without height come last.
    """
    limit = size * float(np.ptp(mesh.bounds, axis=0).max())
    patches = []
    for border in borders(mesh.faces):
        corners = mesh.vertices[border]
        across = float(np.linalg.norm(np.ptp(corners, axis=0)))
        if 0 < across <= limit and len(border) <= LONGEST_BORDER:
            # Patches run along the border against the faces there.
            patches.append(border[::-1][_least_area(corners[::-1] / across)])
    return (Mesh(mesh.vertices, np.concatenate([mesh.faces, *patches])), len(patches)) if patches else (mesh, 0)


def borders(faces: Int[np.ndarray, "F 3"]) -> list[Int[np.ndarray, " N"]]:
    """The vertices of each hole in the order of the faces' own edges; ways that meet in a vertex are left out."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, inverse, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    single = edges[counts[inverse.reshape(-1)] == 1]
    leaving, arriving = (np.unique(single[:, side], return_counts=True) for side in (0, 1))
    plain = set(leaving[0][leaving[1] == 1].tolist()) & set(arriving[0][arriving[1] == 1].tolist())
    following = {a: b for a, b in single.tolist() if a in plain}
    found = []
    while following:
        first, vertex = following.popitem()
        way = [first]
        while vertex in following:
            way.append(vertex)
            vertex = following.pop(vertex)
        if vertex == first and len(way) >= 3:
            start = way.index(min(way))
            found.append(np.array(way[start:] + way[:start]))
    return sorted(found, key=lambda way: int(way[0]))


def _least_area(corners: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "N-2 3"]:
    """The triangles of a closed border of size one, as places along it: of all ways to cut it up the one of least cost.

    `cost[i, j]` is that of the part between the edge from i to j and the border, found for ever wider parts.
    """
    n = len(corners)
    cost, choice = np.zeros((n, n)), np.zeros((n, n), np.int64)
    for width in range(2, n):
        first = np.arange(n - width)
        low, middle, high = first[:, None], first[:, None] + np.arange(1, width), first[:, None] + width
        total = cost[low, middle] + cost[middle, high] + _price(corners[low], corners[middle], corners[high])
        best = total.argmin(axis=1)
        cost[first, first + width] = total[first, best]
        choice[first, first + width] = middle[first, best]
    triangles: list[tuple[int, int, int]] = []
    parts = [(0, n - 1)]
    while parts:
        i, j = parts.pop()
        if j - i >= 2:
            k = int(choice[i, j])
            triangles.append((i, k, j))
            parts += [(i, k), (k, j)]
    return np.array(triangles)


def _price(
    a: Float[np.ndarray, "N 1 3"], b: Float[np.ndarray, "N K 3"], c: Float[np.ndarray, "N 1 3"]
) -> Float[np.ndarray, "N K"]:
    """What triangles cost: their area and a little of their longest edge; very much without height."""
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2
    longest = np.sqrt(np.maximum(np.maximum(_sq(b - a), _sq(c - b)), _sq(c - a)))
    thin = 2 * area < _THIN * longest
    priced: Float[np.ndarray, "N K"] = area + _ROUND * longest**2 + 1e3 * thin
    return priced


def _sq(edge: Float[np.ndarray, "N K 3"]) -> Float[np.ndarray, "N K"]:
    squared: Float[np.ndarray, "N K"] = (edge**2).sum(axis=-1)
    return squared
