"""Vertices of a mesh moved to where they should be, as far as no face meets another."""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.dual import triangulate
from shapetool.geometry.half_edges import half_edges
from shapetool.geometry.kernel import Kernel, kernel_of
from shapetool.geometry.mesh import Mesh

# What share of its way a vertex keeps each time one of its faces is bad; the last puts it back where it started.
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.1, 0.0)
_MOST_PASSES = 24
# How far, in cells, the surface stays from the input: sheets keep two sides.
STAND_OFF = 0.02
SLIDES = 6
# Squared length of the sum of two unit normals below which two neighbours lie back to back.
_FOLDED = 1e-8
# Faces nearer than this share of their size count as meeting, so that tools that round agree that none meets another.
_CLEARANCE = 1e-4


def targets(
    mesh: Mesh,
    start: Float[np.ndarray, "V 3"],
    quads: Int[np.ndarray, "Q 4"],
    step: float,
    slides: int,
    threads: int = 0,
) -> Float[np.ndarray, "V 3"]:
    """Where each vertex should go: just above the surface of `mesh`, and along it to where its faces lie on it too.

    Lines of closest approach do not cross, but leave the creases of the input empty: a face between two walls cuts the
    corner. So a vertex slides by the mean of what the middles of its faces lack, never through its own wall, and is
    put on the surface again.
    """
    kernel = kernel_of(mesh, threads)
    target, out = _above(kernel, start, step, threads)
    corner_count = np.maximum(np.bincount(quads.reshape(-1), minlength=len(start)), 1)[:, None]
    for _ in range(slides):
        middles = target[quads].mean(axis=1)
        away, _, closest = kernel.closest(middles, threads)
        lacks = np.where((away > 2 * STAND_OFF * step)[:, None], closest - middles, 0.0)
        sums = [np.bincount(quads.reshape(-1), np.repeat(lacks[:, k], 4), len(start)) for k in range(3)]
        slide = np.stack(sums, axis=1).astype(np.float64) * (1.5 / corner_count)
        slide -= np.minimum((slide * out).sum(axis=1, keepdims=True), 0.0) * out
        moving = np.flatnonzero((slide**2).sum(axis=1) > 0)
        target[moving], out[moving] = _above(kernel, target[moving] + slide[moving], step, threads)
    return target


def _above(
    kernel: Kernel, points: Float[np.ndarray, "V 3"], step: float, threads: int
) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3"]]:
    """The points on the surface but for the stand-off, and the directions they came from; far ones stay."""
    away, _, closest = kernel.closest(points, threads)
    out = (points - closest) / np.maximum(away, 1e-300)[:, None]
    near = (away < 2 * step)[:, None]
    return np.where(near, closest + np.minimum(away, STAND_OFF * step)[:, None] * out, points), out


def moved(
    start: Float[np.ndarray, "V 3"],
    target: Float[np.ndarray, "V 3"],
    quads: Int[np.ndarray, "Q 4"],
    threads: int = 0,
) -> tuple[Mesh, Int[np.ndarray, " V"], bool]:
    """The triangles of the quads with each vertex as near its target as possible, how often each went back, and
    whether no face is bad.

    The corners of faces that have no area, lie back to back with a neighbour or meet another face go back a part of
    their way; when that does not help, those around them go too. The mesh may still meet itself when the start does.
    """
    steps = np.zeros(len(start), np.int64)
    shares = np.array(_SHARES)
    best, fewest = None, None
    for attempt in range(_MOST_PASSES):
        places = start + shares[steps][:, None] * (target - start)
        mesh = triangulate(places, quads)
        bad = bad_faces(mesh, threads)
        if fewest is None or bad.sum() <= fewest:
            best, fewest = (mesh, steps.copy()), bad.sum()
        if not bad.any():
            break
        at = np.zeros(len(start), bool)
        at[mesh.faces[bad]] = True
        for _ in range(min(attempt // 6, 3)):
            at = _around(at, mesh.faces)
        if (steps[at] == len(_SHARES) - 1).all():
            at = _around(at, mesh.faces)
        steps[at] = np.minimum(steps[at] + 1, len(_SHARES) - 1)
    assert best is not None
    return *best, not fewest


def moved_apart(
    start: Float[np.ndarray, "V 3"],
    target: Float[np.ndarray, "V 3"],
    quads: Int[np.ndarray, "Q 4"],
    step: float,
    threads: int = 0,
) -> Float[np.ndarray, "V 3"]:
    """Where the vertices come to as by `moved`, from a start that has no bad face, when only few of them move.

    Only the quads whose box comes to a cell of four steps that a moving one may come to are looked at. Nothing moves
    when a face stays bad.
    """
    moving = (start != target).any(axis=1)[quads].any(axis=1)
    low = np.minimum(start[quads], target[quads]).min(axis=1)
    high = np.maximum(start[quads], target[quads]).max(axis=1)
    near = quads[_beside(low, high, moving, 4 * step)]
    vertices, own = np.unique(near, return_inverse=True)
    mesh, _, clean = moved(start[vertices], target[vertices], own.reshape(-1, 4), threads)
    places = start.copy()
    if clean:
        places[vertices] = mesh.vertices
    return places


def _beside(
    low: Float[np.ndarray, "N 3"], high: Float[np.ndarray, "N 3"], chosen: Bool[np.ndarray, " N"], cell: float
) -> Bool[np.ndarray, " N"]:
    """Which boxes share a cell with one of the chosen ones."""
    first = np.floor((low - low.min(axis=0)) / cell).astype(np.int64)
    extent = np.floor((high - low.min(axis=0)) / cell).astype(np.int64) - first
    touched = np.zeros(first.max(axis=0) + extent.max(axis=0) + 1, bool)
    beside = np.zeros(len(low), bool)
    for offset in np.ndindex(*(extent[chosen].max(axis=0) + 1)):
        reaches = chosen & (extent >= offset).all(axis=1)
        touched[tuple((first[reaches] + offset).T)] = True
    for offset in np.ndindex(*(extent.max(axis=0) + 1)):
        reaches = (extent >= offset).all(axis=1)
        beside[reaches] |= touched[tuple((first[reaches] + offset).T)]
    return beside


def bad_faces(mesh: Mesh, threads: int = 0) -> Bool[np.ndarray, " F"]:
    """The faces without area, back to back with a neighbour, or meeting another face but in what they share."""
    bad = np.zeros(len(mesh.faces), bool)
    bad[kernel_of(mesh, threads).intersecting_pairs(_CLEARANCE, threads)] = True
    edges = mesh.triangles - mesh.triangles[:, [1, 2, 0]]
    longest_sq = (edges**2).sum(axis=2).max(axis=1)
    bad |= 2 * mesh.face_areas <= 1e-7 * longest_sq
    one, other = half_edges(mesh.faces).twins().T // 3
    normals = mesh.face_normals
    folded = ((normals[one] + normals[other]) ** 2).sum(axis=1) < _FOLDED
    bad[one[folded]] = True
    bad[other[folded]] = True
    return bad


def _around(at: Bool[np.ndarray, " V"], faces: Int[np.ndarray, "F 3"]) -> Bool[np.ndarray, " V"]:
    """The vertices, and all that share a face with one of them."""
    more = at.copy()
    more[faces[at[faces].any(axis=1)]] = True
    return more
