"""The truths of surfaces and solids: spheres, boxes, a spike, a mesh against itself, and bounds that hold."""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from shapetool.geometry import analytic
from shapetool.geometry.mesh import Mesh
from shapetool.metrics.scores import Scores
from shapetool.metrics.surface import (
    Interval,
    compare_surfaces,
    directed_hausdorff_interval,
    from_surface,
    hausdorff_interval,
    quarters,
)
from shapetool.metrics.surface_mean import chamfer_interval, mean_interval_to
from shapetool.metrics.truths.truth import Truth, worst
from shapetool.metrics.volume import Overlap, iou, lattice_iou

_SAMPLES = 100_000
_WIDTH = 2e-3  # of bounds
_FLAT = "faces lie within the sphere"
_SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
_Known = tuple[float, float, Callable[[], Interval]]  # the truth lies between two numbers; what was found


def truths() -> list[Truth]:
    """S1 to S6, S8, S11 and S12."""
    parts = (_spheres, _balls, _boxes, _nested_boxes, _spike, _small_triangles, _itself, _certified)
    return [truth for part in parts for truth in part()]


def _box(low: Sequence[float | int], high: Sequence[float | int], degrees: float | int = 0) -> Mesh:
    """The box between two corners, turned about the z axis."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = corners @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return Mesh(turned, np.concatenate([_SIDES[:, [0, 1, 2]], _SIDES[:, [0, 2, 3]]]))


@cache
def _icosphere(radius: float, cuts: int = 5) -> Mesh:
    """A sphere of 20 * 4**cuts triangles, its corners on the sphere; its faces lie up to h^2/(8r) within."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=cuts, radius=radius)
    return Mesh(np.asarray(ball.vertices), np.asarray(ball.faces))


@cache
def _compared(a: Mesh, b: Mesh) -> Scores:
    return compare_surfaces(a, b, _SAMPLES, np.random.default_rng(0))


def _fscore(found: Scores, threshold: float) -> float:
    return found.fscore([threshold])[0].item()


def _farthest(points: np.ndarray, mesh: Mesh) -> float:
    return float(from_surface(points, mesh)[0].max())


def _sagitta(ball: Mesh) -> float:
    """How deep the faces of a sphere's mesh lie within it: h^2 / (8 r), and a third more in the middle of a face."""
    edge = float(np.linalg.norm(np.diff(ball.triangles, axis=1), axis=2).max())
    return edge**2 / (6 * float(ball.bounds.max()))


def _spheres() -> list[Truth]:
    """S1: spheres of radius r and r + d about one centre: d everywhere, both ways."""
    inner, outer, radius, gap = _icosphere(0.5, 4), _icosphere(0.6, 4), 0.5, 0.1
    sagitta = 2 * (1 + gap / radius) * _sagitta(inner)  # of both meshes
    found: Callable[[], Scores] = lambda: _compared(inner, outer)  # noqa: E731 - asked for when a truth is measured
    lengths: dict[str, tuple[float, Callable[[], float], float]] = {
        "chamfer l1_mean": (gap, lambda: found().chamfer().item(), sagitta),
        "chamfer l2sq_sum": (2 * gap**2, lambda: found().chamfer("l2sq_sum").item(), 4 * gap * sagitta),
        "hausdorff": (gap, lambda: hausdorff_interval(inner, outer).value, sagitta),
        "normals": (1, lambda: found().normal_consistency().item(), 2e-3),
        "IoU": ((5 / 6) ** 3, lambda: iou(inner, outer).value, 12 * sagitta),
    }
    return [
        *(Truth("S1", f"spheres .5 and .6: {name}", *told, _FLAT) for name, told in lengths.items()),
        Truth("S1", "spheres .5 and .6: f-score at .09", 0, lambda: _fscore(found(), 0.09), 0),
        Truth("S1", "spheres .5 and .6: f-score at .11", 1, lambda: _fscore(found(), 0.11), 0),
    ]


@cache
def _lattice_of_spheres(radius: float, other: float, apart: float) -> Overlap:
    """The IoU of two balls by their closed forms, on the lattice."""
    size = max(radius, apart + other)
    box = np.array([[[-radius, -radius, -radius], [size, size, size]], [[-size] * 3, [size] * 3]])

    def moved(points: np.ndarray) -> np.ndarray:
        return analytic.sphere(other)(points - [apart, 0, 0])

    return lattice_iou((analytic.sphere(radius), moved), box, 64, np.random.default_rng(0))


def _balls() -> list[Truth]:
    """S4, and S12 of balls: two caps of height h = 1/2 share pi h^2 (3 - h) / 3 each, 5 pi / 12 in all.

    So the IoU of unit balls whose centres are 1 apart is 5 / (32 - 5).
    """
    balls: Callable[[], Overlap] = lambda: _lattice_of_spheres(1.0, 1.0, 1.0)  # noqa: E731
    nested: Callable[[], Overlap] = lambda: _lattice_of_spheres(0.6, 0.5, 0.0)  # noqa: E731
    return [
        Truth("S4", "unit balls 1 apart: IoU on the lattice", 5 / 27, lambda: balls().value, 1e-3, "cells of 1/24"),
        Truth("S12", "unit balls 1 apart: IoU outside of its bounds", 0, lambda: _beyond(5 / 27, balls()), 0),
        Truth("S12", "balls .5 and .6: IoU outside of its bounds", 0, lambda: _beyond((5 / 6) ** 3, nested()), 0),
    ]


def _beyond(truth: float, found: Overlap) -> float:
    """How far a truth is outside of the bounds that are certain; NaN where these say nothing."""
    low, high = found.certain_lower, found.certain_upper
    return worst(low - truth, truth - high) if high - low < 0.5 else math.nan


def _boxes() -> list[Truth]:
    """S2, S3: unit cubes moved along one axis by t, along two, and turned.

    They share (1 - t) of 1 + t. For t up to 1/2 the way to the other surface is t from the face that moved out, 0 from
    one that lies in the other's plane and is covered, and from the strip of width t that is not covered its distance to
    the edge, or, within, min(t, distance to the sides): together (t + (1 - (1 - 2t)^3) / 6 + 2 t^2) / 6 on average. A
    square turned by 45 degrees keeps an octagon of area 2 (sqrt(2) - 1), so the IoU is 1 / sqrt(2).
    """
    cube = _box((0, 0, 0), (1, 1, 1))
    truths = []
    for t in (0.1, 0.3, 0.5):
        moved = _box((t, 0, 0), (1 + t, 1, 1))
        distance, share = _shifted(t), (1 - t) / (1 + t)
        # Distances lie between 0 and t, so their standard deviation is at most t / 2.
        error = t / 2 / math.sqrt(2 * _SAMPLES)
        truths += [
            Truth("S2", f"cubes {t} apart: IoU", share, partial(_by_boolean, cube, moved)),
            Truth(
                "S2", f"cubes {t} apart: IoU on the lattice", share, partial(_by_lattice, cube, moved), 2e-3, "cells"
            ),
            Truth("S2", f"cubes {t} apart: chamfer", distance, partial(_chamfer, cube, moved), 4 * error, "4 errors"),
            Truth("S2", f"cubes {t} apart: hausdorff", t, partial(_hausdorff, cube, moved)),
        ]
    askew, centred = _box((0.3, 0.3, 0), (1.3, 1.3, 1)), _box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    turned = _box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), degrees=45)
    return [
        *truths,
        Truth("S2", "cubes .3 apart along two axes: IoU", 0.49 / (2 - 0.49), lambda: iou(cube, askew).value),
        Truth("S3", "cube turned by 45 degrees: IoU", 1 / math.sqrt(2), lambda: iou(centred, turned).value),
    ]


def _shifted(t: float) -> float:
    """Chamfer `l1_mean` of two surfaces of unit cubes, one moved by t of at most 1/2 along an edge."""
    return (t + (1 - (1 - 2 * t) ** 3) / 6 + 2 * t**2) / 6


def _by_boolean(a: Mesh, b: Mesh) -> float:
    return iou(a, b, method="boolean").value


def _chamfer(a: Mesh, b: Mesh) -> float:
    return _compared(a, b).chamfer().item()


def _hausdorff(a: Mesh, b: Mesh) -> float:
    return hausdorff_interval(a, b).upper


@cache
def _lattice(a: Mesh, b: Mesh) -> Overlap:
    return iou(a, b, method="lattice", resolution=64)


def _by_lattice(a: Mesh, b: Mesh) -> float:
    return _lattice(a, b).value


def _nested_boxes() -> list[Truth]:
    """S5: boxes of side 1 and 1.1 that share a corner.

    From the small one: 0 on three faces, min(.1, y, z) on three, of which the mean is (1 - .9^3) / 3. From the large
    one, of area 1.21 a side, in units of .1: three faces in the small one's planes have 0 but for two strips of mean
    1/2 and a corner of mean (sqrt(2) + asinh(1)) / 3; on the others it is the root of one more: strips of mean
    (sqrt(2) + asinh(1)) / 2, and for the corner the integral of sqrt(1 + u^2 + v^2), 4/3 of the mean distance in a cube
    from a corner. Within .05 are 1 - .95^2 of the former three faces, and of the latter 1 + .1 + pi .05^2 / 4 of 1.21.
    """
    small, large = _box((0, 0, 0), (1, 1, 1)), _box((0, 0, 0), (1.1, 1.1, 1.1))
    found: Callable[[], Scores] = lambda: _compared(small, large)  # noqa: E731
    means = sum(_nested_means())
    precision, recall = (2 - 0.95**2) / 2, (1.1 + math.pi * 0.05**2 / 4) / 1.21 / 2
    score = 2 * precision * recall / (precision + recall)
    error = 0.1 * math.sqrt(3) / 2 * math.sqrt(2 / _SAMPLES)  # of a sum of two means of what is 0 to .1 sqrt(3)
    return [
        Truth("S5", "boxes 1 and 1.1: l1_sum", means, lambda: found().chamfer("l1_sum").item(), 3 * error, "3 errors"),
        Truth("S5", "boxes 1 and 1.1: hausdorff", 0.1 * math.sqrt(3), lambda: hausdorff_interval(small, large).value),
        Truth("S5", "boxes 1 and 1.1: f-score at .05", score, lambda: _fscore(found(), 0.05), 5e-3, "4 errors"),
        Truth("S5", "boxes 1 and 1.1: IoU", 1 / 1.331, lambda: iou(small, large).value),
    ]


def _nested_means() -> tuple[float, float]:
    """The mean distance from the box of side 1 to that of side 1.1 and back: see `_nested_boxes`."""
    edge = math.sqrt(2) + math.asinh(1)
    corner = (math.sqrt(3) / 4 + math.log(2 + math.sqrt(3)) / 2 - math.pi / 24) * 4 / 3
    return (1 - 0.9**3) / 6, (0.01 + 0.001 * edge / 3 + 0.1 + 0.01 * edge + 0.001 * corner) / 1.21 / 2


def _spike() -> list[Truth]:
    """S6: a square, and the same square with a spike of height h over its middle."""
    height = 0.7
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]], dtype=float)
    fan = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    square = Mesh(corners, fan)
    needle = np.array([[0.5, 0.5, 0], [0.51, 0.5, 0], [0.5, 0.5, height]])
    spiked = Mesh(np.concatenate([corners, needle]), np.concatenate([fan, [[5, 6, 7]]]))
    return [
        Truth("S6", "square to square with a spike", 0, lambda: directed_hausdorff_interval(square, spiked).upper, 0),
        Truth("S6", "square with a spike to square", height, lambda: directed_hausdorff_interval(spiked, square).upper),
    ]


def _small_triangles() -> list[Truth]:
    """S8: points on a plane of triangles that are small enough to be taken for their edges by others."""
    ticks = np.linspace(0, 1, 51)
    corners = np.stack([*np.meshgrid(ticks, ticks, indexing="ij"), np.zeros((51, 51))], axis=-1).reshape(-1, 3)
    first = (np.arange(50)[:, None] * 51 + np.arange(50)).reshape(-1)
    faces = np.concatenate([np.stack([first, first + 51, first + 52], 1), np.stack([first, first + 52, first + 1], 1)])
    points = np.concatenate([np.random.default_rng(0).random((1000, 2)), np.zeros((1000, 1))], axis=1)
    return [Truth("S8", "points on 5,000 small triangles", 0, lambda: _farthest(points, Mesh(corners, faces)), 0)]


def _itself() -> list[Truth]:
    """S11: a mesh and itself, drawn twice."""
    ball = _icosphere(0.5, 4)
    found: Callable[[], Scores] = lambda: _compared(ball, ball)  # noqa: E731
    return [
        Truth("S11", "a mesh and itself: chamfer", 0, lambda: found().chamfer("l1_sum").item(), 0),
        Truth("S11", "a mesh and itself: hausdorff", 0, lambda: hausdorff_interval(ball, ball).upper, 0),
        Truth("S11", "a mesh and itself: f-score", 1, lambda: _fscore(found(), 0.0), 0),
        Truth("S11", "a mesh and itself: normals", 1, lambda: found().normal_consistency().item(), 0),
        Truth("S11", "a mesh and itself: IoU", 1, lambda: iou(ball, ball).value, 0),
    ]


def _certified() -> list[Truth]:
    """S12: the closed forms of S1, S2, S3, S5 and S6 are within the bounds, and these no wider than was asked."""
    cube, moved = _box((0, 0, 0), (1, 1, 1)), _box((0.3, 0, 0), (1.3, 1, 1))
    turned = _box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), degrees=45), _box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    large, ball = _box((0, 0, 0), (1.1, 1.1, 1.1)), _icosphere(0.5)
    inner, outer = _icosphere(0.5, 2), _icosphere(0.6, 2)
    deep = 2.2 * _sagitta(inner)  # as in S1
    pairs: dict[str, _Known] = {
        "cubes .3 apart: hausdorff": (0.3, 0.3, lambda: hausdorff_interval(cube, moved, _WIDTH)),
        "boxes 1 and 1.1: hausdorff": (0.03**0.5, 0.03**0.5, lambda: hausdorff_interval(cube, large, _WIDTH)),
        "a plate in a ball: hausdorff": (
            0.3 - _sagitta(ball),
            0.3,
            lambda: directed_hausdorff_interval(_plate(0), ball, _WIDTH),
        ),
        "spheres .5 and .6: chamfer": (0.1 - deep, 0.1 + deep, lambda: chamfer_interval(inner, outer, _WIDTH)),
        "cubes .1 apart: chamfer": _at(_shifted(0.1), lambda: chamfer_interval(cube, _moved_cube(0.1), _WIDTH)),
        "cubes .3 apart: chamfer": _at(_shifted(0.3), lambda: chamfer_interval(cube, moved, _WIDTH)),
        "cubes .5 apart: chamfer": _at(_shifted(0.5), lambda: chamfer_interval(cube, _moved_cube(0.5), _WIDTH)),
        "boxes 1 and 1.1: chamfer": _at(sum(_nested_means()) / 2, lambda: chamfer_interval(cube, large, _WIDTH)),
    }
    return [
        *(Truth("S12", f"{name} outside of its bounds", 0, partial(_within, *told)) for name, told in pairs.items()),
        Truth(
            "S12",
            "cubes .3 apart: IoU outside of its bounds",
            0,
            lambda: _beyond(0.7 / 1.3, _lattice(cube, moved)),
            0,
        ),
        Truth("S12", "cube turned: IoU outside of its bounds", 0, lambda: _beyond(0.5**0.5, _lattice(*turned)), 0),
        *_orders(),
    ]


def _at(value: float, found: Callable[[], Interval]) -> _Known:
    return value, value, found


def _moved_cube(t: float) -> Mesh:
    return _box((t, 0, 0), (1 + t, 1, 1))


def _within(low: float, high: float, found: Callable[[], Interval]) -> float:
    """How far outside of the bounds what lies between low and high is, and how much these are too wide."""
    bounds = found()
    return worst(bounds.lower - high, low - bounds.upper, bounds.upper - bounds.lower - _WIDTH)


def _orders() -> list[Truth]:
    """S12: how often bounds halve while the size of the pieces does.

    From a plate in a ball of radius .5, .2 beside its middle, the largest distance is .3, and smooth there. Between
    cubes the distance is flat but for folds: a piece on one is off by its size, and twice as many, each a quarter as
    large, lie on folds when pieces are halved. So the width falls to a quarter with every cut.
    """
    ball, cube, moved = _icosphere(0.5), _box((0, 0, 0), (1, 1, 1)), _moved_cube(0.3)

    def largest() -> float:
        wide, narrow = (directed_hausdorff_interval(_plate(cuts), ball, 10.0) for cuts in (0, 4))
        return math.log2((wide.upper - wide.lower) / (narrow.upper - narrow.lower)) / 4

    def mean() -> float:
        wide, narrow = (mean_interval_to(_divided(cube.triangles, cuts), moved, 10.0) for cuts in (1, 5))
        return math.log2((wide.upper - wide.lower) / (narrow.upper - narrow.lower)) / 4

    lies = "where pieces happen to lie"
    return [
        Truth("S12", "a plate in a ball: order of the width of hausdorff", 2, largest, 0.25, lies),
        Truth("S12", "cubes .3 apart: order of the width of chamfer", 2, mean, 0.25, lies),
    ]


def _divided(pieces: np.ndarray, cuts: int) -> Mesh:
    """The triangles, each cut into 4**cuts."""
    for _ in range(cuts):
        pieces = quarters(pieces)
    return Mesh(pieces.reshape(-1, 3), np.arange(3 * len(pieces)).reshape(-1, 3))


def _plate(cuts: int) -> Mesh:
    """A triangle at height .2."""
    return _divided(np.array([[[0.31, 0.2, 0.2], [-0.27, 0.3, 0.2], [-0.06, -0.37, 0.2]]]), cuts)
