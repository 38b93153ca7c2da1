"""Whether points are inside a mesh, without distances where none is needed."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from shapetool.geometry.backends import Field, Native
from shapetool.geometry.kernel import finite_points, kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField

Builder = Callable[[Mesh, str, int | None], Field]


class InsideTest:
    """A mesh as a predicate of points: (P, 3) to bool (P,), true where `SignedField` is negative.

    Around a closed mesh that is wound one way, the winding number is how often the surface lies above a point, counted
    with its sign. So each face is taken to the points below it, with no hierarchy to build and no proof wanted that
    faces do not meet; what was `auto` is called `crossings` then. Points on the surface, or so close to it that
    rounding might decide, are asked for their signed distance. On other meshes every point is, and with the sign
    `parity`; the sign `pseudonormal` is held to its proof first.

    Raises:
        ConfigError: unknown sign method.
        MeshError: no face, or points that are not finite.
    """

    def __init__(
        self, mesh: Mesh, sign: str = "auto", threads: int | None = None, build: Builder | None = None
    ) -> None:
        """Takes `threads` threads (None: all cores); `build` is as from `load_backend`, the native one by default.

        What other libraries build is asked for every point, for nothing is known of where their sign changes.
        """
        self._threads = threads or 0
        build = build or Native()
        self._build: Callable[[], Field] = lambda: build(mesh, sign, threads)
        self._field: Field | None = None
        self._kernel = kernel_of(mesh, threads) if isinstance(build, Native) else None
        orientation = self._kernel.orientation(self._threads) if self._kernel else 0
        self._by_crossings = orientation != 0
        if self._by_crossings and sign in ("auto", "winding"):
            self.sign_method, self.watertight = "crossings" if sign == "auto" else sign, True
            self.warnings: tuple[str, ...] = ("inside out: flipped.",) if orientation < 0 else ()
            return
        field = self._field = self._build()
        self._by_crossings &= isinstance(field, SignedField) and field.changes_at_surface
        self.sign_method, self.watertight, self.warnings = field.sign_method, field.watertight, field.warnings

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
        """Whether each point is inside; a point on the surface itself is not."""
        points = finite_points(points)
        if self._kernel is None or not self._by_crossings:
            return self._ask(points)
        told = self._kernel.inside(points, self._threads)
        inside = told > 0
        doubtful = np.flatnonzero(told < 0)
        if len(doubtful):
            inside[doubtful] = self._ask(points[doubtful])
        return inside

    def _ask(self, points: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
        """The answer by signed distances."""
        if self._field is None:
            self._field = self._build()
        return self._field(points) < 0


def is_inside(
    mesh: Mesh, points: Float[np.ndarray, "P 3"], sign: str = "auto", threads: int | None = None
) -> Bool[np.ndarray, " P"]:
    """Whether each point is inside the mesh: where ``signed_distance`` is negative, found faster.

    Raises:
        ConfigError: unknown sign method.
        MeshError: no face, or a point that is not finite.
    """
    return InsideTest(mesh, sign, threads)(points)
