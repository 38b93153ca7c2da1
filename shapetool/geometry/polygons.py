"""Polygons cut into triangles that keep every edge of the polygon, concave ones too."""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.wording import plural

_FEW = 64  # corners of a polygon that earcut may take as long for as it likes


def triangulate(
    vertices: Float[np.ndarray, "V 3"], corners: Int[np.ndarray, "C"], sizes: Int[np.ndarray, "N"]
) -> tuple[Int[np.ndarray, "F 3"], list[str]]:
    """The triangles of the polygons in their order and winding, and a warning for those that have no proper cut.

    `corners` holds the vertex indices of all polygons one after the other, `sizes` how many each has. A polygon of n
    corners becomes n - 2 triangles, and each of its edges is the edge of one of them, so that neighbours stay joined.
    Polygons with fewer than three corners are left out and counted.
    """
    if (sizes == 3).all():
        return corners.reshape(-1, 3).astype(np.int64), []
    warnings: list[str] = []
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    short = int((sizes < 3).sum())
    if short:
        warnings.append(f"{plural(short, 'face')} with fewer than three corners left out")
    pieces: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    crossing = 0
    for size in np.unique(sizes[sizes >= 3]).tolist():
        which = np.flatnonzero(sizes == size)
        polygons = corners[starts[which][:, None] + np.arange(size)]
        local, bad = _cut(vertices, polygons)
        crossing += bad
        pieces.append(np.take_along_axis(polygons[:, None, :], local, axis=2).reshape(-1, 3))
        owners.append(np.repeat(which, size - 2))
    if crossing:
        warnings.append(f"{plural(crossing, 'polygon')} cut as a fan: crossing itself, far from flat, or without area")
    if not pieces:
        return np.zeros((0, 3), np.int64), warnings
    order = np.argsort(np.concatenate(owners), kind="stable") if len(pieces) > 1 else slice(None)
    return np.concatenate(pieces)[order].astype(np.int64), warnings


def _cut(vertices: Float[np.ndarray, "V 3"], polygons: Int[np.ndarray, "K n"]) -> tuple[Int[np.ndarray, "K m 3"], int]:
    """The corner numbers of the triangles of each polygon of one size, and how many polygons had no proper cut."""
    count, size = polygons.shape
    fan = np.stack([np.zeros(size - 2, np.int64), np.arange(1, size - 1), np.arange(2, size)], axis=1)
    local = np.repeat(fan[None], count, axis=0)
    if size == 3:
        return local, 0
    flat = _flatten(vertices[polygons])
    pending = np.flatnonzero(~_fits(flat, local))
    if size == 4 and len(pending):
        local[pending] = [[1, 2, 3], [1, 3, 0]]
        pending = pending[~_fits(flat[pending], local[pending])]
    crossing = 0
    for row in pending.tolist():
        cut = _clip(flat[row])
        crossing += cut is None
        local[row] = fan if cut is None else cut
    return local, crossing


def _flatten(points: Float[np.ndarray, "K n 3"]) -> Float[np.ndarray, "K n 2"]:
    """The corners in the plane of each polygon, turned so that it runs anticlockwise, in units of its own size."""
    points = points - points.mean(axis=1, keepdims=True)
    size = np.abs(points).max(axis=(1, 2), keepdims=True)
    points = points / np.where(size > 0, size, 1.0)
    normal = np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
    least = np.eye(3)[np.abs(normal).argmin(axis=1)]
    first = np.cross(least, normal)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-300)
    second = np.cross(normal, first)
    return np.stack([np.einsum("kni,ki->kn", points, first), np.einsum("kni,ki->kn", points, second)], axis=2)


def _areas(flat: Float[np.ndarray, "K n 2"], local: Int[np.ndarray, "K m 3"]) -> Float[np.ndarray, "K m"]:
    """Twice the signed area of each triangle in the plane."""
    a, b, c = (np.take_along_axis(flat, local[:, :, i, None], axis=1) for i in range(3))
    ab, ac = b - a, c - a
    return ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]


def _fits(flat: Float[np.ndarray, "K n 2"], local: Int[np.ndarray, "K m 3"]) -> Bool[np.ndarray, "K"]:
    """Whether all triangles of a cut run anticlockwise with clearly positive area."""
    return np.asarray((_areas(flat, local) > 1e-12).all(axis=1))


def _clip(flat: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "m 3"] | None:
    """The corner numbers of the triangles of one simple polygon, or None when it is not simple or has no area.

    Source: the ear clipping of the earcut library, which drops repeated corners; they are put back here by
    splitting the triangle at the edge they lie on, because the neighbouring face may use them.
    """
    import mapbox_earcut

    size = len(flat)
    if size > _FEW and not _may_be_simple(flat):
        return None
    found = mapbox_earcut.triangulate_float64(np.ascontiguousarray(flat), np.array([size], np.uint32))
    # In a cut of a simple polygon, rising corner numbers run as the polygon runs.
    triangles = [tuple(sorted(corner)) for corner in found.reshape(-1, 3).tolist()]
    cut = np.array(_put_back(triangles, size), np.int64).reshape(-1, 3)
    if len(cut) != size - 2:
        return None
    areas = _areas(flat[None], cut[None])[0]
    whole = np.roll(flat, -1, axis=0)
    true = float((flat[:, 0] * whole[:, 1] - flat[:, 1] * whole[:, 0]).sum())
    if true <= 0 or np.abs(areas).sum() > true * (1 + 1e-6) + 1e-12:
        return None
    return cut


def _may_be_simple(flat: Float[np.ndarray, "n 2"]) -> bool:
    """False where the polygon turns more or less than once, as none does that leaves itself alone.

    Its edges may run back over each other, as to a hole: each such corner may be a half turn to either side. Polygons
    that wind about themselves are the ones that earcut takes the third power of their corners for.
    """
    edges = np.roll(flat, -1, axis=0) - flat
    edges = edges[edges.any(axis=1)]
    after = np.roll(edges, -1, axis=0)
    cross, dot = edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0], (edges * after).sum(axis=1)
    turns = np.arctan2(cross, dot) / (2 * np.pi)
    back = np.count_nonzero(np.abs(turns) > 0.499)
    return bool(abs(turns.sum() - 1) <= back + 1e-3)


def _put_back(triangles: list[tuple[int, ...]], size: int) -> list[tuple[int, ...]]:
    """The triangles with every corner that none of them uses inserted at the edge that jumps over it."""
    used = sorted({corner for triangle in triangles for corner in triangle})
    skipping = {start: end for start, end in zip(used, used[1:] + used[:1], strict=True) if (end - start) % size > 1}
    result: list[tuple[int, ...]] = []
    while triangles:
        triangle = triangles.pop()
        for i in range(3):
            start, end, apex = triangle[i], triangle[(i + 1) % 3], triangle[(i + 2) % 3]
            if skipping.get(start) == end:
                del skipping[start]
                chain = [(start + k) % size for k in range((end - start) % size + 1)]
                triangles += [(chain[k], chain[k + 1], apex) for k in range(len(chain) - 1)]
                break
        else:
            result.append(triangle)
    return result[::-1]
