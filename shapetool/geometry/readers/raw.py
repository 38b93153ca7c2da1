"""What every reader returns, and the checks that every reader of polygons needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.polygons import triangulate


@dataclass(frozen=True)
class Part:
    """Which primitive of a glTF the next vertices and triangles are of, and how many they are."""

    mesh: int
    primitive: int
    vertices: int
    faces: int


@dataclass(frozen=True, eq=False)
class RawMesh:
    """Vertices and triangles as a file holds them, with a sentence for each thing that was left out or looked odd."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    warnings: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)  # in the order of the vertices; of a glTF alone


def raw_from_polygons(
    vertices: Float[np.ndarray, "V 3"],
    corners: Int[np.ndarray, "C"],
    sizes: Int[np.ndarray, "N"],
    warnings: list[str],
    where: Sequence[int] | None = None,
) -> RawMesh:
    """The polygons cut into triangles; `corners` holds the vertex indices of all polygons one after the other.

    `where` gives the line of each polygon, for the error text.

    Raises:
        MeshError: when an index points at no vertex.
    """
    bad = (corners < 0) | (corners >= len(vertices))
    if bad.any():
        corner = int(np.argmax(bad))
        face = int(np.searchsorted(np.cumsum(sizes), corner, side="right"))
        place = f"line {where[face]}: face" if where is not None else f"face {face}"
        raise MeshError(
            f"{place} uses vertex {int(corners[corner])} (counted from 0), but there are {len(vertices)} vertices. "
            "The file is damaged or cut off; export it again."
        )
    faces, more = triangulate(vertices, corners, sizes)
    return RawMesh(vertices, faces, warnings + more)


def table(lines: list[bytes]) -> list[list[bytes]] | None:
    """The columns of lines that hold equally many words each, or None; much faster than line by line."""
    width = len(lines[0].split()) if lines else 0
    text = b" | ".join(lines)
    words = text.split()
    stride = width + 1
    regular = len(words) == len(lines) * stride - 1 and words[width::stride].count(b"|") == len(lines) - 1
    if not width or not regular or b"_" in text:
        return None
    return [words[column::stride] for column in range(width)]


def floats(words: Iterable[bytes]) -> list[float]:
    """The words as numbers.

    Raises:
        ValueError: for a word that is no number; Python's `1_000` is none.
    """
    return list(map(float, _plain(words)))


def integers(words: Iterable[bytes]) -> list[int]:
    """The words as whole numbers.

    Raises:
        ValueError: for a word that is no whole number; Python's `1_000` is none.
    """
    return list(map(int, _plain(words)))


def _plain(words: Iterable[bytes]) -> list[bytes]:
    """The words, when none of them holds an underscore."""
    words = list(words)
    if b"_" in b" ".join(words):
        raise ValueError("an underscore is no part of a number")
    return words
