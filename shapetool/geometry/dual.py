"""The boundary of a set of lattice nodes as a closed manifold mesh: one vertex a sheet and cell, one quad an edge."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.mesh import Mesh

# Corner c of a cell is at the bits of c: x is 4, y is 2, z is 1.
CORNERS = np.array([[c >> 2 & 1, c >> 1 & 1, c & 1] for c in range(8)])
# The edges of a cell by axis and by where they lie across it: (axis, low corner, high corner).
_EDGES = np.array([(a, c, c | 4 >> a) for a in range(3) for c in range(8) if not c & 4 >> a])
SIDES = [[c for c in range(8) if (c >> bit & 1) == side] for bit in range(3) for side in (0, 1)]


def boundary_of(
    inside: Bool[np.ndarray, "X Y Z"], values: Float[np.ndarray, "X Y Z"], floor: float = -0.5
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "Q 4"], Bool[np.ndarray, "X Y Z"]]:
    """Vertices in units of the lattice, quads wound outward, and the inside as it was used.

    A vertex is the mean of the crossings of its sheet on the edges of its cell, which the positive `values` outside
    and the negative ones inside (taken as `floor` where they are not negative) give by a straight line. The inside
    grows by the nodes without which two sheets would touch along a side of a cell: so every side carries at most one
    piece of the boundary, any two cells share at most one edge of the mesh, and each edge has two faces and each vertex
    one fan. The border must be outside.

    Source: Nielson, "Dual marching cubes", IEEE Visualization 2004, without its ambiguous cases.
    """
    inside = _without_diagonals(inside)
    cells = _mixed_cells(inside)
    found = sheets_of(cells, _at_corners(inside, cells), _at_corners(values, cells), inside.shape, floor)
    return found.vertices, quads_of(found.keys, found.vertex), inside


@dataclass(frozen=True, eq=False)
class Sheets:
    """The vertices of some cells, and which edges of the lattice they surround.

    `cell` is the row of the cell of each vertex. A key is 4 * (3 * (flat index of the low end) + axis) + the turn of
    the corner in its quad, and `vertex` the corner; all four turns of an edge make a quad.
    """

    vertices: Float[np.ndarray, "V 3"]
    cell: Int[np.ndarray, " V"]
    keys: Int[np.ndarray, " N"]
    vertex: Int[np.ndarray, " N"]


def sheets_of(
    cells: Int[np.ndarray, " C"],
    inside: Bool[np.ndarray, "C 8"],
    values: Float[np.ndarray, "C 8"],
    shape: tuple[int, ...],
    floor: float,
) -> Sheets:
    """The sheets in cells of a lattice of this shape, from what their corners are; a part of `boundary_of`.

    No side of a cell may have two opposite corners inside and the others outside.
    """
    codes = codes_of(inside)
    sheet_of, sheet_count = _sheets()
    base = np.cumsum(sheet_count[codes]) - sheet_count[codes]
    cell, edge = np.nonzero(sheet_of[codes] >= 0)
    vertex = base[cell] + sheet_of[codes[cell], edge]
    level = np.where(inside, np.minimum(values, floor), np.maximum(values, 1e-6)).astype(float)
    low, high = (level[cell, _EDGES[edge, end]] for end in (1, 2))
    along = np.clip(low / (low - high), 0.02, 0.98)
    first = cells[cell] + offsets_of(shape)[_EDGES[edge, 1]]
    axis = _EDGES[edge, 0]
    places = np.stack(np.unravel_index(first, shape), axis=1).astype(float)
    places[np.arange(len(places)), axis] += along
    count = int(sheet_count[codes].sum())
    uses = np.bincount(vertex, minlength=count)
    vertices = np.stack([np.bincount(vertex, places[:, k], count) / uses for k in range(3)], axis=1)
    turn = _turns()[edge]
    keys = (first * 3 + axis) * 4 + np.where(inside[cell, _EDGES[edge, 1]], turn, 3 - turn)
    return Sheets(vertices, np.repeat(np.arange(len(cells)), sheet_count[codes]), keys, vertex)


def quads_of(keys: Int[np.ndarray, " N"], vertex: Int[np.ndarray, " N"]) -> Int[np.ndarray, "Q 4"]:
    """The quads of all sheets together, one an edge, wound outward; for the keys of whole closed surfaces."""
    return vertex[np.argsort(keys)].reshape(-1, 4)


def triangulate(vertices: Float[np.ndarray, "V 3"], quads: Int[np.ndarray, "Q 4"]) -> Mesh:
    """The quads cut along their shorter diagonals."""
    one, other = (((vertices[quads[:, k]] - vertices[quads[:, k + 2]]) ** 2).sum(axis=1) for k in (0, 1))
    first = one <= other
    a = np.where(first[:, None], quads, np.roll(quads, -1, axis=1))
    return Mesh(vertices, np.concatenate([a[:, [0, 1, 2]], a[:, [0, 2, 3]]]))


def offsets_of(shape: tuple[int, ...]) -> Int[np.ndarray, "8"]:
    """How far each corner of a cell is from the first, in flat indices."""
    return CORNERS @ np.array([shape[1] * shape[2], shape[2], 1])


def _mixed_cells(inside: Bool[np.ndarray, "X Y Z"]) -> Int[np.ndarray, " C"]:
    """The cells with corners on both sides, by the flat index of their first corner."""
    mixed = np.zeros(inside.shape, bool)
    for axis in range(3):
        change = np.diff(inside, axis=axis)
        for one in (0, 1):
            for two in (0, 1):
                b, c = [k for k in range(3) if k != axis]
                here = [slice(None)] * 3
                there = [slice(None)] * 3
                for k, side in ((b, one), (c, two)):
                    n = inside.shape[k]
                    here[k], there[k] = slice(0, n - 1), slice(side, n - 1 + side)
                here[axis] = slice(0, inside.shape[axis] - 1)
                mixed[tuple(here)] |= change[tuple(there)]
    return np.flatnonzero(mixed)


def _at_corners(of_nodes: np.ndarray, cells: Int[np.ndarray, " C"]) -> np.ndarray:
    """What the corners of the cells have, (C, 8)."""
    flat = of_nodes.reshape(-1)
    return np.stack([flat[cells + offset] for offset in offsets_of(of_nodes.shape)], axis=1)


def codes_of(inside: Bool[np.ndarray, "C 8"]) -> Int[np.ndarray, " C"]:
    """The corners of each cell that are inside, as bits."""
    codes = np.zeros(len(inside), np.int64)
    for corner in range(8):
        codes |= inside[:, corner].astype(np.int64) << corner
    return codes


def _without_diagonals(inside: Bool[np.ndarray, "X Y Z"]) -> Bool[np.ndarray, "X Y Z"]:
    """The inside with every side of a cell filled whose inside corners are two opposite ones."""
    inside = inside.copy()
    flat, offsets = inside.reshape(-1), offsets_of(inside.shape)
    cells = _mixed_cells(inside)
    while len(cells):
        fills = fills_of_codes()[codes_of(_at_corners(inside, cells))]
        cell, corner = np.nonzero(fills)
        added = np.unique(cells[cell] + offsets[corner])
        flat[added] = True
        cells = np.unique((added[:, None] - offsets).reshape(-1))
    return inside


@cache
def fills_of_codes() -> Bool[np.ndarray, "256 8"]:
    """For each code the corners to add: those of a side whose inside corners are opposite ones."""
    fills = np.zeros((256, 8), bool)
    for code in range(256):
        for a, b, c, d in SIDES:  # a and d are opposite, b and c too
            if [code >> k & 1 for k in (a, b, c, d)] in ([1, 0, 0, 1], [0, 1, 1, 0]):
                fills[code, [k for k in (a, b, c, d) if not code >> k & 1]] = True
    return fills


@cache
def _sheets() -> tuple[Int[np.ndarray, "256 12"], Int[np.ndarray, "256"]]:
    """For each code the sheet that crosses each edge (-1: none), and how many sheets there are."""
    sheet_of = np.full((256, 12), -1)
    for code in range(256):
        crossed = [e for e, (_, low, high) in enumerate(_EDGES) if (code >> low ^ code >> high) & 1]
        group = {e: e for e in crossed}
        for side in SIDES:
            on_it = [e for e in crossed if _EDGES[e, 1] in side and _EDGES[e, 2] in side]
            joined = {group[e] for e in on_it}
            group = {e: min(joined) if g in joined else g for e, g in group.items()}
        names = sorted(set(group.values()))
        for e, g in group.items():
            sheet_of[code, e] = names.index(g)
    return sheet_of, sheet_of.max(axis=1) + 1


@cache
def _turns() -> Int[np.ndarray, "12"]:
    """Which place, against the clock seen from the high end of an edge, the cell has that sees it as its edge e."""
    turns = []
    for axis, low, _ in _EDGES:
        b, c = CORNERS[low][(axis + 1) % 3], CORNERS[low][(axis + 2) % 3]
        turns.append({(1, 1): 0, (0, 1): 1, (0, 0): 2, (1, 0): 3}[int(b), int(c)])
    return np.array(turns)
