"""A mesh cut along the lines where its faces meet: exact."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.exact import Flat, Point, cross, meeting, minus, rounded, whole
from shapetool.geometry.planar import FlatPoints, Triangulation, split

Edge = tuple[int, int]


@dataclass(frozen=True)
class Pieces:
    """Triangles that meet nothing but in whole edges and corners, and cover what the faces of a mesh cover."""

    vertices: Float[np.ndarray, "V 3"]  # those of the mesh first, and the new ones rounded
    faces: Int[np.ndarray, "T 3"]
    copies: Int[np.ndarray, " T"]  # how many faces lie there that way round, less those the other way round: above zero
    plane: Int[np.ndarray, " T"]  # the group, of `groups`, of faces in one plane that each is a piece of
    groups: tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class _Plane:
    """Faces in one plane, seen along one axis, and what cuts them."""

    faces: list[int]
    axes: tuple[int, int]
    points: FlatPoints = field(default_factory=FlatPoints)
    nodes: dict[int, int] = field(default_factory=dict)  # which point each node of the whole is
    segments: set[Edge] = field(default_factory=set)  # between points
    pieces: set[Edge] = field(default_factory=set)


def pieces_of(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], pairs: Int[np.ndarray, "P 2"]
) -> Pieces:
    """The faces, those of ``pairs`` cut where they meet.

    No two vertices coincide; ``pairs`` has all faces that meet but for neighbours in what they share; faces whose
    corners are in line vanish.
    """
    return _Arrangement(vertices, faces, pairs).pieces()


class _Arrangement:
    def __init__(
        self, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], pairs: Int[np.ndarray, "P 2"]
    ):
        self.vertices, self.faces = vertices, faces
        self.corners = [tuple(face) for face in faces.tolist()]
        self.beside: dict[Edge, list[int]] = defaultdict(list)
        for k, (a, b, c) in enumerate(self.corners):
            for u, v in ((a, b), (b, c), (c, a)):
                self.beside[min(u, v), max(u, v)].append(k)
        exact, self.exponent = whole(vertices)
        self.points: list[Point] = exact
        self.index = {p: k for k, p in enumerate(exact)}
        self.normals: dict[int, Point] = {}
        self.flat = {k for k in _thin(vertices, faces) if not any(self.normal(k))}
        self.planes: dict[int, _Plane] = {}  # of each face that is cut
        self._meet(self._all_pairs(pairs))
        self._share_edges()

    def normal(self, face: int) -> Point:
        """The exact normal, as long as twice the area."""
        if face not in self.normals:
            a, b, c = (self.points[k] for k in self.corners[face])
            self.normals[face] = cross(minus(b, a), minus(c, a))
        return self.normals[face]

    def _all_pairs(self, pairs: Int[np.ndarray, "P 2"]) -> list[Edge]:
        """With the faces beside one without area, or a chain of such, between which there are no others."""
        found = {(min(f, g), max(f, g)) for f, g in pairs.tolist() if f not in self.flat and g not in self.flat}
        seen: set[int] = set()
        for start in sorted(self.flat):
            if start in seen:
                continue
            chain, ring = [start], set()
            seen.add(start)
            while chain:
                for edge in _edges(self.corners[chain.pop()]):
                    for face in self.beside[edge]:
                        if face not in self.flat:
                            ring.add(face)
                        elif face not in seen:
                            seen.add(face)
                            chain.append(face)
            found |= {(f, g) for f in ring for g in ring if f < g}
        return sorted(found)

    def _meet(self, pairs: Sequence[Edge]) -> None:
        """Groups the faces by planes, and puts into each plane what cuts it."""
        cuts: dict[int, list[list[Point]]] = defaultdict(list)
        group: dict[int, int] = {}

        def first(face: int) -> int:
            while group.setdefault(face, face) != face:
                face = group[face]
            return face

        for f, g in pairs:
            one, other = ([self.points[k] for k in self.corners[face]] for face in (f, g))
            shared = meeting(one, other, self.normal(f), self.normal(g))
            if shared is None:
                low, high = sorted((first(f), first(g)))
                group[high] = low
            elif shared and not all(p in one and p in other for p in shared):
                cuts[f].append(shared)
                cuts[g].append(shared)
        touched = sorted(set(cuts) | set(group))
        members: dict[int, list[int]] = defaultdict(list)
        for face in touched:
            members[first(face)].append(face)
        for several in members.values():
            self._new_plane(several, [cut for face in several for cut in cuts[face]])

    def _new_plane(self, faces: list[int], cuts: Iterable[Sequence[Point]]) -> _Plane:
        normal = self.normal(faces[0])
        drop = max(range(3), key=lambda k: abs(normal[k]))
        plane = _Plane(faces, ((drop + 1) % 3, (drop + 2) % 3))
        for face in faces:
            a, b, c = (self._place(plane, self.points[k]) for k in self.corners[face])
            plane.segments |= {(a, b), (b, c), (c, a)}
            self.planes[face] = plane
        for cut in cuts:
            ends = [self._place(plane, p) for p in cut]
            if len(ends) == 2:
                plane.segments.add((ends[0], ends[1]))
        return plane

    def _place(self, plane: _Plane, point: Point) -> int:
        """Where a point of space is among those of the plane."""
        node = self.index.setdefault(point, len(self.points))
        if node == len(self.points):
            self.points.append(point)
        if node not in plane.nodes:
            plane.nodes[node] = plane.points.add((point[plane.axes[0]], point[plane.axes[1]]))
        return plane.nodes[node]

    def _lift(self, plane: _Plane, flat: Flat) -> Point:
        """The point of the plane that is seen there."""
        i, j = plane.axes
        drop = 3 - i - j
        normal, base = self.normal(plane.faces[0]), self.points[self.corners[plane.faces[0]][0]]
        rise = Fraction(normal[i] * (flat[0] - base[i]) + normal[j] * (flat[1] - base[j])) / normal[drop]
        point = [base[drop] - rise] * 3
        point[i], point[j] = flat
        return point[0], point[1], point[2]

    def _share_edges(self) -> None:
        """Cuts every plane, until all faces at an edge have the same points on it."""
        waiting = list({id(plane): plane for plane in self.planes.values()}.values())
        while waiting:
            plane = waiting.pop()
            plane.pieces = split(plane.points, plane.segments)
            for k in range(len(plane.nodes), len(plane.points)):
                point = self._lift(plane, plane.points.exact[k])
                node = self.index.setdefault(point, len(self.points))
                if node == len(self.points):
                    self.points.append(point)
                plane.nodes[node] = k
            for face in plane.faces:
                for u, v in _edges(self.corners[face]):
                    a, b = plane.nodes[u], plane.nodes[v]
                    inner = [node for node, p in plane.nodes.items() if plane.points.between(a, b, p)]
                    for other in self.beside[u, v] if inner else []:
                        if other in self.flat or other in plane.faces:
                            continue
                        theirs = self.planes.get(other) or self._new_plane([other], [])
                        known = len(theirs.nodes)
                        for node in inner:
                            self._place(theirs, self.points[node])
                        if (len(theirs.nodes) > known or not theirs.pieces) and theirs not in waiting:
                            waiting.append(theirs)

    def pieces(self) -> Pieces:
        """All triangles."""
        whole_ones = [k for k in range(len(self.faces)) if k not in self.planes and k not in self.flat]
        triangles = [self.corners[k] for k in whole_ones]
        copies, plane = [1] * len(triangles), list(range(len(triangles)))
        groups: list[tuple[int, ...]] = [(k,) for k in whole_ones]
        for several in {id(p): p for p in self.planes.values()}.values():
            for triangle, count in self._covered(several):
                triangles.append(triangle)
                copies.append(count)
                plane.append(len(groups))
            groups.append(tuple(several.faces))
        new = rounded(self.points[len(self.vertices) :], self.exponent)
        return Pieces(
            np.concatenate([self.vertices, new]),
            np.array(triangles, np.int64).reshape(-1, 3),
            np.array(copies, np.int64),
            np.array(plane, np.int64),
            tuple(groups),
        )

    def _covered(self, plane: _Plane) -> Iterable[tuple[tuple[int, int, int], int]]:
        """The triangles of a plane that faces cover, wound as most of these, and by how many more."""
        nodes = list(plane.nodes)
        triangles = Triangulation(plane.points, plane.pieces).triangles
        count = np.zeros(len(triangles), np.int64)
        for face in plane.faces:
            a, b, c = (plane.nodes[k] for k in self.corners[face])
            count += plane.points.side(a, b, c) * plane.points.middles_in((a, b, c), triangles)
        for (a, b, c), copies in zip(triangles, count.tolist(), strict=True):
            if copies:
                corners = nodes[a], nodes[b], nodes[c]
                yield (corners if copies > 0 else corners[::-1]), abs(copies)


def _edges(corners: Sequence[int]) -> list[Edge]:
    """The edges, lower vertex first."""
    a, b, c = corners
    return [(min(u, v), max(u, v)) for u, v in ((a, b), (b, c), (c, a))]


def _thin(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> list[int]:
    """The faces that may have no area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    longest = np.maximum.reduce([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))])
    return np.flatnonzero(np.linalg.norm(np.cross(b - a, c - a), axis=1) <= 1e-6 * longest).tolist()
