"""A checked triangle mesh, and the one function that reads it from a file.

Order of the checks: what the file is (a regular file, inside the root, not too large, not empty), what its header
promises against what it holds, the parser, the gate (a face, finite, indices in range, area above zero), the repairs.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError

# Squares and volumes of coordinates up to here stay finite in float64; a larger value is a damaged number.
LARGEST_COORDINATE = 1e100


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles that index into vertices: finite, in range, with the normals of a closed surface pointing outward.

    Raises:
        MeshError: for a wrong shape, a non-finite vertex, or an index out of range; the message names the row.
    """

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    warnings: tuple[str, ...] = ()  # one sentence for each repair or oddity met while loading

    def __post_init__(self) -> None:
        """Converts to C-contiguous float64 and int64, then checks."""
        vertices = _rows_of_three(self.vertices, np.float64, "vertices")
        faces = _rows_of_three(self.faces, np.int64, "faces")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        object.__setattr__(self, "warnings", tuple(self.warnings))
        check_finite(vertices)
        check_indices(faces, len(vertices))

    @cached_property
    def triangles(self) -> Float[np.ndarray, "F 3 3"]:
        """The corners of each face."""
        return np.ascontiguousarray(self.vertices[self.faces])

    @cached_property
    def face_areas(self) -> Float[np.ndarray, "F"]:
        """The area of each face."""
        cross, exponents = self._cross
        return np.ldexp(0.5 * _lengths(cross), 2 * exponents)

    @cached_property
    def face_normals(self) -> Float[np.ndarray, "F 3"]:
        """The unit normal of each face as it is wound; the zero vector for a face of zero area."""
        cross, _ = self._cross
        length = _lengths(cross)[:, None]
        return np.divide(cross, length, out=np.zeros_like(cross), where=length > 0)

    @cached_property
    def _cross(self) -> tuple[Float[np.ndarray, "F 3"], Int[np.ndarray, "F"]]:
        return scaled_cross(self.triangles)

    @cached_property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """The lowest and the highest corner of the box around the vertices that a face uses.

        Raises:
            MeshError: when there is no face.
        """
        if not len(self.faces):
            raise MeshError("expected at least one face to take the bounds of, found none")
        used = self.vertices[np.unique(self.faces)]
        return np.stack([used.min(axis=0), used.max(axis=0)])

    @cached_property
    def area(self) -> float:
        """The sum of the areas of the faces."""
        return float(self.face_areas.sum())

    @cached_property
    def volume(self) -> float:
        """The signed volume, positive when a closed surface winds outward; about the box centre when it is open."""
        if not len(self.faces):
            return 0.0
        return signed_volume(self.triangles, self.bounds.mean(axis=0))


def check_finite(vertices: Float[np.ndarray, "V 3"]) -> None:
    """Nothing, when every coordinate is a finite number of sane size.

    Raises:
        MeshError: that counts the bad vertices and names the first.
    """
    if np.abs(vertices).max(initial=0.0) <= LARGEST_COORDINATE:  # written so that NaN is bad too
        return
    bad = ~(np.abs(vertices) <= LARGEST_COORDINATE).all(axis=1)
    row = int(np.argmax(bad))
    values = ", ".join(f"{value:g}" for value in vertices[row])
    raise MeshError(
        f"expected finite coordinates of at most {LARGEST_COORDINATE:g}, found {int(bad.sum())} of {len(vertices)} "
        f"vertices outside that, the first is vertex {row} ({values}). Export the mesh again or remove these vertices."
    )


def check_indices(faces: Int[np.ndarray, "F 3"], n_vertices: int) -> None:
    """Nothing, when every index points at a vertex.

    Raises:
        MeshError: that counts the bad faces and names the first.
    """
    if not faces.size or (faces.min() >= 0 and faces.max() < n_vertices):
        return
    bad = ((faces < 0) | (faces >= n_vertices)).any(axis=1)
    row = int(np.argmax(bad))
    raise MeshError(
        f"expected vertex indices from 0 to {n_vertices - 1}, found {int(bad.sum())} of {len(faces)} faces "
        f"outside that, the first is face {row} {tuple(faces[row].tolist())}. Export the mesh again."
    )


def scaled_cross(triangles: Float[np.ndarray, "F 3 3"]) -> tuple[Float[np.ndarray, "F 3"], Int[np.ndarray, "F"]]:
    """Twice the area vector of each triangle divided by 4**k, and k, the power of two that the triangle was scaled by.

    Scaling by a power of two is exact, so that squares of very large or small triangles neither overflow nor vanish.
    """
    corner = triangles[:, 0]
    one, other = ((triangles[:, k] - corner).T.copy() for k in (1, 2))  # axis by axis, which is three times as fast
    _, exponents = np.frexp(np.maximum.reduce([*np.abs(one), *np.abs(other)]))
    one, other = np.ldexp(one, -exponents), np.ldexp(other, -exponents)
    turned = [one[k - 2] * other[k - 1] - one[k - 1] * other[k - 2] for k in range(3)]
    return np.stack(turned, axis=1), exponents.astype(np.int64)


def _lengths(vectors: Float[np.ndarray, "F 3"]) -> Float[np.ndarray, " F"]:
    x, y, z = vectors.T
    length: np.ndarray = np.sqrt(x**2 + y**2 + z**2)
    return length


def signed_volume(triangles: Float[np.ndarray, "F 3 3"], centre: Float[np.ndarray, "3"]) -> float:
    """The sum of the signed volumes of the tetrahedra from the centre to each triangle."""
    a, b, c = np.moveaxis(triangles - centre, 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def _rows_of_three(array: object, dtype: type, name: str) -> np.ndarray:
    """The array as C-contiguous (N, 3) of the dtype.

    Raises:
        MeshError: for another shape, or numbers that the dtype cannot hold.
    """
    try:
        given = np.asarray(array)
        if dtype is np.int64 and given.dtype.kind not in "iu" and given.size:
            raise MeshError(f"expected {name} of an integer type, found {given.dtype}")
        converted: np.ndarray = np.ascontiguousarray(given, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise MeshError(f"expected {name} as numbers in rows of three: {error}") from None
    if converted.size == 0:
        converted = converted.reshape(0, 3)
    if converted.ndim != 2 or converted.shape[1] != 3:
        raise MeshError(f"expected {name} of shape (N, 3), found {converted.shape}")
    return converted


def load_mesh(path: str | Path, *, root: Path | None = None, max_bytes: int = 2 << 30) -> Mesh:
    """The triangles of a mesh file, checked and repaired, with one warning for each repair.

    Scenes are flattened, polygons triangulated, vertices at one position merged, degenerate, duplicate and unreferenced
    parts removed, and an inside-out mesh is flipped. `root` is the folder that neither a symbolic link nor a file named
    inside the mesh may leave; without it, files named inside may not leave the folder of the mesh. Files above
    `max_bytes` are refused unread.

    Raises:
        MeshError: when the file is missing, unreadable, damaged, or not a surface; the message starts with the path.
    """
    from shapetool.geometry.clean import clean
    from shapetool.geometry.readers import read_triangles
    from shapetool.geometry.readers.source import open_source, shown

    try:
        source = open_source(Path(path), root, max_bytes)
        raw = read_triangles(source)
        cleaned = clean(raw.vertices, raw.faces, merge_is_expected=source.suffix == ".stl")
        return Mesh(cleaned.vertices, cleaned.faces, tuple(raw.warnings) + tuple(cleaned.warnings))
    except MeshError as error:
        raise MeshError(f"{shown(path)}: {error}") from error.__cause__
