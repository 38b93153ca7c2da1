"""The colours of an OFF: behind the vertices of a COFF, or behind the corners of faces."""

import re

import numpy as np

from shapetool.errors import MeshError
from shapetool.geometry.readers.off import read_off, statement_lines
from shapetool.geometry.readers.raw import floats, integers
from shapetool.geometry.readers.source import Source
from shapetool.render.colours.raw import NEUTRAL, Material, RawPaint, cut, in_unit

_KIND = re.compile(rb"\s*(?:\xef\xbb\xbf)?(?:#[^\n]*\n|\s)*(ST)?(C)?(N)?OFF")


def off_paint(source: Source, warnings: list[str]) -> RawPaint | None:
    """The colours of an OFF file, None when it has none; vertices hold before faces.

    Raises:
        MeshError: when a colour is no colour.
    """
    lines = statement_lines(source.data)
    n_vertices, n_faces = integers(lines[0].split()[:2])
    if len(lines) - 1 != n_vertices + n_faces:
        return None  # lines broken anywhere, where nothing says what a further number is
    rows = [line.split() for line in lines[1:]]
    kind = _KIND.match(source.data)
    faces = rows[n_vertices:]
    try:
        sizes = np.array([int(row[0]) for row in faces], np.int64)
        corners = np.array([int(word) for row in faces for word in row[1 : 1 + int(row[0])]], np.int64)
        points = read_off(source.data).vertices
        triangles, polygon = cut(points[corners], sizes)
        white = [Material((1.0, 1.0, 1.0), corner_colours=True)]
        number = np.zeros(len(triangles), np.int64)
        if kind is not None and kind[2]:
            start, end = (6 if kind[3] else 3), (-2 if kind[1] else None)
            colours = _colours([row[start:end] for row in rows[:n_vertices]])
            return RawPaint(points[corners][triangles], white, number, None, colours[corners][triangles])
        behind = [row[1 + int(row[0]) :] for row in faces]
        if not any(len(row) >= 3 for row in behind):
            return None
        each = _colours(behind)[polygon]
        return RawPaint(points[corners][triangles], white, number, None, np.repeat(each[:, None], 3, axis=1))
    except (ValueError, IndexError, OverflowError) as error:
        raise MeshError(f"expected colours as three or four numbers: {str(error)[:80]}.") from None


def _colours(rows: list[list[bytes]]) -> np.ndarray:
    """A colour a row, of numbers to 1 or, where one is above, to 255; grey for a row without.

    Raises:
        ValueError: for a word that is no number.
    """
    found = np.full((len(rows), 3), NEUTRAL)
    full = [number for number, row in enumerate(rows) if len(row) >= 3]
    if full:
        found[full] = in_unit(np.array([floats(rows[number][:3]) for number in full]))
    return found
