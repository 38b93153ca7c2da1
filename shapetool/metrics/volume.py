"""The volume that two solids share, over the volume that either fills: exact by a boolean, else between two bounds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from shapetool.errors import MetricError
from shapetool.geometry.clean import merge_positions
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField
from shapetool.geometry.topology import Topology, analyse

if TYPE_CHECKING:
    from manifold3d import Manifold

_ROUNDING = 1e-13  # of a volume: what sums over many faces may lose
_START = 16  # cells along the longest side before any is cut
_NORMAL_95 = 1.959963984540054
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Overlap:
    """An intersection over union, and how it was found."""

    value: float
    lower: float  # with `boolean` the value; with `lattice` 95 of 100 such intervals hold the truth
    upper: float
    certain_lower: float  # whatever lies in the cells that were left undecided; up to the signs of the distances
    certain_upper: float
    method: str  # boolean or lattice
    note: str = ""  # which side kept the boolean from being used, and why

    def __float__(self) -> float:
        """The value."""
        return self.value


def iou(
    mesh_a: Mesh,
    mesh_b: Mesh,
    *,
    method: str = "auto",
    resolution: int = 128,
    rng: np.random.Generator | None = None,
    threads: int | None = None,
) -> Overlap:
    """The intersection over union of two solids.

    `auto` takes the exact boolean where both meshes are closed, oriented, manifold and meet themselves nowhere, and
    the lattice elsewhere, where inside is what the sign `auto` says: the winding number. On the lattice a cell that is
    farther from a surface than its corners is decided as a whole; the others are cut down to `resolution` cells along
    the longest side, and in those that stay undecided one point each is drawn (`rng`, by default always the same).

    Raises:
        MetricError: an unknown method, a resolution below 16, a boolean that is wanted of meshes that have none, or two
            solids without volume.
        MeshError: a mesh without faces.
    """
    if method not in ("auto", "boolean", "lattice"):
        raise MetricError(f"unknown method {method!r} of IoU; known: auto, boolean, lattice")
    if resolution < _START:
        raise MetricError(f"expected a resolution of at least {_START}, found {resolution}. 128 is usual.")
    mesh_a, mesh_b = _outward(mesh_a), _outward(mesh_b)
    note = ""
    if method != "lattice":
        found_as = [analyse(mesh, threads) for mesh in (mesh_a, mesh_b)]
        note = "; ".join(filter(None, map(_unfit, "ab", found_as)))
        solids = [] if note else list(map(_solid, (mesh_a, mesh_b), found_as))
        note = note or "; ".join(f"{side} {why}" for side, (_, why) in zip("ab", solids, strict=True) if why)
        if not note:
            return _by_boolean(solids[0][0], solids[1][0])
        if method == "boolean":
            raise MetricError(f"expected two closed meshes that do not meet themselves: {note}. Use the lattice.")
    fields = SignedField(mesh_a, threads=threads), SignedField(mesh_b, threads=threads)
    bounds = np.stack([mesh_a.bounds, mesh_b.bounds])
    found = lattice_iou(fields, bounds, resolution, rng or np.random.default_rng(0), note)
    if all(field.changes_at_surface for field in fields):
        return found
    # Off an open surface the winding number passes one half in the open too, so no distance decides a cell for certain.
    return replace(found, certain_lower=0.0, certain_upper=1.0)


def lattice_iou(
    fields: tuple[Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]], ...],
    bounds: Float[np.ndarray, "S 2 3"],
    resolution: int,
    rng: np.random.Generator,
    note: str = "",
) -> Overlap:
    """The intersection over union of two solids that are functions of points, within the boxes `bounds`.

    The functions are signed distances, negative inside, or any that change no faster than by a step's length.

    Raises:
        MetricError: both solids are without volume.
    """
    low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    size = float((high - low).max()) / _START
    shape = np.maximum(np.ceil((high - low) / size), 1).astype(int)
    origin = (low + high) / 2 - shape * size / 2
    centres = (
        origin + (np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) * size
    )
    shared = filled = 0.0  # volumes decided for certain
    while True:
        values = np.stack([_ask(field, centres) for field in fields])
        open_ = np.abs(values) <= size * np.sqrt(3) / 2
        inside, maybe = (values < 0) & ~open_, (values < 0) | open_
        one, none = inside.any(axis=0), ~maybe.any(axis=0)
        both, apart = inside.all(axis=0), ~maybe.all(axis=0)
        known = both | none | (one & apart)  # nothing more to learn of the cell
        shared += float(both.sum()) * size**3
        filled += float((one & known).sum()) * size**3
        centres = centres[~known]
        if size * resolution <= float((high - low).max()) * (1 + 1e-9) or not len(centres):
            return _overlap(fields, centres, size, (shared, filled), rng, note)
        corner = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size / 4
        centres, size = (centres[:, None] + corner).reshape(-1, 3), size / 2


def _overlap(
    fields: tuple[Callable[..., np.ndarray], ...],
    centres: Float[np.ndarray, "P 3"],
    size: float,
    decided: tuple[float, float],
    rng: np.random.Generator,
    note: str,
) -> Overlap:
    """The interval from what is decided and one point in each cell that is not.

    Each undecided cell is a stratum with one draw. Cells of a kind are alike along the surface, so their pooled shares
    bound the variance from above (a stratum's own is smaller), and the ratio's follows by its slope.
    """
    shared, filled = decided
    points = centres + rng.uniform(-size / 2, size / 2, centres.shape)
    inside = np.stack([_ask(field, points) for field in fields]) < 0
    cell = size**3
    both, one = inside.all(axis=0), inside.any(axis=0)
    union = filled + cell * float(one.sum())
    if not union > 0:
        raise MetricError("expected a solid with volume on one side at least, found none: IoU would be 0/0.")
    value = (shared + cell * float(both.sum())) / union
    residual = both - value * one  # the slope of the ratio in each draw
    spread = float(np.std(residual)) if len(centres) else 0.0
    error = _NORMAL_95 * cell * np.sqrt(len(centres)) * spread / union
    rest = cell * len(centres)
    certain = shared / (filled + rest), min(1.0, (shared + rest) / (filled + rest)) if filled + rest else 1.0
    lower, upper = max(value - error, certain[0], 0.0), min(value + error, certain[1], 1.0)
    return Overlap(value, float(lower), float(upper), *certain, "lattice", note)


def _ask(field: Callable[..., np.ndarray], points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    chunks = [field(points[at : at + _CHUNK]) for at in range(0, len(points), _CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros(0)


def _unfit(side: str, found: Topology) -> str:
    """Why the mesh of this side bounds no solid for a boolean; empty if it does."""
    reasons = {
        "open edges": found.open_edges,
        "edges of three faces or more": found.nonmanifold_edges,
        "edges wound against each other": found.misoriented_edges,
        "faces that meet": found.intersecting_pairs,
    }
    said = [f"{count} {what}" for what, count in reasons.items() if count]
    return f"{side} has {', '.join(said)}" if said else ""


def _outward(mesh: Mesh) -> Mesh:
    """The mesh with vertices at one place made one, and turned if its volume is negative, as `load_mesh` has them."""
    vertices, faces, merged = merge_positions(mesh.vertices, mesh.faces)
    if not merged and mesh.volume >= 0:
        return mesh  # itself, for its tree may be known already
    return Mesh(vertices, faces[:, ::-1] if mesh.volume < 0 else faces)


def _solid(mesh: Mesh, found: Topology) -> "tuple[Manifold, str]":
    """The mesh for manifold3d, and why it will not do."""
    from manifold3d import Error, Manifold, Mesh64, OpType

    solid = Manifold(Mesh64(mesh.vertices, mesh.faces.astype(np.uint64)))
    if solid.status() != Error.NoError or solid.is_empty():
        return solid, f"is no solid to manifold3d: {solid.status()}"
    if found.components == 1:
        return solid, ""
    outer = [piece for piece in solid.decompose() if piece.volume() > 0]
    if len(outer) > 1:  # a shell within a shell would be counted twice
        apart = sum(piece.volume() for piece in outer)
        if Manifold.batch_boolean(outer, OpType.Add).volume() < apart * (1 - 1e-9):
            return solid, "has shells within shells"
    return solid, ""


def _by_boolean(a: "Manifold", b: "Manifold") -> Overlap:
    """The volume of the boolean over what remains of the sum of both; 1 where they differ by no more than rounding."""
    shared = float((a ^ b).volume())
    union = float(a.volume()) + float(b.volume()) - shared
    value = 1.0 if abs(union - shared) <= _ROUNDING * union else min(1.0, max(0.0, shared / union))
    return Overlap(value, value, value, value, value, "boolean")
