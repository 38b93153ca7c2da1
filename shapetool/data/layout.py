"""Layout 1 of a shard: its columns, their types and chunks, and the digests that bind them together."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from shapetool import __version__
from shapetool.errors import DataError, suggestion

FORMAT = "shapetool"
LAYOUT = 1
# The scene batch of DeepSDF: a training step draws one such slice of a shape, so it reads one chunk of each column.
CHUNK_POINTS = 16384
CHUNK_NODES = 1 << 18
# Small columns (names, frames) are cut into chunks of this many shapes.
CHUNK_SHAPES = 4096
# 1.10 is the oldest HDF5 (2016) whose metadata carry checksums; newer features are not used.
LIBVER = ("v110", "v110")
DIGEST = "digest"
ROW_DIGESTS = "sha256"
REQUIRED_ATTRIBUTES = ("format", "layout", "kind", "recipe", "seed", "shapetool_version")


@dataclass(frozen=True)
class Column:
    """One dataset of a shard: `types` it may have, and its shape per shape, with letters for free lengths.

    All shapes of a data set have an `optional` one, or none has.
    """

    name: str
    types: tuple[str, ...]
    axes: tuple[str | int, ...] = ()
    optional: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the column holds utf-8 text."""
        return self.types == ("text",)

    @property
    def is_image(self) -> bool:
        """Whether the column holds a picture for each view."""
        return "H" in self.axes

    @property
    def is_small(self) -> bool:
        """Whether a whole shard's worth of this column is only a few bytes a shape."""
        return len(self.axes) < 2 and not any(isinstance(axis, str) for axis in self.axes)


_FRAME = (
    Column("shape_id", ("text",)),
    Column("source", ("text",)),
    Column("scale", ("f8",)),
    Column("offset", ("f8",), (3,)),
    Column("watertight", ("bool",)),
    Column("sign_method", ("text",)),
)
_SURFACE = (Column("surface_points", ("f4",), ("M", 3)), Column("surface_normals", ("f4",), ("M", 3)))

_POINTS = Column("points", ("f4", "f2"), ("P", 3))
_PIXELS = ("N", "H", "W")  # views, rows of pixels from the top, pixels of a row from the left

KINDS: dict[str, tuple[Column, ...]] = {
    "evaluation": (Column("shape_id", ("text",)),),
    "sdf": (*_FRAME, _POINTS, Column("distances", ("f4", "f2"), ("P",)), *_SURFACE),
    "lattice": (
        *_FRAME,
        Column("low", ("f8",), (3,)),
        Column("high", ("f8",), (3,)),
        Column("lattice", ("f4", "f2"), ("N", "N", "N")),
    ),
    "occupancy": (
        *_FRAME,
        _POINTS,
        Column("inside", ("bool",), ("P",)),
        *_SURFACE,
        Column("low", ("f8",), (3,), optional=True),
        Column("high", ("f8",), (3,), optional=True),
        Column("solid", ("bool",), ("N", "N", "N"), optional=True),
        Column("surface", ("bool",), ("N", "N", "N"), optional=True),
        Column("order", ("i4",), ("P",), optional=True),
        Column("voxels", ("bool",), (64, 64, 64), optional=True),
    ),
    "views": (
        *_FRAME,
        Column("intrinsics", ("f8",), ("N", 3, 3)),
        Column("pose", ("f8",), ("N", 4, 4)),
        Column("images", ("u1",), (*_PIXELS, 3), optional=True),
        Column("alpha", ("u1",), _PIXELS, optional=True),
        Column("depth", ("f4",), _PIXELS, optional=True),
        Column("ray_length", ("f4",), _PIXELS, optional=True),
        Column("normals", ("f4",), (*_PIXELS, 3), optional=True),
        Column("camera_normals", ("f4",), (*_PIXELS, 3), optional=True),
        Column("silhouette", ("bool",), _PIXELS, optional=True),
        Column("face", ("i4",), _PIXELS, optional=True),
        Column("coordinates", ("f4",), (*_PIXELS, 3), optional=True),
    ),
}


def columns_of(kind: str) -> tuple[Column, ...]:
    """The columns that a shard of this kind holds or may hold, in the order in which they are hashed.

    Raises: DataError for an unknown kind.
    """
    if kind not in KINDS:
        raise DataError(f"unknown kind of shard {kind!r}{suggestion(kind, KINDS)}")
    return KINDS[kind]


def chunk_shape(shape: Sequence[int], column: Column) -> tuple[int, ...] | None:
    """The HDF5 chunk for a column of this shape: one shape and CHUNK_POINTS points, or None where nothing is held.

    Of a lattice: as many of its planes as make CHUNK_NODES nodes, at least one. Of images: one view.
    """
    if 0 in shape:
        return None
    if column.is_image:
        return (1, 1, *shape[2:])
    if math.prod(shape[1:]) <= 16:
        return (min(shape[0], CHUNK_SHAPES), *shape[1:])
    rows = max(1, CHUNK_NODES // math.prod(shape[2:])) if len(shape) == 4 else CHUNK_POINTS
    return (1, min(shape[1], rows), *shape[2:])


def chunk_count(shape: Sequence[int], chunks: Sequence[int]) -> int:
    """How many chunks of this shape a complete dataset has."""
    return math.prod(-(-n // c) for n, c in zip(shape, chunks, strict=True))


def create_column(
    file: h5py.File, column: Column, shape: tuple[int, ...], stored: np.dtype[Any], *, growing: bool = False
) -> h5py.Dataset:
    """A new dataset of this shape and type, checksummed, in which what was never written reads as NaN.

    A `growing` one takes any number of shapes, whatever `shape` says of them; a row must hold something.
    """
    chunks = chunk_shape((1, *shape[1:]) if growing else shape, column)
    extra: dict[str, Any] = {} if chunks is None else {"chunks": chunks, "fletcher32": True}
    if growing:
        extra["maxshape"] = (None, *shape[1:])
    if stored.kind == "f":
        extra["fillvalue"] = np.nan
    return file.create_dataset(column.name, shape, stored, **extra)


def text_type(values: Iterable[bytes]) -> np.dtype[Any]:
    """The fixed-length utf-8 type that the longest of these values needs.

    Fixed length, because variable-length text lies in a heap that HDF5 neither checksums nor lays out by content.
    """
    stored: np.dtype[Any] = h5py.string_dtype("utf-8", max((len(value) for value in values), default=1) or 1)
    return stored


def encode_text(value: str, where: str) -> bytes:
    """The utf-8 bytes of a name.

    Raises: DataError where the name cannot be stored (a NUL, or bytes that are not text).
    """
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: expected text that utf-8 can hold, came {value!r}. Rename the file.") from error
    if b"\0" in data:
        raise DataError(f"{where}: expected text without NUL, came {value!r}. Rename the file.")
    return data


def row_digest(kind: str, row: Mapping[str, Any]) -> str:
    """The sha256 of everything that a shard of this kind says about one shape, in hex."""
    digest = hashlib.sha256()
    for column in columns_of(kind):
        if column.optional and column.name not in row:
            continue
        value = row[column.name]
        if column.is_text:
            data = value if isinstance(value, bytes) else str(value).encode("utf-8")
            digest.update(f"{column.name}:text:{len(data)}\n".encode() + data)
            continue
        array = np.ascontiguousarray(value, dtype=bool if column.types == ("bool",) else None)
        digest.update(f"{column.name}:{array.dtype.str}:{np.shape(value)}\n".encode())
        if array.size:
            digest.update(array.data)
    return digest.hexdigest()


def shard_digest(
    attributes: Mapping[str, Any], shapes: Mapping[str, tuple[str, list[int]]], rows: Sequence[str]
) -> str:
    """The sha256 of a shard's attributes, column types and row digests, in hex: one word for its whole content.

    `shapes` gives type and shape of one row of each column.
    """
    named = {name: plain(value) for name, value in attributes.items() if name != DIGEST}
    text = json.dumps([named, {name: list(value) for name, value in shapes.items()}, list(rows)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """An attribute as Python's own str, int, float or bool."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value.item() if isinstance(value, np.generic) else value


def root_attributes(kind: str, recipe: Mapping[str, Any], seed: int, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that every shard carries at its root, without the digest, and `extra` after them.

    Raises: DataError where `extra` has a name of the layout's own.
    """
    text = json.dumps(recipe, sort_keys=True, allow_nan=False, ensure_ascii=False)
    named = {"format": FORMAT, "layout": LAYOUT, "kind": kind, "recipe": text, "seed": int(seed)}
    clash = sorted(set(extra) & {*REQUIRED_ATTRIBUTES, DIGEST})
    if clash:
        raise DataError(f"extra attribute '{clash[0]}' is one of the layout's own. Choose another name.")
    return {**named, "shapetool_version": __version__, **dict(sorted(extra.items()))}
