"""One shard file: opened, and checked to be whole, of layout 1, and to reach nowhere outside itself."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.data.layout import (
    DIGEST,
    FORMAT,
    LAYOUT,
    REQUIRED_ATTRIBUTES,
    ROW_DIGESTS,
    Column,
    chunk_count,
    columns_of,
    plain,
    shard_digest,
)
from shapetool.data.outside import plain_file
from shapetool.errors import DataError

_PLAIN_FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, fletcher32, lzf: code that h5py itself carries


@dataclass(frozen=True)
class Shard:
    """What one shard file says about itself: everything but the samples."""

    path: Path
    attributes: dict[str, Any]
    shape_ids: tuple[str, ...]
    shapes: dict[str, tuple[str, list[int]]]
    row_digests: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind of data: "sdf"."""
        return str(self.attributes["kind"])

    @property
    def index(self) -> int | None:
        """The place of the shard in its folder, or None for a file that stands alone."""
        value = self.attributes.get("shard_index")
        return None if value is None else int(value)

    @property
    def origin(self) -> tuple[Any, ...]:
        """What all shards of one data set share."""
        names = ("kind", "recipe", "seed", "shard_count", "manifest_sha256")
        return tuple(self.attributes.get(name) for name in names)


def open_file(path: Path) -> h5py.File:
    """The HDF5 file at `path`, opened for reading.

    Raises: DataError where it is missing, truncated, not HDF5 or no plain file; OSError where the system refuses.
    """
    try:
        with open(plain_file(path), "rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a shard, found no such file. Run the command that made it again.") from error
    if start != b"\x89HDF\r\n\x1a\n":
        raise DataError(f"{path}: expected an HDF5 file, found something else. Is it a shapetool shard?")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if error.errno:
            raise
        raise DataError(f"{path}: expected a whole shard, found a damaged or truncated file ({error}).") from error


def describe_shard(path: Path) -> Shard:
    """What the shard at `path` says about itself, after every check that does not read its samples.

    Raises: DataError where it is not a whole shard of layout 1 or reaches outside itself.
    """
    with open_file(path) as file:
        return _describe(file, path)


def _describe(file: h5py.File, path: Path) -> Shard:
    """`describe_shard` on an open file."""
    try:
        attributes = {name: plain(file.attrs[name]) for name in file.attrs}
        _check_attributes(attributes, path)
        columns = tuple(
            column for column in columns_of(attributes["kind"]) if not column.optional or column.name in file
        )
        shapes = {column.name: _check_column(file, column, path) for column in columns}
        ids = tuple(file["shape_id"].asstr()[...].tolist())
        digests = _row_digests(file, path)
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a whole shard, found a damaged one ({error}).") from error
    _check_lengths(columns, shapes, path)
    rows = {name: (kind, shape[1:]) for name, (kind, shape) in shapes.items()}
    if DIGEST in attributes and shard_digest(attributes, rows, digests) != attributes[DIGEST]:
        raise DataError(f"{path}: its attributes do not match their digest: the file was damaged or edited.")
    return Shard(path, attributes, ids, rows, digests)


def _check_attributes(attributes: dict[str, Any], path: Path) -> None:
    """Nothing; raises DataError unless the root attributes are those of a shard of layout 1."""
    missing = [name for name in REQUIRED_ATTRIBUTES if name not in attributes]
    if missing:
        raise DataError(f"{path}: expected a shapetool shard, found no attribute '{missing[0]}'.")
    if attributes["format"] != FORMAT or attributes["layout"] != LAYOUT:
        found = f"format {attributes['format']!r}, layout {attributes['layout']!r}"
        raise DataError(f"{path}: expected a shapetool shard of layout {LAYOUT}, found {found}.")
    try:
        if not isinstance(json.loads(attributes["recipe"]), dict):
            raise ValueError("no object")
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected a recipe in JSON, found {str(attributes['recipe'])[:200]!r}.") from error
    for name in ("seed", "shard_index", "shard_count"):
        if name in attributes and not isinstance(attributes[name], int):
            raise DataError(f"{path}: expected a whole number as {name}, found {str(attributes[name])[:60]!r}.")


def _check_column(file: h5py.File, column: Column, path: Path) -> tuple[str, list[int]]:
    """Type and shape of a column, after it has been seen to lie whole inside this file."""
    where = f"{path}, {column.name}"
    dataset = inside_file(file, column.name, where)
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if not (is_text if column.is_text else dataset.dtype in [np.dtype(name) for name in column.types]):
        raise DataError(f"{where}: expected {' or '.join(column.types)}, found {dataset.dtype}.")
    shape = dataset.shape
    fixed = [axis if isinstance(axis, int) else None for axis in column.axes]
    if len(shape) != 1 + len(fixed) or any(w not in (None, n) for w, n in zip(fixed, shape[1:], strict=True)):
        raise DataError(f"{where}: expected shape {('S', *column.axes)}, found {shape}.")
    return ("text" if column.is_text else dataset.dtype.str), list(shape)


def inside_file(file: h5py.File, name: str, where: str) -> h5py.Dataset:
    """The dataset of this name; DataError where bytes would come from elsewhere, are missing, or need foreign code."""
    link = file.get(name, getlink=True)
    if link is None:
        raise DataError(f"{where}: expected this dataset, found none.")
    if not isinstance(link, h5py.HardLink):
        raise DataError(f"{where}: refused, for it is a link to somewhere else. Copy the data into the file.")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{where}: expected a dataset, found {type(dataset).__name__}.")
    settings = dataset.id.get_create_plist()
    if settings.get_external_count() or dataset.is_virtual:
        raise DataError(f"{where}: refused, for its bytes lie in another file. Copy the data into the file.")
    filters = {settings.get_filter(i)[0] for i in range(settings.get_nfilters())}
    if not filters <= _PLAIN_FILTERS:
        raise DataError(f"{where}: refused, for it needs the HDF5 filter {max(filters - _PLAIN_FILTERS)}.")
    if not _is_stored(dataset):
        raise DataError(f"{where}: parts of the data are missing from the file. Make it again.")
    return dataset


def _is_stored(dataset: h5py.Dataset) -> bool:
    """Whether the file holds every value; HDF5 would invent the others, however many a few bytes promise."""
    if dataset.chunks is not None:
        return bool(dataset.id.get_num_chunks() == chunk_count(dataset.shape, dataset.chunks))
    return bool(dataset.id.get_storage_size() == math.prod(dataset.shape) * dataset.id.get_type().get_size())


def _check_lengths(columns: tuple[Column, ...], shapes: dict[str, tuple[str, list[int]]], path: Path) -> None:
    """Nothing; raises DataError unless S, P and M are the same in every column."""
    lengths: dict[str, int] = {}
    for column in columns:
        for axis, n in zip(("S", *column.axes), shapes[column.name][1], strict=True):
            if isinstance(axis, str) and lengths.setdefault(axis, n) != n:
                raise DataError(f"{path}, {column.name}: expected {axis} = {lengths[axis]} as elsewhere, found {n}.")


def _row_digests(file: h5py.File, path: Path) -> tuple[str, ...]:
    """The digest of each row, or nothing in a file that carries none."""
    if ROW_DIGESTS not in file:
        return ()
    dataset = inside_file(file, ROW_DIGESTS, f"{path}, {ROW_DIGESTS}")
    return tuple(dataset.asstr()[...].tolist())
