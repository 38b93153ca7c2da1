"""Other people's distance libraries behind shapetool's own interface, for those who must reproduce their numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError, suggestion
from shapetool.geometry.mesh import Mesh

if TYPE_CHECKING:
    from shapetool.geometry.flood_sign import Flood

BACKENDS = ("native", "pysdf", "warp")
APPROXIMATE = (
    "pysdf looks only at the faces around the nearest vertex: its distances are approximate, by up to a sixth of the "
    "radius on CAD meshes. --backend native is exact."
)


@runtime_checkable
class Field(Protocol):
    """What every backend builds from a mesh: a function of points, negative inside, and what it did to get there."""

    sign_method: str
    watertight: bool
    warnings: tuple[str, ...]

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """The signed distance of each point, negative inside."""
        ...


@dataclass(frozen=True)
class Native:
    """shapetool's own arithmetic, with the lattice that the sign `flood` takes: see `flood_sign.Flood`.

    Raises:
        ConfigError: a number of the lattice is out of range.
    """

    flood_resolution: int = 256
    flood_gap: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        self._flood()

    def __call__(self, mesh: Mesh, sign: str, threads: int | None) -> Field:
        """The field of `mesh`."""
        from shapetool.geometry.flood_sign import FloodField
        from shapetool.geometry.sdf import SignedField

        return FloodField(mesh, threads, self._flood()) if sign == "flood" else SignedField(mesh, sign, threads)

    def _flood(self) -> "Flood":
        from shapetool.geometry.flood_sign import Flood

        return Flood(self.flood_resolution, self.flood_gap)


def load_backend(
    name: str, flood_resolution: int = 256, flood_gap: float = 0.0
) -> Callable[[Mesh, str, int | None], Field]:
    """What builds a field with the library called `name`: a callable of mesh, sign and threads.

    The sign `flood` needs a lattice besides; see `shapetool.geometry.flood_sign.Flood` for its two numbers.

    Raises:
        ConfigError: there is no such backend, or it is not installed; nothing of the library is imported before.
    """
    if name == "native":
        return Native(flood_resolution, flood_gap)
    if name == "pysdf":
        _require_pysdf()
        return PysdfField
    if name == "warp":
        raise ConfigError("--backend warp comes with the gpu extra, which this version does not have; use native.")
    raise ConfigError(f"unknown backend {name!r}{suggestion(name, BACKENDS)}")


def _require_pysdf() -> None:
    try:
        import pysdf  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--backend pysdf needs the package pysdf, which is not installed here. Install it with "
            "`pip install 'shapetool[pysdf]'` (it compiles, and needs the Eigen headers), or use --backend native."
        ) from error


class PysdfField:
    """The signed distance as pysdf computes it, in float32, turned to shapetool's sign: negative inside.

    Vertices without a face are left out first: where one is nearest, pysdf has no face to measure and answers 1.8e19.

    Raises:
        ConfigError: a sign other than `auto` or `parity` was asked for (pysdf counts ray crossings and nothing else),
            or pysdf is not installed.
    Source: sxyu, sdf (pysdf 0.1.9), robust mode; positive inside there.
    """

    sign_method = "pysdf"

    def __init__(self, mesh: Mesh, sign: str = "auto", threads: int | None = None) -> None:
        """A field over `mesh`; `threads` is how many pysdf may use, None for all the cores of this process."""
        if sign not in ("auto", "parity"):
            raise ConfigError(
                f"--backend pysdf decides the sign by parity; it cannot do --sign {sign}. Leave --sign out."
            )
        _require_pysdf()
        from pysdf import SDF

        from shapetool.geometry.topology import analyse

        self.watertight = analyse(mesh).watertight
        self.warnings: tuple[str, ...] = (APPROXIMATE,)
        referenced, compact = np.unique(mesh.faces, return_inverse=True)
        self._threads = threads
        self._sdf = SDF(
            np.ascontiguousarray(mesh.vertices[referenced], dtype=np.float32),
            np.ascontiguousarray(compact.reshape(-1, 3), dtype=np.uint32),
        )

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """The distance of each point as pysdf has it, negative inside, in the units of the mesh."""
        query = np.ascontiguousarray(points, dtype=np.float32)
        threads = {} if self._threads is None else {"n_threads": self._threads}
        return -self._sdf(query, **threads).astype(np.float64)
