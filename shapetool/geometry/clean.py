"""Repairs after reading: merge equal positions, remove what is no surface, turn an inside-out mesh. Each is counted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, UInt64

from shapetool.errors import MeshError
from shapetool.geometry.mesh import check_finite, check_indices, scaled_cross, signed_volume
from shapetool.geometry.readers.raw import RawMesh
from shapetool.geometry.wording import plural
from shapetool.native._kernel import clearly_has_area, clearly_outward

# Below this share of |volume| to area**1.5 the sign of the volume is rounding.
_CLEAR_VOLUME = 1e-9

# A face whose height is below a few units in the last place of its coordinates has area by rounding only.
_ROUNDING = 4 * 2.0**-52

_CORNER_BITS = 21  # three times as many fit an int64

# An open mesh is flipped only when it nearly closes (few open edges, area vectors that nearly cancel), is consistently
# wound, and most of it faces its own middle. Loose triangles, sheets and terrain fail the first three.
_MOST_OPEN_EDGES = 0.2
_MOST_UNBALANCED_EDGES = 0.01
_LARGEST_AREA_VECTOR = 0.1
_CLEARLY_INWARD = -0.5


def clean(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], *, merge_is_expected: bool) -> RawMesh:
    """The repaired mesh and a warning for each kind of repair.

    `merge_is_expected` is for formats that store each corner anew, where merging vertices is no repair.

    Raises:
        MeshError: when there is no face, a vertex is not finite, an index is out of range, or no area is left.
    """
    if not len(faces):
        points = f" It holds {plural(len(vertices), 'point')} only." if len(vertices) else ""
        raise MeshError(f"expected at least one face, found none.{points}")
    check_finite(vertices)
    check_indices(faces, len(vertices))
    warnings: list[str] = []
    vertices, faces, unused = _referenced(vertices, faces)
    vertices, faces, merged = merge_positions(vertices, faces)
    if merged and not merge_is_expected:
        warnings.append(f"{plural(merged, 'vertex', 'vertices')} merged into another at the same position")
    faces = _drop_collapsed(faces, warnings)
    faces = _drop_duplicates(faces, warnings)
    faces = _drop_zero_area(vertices, faces, warnings)
    vertices, faces, more = _referenced(vertices, faces)
    if unused + more:
        warnings.append(f"{plural(unused + more, 'unreferenced vertex', 'unreferenced vertices')} removed")
    return RawMesh(vertices, _turn_outward(vertices, faces, warnings), warnings)


def merge_positions(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> tuple[Float[np.ndarray, "U 3"], Int[np.ndarray, "F 3"], int]:
    """The vertices at distinct positions in order of appearance, the faces on them, and how many were merged away.

    Zero and minus zero are one position.
    """
    vertices = vertices + 0.0  # turns -0.0 into 0.0
    keys = _row_keys(vertices)
    if _all_differ(keys):
        return vertices, faces.astype(np.int64), 0
    first, inverse = _unique_rows(vertices, keys)
    return vertices[first], inverse[faces], len(vertices) - len(first)


def _row_keys(rows: Float[np.ndarray, "V 3"]) -> UInt64[np.ndarray, "V"]:
    """A number for each row: equal for equal rows, and hardly ever for others."""
    keys = np.zeros(len(rows), np.uint64)
    with np.errstate(over="ignore"):
        for column in np.ascontiguousarray(rows).view(np.uint64).T:
            keys = _mix(keys ^ column)
    return keys


def _all_differ(keys: Integer[np.ndarray, "N"]) -> bool:
    """Whether no number stands there twice; sorting alone is much faster than finding out which."""
    ordered = np.sort(keys)
    return not (ordered[1:] == ordered[:-1]).any()


def _unique_rows(
    rows: Float[np.ndarray, "V 3"], keys: UInt64[np.ndarray, "V"]
) -> tuple[Int[np.ndarray, "U"], Int[np.ndarray, "V"]]:
    """The first index of each distinct row in rising order, and for each row the number of its distinct row."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][inverse], rows):  # two positions share a key: sort the rows themselves
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse.reshape(-1)]


def _mix(keys: np.ndarray) -> np.ndarray:
    """The keys with every bit spread over all bits.

    Source: the finalizer of SplitMix64; Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014.
    """
    keys = (keys + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def _drop_collapsed(faces: Int[np.ndarray, "F 3"], warnings: list[str]) -> Int[np.ndarray, "G 3"]:
    """The faces with three different corners."""
    a, b, c = faces.T
    keep = (a != b) & (b != c) & (c != a)
    if not keep.all():
        warnings.append(f"{plural(int((~keep).sum()), 'degenerate face')} with two corners at one position removed")
    if not keep.any():
        raise MeshError(
            f"expected a surface with area, found {plural(len(faces), 'face')}, all with corners in one position."
        )
    return faces if keep.all() else faces[keep]


def _drop_duplicates(faces: Int[np.ndarray, "F 3"], warnings: list[str]) -> Int[np.ndarray, "G 3"]:
    """The faces without repetitions in the same winding; one in the opposite winding is kept and counted."""
    if _no_corners_twice(faces):
        return faces
    corners = np.sort(faces, axis=1)
    # An even permutation of the sorted corners, seen from which corner comes behind the lowest.
    lowest = faces.argmin(axis=1)
    second = faces[np.arange(len(faces)), (lowest + 1) % 3]
    flipped = second != corners[:, 1]
    order = np.lexsort((flipped, corners[:, 2], corners[:, 1], corners[:, 0]))
    ordered, turned = corners[order], flipped[order]
    same = np.concatenate([[False], (ordered[1:] == ordered[:-1]).all(axis=1)])
    repeated = same & np.concatenate([[False], turned[1:] == turned[:-1]])
    opposite = int((same & ~repeated).sum())
    if opposite:
        warnings.append(f"{plural(opposite, 'face')} present in both windings, kept")
    if not repeated.any():
        return faces
    keep = np.ones(len(faces), bool)
    keep[order[repeated]] = False  # lexsort is stable, so the first of each group stays
    return _without(faces, keep, "duplicate face", "duplicate faces", warnings)


def _no_corners_twice(faces: Int[np.ndarray, "F 3"]) -> bool:
    """Whether no two faces have the same three corners; no, too, when their numbers do not fit one of 64 bits."""
    a, b, c = faces.T
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    if high.max() >= 1 << _CORNER_BITS:
        return False
    return _all_differ(low << 2 * _CORNER_BITS | (a + b + c - low - high) << _CORNER_BITS | high)


def _without(
    faces: Int[np.ndarray, "F 3"], keep: Bool[np.ndarray, "F"], thing: str, things: str, warnings: list[str]
) -> Int[np.ndarray, "G 3"]:
    """The faces to keep, or all of them when the surface would gain open or unbalanced edges without the others.

    A fold that closes a surface, or a seam along a straight line, needs such faces: the winding number leaks without.
    """
    count = plural(int((~keep).sum()), thing, things)
    before, after = count_edges(faces), count_edges(faces[keep])
    if after.boundary > before.boundary or (thing != "duplicate face" and after.open > before.open):
        warnings.append(f"{count} kept: without them the surface would open")
        return faces
    warnings.append(f"{count} removed")
    return faces[keep]


def _drop_zero_area(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], warnings: list[str]
) -> Int[np.ndarray, "G 3"]:
    """The faces with area, and those without when a closed seam would open without them.

    Raises:
        MeshError: when no face has area, or none that a float64 can hold in units of the longest edge.
    """
    if clearly_has_area(vertices, faces, _ROUNDING):
        return faces
    triangles = vertices[faces]
    cross, exponents = scaled_cross(triangles)
    sizes = np.linalg.norm(cross, axis=1)
    if not np.ldexp(sizes, 2 * (exponents - exponents.max())).any():
        raise MeshError(f"expected a surface with area, found {plural(len(faces), 'face')}, all of zero area.")
    reach = np.ldexp(np.abs(triangles).max(axis=(1, 2)), -exponents)
    flat = np.asarray(sizes <= _ROUNDING * reach)
    kept = ~flat | flat.all()
    if not np.ldexp(0.5 * sizes, 2 * exponents)[kept].any():
        longest = np.ldexp(1.0, int(exponents[kept].max()))
        raise MeshError(
            f"expected a surface with area, found edges below {longest:.2g}, whose area no float64 holds. Scale it up."
        )
    if not flat.any():
        return faces
    if flat.all():
        warnings.append(f"{plural(len(faces), 'face')}, all of zero area but for rounding, kept")
        return faces
    return _without(faces, ~flat, "face of zero area", "faces of zero area", warnings)


def _referenced(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> tuple[Float[np.ndarray, "U 3"], Int[np.ndarray, "F 3"], int]:
    """The vertices that a face uses, the faces on them, and how many others there were."""
    used: Bool[np.ndarray, V] = np.zeros(len(vertices), bool)
    used[faces] = True
    unused = len(vertices) - int(used.sum())
    if not unused:
        return vertices, faces, 0
    return vertices[used], (np.cumsum(used) - 1)[faces], unused


@dataclass(frozen=True)
class EdgeCounts:
    """How many edges there are, how many have one face, how many are not walked equally often both ways."""

    total: int
    open: int
    boundary: int


def count_edges(faces: Int[np.ndarray, "F 3"]) -> EdgeCounts:
    """The counts of edges; those with one face count as boundary too."""
    start = faces.reshape(-1)
    end = faces[:, [1, 2, 0]].reshape(-1)
    size = int(faces.max()) + 1
    direction = np.where(start < end, 1, -1)
    keys = np.minimum(start, end) * size + np.maximum(start, end)  # stays below 2**63 for fewer than 3e9 vertices
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    uses = np.diff(np.append(begins, len(ordered)))
    balance = np.add.reduceat(direction[order], begins)
    return EdgeCounts(len(begins), int((uses == 1).sum()), int((balance != 0).sum()))


def _turn_outward(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], warnings: list[str]
) -> Int[np.ndarray, "F 3"]:
    """The faces, each turned when the surface is inside out.

    A surface whose edges are all walked equally often both ways has a volume that does not depend on the origin; it is
    inside out when that volume is negative. Any other is turned only when it is clearly so, as the limits above say.
    """
    if clearly_outward(vertices, faces):
        return faces
    triangles = vertices[faces]
    _, exponent = np.frexp(np.abs(triangles - triangles[0, 0]).max())
    triangles = np.ldexp(triangles - triangles[0, 0], -int(exponent))  # exact, and no power overflows
    vectors = 0.5 * np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    areas = np.linalg.norm(vectors, axis=1)
    area = float(areas.sum())
    if area <= 0.0:
        return faces
    middle = (triangles.mean(axis=1) * areas[:, None]).sum(axis=0) / area
    volume = signed_volume(triangles, middle)
    if volume >= -_CLEAR_VOLUME * area**1.5:
        return faces
    edges = count_edges(faces)
    if not edges.boundary:
        warnings.append("inside out: flipped")
        return np.ascontiguousarray(faces[:, ::-1])
    parts = np.einsum("ij,ij->i", triangles[:, 0] - middle, vectors)
    nearly_closed = (
        edges.open <= _MOST_OPEN_EDGES * edges.total
        and edges.boundary - edges.open <= _MOST_UNBALANCED_EDGES * edges.total
        and float(np.linalg.norm(vectors.sum(axis=0))) <= _LARGEST_AREA_VECTOR * area
    )
    if nearly_closed and float(parts.sum()) <= _CLEARLY_INWARD * float(np.abs(parts).sum()):
        warnings.append("inside out: flipped (the surface is open, but most of it faces its own middle)")
        return np.ascontiguousarray(faces[:, ::-1])
    return faces
