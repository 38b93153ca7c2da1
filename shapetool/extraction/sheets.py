"""The mesh of a level: what the dense boundary would be, from the cells that the surface goes through alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.extraction.level import BEYOND, CHUNK, Level
from shapetool.extraction.nodes import distinct
from shapetool.extraction.refine import CellVertices, refined
from shapetool.geometry.dual import codes_of, fills_of_codes, offsets_of, quads_of, sheets_of, triangulate
from shapetool.geometry.mesh import Mesh

FLOOR = -1e-6  # of the largest value beside the surface: what counts as inside is at least as far from zero


@dataclass(frozen=True, eq=False)
class Surface:
    """The vertices of a level, its quads wound outward, in how many cells they are, and what moving them asked."""

    vertices: Float[np.ndarray, "V 3"]
    quads: Int[np.ndarray, "Q 4"]
    cells: int
    refinements: int

    def mesh(self) -> Mesh:
        """The quads cut along their shorter diagonals."""
        return triangulate(self.vertices, self.quads)


def surface_of(level: Level, steps: int, close: bool) -> Surface:
    """The closed surface of the level, its vertices moved onto the zero of the field by at most `steps` questions each.

    Equal to `boundary_of` on all nodes with their ring, but for these moves. Without `close`, what closes it at the
    border of the box is left out.
    """
    cells = _cells_with_room(level)
    scale = max(_largest(level.corners(part)[0]) for part in _chunks(cells))
    vertices, keys, corners, ring = [], [], [], []
    count = refinements = 0
    for part in _chunks(cells):
        values, inside = level.corners(part)
        levels = np.where(values == BEYOND, 1e9, values / scale)
        found = sheets_of(part, inside, levels, level.shape, FLOOR)
        # Where the inside was added to, or ends at the box, zero is elsewhere.
        own = ~level.in_ring(part) & (inside == (values < 0)).all(axis=1)
        before = level.asked.evaluations
        vertices.append(_placed(level, part[found.cell], found.vertices, values[found.cell], own[found.cell], steps))
        refinements += level.asked.evaluations - before
        keys.append(found.keys)
        corners.append(found.vertex + count)
        ring.append(level.in_ring(part)[found.cell])
        count += len(found.vertices)
    every_key, every_corner = _joined(keys), _joined(corners)
    quads = quads_of(every_key, every_corner)
    places, beyond = _joined(vertices), _joined(ring)
    if not close and beyond.any():
        places, quads = _without(places, quads, beyond)
    return Surface(places, quads, len(cells), refinements)


def _cells_with_room(level: Level) -> Int[np.ndarray, " C"]:
    """The cells of the surface in order, once the inside has grown until no side has two opposite corners inside.

    Growing comes to cells that nobody has looked at. Where a new surface shows there, it is followed, and the growth
    begins again, as it depends on all cells together.
    """
    while True:
        known = sum(map(len, level.mixed))
        level.forget_added()
        wave = distinct(np.concatenate(level.mixed))
        first, touched = wave, [wave[:0]]
        while len(wave):
            added = distinct(np.concatenate([_missing(level, part) for part in _chunks(wave)]))
            wave = distinct(added[:, None] - offsets_of(level.shape))
            level.grow(wave)
            level.add_inside(added)
            touched.append(wave)
        if sum(map(len, level.mixed)) == known:
            break
    around = distinct(np.concatenate(touched))
    codes = codes_of(level.corners(around)[1])
    untouched = first[~np.isin(first, around, assume_unique=True)]
    return np.sort(np.concatenate([untouched, around[(codes > 0) & (codes < 255)]]))


def _missing(level: Level, cells: Int[np.ndarray, " C"]) -> Int[np.ndarray, " N"]:
    """The nodes to add for these cells."""
    cell, corner = np.nonzero(fills_of_codes()[codes_of(level.corners(cells)[1])])
    nodes: np.ndarray = cells[cell] + offsets_of(level.shape)[corner]
    return nodes


def _placed(
    level: Level,
    cells: Int[np.ndarray, " V"],
    vertices: Float[np.ndarray, "V 3"],
    values: Float[np.ndarray, "V 8"],
    own: Bool[np.ndarray, " V"],
    steps: int,
) -> Float[np.ndarray, "V 3"]:
    """The vertices of cells in the coordinates of the box, moved onto the zero of the field where `own`."""
    low = np.array([axis[0] for axis in level.axes])
    places = low + (vertices - 1) * level.steps
    corner = np.stack(level.nodes.split(cells[own]), axis=1) - 1
    given = CellVertices(places[own], low + corner * level.steps, level.steps, values[own])
    places[own] = refined(level.asked, given, steps)
    return places


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """The parts as one array; they are given up for it, as both together are large."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _largest(values: Float[np.ndarray, "C 8"]) -> float:
    """The largest value that is not that of the ring."""
    return float(np.abs(values[values != BEYOND]).max(initial=0.0))


def _chunks(cells: Int[np.ndarray, " C"]) -> list[Int[np.ndarray, " _"]]:
    return [cells[start : start + CHUNK] for start in range(0, len(cells), CHUNK)]


def _without(
    vertices: Float[np.ndarray, "V 3"], quads: Int[np.ndarray, "Q 4"], dropped: Bool[np.ndarray, " V"]
) -> tuple[Float[np.ndarray, "W 3"], Int[np.ndarray, "R 4"]]:
    """The quads that use none of the dropped vertices, and the vertices that these use."""
    used, kept = np.unique(quads[~dropped[quads].any(axis=1)], return_inverse=True)
    return vertices[used], kept.reshape(-1, 4)
