"""Exact triangles in the plane, against areas and membership counted another way."""

import random
from fractions import Fraction
from itertools import pairwise

import pytest

from shapetool.geometry.exact import turn
from shapetool.geometry.planar import FlatPoints, Triangulation, split


def drawn(seed: int) -> tuple[FlatPoints, list[tuple[int, int]]]:
    rng = random.Random(seed)
    reach = rng.choice([3, 5, 30, 10**6])
    scale = rng.choice([1, Fraction(1, 3), Fraction(7, 10**9)])
    corners = {(rng.randint(0, reach), rng.randint(0, reach)) for _ in range(rng.randint(3, 14))}
    points = FlatPoints((x * scale, y * scale + 10**12) for x, y in sorted(corners))
    return points, [(rng.randrange(len(points)), rng.randrange(len(points))) for _ in range(rng.randint(0, 8))]


def hull_area(points: list) -> Fraction:
    """Twice the area, by Andrew's chains."""
    chains = []
    for ordered in (sorted(points), sorted(points, reverse=True)):
        chain = []
        for p in ordered:
            while len(chain) > 1 and turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        chains += chain[:-1]
    return sum(turn(chains[0], a, b) for a, b in pairwise(chains[1:]))


@pytest.mark.parametrize("seed", range(120))
def test_triangles_fill_the_hull_use_all_points_and_keep_the_pieces(seed):
    points, segments = drawn(seed)
    pieces = split(points, segments)
    found = Triangulation(points, pieces)
    areas = [turn(*(points.exact[k] for k in triangle)) for triangle in found.triangles]
    assert all(area > 0 for area in areas)
    assert sum(areas) == hull_area(points.exact)
    if areas:
        assert {k for triangle in found.triangles for k in triangle} == set(range(len(points)))
        sides = {(t[k - 1], t[k]) for t in found.triangles for k in range(3)}
        assert all(piece in sides or piece[::-1] in sides for piece in pieces)


@pytest.mark.parametrize("seed", range(60))
def test_pieces_cover_the_segments_and_meet_only_in_ends(seed):
    points, segments = drawn(seed)
    pieces = sorted(split(points, segments))

    def holds(a: int, b: int, p: tuple) -> bool:
        low, high = sorted((points.exact[a], points.exact[b]))
        return turn(low, high, p) == 0 and low <= p <= high

    for a, b in segments:
        p, q = points.exact[a], points.exact[b]
        for share in (Fraction(k, 7) for k in range(8)):
            at = (p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1]))
            assert a == b or any(holds(*piece, at) for piece in pieces)
    for a, b in pieces:
        assert not any(k not in (a, b) and holds(a, b, points.exact[k]) for k in range(len(points)))
        for c, d in pieces:
            ends = [points.exact[k] for k in (a, b, c, d)]
            assert turn(*ends[:2], ends[2]) * turn(*ends[:2], ends[3]) >= 0 or (
                turn(*ends[2:], ends[0]) * turn(*ends[2:], ends[1]) >= 0
            )


def test_what_floats_cannot_tell_is_told_exactly():
    tiny = Fraction(1, 2**80)
    points = FlatPoints([(0, 0), (1, 1), (Fraction(1, 2), Fraction(1, 2) + tiny), (Fraction(1, 3), Fraction(1, 3))])
    assert points.side(0, 1, 2) == 1
    assert points.side(1, 0, 2) == -1
    assert points.side(0, 1, 3) == 0
    assert points.between(0, 1, 3)
    assert not points.between(0, 1, 2)
    circle = FlatPoints([(1, 0), (0, 1), (-1, 0), (0, -1), (0, -1 + tiny)])
    assert not circle.circle(0, 1, 2, 3)
    assert circle.circle(0, 1, 2, 4)


def test_no_flip_makes_a_triangulation_better():
    rng = random.Random(5)
    points = FlatPoints({(rng.randint(0, 40), rng.randint(0, 40)) for _ in range(60)})
    found = Triangulation(points, split(points, [(0, 1), (2, 3), (4, 5)]))
    for (a, b), c in found.apex.items():
        if (b, a) in found.apex and (min(a, b), max(a, b)) not in found.kept:
            assert not points.circle(a, b, c, found.apex[b, a])
