"""Points with exact coordinates: whole numbers and fractions of them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float

Number = Any  # int or Fraction; of the union of both, mypy would know no sign
Point = tuple[Number, Number, Number]
Flat = tuple[Number, Number]


def whole(points: Float[np.ndarray, "N 3"]) -> tuple[list[Point], int]:
    """The points times a power of two that makes every coordinate whole, and that power's exponent."""
    exponent = max((int(x.as_integer_ratio()[1]).bit_length() - 1 for x in points.reshape(-1).tolist()), default=0)
    scale = 1 << exponent
    numbers = [int(n * (scale // d)) for n, d in (x.as_integer_ratio() for x in points.reshape(-1).tolist())]
    return list(zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)), exponent


def rounded(points: Sequence[Point], exponent: int) -> Float[np.ndarray, "N 3"]:
    """The points over two to the exponent, each coordinate as the nearest double."""
    scale = 1 << exponent
    return np.array([[float(Fraction(x) / scale) for x in p] for p in points], np.float64).reshape(-1, 3)


def minus(a: Point, b: Point) -> Point:
    """a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def cross(a: Point, b: Point) -> Point:
    """The vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def dot(a: Point, b: Point) -> Number:
    """The scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def between(a: Point, b: Point, at_a: Number, at_b: Number) -> Point:
    """Where a linear function with these values at a and b, of different signs, is zero."""
    share = Fraction(at_a) / (at_a - at_b)
    x, y, z = (p + share * (q - p) for p, q in zip(a, b, strict=True))
    return x, y, z


def turn(a: Flat, b: Flat, c: Flat) -> Number:
    """Above zero if a, b, c turn to the left, zero on a line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def meeting(one: Sequence[Point], other: Sequence[Point], one_normal: Point, other_normal: Point) -> list[Point] | None:
    """The ends of what two triangles share, none or one or two points; None if they lie in one plane.

    ``one`` and ``other`` are three corners each, not in line.
    """
    heights = [dot(one_normal, minus(p, one[0])) for p in other]
    if not any(heights):
        return None
    if min(heights) > 0 or max(heights) < 0:
        return []
    back = [dot(other_normal, minus(p, other[0])) for p in one]
    if min(back) > 0 or max(back) < 0:
        return []
    along = cross(one_normal, other_normal)
    axis = max(range(3), key=lambda k: abs(along[k]))
    first, second = (sorted(_on_plane(*pair), key=lambda p: p[axis]) for pair in ((other, heights), (one, back)))
    low = max(first[0], second[0], key=lambda p: p[axis])
    high = min(first[-1], second[-1], key=lambda p: p[axis])
    if low[axis] > high[axis]:
        return []
    return [low] if low == high else [low, high]


def _on_plane(corners: Sequence[Point], heights: Sequence[Number]) -> list[Point]:
    """Where the boundary of a triangle comes to the plane above which its corners have these heights."""
    points = [p for p, h in zip(corners, heights, strict=True) if h == 0]
    for k in range(3):
        here, there = heights[k], heights[(k + 1) % 3]
        if (here > 0 > there) or (here < 0 < there):
            points.append(between(corners[k], corners[(k + 1) % 3], here, there))
    return points
