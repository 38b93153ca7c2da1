"""Wavefront OBJ, its polygons only, read strictly: an index is checked where it stands."""

from itertools import chain

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.readers.raw import RawMesh, floats, integers, raw_from_polygons
from shapetool.geometry.wording import plural
from shapetool.native._kernel import read_statements

# Statements that say nothing about where the surface is.
_IGNORED = frozenset(
    b"vt vn g o s usemtl mtllib usemap maplib lod bevel c_interp d_interp shadow_obj trace_obj mg call csh".split()
)
_VERTEX_AND_FACE = frozenset((b"v", b"f", b"fo"))
_CURVES_AND_POINTS = frozenset((b"l", b"p"))
_FREE_FORM = frozenset(b"vp cstype deg bmat step curv curv2 surf parm trim hole scrv sp end con ctech stech".split())


def read_obj(data: bytes) -> RawMesh:
    """The polygons of an OBJ file as triangles; texture, normals, groups and materials are passed over.

    Raises:
        MeshError: for a vertex without three numbers, an index of 0, no number, or beyond the vertices; with the line.
    """
    return _read_plain(data) or _read_line_by_line(statement_lines(data))


def _read_plain(data: bytes) -> RawMesh | None:
    """The mesh of a file of vertices, faces and what is passed over, as nearly all are; None for any other.

    Any doubt ends in None, so that the reading line by line alone decides about errors.
    """
    found = None if b"\\" in data else read_statements(data.removeprefix(b"\xef\xbb\xbf"))
    if found is None:
        return None
    vertices, corners, sizes = found[0].reshape(-1, 3), found[1].view(np.int64) - 1, found[2].view(np.int64)
    if not len(corners) or corners.min() < 0 or corners.max() >= len(vertices):
        return None
    return raw_from_polygons(vertices, corners, sizes, [])


def _count_others(rows: list[list[bytes]]) -> tuple[int, int, int]:
    """How many lines draw curves, free-form surfaces, or are no statement."""
    curves = free_form = unknown = 0
    for row in rows:
        key = row[0]
        if key in _CURVES_AND_POINTS:
            curves += 1
        elif key in _FREE_FORM:
            free_form += 1
        elif key not in _IGNORED:
            unknown += 1
    return curves, free_form, unknown


def _read_line_by_line(lines: list[bytes]) -> RawMesh:
    """The mesh of any OBJ file.

    Raises:
        MeshError: for the first line that is not what it must be.
    """
    vertex_rows: list[list[bytes]] = []
    vertex_lines: list[int] = []
    face_rows: list[list[bytes]] = []
    face_lines: list[int] = []
    seen: list[int] = []  # how many vertices stood above the face: what a negative index counts back from
    others: list[list[bytes]] = []
    for number, line in enumerate(lines, 1):
        row = line.split()
        key = row[0] if row else b""
        if key == b"v":
            vertex_rows.append(row)
            vertex_lines.append(number)
        elif key in _VERTEX_AND_FACE:
            face_rows.append(row)
            face_lines.append(number)
            seen.append(len(vertex_rows))
        elif row:
            others.append(row)
    vertices = positions(vertex_rows, vertex_lines)
    corners, sizes = corners_of(face_rows, face_lines, seen)
    return raw_from_polygons(vertices, corners, sizes, _left_out(*_count_others(others)), face_lines)


def statement_lines(data: bytes) -> list[bytes]:
    """The lines without comments, those ending in a backslash joined with the next."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\\" in data:
        data = _joined(data.replace(b"\\\r\n", b"\\\n").split(b"\n"))
    lines = data.splitlines()
    if b"#" in data:
        lines = [line.partition(b"#")[0] if b"#" in line else line for line in lines]
    return lines


def _joined(lines: list[bytes]) -> bytes:
    """The lines, those that end in a backslash joined with the next; empty ones behind keep the numbers of the rest."""
    found: list[bytes] = []
    parts: list[bytes] = []
    for number, line in enumerate(lines, 1):
        if line.endswith(b"\\") and number < len(lines):
            parts.append(line[:-1])
            continue
        found.append(b" ".join([*parts, line]))
        found += [b""] * len(parts)
        parts = []
    return b"\n".join(found)


def _left_out(curves: int, free_form: int, unknown: int) -> list[str]:
    """A warning for each kind of statement that was passed over although it may draw something."""
    warnings = []
    if curves:
        warnings.append(f"{plural(curves, 'line')} of points or polylines left out")
    if free_form:
        warnings.append(f"{plural(free_form, 'line')} of free-form curves or surfaces left out")
    if unknown:
        warnings.append(f"{plural(unknown, 'line')} that no OBJ statement begins left out")
    return warnings


def positions(rows: list[list[bytes]], lines: list[int]) -> Float[np.ndarray, "V 3"]:
    """The first three numbers of each vertex line; a weight or a colour behind them is passed over.

    Raises:
        MeshError: for a line with fewer numbers, or with something that is no number.
    """
    if rows and min(map(len, rows)) < 4:
        at = next(i for i, row in enumerate(rows) if len(row) < 4)
        raise MeshError(f"line {lines[at]}: expected a vertex of three coordinates, found {len(rows[at]) - 1}.")
    try:
        flat = floats(chain.from_iterable(row[1:4] for row in rows))
    except ValueError:
        raise _bad_line(rows, lines, floats, "three numbers behind 'v'") from None
    return np.array(flat, np.float64).reshape(-1, 3)


def corners_of(
    rows: list[list[bytes]], lines: list[int], seen: list[int]
) -> tuple[Int[np.ndarray, "C"], Int[np.ndarray, "N"]]:
    """The vertex indices of all faces, from 0, and the number of corners of each.

    Raises:
        MeshError: for an index that is 0, too large for a file, or no whole number.
    """
    sizes = np.array([len(row) - 1 for row in rows], np.int64)
    words = [word.partition(b"/")[0] for row in rows for word in row[1:]]
    try:
        corners = np.array(integers(words), np.int64)
    except (ValueError, OverflowError):
        raise _bad_line(rows, lines, _indices, "vertex indices behind 'f'") from None
    if (corners == 0).any():
        face = int(np.searchsorted(np.cumsum(sizes), int(np.argmax(corners == 0)), side="right"))
        raise MeshError(f"line {lines[face]}: expected indices that count from 1 (or back from -1), found 0.")
    if (corners < 0).any():
        back = np.repeat(np.array(seen, np.int64), sizes) + corners
        # One that reaches above the first vertex stays negative, so that the range check sees it.
        return np.where(corners < 0, back, corners - 1), sizes
    return corners - 1, sizes


def _indices(words: list[bytes]) -> Int[np.ndarray, "n"]:
    """The vertex indices of one face line."""
    return np.array(integers(word.partition(b"/")[0] for word in words), np.int64)


def _bad_line(rows: list[list[bytes]], lines: list[int], parse: object, expected: str) -> MeshError:
    """The error for the first line that the parser refuses."""
    assert callable(parse)
    for row, line in zip(rows, lines, strict=True):
        try:
            parse(row[1:4] if row[0] == b"v" else row[1:])
        except (ValueError, OverflowError):
            text = b" ".join(row)[:80].decode("utf-8", "backslashreplace")
            return MeshError(f"line {line}: expected {expected}, found {text!r}.")
    return MeshError(f"expected {expected}, found something else.")
