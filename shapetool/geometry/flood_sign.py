"""Signed distance with the sign of a flood: inside is what water from far away does not reach."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.deviation import spread_points
from shapetool.geometry.flood import Lattice, distances_near, joined, lattice_around, regions_of, sink
from shapetool.geometry.kernel import finite_points, kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.native._kernel import Kernel

# Half of a cell's diagonal: every point has a node at most this far, in cells.
_HALF_DIAGONAL = 0.87
_CLIMB = 24  # steps away from the surface; each nearly doubles the distance, where there is room
_LEAP = 2.0  # cells from the surface at which the nearest node is decided, and seen
_PROBES = 512
_SLAB = 1 << 18


@dataclass(frozen=True)
class Flood:
    """The lattice that is flooded, as `shapetool repair` has it.

    Raises:
        ConfigError: a number out of range.
    """

    resolution: int = 256  # cells along the longest side
    gap: float = 0.0  # openings narrower than this share of the longest side are closed; 0: two cells

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 8 <= self.resolution <= 1024:
            raise ConfigError(
                f"flood_resolution is {self.resolution}; expected 8 to 1024 cells along the longest side."
            )
        if not 0 <= self.gap <= 0.5:
            raise ConfigError(f"flood_gap is {self.gap}; expected a share of the longest side up to 0.5, or 0.")

    @property
    def level(self) -> float:
        """How far from the surface the flood stays, in cells: it passes no opening narrower than the gap."""
        return max(_HALF_DIAGONAL, ((self.gap * self.resolution or 2.0) + 1) / 2)


class FloodField:
    """A mesh as a function of points: (P, 3) to distances (P,), exact in value, positive where the flood comes.

    The nodes of a lattice that keep `level` cells from the surface are flooded from its border, and the flood is let
    down to what lies above the surface. A point is as the nodes in the empty ball about it: outside if one of them is
    flooded, inside if one that is half a cell's diagonal from the surface is not. Where the ball holds no such node,
    the point climbs from the surface through empty balls until it does; what finds none on its way is inside. So no
    decision crosses the surface, and signs change there, in openings that are held closed, and in slots too narrow for
    a node.

    On a closed, oriented surface whose faces part their two sides, the winding number knows the same without a lattice:
    inside is where the surface winds around the point, either way, so cavities and slots of any width are outside.

    Raises:
        MeshError: no face or no extent, or points that are not finite.
    Source: Huang, Zhou, Guibas, "ManifoldPlus", 2020, for the flood; the distances are to the original triangles.
    """

    sign_method = "flood"

    def __init__(self, mesh: Mesh, threads: int | None = None, flood: Flood | None = None) -> None:
        """Floods the surroundings of `mesh` with `threads` threads (None: all cores)."""
        self.warnings: tuple[str, ...] = ()
        self._threads = threads or 0
        self._kernel = kernel_of(mesh, threads)
        surface = self._kernel.topology(False, self._threads)
        self.watertight = bool(surface["closed"])
        if not (np.ptp(mesh.bounds, axis=0) > 0).any():
            raise MeshError("expected a surface with some extent, found none.")
        self._low, self._high = mesh.bounds
        self._ways: tuple[Kernel, ...] = ()
        if surface["closed"] and surface["oriented"]:
            self._ways = _ways(mesh, self._kernel, self._threads)
        self.changes_at_surface = bool(self._ways)
        if not self._ways:
            self._lattice, self._flooded, self._dry = _labels(mesh, flood or Flood(), self._threads)

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """The signed distance of each point."""
        points = finite_points(points)
        if self._ways:
            return _either([kernel.distances(points, "winding", self._threads) for kernel in self._ways])
        found = np.empty(len(points))
        for start in range(0, len(points), _SLAB):
            part = slice(start, start + _SLAB)
            found[part] = self._signed(points[part])
        return found

    def at_nodes(
        self, x: Float[np.ndarray, " X"], y: Float[np.ndarray, " Y"], z: Float[np.ndarray, " Z"]
    ) -> Float[np.ndarray, "X Y Z"]:
        """The signed distances at (x_i, y_j, z_k): what a call with all these points gives."""
        if self._ways:
            return _either([kernel.lattice(x, y, z, "winding", self._threads) for kernel in self._ways])
        values = np.empty((len(x), len(y), len(z)))
        rest = np.stack(np.meshgrid(y, z, indexing="ij"), axis=-1).reshape(-1, 2)
        step = max(1, _SLAB // max(1, len(rest)))
        for i in range(0, len(x), step):
            some = x[i : i + step]
            points = np.column_stack([np.repeat(some, len(rest)), np.tile(rest, (len(some), 1))])
            values[i : i + step] = self(points).reshape(-1, len(y), len(z))
        return values

    def _signed(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        distances, _, closest = self._kernel.closest(points, self._threads)
        outside, known = self._seen(points, distances)
        # Outside the box of the mesh nothing is inside, and on the surface there is no side.
        beyond = ((points < self._low) | (points > self._high)).any(axis=1) | (distances == 0)
        outside |= beyond
        left = np.flatnonzero(~known & ~beyond)
        if len(left):
            outside[left] = self._climbed(points[left], distances[left], closest[left])
        return np.where(outside, distances, -distances)

    def _climbed(
        self, points: Float[np.ndarray, "P 3"], distances: Float[np.ndarray, " P"], closest: Float[np.ndarray, "P 3"]
    ) -> Bool[np.ndarray, " P"]:
        """Whether the flood is met on the way up from the closest face; each step stays in an empty ball."""
        outside = np.zeros(len(points), bool)
        away = (points - closest) / distances[:, None]
        # Straight up first: where the closest point is still the closest from there, everything between is empty.
        leap = _LEAP * self._lattice.step
        high = closest + leap * away
        above = self._kernel.closest(high, self._threads)[0]
        free = above >= leap * (1 - 1e-6)
        outside[free], known = self._seen(high[free], above[free])
        left = np.flatnonzero(~free)
        left = np.concatenate([left, np.flatnonzero(free)[~known]])
        heading, here, room = away[left], points[left], distances[left]
        for _ in range(_CLIMB):
            if not len(left):
                break
            here = here + 0.9 * room[:, None] * heading
            room, _, closest = self._kernel.closest(here, self._threads)
            reached, known = self._seen(here, room)
            outside[left[known]] = reached[known]
            on = ~known & (room > 0)
            left, here, room, heading, closest = left[on], here[on], room[on], heading[on], closest[on]
            # The sum of the last two ways leads along the middle between two walls, and out of a crevice.
            heading = heading + (here - closest) / room[:, None]
            heading /= np.maximum(np.linalg.norm(heading, axis=1), 1e-9)[:, None]
        return outside

    def _seen(
        self, points: Float[np.ndarray, "P 3"], room: Float[np.ndarray, " P"]
    ) -> tuple[Bool[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
        """Which points see a flooded corner of their cell in their empty ball, and which one that decides at all."""
        lattice = self._lattice
        place = (points - lattice.origin) / lattice.step
        first = np.floor(place).astype(np.int64)
        within = ((first >= 0) & (first < np.array(lattice.shape) - 1)).all(axis=1)
        first[~within] = 0
        outside, inside = ~within, np.zeros(len(points), bool)
        room_sq = (room / lattice.step) ** 2
        for corner in np.ndindex(2, 2, 2):
            node = first + np.array(corner)
            index = tuple(node.T)
            visible = ((place - node) ** 2).sum(axis=1) < room_sq
            outside |= visible & self._flooded[index]
            inside |= visible & self._dry[index]
        return outside, outside | inside


def _either(values: list[np.ndarray]) -> np.ndarray:
    """The signed distances of a surface wound either way: inside where one of them says so."""
    return np.where(values[-1] < 0, values[-1], values[0])


def _labels(
    mesh: Mesh, flood: Flood, threads: int
) -> tuple[Lattice, Bool[np.ndarray, "X Y Z"], Bool[np.ndarray, "X Y Z"]]:
    """The lattice, its nodes that are flooded, and those that are clear of the surface and dry."""
    lattice = lattice_around(mesh, flood.resolution, flood.level)
    distances = distances_near(mesh, lattice, flood.level + 1, threads)
    regions = regions_of(distances > flood.level)
    first = np.zeros(regions.count, bool)
    first[0] = True
    flooded = sink(regions.nodes_of(first), distances, _HALF_DIAGONAL)
    return lattice, flooded, (distances > _HALF_DIAGONAL) & ~flooded


def _ways(mesh: Mesh, kernel: Kernel, threads: int) -> tuple[Kernel, ...]:
    """The hierarchies whose winding numbers above one half tell inside; none where they do not tell.

    Faces that lie upon their opposites wind around nothing, however much they enclose; those part no sides.
    """
    points = spread_points(mesh, _PROBES)
    areas = np.cumsum(mesh.face_areas / mesh.area)
    faces: Int[np.ndarray, " N"] = np.minimum(
        np.searchsorted(areas, (np.arange(_PROBES) + 0.5) / _PROBES), len(areas) - 1
    )
    step = 1e-6 * float(np.linalg.norm(np.ptp(mesh.bounds, axis=0)))
    off = step * mesh.face_normals[faces]
    front, back = (kernel.winding(points + side * off, "fast", threads) for side in (1, -1))
    if (np.abs(back - front) > 0.5).mean() < 0.95:
        return ()
    turned = (kernel_of(Mesh(mesh.vertices, mesh.faces[:, ::-1]), threads),) if _has_inward_piece(mesh) else ()
    return (kernel, *turned)


def _has_inward_piece(mesh: Mesh) -> bool:
    """Whether a connected piece has a negative volume: a cavity, or a solid that is wound inside out."""
    a, b, c = mesh.faces.T
    piece = joined(len(mesh.vertices), np.concatenate([a, b]), np.concatenate([b, c]))[a]
    p = mesh.triangles - mesh.bounds.mean(axis=0)
    volumes = np.bincount(piece, np.einsum("fi,fi->f", p[:, 0], np.cross(p[:, 1], p[:, 2])))
    return bool((volumes < 0).any())
