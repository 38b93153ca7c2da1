"""The surface of a field as a closed mesh.

A field is a callable (P, 3) -> (P,), negative inside, or a module of torch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shapetool.errors import ConfigError, MeshError, suggestion
from shapetool.extraction.components import check_least, drop_small_components
from shapetool.extraction.dense import level_by_all_nodes
from shapetool.extraction.evaluate import Asked
from shapetool.extraction.mise import level_by_mise
from shapetool.extraction.sheets import surface_of
from shapetool.geometry.lattice import Box, lattice_axes
from shapetool.geometry.mesh import Mesh

METHODS = ("mise", "dense")
_COARSEST = 8  # every eighth node is 0.2 % of all
_START_CELLS = 32


@dataclass(frozen=True)
class Extraction:
    """How a surface is found and where its vertices go.

    `lipschitz` is the most that the field changes over a length of one: 1 for a distance. With it, `mise` finds what
    `dense` finds; without, it is guessed from the coarse lattice, which has `start` cells along each axis or more
    (None: 32, and at most 8 steps of the fine one a cell). `refine` is how often the field is asked for each vertex to
    bring it to zero. Components below `least` of the largest by `measure` (`volume`, `area`; or `faces`, a count) are
    dropped. Without `close`, the mesh is open where the shape leaves the box.

    Raises:
        ConfigError: a number out of range; the message names it.
    """

    batch: int = 1 << 16  # points a call of the field
    lipschitz: float | int | None = None
    start: int | None = None
    refine: int = 3
    least: float | int = 0.0
    measure: str = "volume"
    close: bool = True

    def __post_init__(self) -> None:
        for name, low in (("batch", 1), ("start", 1), ("refine", 0)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise ConfigError(f"{name}: expected {low} or more, found {value}.")
        if self.lipschitz is not None and not (math.isfinite(self.lipschitz) and self.lipschitz > 0):
            raise ConfigError(f"lipschitz: expected a number above 0, or None to guess it, found {self.lipschitz}.")
        check_least(self.least, self.measure)


@dataclass(frozen=True)
class Facts:
    """What an extraction cost: points asked for in how many calls, cells with a surface, bytes of the values kept.

    `refinements` is how many of the evaluations were made at vertices.
    """

    evaluations: int
    refinements: int
    calls: int
    cells: int
    stored_bytes: int


def extract_surface(
    field: Callable[..., Any],
    box: Box,
    resolution: int,
    method: str = "mise",
    settings: Extraction | None = None,
) -> Mesh:
    """The zero level of a field in a box: closed, manifold, wound outward; see `extract_with_facts`.

    Raises:
        MeshError: the field has no surface in the box.
        ConfigError: an unknown method, a bad box or resolution, or a field without a finite number for each point.
    """
    return extract_with_facts(field, box, resolution, method, settings)[0]


def extract_with_facts(
    field: Callable[..., Any],
    box: Box,
    resolution: int,
    method: str = "mise",
    settings: Extraction | None = None,
) -> tuple[Mesh, Facts]:
    """The zero level of a field in a box, and what it cost.

    `resolution` nodes along each axis, the first and the last on the sides of the box, so one cell less. `dense` asks
    at every node, a few planes at a time; `mise` only near the surface. From the same cells both make the same mesh,
    to the bit: one vertex a sheet and cell, where the field is zero. Where the inside reaches the border of the box, it
    is closed a fiftieth of a cell beyond. Where two sheets would touch along the side of a cell, the inside grows by a
    node.

    Raises:
        MeshError: the field has no surface in the box.
        ConfigError: an unknown method, a bad box or resolution, or a field without a finite number for each point.
    Source: Nielson, "Dual marching cubes", IEEE Visualization 2004; `level_by_mise` for the search.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}{suggestion(method, METHODS)}")
    settings = settings or Extraction()
    axes = lattice_axes(box, resolution)
    asked = Asked(field, settings.batch)
    if method == "dense":
        level = level_by_all_nodes(asked, axes)
    else:
        level = level_by_mise(asked, axes, _stride(resolution, settings.start), settings.lipschitz)
    if not (asked.least < 0 <= asked.greatest and any(map(len, level.mixed))):
        raise MeshError(_why_nothing(asked, method, resolution))
    surface = surface_of(level, settings.refine, settings.close)
    facts = Facts(asked.evaluations, surface.refinements, asked.calls, surface.cells, level.nodes.bytes)
    del level
    return drop_small_components(surface.mesh(), settings.least, settings.measure), facts


def _stride(resolution: int, start: int | None) -> int:
    """The power of two that leaves at least `start` cells."""
    most = resolution / (start or _START_CELLS)
    stride = 2 ** max(0, math.floor(math.log2(most)))
    return stride if start else min(stride, _COARSEST)


def _why_nothing(asked: Asked, method: str, resolution: int) -> str:
    """What was seen of a field in which no surface was found, and what to do."""
    side = (
        "outside" if asked.least >= 0 else "inside" if asked.greatest < 0 else "on both sides, but no two neighbours,"
    )
    hint = (
        " a finer lattice, a larger `lipschitz`, the method `dense`," if method == "mise" and side != "inside" else ""
    )
    return (
        f"field: expected a surface in the box, found all of {asked.evaluations:,} nodes {side} at resolution "
        f"{resolution}: values from {asked.least:.6g} to {asked.greatest:.6g}, and negative is inside. "
        f"Try{hint} another box, or the field with its sign turned; or train for longer."
    )
