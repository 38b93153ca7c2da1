"""Whether points are inside a mesh, with distances only where they are needed."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.backends import Field
from shapetool.geometry.kernel import finite_points
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField

Builder = Callable[[Mesh, str, int | None], Field]

COARSEST = 16  # cells along the longest edge of the box at the first level
FINEST = 128
# A level is worth its distances when it asks for so many of them a point that is left to decide.
WORTH = 0.7
NEAR_ORIGIN = 1e-4  # the least extent, in distances from the origin, at which rounding stays far below the slack
SLACK = 1e-6  # of a cell and of the box: rounding of distances and of cell borders is a billion times smaller


class InsideTest:
    """A mesh as a predicate of points: (P, 3) to bool (P,), true where `SignedField` is negative.

    Without crossing the surface, nothing goes in or out. The ball about the centre of a cell that just reaches the
    surface lies on the side of its centre; so one distance decides the points of a cell in that ball, which are all of
    them where it is longer than half of the diagonal, and outside the box of the mesh none is needed. Cells with points
    that stay in doubt are halved while that costs less than asking for each of these points. This holds where the sign
    changes at the surface only: on closed, oriented meshes with pseudonormals that are proved or with the winding
    number. Elsewhere every point is asked for its signed distance.

    Raises:
        ConfigError: unknown or not yet available sign method.
        MeshError: no face, or points that are not finite.
    """

    def __init__(
        self, mesh: Mesh, sign: str = "auto", threads: int | None = None, build: Builder = SignedField
    ) -> None:
        """Builds the hierarchy over `mesh` with `threads` threads (None: all cores); `build` is as from `load_backend`.

        What other libraries build is asked for every point, for nothing is known of where their sign changes.
        """
        self._field = build(mesh, sign, threads)
        self._by_cells = isinstance(self._field, SignedField) and self._field.changes_at_surface
        used = np.zeros(len(mesh.vertices), dtype=bool)
        used[mesh.faces.ravel()] = True
        vertices = mesh.vertices[used]
        self._low, self._high = vertices.min(axis=0), vertices.max(axis=0)
        self.sign_method = self._field.sign_method
        self.watertight = self._field.watertight
        self.warnings = self._field.warnings

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
        """Whether each point is inside; a point on the surface itself is not."""
        points = finite_points(points)
        extent = float((self._high - self._low).max())
        # Far from the origin, rounding would reach the slack of the cells.
        far = float(max(np.abs(self._low).max(), np.abs(self._high).max()))
        if not self._by_cells or not 0 < far * NEAR_ORIGIN <= extent < np.inf:
            return self._field(points) < 0
        return self._decide(points, extent)

    def _decide(self, points: Float[np.ndarray, "P 3"], extent: float) -> Bool[np.ndarray, " P"]:
        """The answer by lattices: coarse cells first, then their halves, and the points of what is left last."""
        inside = np.zeros(len(points), dtype=bool)
        low, finest = self._low - SLACK * extent, extent * (1 + 2 * SLACK) / FINEST
        left, place = _places(points, low, self._high + SLACK * extent, finest)
        halvings = FINEST // COARSEST
        while halvings and len(left):
            across = FINEST // halvings
            key = (place[0] // halvings * across + place[1] // halvings) * across + place[2] // halvings
            occupied = np.zeros(across**3, dtype=bool)
            occupied[key] = True
            cells = np.flatnonzero(occupied)
            if len(cells) > WORTH * len(left):
                break
            size = finest * halvings
            distances = np.zeros(across**3)
            distances[cells] = self._centre_distances(cells, across, low, size)
            found = distances[key]
            doubtful = np.flatnonzero(np.abs(found) <= size * (np.sqrt(3) / 2 + SLACK))
            away = [
                points[left[doubtful], k] - low[k] - (place[k][doubtful] // halvings + 0.5) * size for k in range(3)
            ]
            walked = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
            doubtful = doubtful[walked >= np.abs(found[doubtful]) - SLACK * size]
            inside[left] = found < 0  # what is in doubt is written over
            left, place = left[doubtful], [axis[doubtful] for axis in place]
            halvings //= 2
        if len(left):
            inside[left] = self._field(points[left]) < 0
        return inside

    def _centre_distances(
        self, cells: Int[np.ndarray, " C"], across: int, low: Float[np.ndarray, "3"], size: float
    ) -> Float[np.ndarray, " C"]:
        """The signed distance of the centre of each cell."""
        place = np.stack(np.unravel_index(cells, (across, across, across)), axis=1)
        return self._field(low + (place + 0.5) * size)


def _places(
    points: Float[np.ndarray, "P 3"], low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], size: float
) -> tuple[Int[np.ndarray, " W"], list[Int[np.ndarray, " W"]]]:
    """Which points lie in the box, and the place of their finest cell along each axis."""
    columns = points.T
    within = np.ones(len(points), dtype=bool)
    for column, first, last in zip(columns, low, high, strict=True):
        within &= column >= first
        within &= column <= last
    left = np.flatnonzero(within)
    place = [((column[left] - first) * (1 / size)).astype(np.int32) for column, first in zip(columns, low, strict=True)]
    return left, [np.minimum(axis, FINEST - 1, out=axis) for axis in place]


def is_inside(
    mesh: Mesh, points: Float[np.ndarray, "P 3"], sign: str = "auto", threads: int | None = None
) -> Bool[np.ndarray, " P"]:
    """Whether each point is inside the mesh: where ``signed_distance`` is negative, found faster.

    Raises:
        ConfigError: unknown sign method.
        MeshError: no face, or a point that is not finite.
    """
    return InsideTest(mesh, sign, threads)(points)
