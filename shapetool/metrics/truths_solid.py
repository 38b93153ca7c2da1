"""The closed-form truths of surfaces and solids: spheres, boxes, a spike, and a mesh against itself."""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from shapetool.geometry import analytic
from shapetool.geometry.mesh import Mesh
from shapetool.metrics.points import Comparison
from shapetool.metrics.surface import compare_surfaces, directed_hausdorff_interval, from_surface, hausdorff_interval
from shapetool.metrics.truths import Truth
from shapetool.metrics.volume import Overlap, iou, lattice_iou

_SAMPLES = 100_000
_SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def solid_truths() -> list[Truth]:
    """Every truth of surfaces and solids."""
    return [*_spheres(), *_boxes(), *_nested_boxes(), *_spike(), *_small_triangles(), *_itself()]


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
def _compared(a: Mesh, b: Mesh) -> Comparison:
    return compare_surfaces(a, b, _SAMPLES, np.random.default_rng(0))


def _fscore(found: Comparison, threshold: float) -> float:
    return found.fscore([threshold])[0].item()


def _farthest(points: np.ndarray, mesh: Mesh) -> float:
    return float(from_surface(points, mesh)[0].max())


def _spheres() -> list[Truth]:
    """S1, S4: spheres about one centre, and two unit balls whose centres are 1 apart."""
    inner, outer, radius, gap = _icosphere(0.5), _icosphere(0.6), 0.5, 0.1
    edge = float(np.linalg.norm(np.diff(inner.triangles, axis=1), axis=2).max())
    sagitta = (1 + gap / radius) * edge**2 / (8 * radius) * 2  # of both meshes, with the middle of a face deepest
    found: Callable[[], Comparison] = lambda: _compared(inner, outer)  # noqa: E731 - asked for when a truth is measured

    def apart(points: np.ndarray) -> np.ndarray:
        return analytic.sphere(1.0)(points - [1.0, 0, 0])

    box = np.array([[[-1.0, -1, -1], [2, 1, 1]]])
    balls = cache(lambda: lattice_iou((analytic.sphere(1.0), apart), box, 64, np.random.default_rng(0)))
    return [
        Truth("spheres .5 and .6: chamfer l1_mean", gap, lambda: found().chamfer().item(), sagitta),
        Truth(
            "spheres .5 and .6: chamfer l2sq_sum", 0.02, lambda: found().chamfer("l2sq_sum").item(), 4 * gap * sagitta
        ),
        Truth("spheres .5 and .6: hausdorff", gap, lambda: hausdorff_interval(inner, outer).value, sagitta),
        Truth("spheres .5 and .6: normals", 1, lambda: found().normal_consistency().item(), 2e-3),
        Truth("spheres .5 and .6: f-score at .09", 0, lambda: _fscore(found(), 0.09), 0),
        Truth("spheres .5 and .6: f-score at .11", 1, lambda: _fscore(found(), 0.11), 0),
        Truth("spheres .5 and .6: IoU", (5 / 6) ** 3, lambda: iou(inner, outer).value, 12 * sagitta),
        Truth("unit balls 1 apart: IoU on the lattice", 5 / 27, lambda: balls().value, 1e-3),
        Truth("unit balls 1 apart: IoU outside its bounds", 0, lambda: _outside(5 / 27, balls()), 0),
    ]


def _outside(truth: float, found: Overlap) -> float:
    """How far a truth is outside of the bounds that are certain."""
    return max(0.0, found.certain_lower - truth, truth - found.certain_upper)


def _boxes() -> list[Truth]:
    """S2, S3: unit cubes moved along one axis, along two, and turned."""
    cube = _box((0, 0, 0), (1, 1, 1))
    truths = []
    for t in (0.1, 0.3, 0.5):
        moved = _box((t, 0, 0), (1 + t, 1, 1))
        distance = (t + (1 - (1 - 2 * t) ** 3) / 6 + 2 * t**2) / 6
        truths += [
            Truth(f"cubes {t} apart: IoU", (1 - t) / (1 + t), partial(_by_boolean, cube, moved)),
            Truth(f"cubes {t} apart: IoU on the lattice", (1 - t) / (1 + t), partial(_by_lattice, cube, moved), 2e-3),
            Truth(
                f"cubes {t} apart: chamfer",
                distance,
                partial(_chamfer, cube, moved),
                2e-3 * t**0.5,
            ),
            Truth(f"cubes {t} apart: hausdorff", t, partial(_hausdorff, cube, moved)),
        ]
    askew, centred = _box((0.3, 0.3, 0), (1.3, 1.3, 1)), _box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    turned = _box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), degrees=45)
    return [
        *truths,
        Truth("cubes .3 apart along two axes: IoU", 0.49 / (2 - 0.49), lambda: iou(cube, askew).value),
        Truth("cube turned by 45 degrees: IoU", 1 / math.sqrt(2), lambda: iou(centred, turned).value),
    ]


def _by_boolean(a: Mesh, b: Mesh) -> float:
    return iou(a, b, method="boolean").value


def _chamfer(a: Mesh, b: Mesh) -> float:
    return _compared(a, b).chamfer().item()


def _hausdorff(a: Mesh, b: Mesh) -> float:
    return hausdorff_interval(a, b).upper


def _by_lattice(a: Mesh, b: Mesh) -> float:
    return iou(a, b, method="lattice", resolution=64).value


def _nested_boxes() -> list[Truth]:
    """S5: boxes of side 1 and 1.1 that share a corner."""
    small, large = _box((0, 0, 0), (1, 1, 1)), _box((0, 0, 0), (1.1, 1.1, 1.1))
    found: Callable[[], Comparison] = lambda: _compared(small, large)  # noqa: E731
    return [
        Truth("boxes 1 and 1.1: chamfer l1_sum", 0.10105, lambda: found().chamfer("l1_sum").item(), 1e-3),
        Truth("boxes 1 and 1.1: hausdorff", 0.1 * math.sqrt(3), lambda: hausdorff_interval(small, large).value),
        Truth("boxes 1 and 1.1: f-score at .05", 0.497, lambda: _fscore(found(), 0.05), 5e-3),
        Truth("boxes 1 and 1.1: IoU", 1 / 1.331, lambda: iou(small, large).value),
    ]


def _spike() -> list[Truth]:
    """S6: a square, and the same square with a spike of height h over its middle."""
    height = 0.7
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]], dtype=float)
    fan = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    square = Mesh(corners, fan)
    needle = np.array([[0.5, 0.5, 0], [0.51, 0.5, 0], [0.5, 0.5, height]])
    spiked = Mesh(np.concatenate([corners, needle]), np.concatenate([fan, [[5, 6, 7]]]))
    return [
        Truth("square to square with a spike", 0, lambda: directed_hausdorff_interval(square, spiked).upper, 0),
        Truth("square with a spike to square", height, lambda: directed_hausdorff_interval(spiked, square).upper),
    ]


def _small_triangles() -> list[Truth]:
    """S8: points on a plane of triangles that are small enough to be taken for their edges by others."""
    ticks = np.linspace(0, 1, 51)
    corners = np.stack([*np.meshgrid(ticks, ticks, indexing="ij"), np.zeros((51, 51))], axis=-1).reshape(-1, 3)
    first = (np.arange(50)[:, None] * 51 + np.arange(50)).reshape(-1)
    faces = np.concatenate([np.stack([first, first + 51, first + 52], 1), np.stack([first, first + 52, first + 1], 1)])
    points = np.concatenate([np.random.default_rng(0).random((1000, 2)), np.zeros((1000, 1))], axis=1)
    return [Truth("points on 5,000 small triangles", 0, lambda: _farthest(points, Mesh(corners, faces)), 0)]


def _itself() -> list[Truth]:
    """S11: a mesh and itself, drawn twice."""
    ball = _icosphere(0.5, 4)
    found: Callable[[], Comparison] = lambda: _compared(ball, ball)  # noqa: E731
    return [
        Truth("a mesh and itself: chamfer", 0, lambda: found().chamfer("l1_sum").item(), 0),
        Truth("a mesh and itself: hausdorff", 0, lambda: hausdorff_interval(ball, ball).upper, 0),
        Truth("a mesh and itself: f-score", 1, lambda: _fscore(found(), 0.0), 0),
        Truth("a mesh and itself: normals", 1, lambda: found().normal_consistency().item(), 0),
        Truth("a mesh and itself: IoU", 1, lambda: iou(ball, ball).value, 0),
    ]
