"""Point clouds from the files that people keep them in: ply, npz, npy, and text."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from shapetool.data.formats.npz import Key, npz_keys, read_npy, read_npz
from shapetool.data.outside import plain_file
from shapetool.errors import DataError, MeshError
from shapetool.geometry.readers.ply import face_count, read_ply_points

CLOUD_SUFFIXES = frozenset({".npz", ".npy", ".xyz", ".pts"})
LARGEST = 1e100
_TABLE = Key("fiu", (None, None))
Cloud = tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"] | None]


def is_cloud(path: Path) -> bool:
    """Whether a file is a cloud: by its ending, or a PLY file without faces.

    Raises:
        DataError: a PLY file with a header that is not understood, or one that cannot be read.
    """
    if path.suffix.lower() != ".ply":
        return path.suffix.lower() in CLOUD_SUFFIXES
    try:
        return face_count(plain_file(path).read_bytes()) == 0
    except (MeshError, OSError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def read_cloud(path: Path) -> Cloud:
    """The points of a cloud in float64 and its normals, None where it has none; maybe no point at all.

    An npz file has them as `points` (or `surface_points`) and `normals`, a table in columns 1 to 3 and 4 to 6.

    Raises:
        DataError: the file is damaged, holds something else, or a coordinate is not finite.
    """
    try:
        points, normals = _read(path)
    except MeshError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: expected a cloud of points, but: {getattr(error, 'strerror', None) or error}."
        ) from error
    if not (np.abs(points) <= LARGEST).all():
        row = int(np.argmin((np.abs(points) <= LARGEST).all(axis=1)))
        raise DataError(f"{path}: expected finite coordinates, found {points[row].tolist()} in row {row}. Remove it.")
    if normals is not None and (normals.shape != points.shape or not np.isfinite(normals).all()):
        raise DataError(f"{path}: expected one finite normal a point, found {normals.shape} for {points.shape}.")
    return points, normals


def encode_cloud(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"] | None = None, colours: np.ndarray | None = None
) -> bytes:
    """The PLY file of a cloud: every bit of the points, normals in float32, colours (N, 3) u1."""
    columns = [("double", axis, points[:, k].astype("<f8")) for k, axis in enumerate("xyz")]
    if normals is not None:
        columns += [("float", f"n{axis}", normals[:, k].astype("<f4")) for k, axis in enumerate("xyz")]
    if colours is not None:
        columns += [("uchar", name, colours[:, k].astype("u1")) for k, name in enumerate(("red", "green", "blue"))]
    rows = np.empty(len(points), dtype=[(name, values.dtype) for _, name, values in columns])
    for _, name, values in columns:
        rows[name] = values
    properties = "".join(f"property {kind} {name}\n" for kind, name, _ in columns)
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}end_header\n"
    return head.encode() + rows.tobytes()


def _read(path: Path) -> Cloud:
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return read_ply_points(plain_file(path).read_bytes())
    if suffix == ".npz":
        names = npz_keys(path)
        points = next((name for name in ("points", "surface_points") if name in names), None)
        if points is None:
            raise DataError(f"{path}: expected an array `points`, found {', '.join(sorted(names)) or 'nothing'}.")
        normals = next((name for name in ("normals", "surface_normals") if name in names), None)
        found = read_npz(path, dict.fromkeys((points, normals) if normals else (points,), _TABLE))
        return _three(path, found[points]), _three(path, found[normals]) if normals else None
    if suffix == ".npy":
        return _columns(path, read_npy(path, _TABLE))
    lines = plain_file(path).read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.replace(",", " ").split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if rows and len(rows[0]) == 1:  # the number of points stands first
        rows = rows[1:]
    return _columns(path, np.array(rows, dtype=np.float64) if rows else np.zeros((0, 3)))


def _columns(path: Path, table: np.ndarray) -> Cloud:
    """Points, and normals where a table has six columns."""
    if table.ndim == 2 and table.shape[1] == 6:
        return _three(path, table[:, :3]), _three(path, table[:, 3:])
    return _three(path, table), None


def _three(path: Path, table: np.ndarray) -> Float[np.ndarray, "N 3"]:
    if table.ndim != 2 or table.shape[1] != 3 or table.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected numbers in rows of 3 or 6, found {table.dtype} {table.shape}.")
    return np.ascontiguousarray(table, dtype=np.float64)
