"""Meshes small enough to write by hand, with their distance and inside written by hand too.

Nothing here comes from shapetool. A shape gives its vertices and faces, `distance` (unsigned, to the faces as they
are), and `inside`, the answer that a sign method has to give; `inside` is None where the mesh itself does not say.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PointFunction = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Truth:
    """One mesh and what is known about it."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    distance: PointFunction
    inside: PointFunction | None
    closed: bool
    oriented: bool  # neighbours agree, and the outermost shell is wound outward
    self_intersecting: bool = False

    def signed(self, points: np.ndarray) -> np.ndarray:
        """The distance, negative inside."""
        assert self.inside is not None, f"{self.name} has no inside"
        return np.where(self.inside(points), -1.0, 1.0) * self.distance(points)

    def queries(self, count: int, seed: int = 0) -> np.ndarray:
        """Points around the shape: a third in a box twice its size, the rest close to its faces."""
        rng = np.random.default_rng(seed)
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        centre, half = (low + high) / 2, (high - low).max() / 2
        wide = centre + rng.uniform(-2, 2, (count - 2 * (count // 3), 3)) * half
        weights = rng.dirichlet(np.ones(3), 2 * (count // 3))
        chosen = self.vertices[self.faces[rng.integers(len(self.faces), size=len(weights))]]
        near = np.einsum("ni,nij->nj", weights, chosen)
        spread = half * 10.0 ** rng.uniform(-5, -1, (len(near), 1))
        return np.concatenate([wide, near + rng.normal(size=near.shape) * spread])


# Corner number 4x + 2y + z of a box; each row is a side, seen from outside against the clock.
_SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
_TOP = 5


def box_mesh(low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The 8 corners and 12 outward triangles of a box; faces 2k and 2k+1 are side k of -x +x -y +y -z +z."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    return corners.astype(float), np.concatenate([_SIDES[:, [0, 1, 2]], _SIDES[:, [0, 2, 3]]], axis=1).reshape(-1, 3)


def box_signed(points: np.ndarray, low: object, high: object) -> np.ndarray:
    """The signed distance of a solid box, negative inside."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    beyond = np.maximum(low - points, points - high)
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


def _stack(*parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts[:-1])])
    return (
        np.concatenate([vertices for vertices, _ in parts]),
        np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=True)]),
    )


def nested_cavity() -> Truth:
    """A box with a box-shaped hollow; the inner shell is wound towards the hollow."""
    outer, inner = ((-1, -0.8, -0.9), (1, 0.8, 0.9)), ((-0.5, -0.3, -0.4), (0.4, 0.5, 0.2))
    vertices, faces = box_mesh(*inner)
    return Truth(
        "nested cavity",
        *_stack(box_mesh(*outer), (vertices, faces[:, ::-1])),
        distance=lambda p: np.minimum(abs(box_signed(p, *outer)), abs(box_signed(p, *inner))),
        inside=lambda p: (box_signed(p, *outer) < 0) & (box_signed(p, *inner) > 0),
        closed=True,
        oriented=True,
    )


def nested_shells() -> Truth:
    """A box within a box, both wound outward: the winding number is 2 in the inner one, and all of it is solid."""
    outer, inner = ((-1, -0.8, -0.9), (1, 0.8, 0.9)), ((-0.5, -0.3, -0.4), (0.4, 0.5, 0.2))
    return Truth(
        "nested shells, both outward",
        *_stack(box_mesh(*outer), box_mesh(*inner)),
        distance=lambda p: np.minimum(abs(box_signed(p, *outer)), abs(box_signed(p, *inner))),
        inside=lambda p: box_signed(p, *outer) < 0,
        closed=True,
        oriented=True,
    )


def overlapping_shells() -> Truth:
    """Two boxes that cut through each other: inside is either, the distance is to all their faces, buried ones too."""
    first, second = ((-1, -0.5, -0.6), (0.3, 0.5, 0.4)), ((-0.25, -0.7, -0.3), (0.9, 0.2, 0.7))
    return Truth(
        "overlapping shells",
        *_stack(box_mesh(*first), box_mesh(*second)),
        distance=lambda p: np.minimum(abs(box_signed(p, *first)), abs(box_signed(p, *second))),
        inside=lambda p: (box_signed(p, *first) < 0) | (box_signed(p, *second) < 0),
        closed=True,
        oriented=True,
        self_intersecting=True,
    )


def thin_plate() -> Truth:
    """A plate a thousandth as thick as it is wide."""
    box = ((-0.5, -0.5, -0.0005), (0.5, 0.5, 0.0005))
    return Truth(
        "thin plate",
        *box_mesh(*box),
        distance=lambda p: abs(box_signed(p, *box)),
        inside=lambda p: box_signed(p, *box) < 0,
        closed=True,
        oriented=True,
    )


def sharp_wedge() -> Truth:
    """A prism 1 deep over a triangle whose tip at the origin opens by 2 degrees."""
    rise = float(np.tan(np.radians(1.0)))
    outline = np.array([[0.0, 0.0], [1.0, -rise], [1.0, rise]])
    vertices = np.array([[x, y, z] for z in (-0.5, 0.5) for x, y in outline])
    faces = np.array([[0, 2, 1], [3, 4, 5], [0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [2, 0, 3], [2, 3, 5]])

    def signed(points: np.ndarray) -> np.ndarray:
        flat, beyond = _triangle_signed(points[:, :2], outline), np.abs(points[:, 2]) - 0.5
        outside = np.hypot(np.maximum(flat, 0), np.maximum(beyond, 0))
        return outside + np.minimum(np.maximum(flat, beyond), 0)

    return Truth(
        "sharp wedge",
        vertices,
        faces,
        distance=lambda p: abs(signed(p)),
        inside=lambda p: signed(p) < 0,
        closed=True,
        oriented=True,
    )


def _triangle_signed(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The signed distance of a triangle in the plane, its corners against the clock."""
    nearest = np.full(len(points), np.inf)
    inside = np.ones(len(points), dtype=bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = end - start
        to_point = points - start
        part = np.clip(to_point @ along / (along @ along), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(to_point - part[:, None] * along, axis=1))
        inside &= along[0] * to_point[:, 1] - along[1] * to_point[:, 0] > 0
    return np.where(inside, -nearest, nearest)


def open_box() -> Truth:
    """A box without its top; inside is where the generalized winding number exceeds a half."""
    low, high = np.array([-1.0, -0.7, -0.5]), np.array([1.0, 0.7, 0.5])
    vertices, faces = box_mesh(tuple(low), tuple(high))

    def distance(points: np.ndarray) -> np.ndarray:
        sides = []
        for axis in range(3):
            for place in (low[axis], high[axis]):
                if axis == 2 and place == high[2]:
                    continue
                flat_low, flat_high = low.copy(), high.copy()
                flat_low[axis] = flat_high[axis] = place
                sides.append(np.linalg.norm(points - np.clip(points, flat_low, flat_high), axis=1))
        return np.min(sides, axis=0)

    def inside(points: np.ndarray) -> np.ndarray:
        whole = (box_signed(points, low, high) < 0).astype(float)
        return whole - _lid_winding(points, low, high) > 0.5

    return Truth(
        "open box",
        vertices,
        np.delete(faces, [2 * _TOP, 2 * _TOP + 1], axis=0),
        distance=distance,
        inside=inside,
        closed=False,
        oriented=True,
    )


def _lid_winding(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The share of the full sphere that the top of the box fills, seen from each point; negative from above."""
    height = high[2] - points[:, 2]
    total = np.zeros(len(points))
    for x, sign_x in ((low[0], -1), (high[0], 1)):
        for y, sign_y in ((low[1], -1), (high[1], 1)):
            a, b = x - points[:, 0], y - points[:, 1]
            slant = np.sqrt(a * a + b * b + height * height)
            total += sign_x * sign_y * np.arctan2(np.sign(height) * a * b, np.abs(height) * slant)
    return total / (4 * np.pi)


def doubled_box() -> Truth:
    """A box with every face twice, wound both ways: no method can tell inside from outside."""
    box = ((-1, -0.6, -0.4), (1, 0.6, 0.4))
    vertices, faces = box_mesh(*box)
    return Truth(
        "doubled box",
        vertices,
        np.concatenate([faces, faces[:, ::-1]]),
        distance=lambda p: abs(box_signed(p, *box)),
        inside=None,
        closed=False,
        oriented=False,
    )


def inside_out_box() -> Truth:
    """A closed box wound inward; once it is flipped, inside is inside again."""
    box = ((-1, -0.6, -0.4), (1, 0.6, 0.4))
    vertices, faces = box_mesh(*box)
    return Truth(
        "inside-out box",
        vertices,
        faces[:, ::-1],
        distance=lambda p: abs(box_signed(p, *box)),
        inside=lambda p: box_signed(p, *box) < 0,
        closed=True,
        oriented=False,
    )


def sliver_box() -> Truth:
    """A box whose far side is cut into strips of 1e-7: needles 1 long on the side, and on both lids."""
    low, high = (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)
    strips = [(0.5, -0.5 + 0.25 * k + 1e-7 * j) for k in range(1, 4) for j in range(3)]
    outline = np.array([(-0.5, -0.5), (0.5, -0.5), *strips, (0.5, 0.5), (-0.5, 0.5)])
    count = len(outline)
    vertices = np.array([[x, y, z] for z in (-0.5, 0.5) for x, y in outline])
    following = (np.arange(count) + 1) % count
    here = np.arange(count)
    walls = np.concatenate(
        [
            np.stack([here, following, following + count], axis=1),
            np.stack([here, following + count, here + count], axis=1),
        ]
    )
    lid = np.stack([np.zeros(count - 2, int), here[1:-1], here[2:]], axis=1)
    return Truth(
        "sliver box",
        vertices,
        np.concatenate([walls, lid + count, lid[:, ::-1]]),
        distance=lambda p: abs(box_signed(p, low, high)),
        inside=lambda p: box_signed(p, low, high) < 0,
        closed=True,
        oriented=True,
    )


SHAPES: tuple[Callable[[], Truth], ...] = (
    nested_cavity,
    nested_shells,
    overlapping_shells,
    thin_plate,
    sharp_wedge,
    open_box,
    doubled_box,
    inside_out_box,
    sliver_box,
)
"""Every shape with known truth."""
