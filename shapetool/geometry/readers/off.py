"""Geomview's OFF in text form, with the glued header that ModelNet files have."""

import re
from itertools import accumulate, chain

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.readers.raw import RawMesh, floats, integers, raw_from_polygons, table
from shapetool.geometry.wording import plural
from shapetool.native._kernel import read_coordinates, read_polygons

_HEADER = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF(?![A-Za-z])")
_EMPTY_LINES = rb"(?:[ \t]*(?:#[^\r\n]*)?[\r\n])*+"
_PLAIN_HEADER = re.compile(
    rb"(?:\xef\xbb\xbf)?%b[ \t]*(?:ST)?C?N?OFF%b[ \t]*(\d{1,15})[ \t]+(\d{1,15})(?![^ \t\r\n#])[^\r\n]*"
    % (_EMPTY_LINES, _EMPTY_LINES)
)
_SHORTEST_VERTEX, _SHORTEST_FACE = len(b"0 0 0\n"), len(b"0\n")


def read_off(data: bytes) -> RawMesh:
    """The polygons of an OFF file as triangles; colours, normals and texture coordinates are passed over.

    Raises:
        MeshError: when the header is no OFF header or promises more than the file holds, or a line is wrong.
    """
    return _read_plain(data) or _read_lines(data)


def _read_plain(data: bytes) -> RawMesh | None:
    """The mesh of a file as nearly all are, one vertex or face a line and nothing behind them; None for any other.

    Any doubt ends in None, so that the reading by lines alone decides about errors.
    """
    header = _PLAIN_HEADER.match(data)
    n_vertices, n_faces = map(int, header.groups()) if header else (0, 0)
    if header is None or not n_vertices or not n_faces or _too_many(n_vertices, n_faces, len(data)):
        return None
    found = read_coordinates(data, header.end(), n_vertices)
    polygons = read_polygons(data, found[1], n_faces) if found else None
    if found is None or polygons is None:
        return None
    corners, sizes = (indices.view(np.int64) for indices in polygons)
    return raw_from_polygons(found[0], corners, sizes, [])


def _read_lines(data: bytes) -> RawMesh:
    """The mesh of any OFF file.

    Raises:
        MeshError: as `read_off` says.
    """
    lines = statement_lines(data)
    n_vertices, n_faces, lines = _counts(lines, len(data))
    spare = len(lines) - n_vertices - n_faces
    if spare and (streamed := _read_stream(lines, n_vertices, n_faces)):
        return streamed
    if spare < 0:
        raise MeshError(
            f"the header promises {n_vertices} vertices and {n_faces} faces, one a line, "
            f"but {plural(len(lines), 'line')} follow. The file is cut off; copy or export it again."
        )
    warnings = [f"{plural(spare, 'line')} behind the last face left out"] if spare else []
    vertices = _vertices(lines[:n_vertices])
    corners, sizes = _corners(lines[n_vertices : n_vertices + n_faces])
    return raw_from_polygons(vertices, corners, sizes, warnings)


def _read_stream(lines: list[bytes], n_vertices: int, n_faces: int) -> RawMesh | None:
    """The mesh of a file that breaks its lines anywhere, when its numbers are used up exactly; None otherwise.

    Where a few numbers are lost or doubled, others in their place may come out even. So no face may have fewer than
    three corners, and with nearly as many lines as a file of one item a line has, each item must begin one.
    """
    rows = [line.split() for line in lines]
    words = list(chain.from_iterable(rows))
    begins = [3 * vertex for vertex in range(n_vertices)]
    try:
        vertices = np.array(floats(words[: 3 * n_vertices]), np.float64).reshape(n_vertices, 3)
        numbers = integers(words[3 * n_vertices :])
        corners: list[int] = []
        sizes: list[int] = []
        at = 0
        for _ in range(n_faces):
            size = numbers[at]
            begins.append(3 * n_vertices + at)
            corners += numbers[at + 1 : at + 1 + size]
            sizes.append(size)
            at += 1 + size
        if at != len(numbers) or min(sizes, default=3) < 3:
            return None
        nearly = abs(len(lines) - n_vertices - n_faces) <= max(2, (n_vertices + n_faces) // 10)
        if nearly and not set(begins) <= set(accumulate(map(len, rows), initial=0)):
            return None
        packed = np.array(corners, np.int64), np.array(sizes, np.int64)
    except (ValueError, IndexError, OverflowError):
        return None
    return raw_from_polygons(vertices, *packed, [])


def statement_lines(data: bytes) -> list[bytes]:
    """The lines that hold a word, without comments and without the word OFF.

    Raises:
        MeshError: when the file does not begin with OFF, or is a variant that is not read.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = [line.partition(b"#")[0] for line in data.splitlines()] if b"#" in data else data.splitlines()
    lines = list(filter(bytes.strip, lines))
    first = lines[0].strip() if lines else b""
    match = _HEADER.match(first)
    if match is None:
        raise MeshError("expected the word OFF at the beginning, found something else. Is it another format?")
    if match[4] or match[5]:
        raise MeshError("expected vertices of three coordinates, found an OFF file of another dimension.")
    glued = first[match.end() :].strip()
    if glued.startswith(b"BINARY"):
        raise MeshError("expected a text OFF file, found a binary one. Convert it to PLY or to text.")
    lines[0] = glued
    return lines if glued else lines[1:]


def _counts(lines: list[bytes], size: int) -> tuple[int, int, list[bytes]]:
    """The numbers of vertices and faces, and the lines behind them.

    Raises:
        MeshError: when they are no counts, or the file is too short to hold that many.
    """
    try:
        n_vertices, n_faces = integers(lines[0].split()[:2]) if lines else []
    except ValueError:
        found = lines[0][:40].decode("utf-8", "backslashreplace") if lines else "nothing"
        raise MeshError(f"expected the numbers of vertices and faces behind OFF, found {found!r}.") from None
    if n_vertices < 0 or n_faces < 0 or _too_many(n_vertices, n_faces, size):
        raise MeshError(
            f"the header promises {n_vertices} vertices and {n_faces} faces, which {plural(size, 'byte')} cannot hold. "
            "The file is damaged or cut off; copy or export it again."
        )
    return n_vertices, n_faces, lines[1:]


def _too_many(n_vertices: int, n_faces: int, size: int) -> bool:
    """Whether a file of that size cannot hold as many vertices and faces."""
    return n_vertices * _SHORTEST_VERTEX + n_faces * _SHORTEST_FACE > size + 1


def _vertices(lines: list[bytes]) -> Float[np.ndarray, "V 3"]:
    """The first three numbers of each line.

    Raises:
        MeshError: for a line with fewer, or with something that is no number.
    """
    columns = table(lines)
    try:
        if columns is not None and len(columns) >= 3:
            return np.ascontiguousarray(np.array([floats(column) for column in columns[:3]]).T)
        rows = [line.split() for line in lines]
        for number, row in enumerate(rows):
            if len(row) < 3:
                raise MeshError(f"vertex {number}: expected three coordinates, found {len(row)}.")
        return np.array(floats(chain.from_iterable(row[:3] for row in rows))).reshape(-1, 3)
    except ValueError as error:
        raise MeshError(f"expected numbers as coordinates: {error}.") from None


def _corners(lines: list[bytes]) -> tuple[Int[np.ndarray, "C"], Int[np.ndarray, "N"]]:
    """The vertex indices of all faces one after the other, and the number of corners of each.

    Raises:
        MeshError: for a line that does not hold as many indices as it says, or something that is no whole number.
    """
    columns = table(lines)
    try:
        if columns is not None:
            sizes = np.array(integers(columns[0]), np.int64)
            size = int(sizes[0])
            if (sizes == size).all() and 1 <= size < len(columns):
                return np.array([integers(column) for column in columns[1 : size + 1]], np.int64).T.reshape(-1), sizes
        rows = [line.split() for line in lines]
        lengths = integers(row[0] for row in rows)
        for number, (length, row) in enumerate(zip(lengths, rows, strict=True)):
            if not 0 <= length < len(row):
                raise MeshError(f"face {number}: expected {length} indices, found {len(row) - 1}.")
        flat = integers(chain.from_iterable(row[1 : n + 1] for n, row in zip(lengths, rows, strict=True)))
        return np.array(flat, np.int64), np.array(lengths, np.int64)
    except (ValueError, OverflowError) as error:
        raise MeshError(f"expected whole numbers in the faces: {error}.") from None
