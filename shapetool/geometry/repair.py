"""Any triangles to a closed, oriented surface that does not meet itself."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.crevices import led_into_crevices
from shapetool.geometry.deviation import Deviation, deviation, spread_points
from shapetool.geometry.dual import boundary_of
from shapetool.geometry.flood import Lattice, Regions, distances_near, lattice_around, regions_of, sink
from shapetool.geometry.holes import fill_holes
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.pullback import SLIDES, STAND_OFF, moved, targets
from shapetool.geometry.sdf import SignedField
from shapetool.geometry.self_union import self_union
from shapetool.geometry.shells import outermost, shells_of
from shapetool.geometry.topology import Topology, analyse

RESOLUTION = 256
GAP_CELLS = 2.0
# Every point has a node within half a cell's diagonal, so at this level no sheet falls through the lattice.
_LEVEL = 0.87
# A surface of less mean thickness, in cells, is taken for sheets that became plates.
_PLATE = 0.2
# Points of the input that are looked for under the result.
_SAMPLES = 300_000
# What is deeper inside a surface that kept its own faces, in diagonals, is hidden.
_EXACT = 1e-6


@dataclass(frozen=True)
class RepairReport:
    """What a repair did."""

    # "kept": the input was sound already; "filled": it is so with its small holes filled; "cut": its own faces, cut
    # where they meet, without those inside; "rebuilt": new faces
    method: str
    euler: int
    components: int
    volume_before: float
    volume_after: float
    cavities: int  # enclosed spaces that were found empty, filled unless they were to be kept
    solid: bool  # it encloses space of its own; False for sheets, which became thin plates
    held_back: int  # vertices that could not go all the way to the input
    deviation: Deviation
    warnings: tuple[str, ...]
    holes_filled: int = 0


@dataclass(frozen=True)
class RepairRecipe:
    """How a surface is rebuilt.

    Raises:
        ConfigError: a number out of range.
    """

    resolution: int = RESOLUTION  # cells along the longest side
    # Openings narrower than this share of the longest side are closed; None: two cells, but none of what is closed.
    gap: float | None = None
    keep_cavities: bool = False
    force: bool = False  # rebuild what is sound already
    sheets: bool = True  # thin plates from what encloses nothing; False: refuse it
    fill_holes: float = 0.0  # holes up to this share of the longest side are filled first; 0: none

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 8 <= self.resolution <= 1024:
            raise ConfigError(f"resolution is {self.resolution}; expected 8 to 1024 cells along the longest side.")
        if self.gap is not None and not 0 < self.gap <= 0.5:
            raise ConfigError(f"gap is {self.gap}; expected a share of the longest side, above 0 and at most 0.5.")
        if not 0 <= self.fill_holes <= 2:
            raise ConfigError(f"fill_holes is {self.fill_holes}; expected a share of the longest side, or 0 for none.")

    def gap_cells(self, found: Topology) -> float:
        """The gap in cells; what is closed already has none to close unless one is stated."""
        if self.gap is None:
            return 0.0 if found.watertight and found.oriented and found.manifold else GAP_CELLS
        return self.gap * self.resolution


def repair(mesh: Mesh, recipe: RepairRecipe | None = None, threads: int | None = None) -> tuple[Mesh, RepairReport]:
    """A closed, oriented surface that does not meet itself, on the outside of the input, and what was done.

    An input that is so already comes back as it is, and one without boundary is cut where it meets itself and loses
    what is inside, unless the recipe forces it or states a gap. Else space is flooded from outside through the nodes of
    a lattice that keep (gap + cell) / 2 from the input, which cannot pass an opening narrower than the gap; the flood
    is let down to just above the input; its shore, a manifold by construction, is pulled onto the closest points of the
    input, each vertex along its line of closest approach, which do not cross; and vertices whose faces would meet go
    back.

    Raises:
        MeshError: no face or no extent; nothing enclosed and sheets not wanted; or no surface free of
            self-intersections at this resolution.
    Source: Huang, Zhou, Guibas, "ManifoldPlus", 2020, for flooding and projecting; the manifold extraction, the
        stand-off that keeps both sides of a sheet, and the way back are different.
    """
    recipe = recipe or RepairRecipe()
    used = threads or 0
    if not len(mesh.faces) or not (np.ptp(mesh.bounds, axis=0) > 0).any():
        raise MeshError("expected a surface with some extent, found none.")
    before = analyse(mesh, threads)
    filled, holes = fill_holes(mesh, recipe.fill_holes) if recipe.fill_holes and not before.sound else (mesh, 0)
    if not recipe.force and (own := _own_faces(mesh, before, (filled, holes), recipe, used)) is not None:
        return own
    inner, frame = _unit(filled)
    lattice, outside, distances, regions = _flooded(inner, recipe.resolution, recipe.gap_cells(before), used)
    cavities = _cavities(inner, lattice, regions, used)
    if recipe.keep_cavities and cavities.any():
        outside |= regions.nodes_of(cavities)
    outside = sink(outside, distances, _LEVEL)
    result, quads, held_back = _pulled(inner, lattice, outside, distances, frame, used)

    def shown(points: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
        return _shown((points - frame[0]) / frame[1], lattice, outside)

    spread = np.concatenate([spread_points(filled, _SAMPLES), filled.vertices[np.unique(filled.faces)]])
    result = led_into_crevices(filled, result, quads, spread[shown(spread)], lattice.step * frame[1], used)
    after = analyse(result, threads)
    if not after.sound:
        raise MeshError(
            f"no surface free of self-intersections at resolution {recipe.resolution}: "
            f"{after.intersecting_pairs} pairs of faces meet. Try --resolution {2 * recipe.resolution}."
        )
    solid = 2 * after.volume > _PLATE * lattice.step * frame[1] * after.area
    hint = "" if solid else _what_would_hold(inner, recipe, used)
    if not (solid or recipe.sheets):
        raise MeshError(f"expected a surface around some space, but outside reaches everywhere. {hint}")
    report = RepairReport(
        method="rebuilt",
        euler=_euler(result),
        components=after.components,
        volume_before=mesh.volume,
        volume_after=after.volume,
        cavities=int(cavities.sum()),
        solid=solid,
        held_back=held_back,
        deviation=deviation(mesh, result, shown, used),
        warnings=() if solid else (f"nothing is enclosed: sheets became plates {2 * STAND_OFF:g} cells thick. {hint}",),
        holes_filled=holes,
    )
    return result, report


def _euler(mesh: Mesh) -> int:
    """V - E + F of a closed mesh."""
    return len(np.unique(mesh.faces)) - len(mesh.faces) // 2


def _own_faces(
    mesh: Mesh, before: Topology, patched: tuple[Mesh, int], recipe: RepairRecipe, threads: int
) -> tuple[Mesh, RepairReport] | None:
    """The input itself, with its holes filled, or cut where it meets itself, and what was done; None if that fails."""
    filled, holes = patched
    found = analyse(filled, threads) if holes else before
    shells = shells_of(filled, threads) if found.sound else None
    if shells is not None and shells.single and (recipe.keep_cavities or not shells.depth.any()):
        result, method = filled, "filled" if holes else "kept"
    else:
        union = self_union(filled, threads) if recipe.gap is None else None
        if union is None:
            return None
        shells = shells_of(union, threads)
        result, method = union if recipe.keep_cavities else outermost(union, shells), "cut"
        found = analyse(result, threads)
    difference = Deviation(0.0, 0.0, 0.0, 0.0)
    if result is not mesh:
        field = SignedField(result, threads=threads or None)
        slack = _EXACT * float(np.linalg.norm(np.ptp(mesh.bounds, axis=0)))
        difference = deviation(mesh, result, lambda points: field(points) > -slack, threads)
    return result, RepairReport(
        method=method,
        euler=_euler(result),
        components=found.components,
        volume_before=mesh.volume,
        volume_after=found.volume,
        cavities=shells.cavities,
        solid=True,
        held_back=0,
        deviation=difference,
        warnings=(),
        holes_filled=holes,
    )


def _unit(mesh: Mesh) -> tuple[Mesh, tuple[Float[np.ndarray, "3"], float]]:
    """The mesh about the origin with a longest side of one, and the middle and side it had."""
    low, high = mesh.bounds
    middle, side = low / 2 + high / 2, float((high - low).max())
    return Mesh((mesh.vertices - middle) / side, mesh.faces), (middle, side)


def _flooded(
    mesh: Mesh, resolution: int, gap_cells: float, threads: int
) -> tuple[Lattice, Bool[np.ndarray, "X Y Z"], Float[np.ndarray, "X Y Z"], Regions]:
    """The lattice, the nodes that the flood reaches, the distances in cells near the mesh, and all free pieces."""
    level = max(_LEVEL, (gap_cells + 1) / 2)
    lattice = lattice_around(mesh, resolution, level)
    distances = distances_near(mesh, lattice, level + 1, threads)
    regions = regions_of(distances > level)
    chosen = np.zeros(regions.count, bool)
    chosen[0] = True
    return lattice, regions.nodes_of(chosen), distances, regions


def _cavities(mesh: Mesh, lattice: Lattice, regions: Regions, threads: int) -> Bool[np.ndarray, " K"]:
    """Which pieces are enclosed and empty: the surface winds around them less than half."""
    winding = kernel_of(mesh, threads).winding(lattice.points(regions.samples()), "fast", threads)
    return (np.arange(regions.count) > 0) & (np.abs(winding) < 0.5)


def _what_would_hold(mesh: Mesh, recipe: RepairRecipe, threads: int) -> str:
    """What to do about a surface that encloses nothing: the gap and the resolution that would, if any."""
    resolution = recipe.resolution // 2
    while resolution >= 8:
        regions = _flooded(mesh, resolution, GAP_CELLS, threads)[3]
        if regions.count > 1:
            gap = GAP_CELLS / resolution
            return f"It would enclose space with --gap {gap:.3g} or --resolution {resolution}."
        resolution //= 2
    return "No --gap closes it: it is a sheet, or its openings are too wide."


def _pulled(
    mesh: Mesh,
    lattice: Lattice,
    outside: Bool[np.ndarray, "X Y Z"],
    distances: Float[np.ndarray, "X Y Z"],
    frame: tuple[Float[np.ndarray, "3"], float],
    threads: int,
) -> tuple[Mesh, Int[np.ndarray, "Q 4"], int]:
    """The shore of the flood on the mesh, the quads it consists of, and how many vertices stayed behind."""
    values = np.minimum(distances, 4.0) - np.float32(_LEVEL)
    corners, quads, _ = boundary_of(~outside, values, -0.1)
    start = lattice.points(corners)
    for slides in (SLIDES, 0):
        target = targets(mesh, start, quads, lattice.step, slides, threads)
        rebuilt, steps, clean = moved(frame[0] + start * frame[1], frame[0] + target * frame[1], quads, threads)
        if clean:
            break
    return rebuilt, quads, int((steps > 0).sum())


def _shown(
    points: Float[np.ndarray, "P 3"], lattice: Lattice, outside: Bool[np.ndarray, "X Y Z"]
) -> Bool[np.ndarray, " P"]:
    """Whether outside comes to a corner of the cell, or of a cell beside it, that holds each point of the mesh."""
    first = np.floor((points - lattice.origin) / lattice.step).astype(np.int64)
    steps = np.stack(np.meshgrid(*[np.arange(-1, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shown = np.zeros(len(points), bool)
    for step in steps:
        shown |= outside[tuple((first + step).T)]
    return shown
