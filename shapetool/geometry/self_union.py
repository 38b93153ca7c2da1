"""The outer surface of a closed mesh that meets itself: its own faces, cut along the lines where they meet."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.arrangement import Pieces, pieces_of
from shapetool.geometry.deviation import spread_points
from shapetool.geometry.flood import joined
from shapetool.geometry.half_edges import half_edges
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.parting import Parted, parted
from shapetool.geometry.pullback import bad_faces
from shapetool.geometry.topology import analyse

# Steps, in shares of the longest side, of the lattices that corners of faces in trouble are put on in turn.
_STEPS = (0.0, 2.0**-30, 2.0**-27, 2.0**-24, 2.0**-21, 2.0**-18)
# How far parts that touch are moved apart, as a share of the longest side.
_APART = 1e-5
# Nothing is cut where more pairs of faces meet: each takes about a millisecond.
_MOST_PAIRS = 50_000
# Two faces at an edge are looked at for overlap if their unit normals add up to less, squared.
_FOLDED = 1e-6
# How many pieces of a patch are asked for the winding number in front of it, and how far it may be from a whole number.
_ASKED, _DOUBT = 5, 0.05
# What is farther outside the result, in diagonals, was lost; and how many points are asked.
_LOST, _SAMPLES = 1e-4, 50_000


def self_union(mesh: Mesh, threads: int = 0) -> Mesh | None:
    """The surface between the space around which `mesh` winds, either way, and the rest: closed, oriented, sound.

    The cuts are exact, and new vertices rounded to the nearest double. Where this leaves faces that meet, their corners
    go to a lattice, coarser each time, and all is cut again. None if some edge of the mesh is not gone along as
    often one way as the other, if sheets lie there both ways round and so enclose nothing, if too many faces meet, or
    if no lattice leads to a sound mesh.

    Source: Zhou, Grinspun, Zorin, Jacobson, "Mesh arrangements for solid geometry", 2016, for cutting first and asking
        winding numbers then; the snapping, and the parting of what touches, are different.
    """
    side = float(np.ptp(mesh.bounds, axis=0).max())
    loose = np.zeros(0, np.int64)
    for step in _STEPS:
        vertices = mesh.vertices.copy()
        if step:
            vertices[loose] = np.round(vertices[loose] / (step * side)) * (step * side)
        mesh = _merged(Mesh(vertices, mesh.faces))
        if not len(mesh.faces) or not half_edges(mesh.faces).balanced:
            return None
        pairs = _meeting(mesh, threads)
        if len(pairs) > _MOST_PAIRS:
            return None
        pieces = pieces_of(mesh.vertices, mesh.faces, pairs)
        if not len(pieces.faces):
            return None
        loose = np.unique(mesh.faces[pairs])
        front = _front(mesh, pieces)
        if front is None:
            continue
        outer = _outer(pieces, front)
        if not len(outer) or _loses(mesh, Mesh(pieces.vertices, outer), threads):
            return None
        parts = parted(pieces.vertices, outer)
        if parts is None:
            continue
        mesh = _apart(parts, _APART * side, threads)
        if analyse(mesh, threads).sound:
            return mesh
        loose = np.unique(mesh.faces[bad_faces(mesh, threads)])
    return None


def _merged(mesh: Mesh) -> Mesh:
    """Coinciding vertices as one, without the faces that this leaves with less than three corners."""
    vertices, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    a, b, c = faces.T
    return Mesh(vertices, faces[(a != b) & (b != c) & (c != a)])


def _meeting(mesh: Mesh, threads: int) -> Int[np.ndarray, "P 2"]:
    """The pairs of faces that may meet but in what they share."""
    sides = half_edges(mesh.faces)
    pairs = sides.pairs()
    one, other = pairs.T
    # two faces at an edge overlap in one plane if both are on the same side of it
    ways = np.where(sides.start[one] == sides.start[other], -1.0, 1.0)[:, None]
    normals = mesh.face_normals
    folded = ((normals[one // 3] + ways * normals[other // 3]) ** 2).sum(axis=1) < _FOLDED
    crossing = kernel_of(mesh, threads).intersecting_pairs(0.0, threads).reshape(-1, 2)
    return np.concatenate([crossing, pairs[folded] // 3]).astype(np.int64)


def _outer(pieces: Pieces, front: Int[np.ndarray, " T"]) -> Int[np.ndarray, "F 3"]:
    """The pieces with nothing on one side and something on the other, wound so that nothing is in front."""
    back = front + pieces.copies
    out, inside_out = (front == 0) & (back != 0), (front != 0) & (back == 0)
    return np.concatenate([pieces.faces[out], pieces.faces[inside_out][:, ::-1]])


def _loses(mesh: Mesh, outer: Mesh, threads: int) -> bool:
    """Whether parts of the mesh are outside: sheets that lie there both ways round."""
    points = spread_points(mesh, _SAMPLES)
    kernel = kernel_of(outer, threads)
    away = kernel.closest(points, threads)[0] > _LOST * np.linalg.norm(np.ptp(mesh.bounds, axis=0))
    return bool((kernel.winding(points[away], "fast", threads) < 0.5).any())


def _apart(parts: Parted, way: float, threads: int) -> Mesh:
    """The parts, each moved a little into its inside where they touch, or out of it where that makes them meet."""
    by = np.full(len(parts.inward), way)
    mesh = parts.moved(by)
    bad = bad_faces(mesh, threads)
    places, place = np.unique(parts.mesh.vertices, axis=0, return_inverse=True)
    turned = np.zeros(len(places), bool)
    turned[place.reshape(-1)[np.unique(mesh.faces[bad])]] = True
    if not (turned[place.reshape(-1)] & parts.inward.any(axis=1)).any():
        return mesh
    other = parts.moved(np.where(turned[place.reshape(-1)], -by, by))
    return other if bad_faces(other, threads).sum() < bad.sum() else mesh


def _front(mesh: Mesh, pieces: Pieces) -> Int[np.ndarray, " T"] | None:
    """How often the mesh winds around the space in front of each piece; None where rounding leaves that open."""
    sides = half_edges(pieces.faces)
    one, other = sides.twins().T
    alike = (pieces.copies[one // 3] == pieces.copies[other // 3]) & (sides.start[one] == sides.end[other])
    patch = joined(len(pieces.faces), one[alike] // 3, other[alike] // 3)
    triangles = pieces.vertices[pieces.faces]
    areas = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    front = np.zeros(len(patch), np.int64)
    order = np.lexsort((-areas, patch))
    for members in np.split(order, np.flatnonzero(np.diff(patch[order])) + 1):
        for piece in members[:_ASKED]:
            others = np.ones(len(mesh.faces), bool)
            others[list(pieces.groups[pieces.plane[piece]])] = False  # in whose plane it is, they do not count
            mean = _winding(mesh.triangles[others] - triangles[piece].mean(axis=0))
            value = mean - pieces.copies[piece] / 2
            if abs(value - round(value)) < _DOUBT:
                break
        else:
            return None
        front[members] = round(value)
    return front


def _winding(triangles: Float[np.ndarray, "F 3 3"]) -> float:
    """How often the triangles wind around the origin.

    Source: Van Oosterom, Strackee, "The solid angle of a plane triangle", 1983.
    """
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    x, y, z = (np.linalg.norm(corner, axis=1) for corner in (a, b, c))
    volume = (a * np.cross(b, c)).sum(axis=1)
    rest = x * y * z + (a * b).sum(axis=1) * z + (b * c).sum(axis=1) * x + (c * a).sum(axis=1) * y
    return float(np.arctan2(volume, rest).sum() / (2 * np.pi))
