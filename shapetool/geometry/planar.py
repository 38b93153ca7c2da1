"""Segments of a plane cut where they meet, and the triangles between them: exact."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from shapetool.geometry.exact import Flat, Number, turn

Edge = tuple[int, int]
Triangle = tuple[int, int, int]

# What rounding may do to a turn and to the test of a circle, for coordinates up to 1; several times too much.
_TURN_DOUBT, _CIRCLE_DOUBT = 2.0**-48, 2.0**-43


class FlatPoints:
    """Distinct points of a plane, exact, with floats beside them that decide what is clear."""

    def __init__(self, points: Iterable[Flat] = ()) -> None:
        """Starts with these."""
        self.exact: list[Flat] = []
        self._floats: list[tuple[float, float]] = []
        self._index: dict[Flat, int] = {}
        self._reach = 0.0
        for point in points:
            self.add(point)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.exact)

    def add(self, point: Flat) -> int:
        """The number of a point, which joins the others if it is new."""
        number = self._index.setdefault(point, len(self.exact))
        if number == len(self.exact):
            self.exact.append(point)
            base = self.exact[0]
            x, y = float(point[0] - base[0]), float(point[1] - base[1])
            self._floats.append((x, y))
            self._reach = max(self._reach, abs(x), abs(y))
        return number

    def side(self, a: int, b: int, c: int) -> int:
        """1 if a, b, c turn to the left, -1 to the right, 0 on a line."""
        (ax, ay), (bx, by), (cx, cy) = self._floats[a], self._floats[b], self._floats[c]
        value: Number = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(value) <= _TURN_DOUBT * self._reach * self._reach:
            value = turn(self.exact[a], self.exact[b], self.exact[c])
        return (value > 0) - (value < 0)

    def middles_in(self, outline: Triangle, triangles: Sequence[Triangle]) -> np.ndarray:
        """Which triangles have their middle in another one; none has it on its edge."""
        places = np.array(self._floats)
        middles = places[np.array(triangles, np.int64).reshape(-1, 3)].mean(axis=1)
        doubt = _TURN_DOUBT * self._reach * self._reach
        turns = np.stack([_turns(places[outline[k]], places[outline[k - 2]], middles) for k in range(3)])
        turns *= self.side(*outline)
        found: np.ndarray = np.all(turns > doubt, axis=0)
        for k in np.flatnonzero((turns >= -doubt).all(axis=0) & ~found).tolist():
            p, q, r = (self.exact[corner] for corner in triangles[k])
            middle = (Fraction(p[0] + q[0] + r[0]) / 3, Fraction(p[1] + q[1] + r[1]) / 3)
            ends = [self.exact[corner] for corner in outline]
            found[k] = all(turn(ends[i], ends[i - 2], middle) * self.side(*outline) > 0 for i in range(3))
        return found

    def boxes(self, lines: Sequence[Edge]) -> tuple[np.ndarray, np.ndarray]:
        """The low and high corners of the boxes of segments, a little too large."""
        ends = np.array(self._floats).reshape(-1, 2)[np.array(lines, np.int64).reshape(-1, 2)]
        return ends.min(axis=1) - 1e-9 * self._reach, ends.max(axis=1) + 1e-9 * self._reach

    def within(self, low: np.ndarray, high: np.ndarray) -> list[int]:
        """The points in a box."""
        places = np.array(self._floats).reshape(-1, 2)
        return np.flatnonzero(((places >= low) & (places <= high)).all(axis=1)).tolist()

    def between(self, a: int, b: int, p: int) -> bool:
        """Whether p is on the segment from a to b, and none of its ends."""
        low, high = sorted((self.exact[a], self.exact[b]))
        return p not in (a, b) and self.side(a, b, p) == 0 and low < self.exact[p] < high

    def circle(self, a: int, b: int, c: int, d: int) -> bool:
        """Whether d is strictly inside the circle through the left turn a, b, c."""
        value: Number = _in_circle(*(self._floats[k] for k in (a, b, c, d)))
        if abs(value) <= _CIRCLE_DOUBT * self._reach**4:
            value = _in_circle(*(self.exact[k] for k in (a, b, c, d)))
        return value > 0


def _turns(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (b[0] - a[0]) * (c[:, 1] - a[1]) - (b[1] - a[1]) * (c[:, 0] - a[0])


def _in_circle(*points: tuple[Any, Any]) -> Any:
    """Above zero if the last of four points is inside the circle through the others."""
    a, b, c, d = points
    (ax, ay), (bx, by), (cx, cy) = ((p[0] - d[0], p[1] - d[1]) for p in (a, b, c))
    sa, sb, sc = ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy
    return sa * (bx * cy - by * cx) - sb * (ax * cy - ay * cx) + sc * (ax * by - ay * bx)


def split(points: FlatPoints, segments: Iterable[Edge]) -> set[Edge]:
    """The pieces, lower number first, into which the points and the segments themselves cut the segments.

    Where segments cross, there is a new point.
    """
    lines = sorted({(min(s), max(s)) for s in segments if s[0] != s[1]})
    on: list[set[int]] = [set(line) for line in lines]
    low, high = points.boxes(lines)
    for i, (a, b) in enumerate(lines):
        rest = slice(i + 1, None)
        for j in i + 1 + np.flatnonzero(((low[rest] <= high[i]) & (high[rest] >= low[i])).all(axis=1)):
            c, d = lines[j]
            if points.side(a, b, c) * points.side(a, b, d) < 0 and points.side(c, d, a) * points.side(c, d, b) < 0:
                crossing = points.add(_crossing(*(points.exact[k] for k in (a, b, c, d))))
                on[i].add(crossing)
                on[j].add(crossing)
    for i, (a, b) in enumerate(lines):
        on[i].update(k for k in points.within(low[i], high[i]) if k not in on[i] and points.between(a, b, k))
    in_order = (sorted(line, key=lambda k: points.exact[k]) for line in on)
    return {(min(pair), max(pair)) for line in in_order for pair in pairwise(line)}


def _crossing(a: Flat, b: Flat, c: Flat, d: Flat) -> Flat:
    at_c, at_d = turn(a, b, c), turn(a, b, d)
    share = Fraction(at_c) / (at_c - at_d)
    return c[0] + (d[0] - c[0]) * share, c[1] + (d[1] - c[1]) * share


class Triangulation:
    """Triangles, wound to the left, between points of a plane, that keep given edges.

    Source: Sloan, "A fast algorithm for generating constrained Delaunay triangulations", 1993, for the flips; the start
    is a sweep over the sorted points.
    """

    def __init__(self, points: FlatPoints, kept: Iterable[Edge]) -> None:
        """Triangulates the convex hull; ``kept`` edges meet nothing but at their ends."""
        self._points, self._side = points, points.side
        self.apex: dict[Edge, int] = {}  # the third corner of the triangle to the left of a directed edge
        self._around: list[set[int]] = [set() for _ in range(len(points))]
        self.kept = set(kept)
        self._sweep()
        for edge in sorted(self.kept):
            self._insert(*edge)
        self._improve()

    @property
    def triangles(self) -> list[Triangle]:
        """Three corners each, the lowest first."""
        return [(a, b, c) for (a, b), c in self.apex.items() if a < b and a < c]

    def _add(self, a: int, b: int, c: int) -> None:
        for u, v, w in ((a, b, c), (b, c, a), (c, a, b)):
            self.apex[u, v] = w
            self._around[u].add(v)
            self._around[v].add(u)

    def _sweep(self) -> None:
        """Each point, from left to right, is joined to the edges of the hull that it sees."""
        order = sorted(range(len(self._points)), key=lambda k: self._points.exact[k])
        line = 2
        while line < len(order) and self._side(order[0], order[1], order[line]) == 0:
            line += 1
        if line == len(order):
            return
        first = order[line]
        left = self._side(order[0], order[1], first) > 0
        start = order[:line] if left else order[line - 1 :: -1]
        for a, b in pairwise(start):
            self._add(a, b, first)
        ring = [*start, first]
        after = dict(zip(ring, [*ring[1:], ring[0]], strict=True))
        before = {b: a for a, b in after.items()}
        last = first
        for point in order[line + 1 :]:
            # the last point added is the rightmost so far, so it sees the new one
            low = high = last
            while self._side(high, after[high], point) < 0:
                self._add(after[high], high, point)
                high = after[high]
            while self._side(before[low], low, point) < 0:
                self._add(low, before[low], point)
                low = before[low]
            after[low], before[point], after[point], before[high] = point, low, high, point
            last = point

    def _insert(self, a: int, b: int) -> None:
        """Flips the edges that cross a kept edge until it is there."""
        if not self.apex or (a, b) in self.apex or (b, a) in self.apex:
            return
        crossing = self._crossed(a, b)
        while crossing:
            u, v = crossing.pop(0)
            w, z = self.apex[u, v], self.apex[v, u]
            if self._side(w, z, u) * self._side(w, z, v) >= 0:
                crossing.append((u, v))
                continue
            self._flip(u, v)
            if self._side(a, b, w) * self._side(a, b, z) < 0:
                crossing.append((w, z))

    def _crossed(self, a: int, b: int) -> list[Edge]:
        """The edges between a and b, in order."""
        fan = ((u, self.apex[a, u]) for u in self._around[a] if (a, u) in self.apex)
        u, w = next((u, w) for u, w in fan if self._side(a, b, u) < 0 < self._side(a, b, w))
        crossed = [(u, w)]
        while True:
            far = self.apex[w, u]
            if far == b:
                return crossed
            if self._side(a, b, far) > 0:
                w = far
            else:
                u = far
            crossed.append((u, w))

    def _flip(self, u: int, v: int) -> None:
        w, z = self.apex.pop((u, v)), self.apex.pop((v, u))
        self._around[u].discard(v)
        self._around[v].discard(u)
        self._add(u, z, w)
        self._add(z, v, w)

    def _improve(self) -> None:
        """Flips edges that are not kept until each has an empty circle (Lawson)."""
        waiting = [edge for edge in self.apex if edge[0] < edge[1]]
        while waiting:
            u, v = waiting.pop()
            if (min(u, v), max(u, v)) in self.kept or (u, v) not in self.apex or (v, u) not in self.apex:
                continue
            w, z = self.apex[u, v], self.apex[v, u]
            if self._points.circle(u, v, w, z):
                self._flip(u, v)
                waiting += [(u, z), (z, v), (v, w), (w, u)]
