"""Points on the surface of one mesh, and on its sharp edges."""

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry import kernel
from shapetool.geometry.mesh import Mesh
from shapetool.sampling.seed import kernel_seed


def sample_surface(
    mesh: Mesh, count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "M 3"], Float[np.ndarray, "M 3"], Int[np.ndarray, " M"]]:
    """Points uniform by area, the unit normals of their faces, and the faces; in random order, so any slice is fair.

    Every face counts with its whole area, hidden ones too. Normals point outward where the mesh is wound so.

    Raises:
        MeshError: points are wanted of a mesh without area.

    Source: the map of two uniform numbers to a triangle is the folded parallelogram of Turk, "Generating random points
    in triangles", Graphics Gems, 1990.
    """
    faces = rng.permutation(draw_faces(mesh, count, rng))
    points = points_on_faces(mesh.triangles, faces, rng)
    return points, mesh.face_normals.take(faces, axis=0), faces


def draw_faces(mesh: Mesh, count: int, rng: np.random.Generator) -> Int[np.ndarray, " M"]:
    """``count`` faces drawn in proportion to their areas, in rising order.

    Raises:
        MeshError: faces are wanted of a mesh without area.
    """
    areas = mesh.face_areas
    largest = float(areas.max()) if len(areas) else 0.0
    if count and not (largest > 0 and np.isfinite(largest)):
        raise MeshError(f"surface: expected faces with an area to draw from, found {largest:g}. Remove the shape.")
    return _draw_sorted(areas / largest if largest > 0 else areas, count, rng)


def points_on_faces(
    triangles: Float[np.ndarray, "F 3 3"], faces: Int[np.ndarray, " M"], rng: np.random.Generator
) -> Float[np.ndarray, "M 3"]:
    """One point on each of the faces, uniform by area, in the precision of the triangles."""
    points: Float[np.ndarray, "M 3"] = kernel.points_on_faces(triangles, faces, kernel_seed(rng))
    return points


def sharp_edges(mesh: Mesh, angle: float) -> Int[np.ndarray, "E 2"]:
    """The vertex pairs of edges between two faces whose normals differ by more than ``angle`` degrees.

    Edges of one face (a rim) or of three and more have no dihedral angle and are left out; neighbours that are wound
    against each other are compared as if they were not; faces without area have no normal and make no edge sharp.
    """
    pairs = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    key = low * len(mesh.vertices) + high
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    sizes = np.diff(starts, append=len(key))
    first, second = order[starts[sizes == 2]], order[starts[sizes == 2] + 1]
    normals = mesh.face_normals
    cosine = np.einsum("ij,ij->i", normals[first // 3], normals[second // 3])
    same_way = pairs[first, 0] == pairs[second, 0]
    cosine = np.where(same_way, -cosine, cosine)
    proper = (mesh.face_areas[first // 3] > 0) & (mesh.face_areas[second // 3] > 0)
    return pairs[first[proper & (cosine < np.cos(np.radians(angle)))]]


def points_on_edges(
    mesh: Mesh, edges: Int[np.ndarray, "E 2"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "M 3"]:
    """Points uniform by length on the edges, edge after edge."""
    ends = mesh.vertices[edges]
    spans = ends[:, 1] - ends[:, 0]
    chosen = _draw_sorted(np.sqrt((spans**2).sum(axis=1)), count, rng)
    points: Float[np.ndarray, "M 3"] = ends[chosen, 0] + rng.random((count, 1)) * spans[chosen]
    return points


def _draw_sorted(measures: Float[np.ndarray, " N"], count: int, rng: np.random.Generator) -> Int[np.ndarray, " M"]:
    """``count`` indices in rising order, each drawn in proportion to its measure; measure 0 is never drawn.

    The sums of exponential gaps are distributed as sorted uniform numbers are, which saves the sort.

    Source: Devroye, "Non-Uniform Random Variate Generation", Springer, 1986, chapter V.
    """
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    gaps = np.cumsum(rng.standard_exponential(count + 1))
    cumulative = np.cumsum(measures)
    places = gaps[:-1] * (cumulative[-1] / gaps[-1])
    last = int(np.flatnonzero(measures)[-1])
    return np.minimum(np.searchsorted(cumulative, places, side="right"), last)
