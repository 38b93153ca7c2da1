"""How far one surface is from another, both ways."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField

_SAMPLES = 100_000


@dataclass(frozen=True)
class Deviation:
    """Distances between the input and what was made of it, in shares of the diagonal of the input's box."""

    max: float  # the largest of both ways
    mean: float  # of both ways, half each
    signed_mean: float  # of the input's points about the result; positive when the result is the thicker one
    hidden: float  # the share of the input's area that lies deep inside the result and is not compared


def deviation(
    before: Mesh, after: Mesh, shown: Callable[[Float[np.ndarray, "P 3"]], Bool[np.ndarray, " P"]], threads: int = 0
) -> Deviation:
    """The deviation of `after`, a closed mesh, from `before`, where `shown` says which points of `before` count.

    Measured at points spread evenly over the area, and at all vertices: the maximum is of many samples, no bound.
    """
    diagonal = float(np.linalg.norm(np.ptp(before.bounds, axis=0)))
    old = np.concatenate([spread_points(before, _SAMPLES), before.vertices[np.unique(before.faces)]])
    count = len(old)
    seen = shown(old)
    old = old[seen]
    new = np.concatenate([spread_points(after, _SAMPLES), after.vertices])
    out = kernel_of(before).closest(new, threads)[0]
    signed = SignedField(after, threads=threads or None)(old) if len(old) else np.zeros(1)
    back = np.abs(signed)
    even = signed[: int(seen[:_SAMPLES].sum())] if len(old) else signed
    if not len(even):
        even = signed
    return Deviation(
        max=float(max(out.max(), back.max())) / diagonal,
        mean=float(out[:_SAMPLES].mean() + np.abs(even).mean()) / 2 / diagonal,
        signed_mean=-float(even.mean()) / diagonal,
        hidden=1 - len(old) / count,
    )


def spread_points(mesh: Mesh, count: int) -> Float[np.ndarray, "N 3"]:
    """Points evenly over the area, always the same: one in each of `count` equal shares of it.

    Source: Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018, for the place in the triangle.
    """
    total = np.cumsum(mesh.face_areas / mesh.area)
    faces = np.minimum(np.searchsorted(total, (np.arange(count) + 0.5) / count), len(total) - 1)
    step = np.array([0.7548776662466927, 0.5698402909980532])
    a, b = ((0.5 + np.arange(count)[:, None] * step) % 1).T
    over = a + b > 1
    a, b = np.where(over, 1 - a, a), np.where(over, 1 - b, b)
    p = mesh.triangles[faces]
    return p[:, 0] + a[:, None] * (p[:, 1] - p[:, 0]) + b[:, None] * (p[:, 2] - p[:, 0])
