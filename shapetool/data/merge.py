"""One file from shards, taken in one after the other and published in one step.

This is the one place where HDF5 writes to disk, for the whole may be larger than memory. The room for what comes is
reserved first, so HDF5 never asks a full disk for more.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from shapetool.data.atomic import beside, remove_leftovers, sync_file, sync_folder
from shapetool.data.layout import (
    DIGEST,
    LIBVER,
    ROW_DIGESTS,
    Column,
    chunk_count,
    chunk_shape,
    columns_of,
    create_column,
)
from shapetool.data.reading import open_dataset
from shapetool.data.room import INDEX_BYTES, SPARE, named_failure, opened, reserve
from shapetool.data.shardfile import open_file
from shapetool.data.shards import write_attributes, write_small_columns
from shapetool.errors import DataError

_OF_A_FOLDER = ("shard_index", "shard_count")  # attributes that mean nothing in a file that stands alone
Types = dict[str, tuple[str, tuple[int, ...]]]


def merge(folder: Path, out: Path, report: Callable[[int, int], None] | None = None) -> int:
    """The number of shapes in `out`, a file with all shapes of a dataset folder in order; it replaces what was there.

    Equal folders give equal bytes. `report(done, total)` is called after each shape. Samples travel with their
    checksums: what was damaged in a shard is refused by every reader of `out` too, and found by `verify`.

    Raises: DataError where the folder is incomplete or damaged; OSError (a full disk) naming `out`. In both cases
    nothing is left behind and an older `out` stands.
    """
    folder = Path(folder)
    with open_dataset(folder) as dataset:
        if not folder.is_dir():
            raise DataError(f"{folder}: expected a dataset folder, found a file. A single shard needs no merging.")
        total, done = len(dataset), 0

        def shape_done() -> None:
            nonlocal done
            done += 1
            if report is not None:
                report(done, total)

        with GrowingFile(out, dataset.kind) as file:
            return file.publish([file.add(path, shape_done) for path, _, _ in dataset.shards])


@dataclass
class Taken:
    """What a growing file holds of one shard besides its samples, for the small columns come last."""

    path: Path
    shapes: int
    types: Types
    small: dict[str, list[Any]]
    digests: list[str]
    attributes: dict[str, Any]


class GrowingFile:
    """A file that grows shard by shard under a name of its own, and gets that of `out` when it is published.

    It keeps nothing in memory and is closed between any two calls, so each may come from another process. The bytes
    depend on the shards and their order, not on when they came. Every method raises OSError naming `out` when there is
    no room for it; used in a `with`, nothing is left behind unless it was published.
    """

    def __init__(self, out: Path, kind: str, path: Path | None = None) -> None:
        self.out, self.kind = Path(out), kind
        self.path = path or beside(self.out)
        self._columns = columns_of(kind)

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)

    def add(self, path: Path, shape_done: Callable[[], None] = lambda: None) -> Taken:
        """What has to be handed to `publish`, once the samples of a shard are behind those that came before.

        Raises: DataError where the shard is damaged or differs in its samples' types from those before.
        """
        with open_file(path) as source:
            taken = self._take_small(source, path)
            if taken.shapes:
                if not self.path.exists():
                    self._begin(taken.types)
                self._reserve(taken.shapes * _bytes_per_row(self._columns, taken.types))
                with named_failure(self.out), opened(self.path) as file:
                    self._copy(source, file, taken, shape_done)
        return taken

    def publish(self, shards: Sequence[Taken]) -> int:
        """The number of shapes, once the file is on the disk under its name; `shards` are those added, in order.

        Raises: DataError where shards differ in the types of columns that hold nothing.
        """
        filled = [taken for taken in shards if taken.shapes] or list(shards[:1])
        types = filled[0].types
        for taken in filled:
            _check_types(taken.path, types, taken.types)
            if set(taken.small) != set(filled[0].small):
                raise DataError(f"{taken.path}: expected the columns of {filled[0].path.name}, found others.")
        if not self.path.exists():
            self._begin(types)
        digests = [digest for taken in shards for digest in taken.digests]
        small = {name: [v for taken in filled for v in taken.small[name]] for name in filled[0].small}
        self._reserve(2 * sum(np.asarray(values).nbytes for values in (*small.values(), digests)))
        with named_failure(self.out), opened(self.path) as file:
            for column in self._columns:
                if column.name in types and column.name not in file:
                    stored, row = types[column.name]
                    create_column(file, column, (len(digests), *row), np.dtype(stored))
            write_small_columns(file, self._columns, small)
            write_attributes(file, shards[0].attributes, digests)
        with named_failure(self.out):
            sync_file(self.path)
            os.replace(self.path, self.out)
            sync_folder(self.out.parent)
        return len(digests)

    def _take_small(self, source: h5py.File, path: Path) -> Taken:
        """A shard's small columns, row digests and root attributes."""
        if ROW_DIGESTS not in source or DIGEST not in source.attrs:
            raise DataError(f"{path}: expected the digest of each of its shapes, found none. Make the shard again.")
        here = [column for column in self._columns if not column.optional or column.name in source]
        types = _types(source, [column.name for column in here if not column.is_small])
        small = {column.name: list(source[column.name][...]) for column in here if column.is_small}
        digests = source[ROW_DIGESTS].asstr()[...].tolist()
        attributes = {name: value for name, value in source.attrs.items() if name not in (*_OF_A_FOLDER, DIGEST)}
        return Taken(path, len(digests), types, small, digests, attributes)

    def _begin(self, types: Types) -> None:
        """Makes the file, with columns that are to grow; one that holds nothing is made at the end."""
        with h5py.File.in_memory(libver=LIBVER) as file:
            for column in self._columns:
                if column.name in types and 0 not in types[column.name][1]:
                    stored, row = types[column.name]
                    create_column(file, column, (0, *row), np.dtype(stored), growing=True)
            file.flush()
            image: bytes = file.id.get_file_image()
        remove_leftovers(self.out.parent, self.out.name)
        with named_failure(self.out):
            self.path.write_bytes(image)

    def _reserve(self, size: int) -> None:
        """Makes sure of the disk's room for `size` more bytes, and for what HDF5 itself needs."""
        with named_failure(self.out, self.path.stat().st_size + size + SPARE):
            reserve(self.path, size)

    def _copy(self, source: h5py.File, file: h5py.File, taken: Taken, shape_done: Callable[[], None]) -> None:
        names = [column.name for column in self._columns if column.name in file]
        _check_types(taken.path, _types(file, names), {name: taken.types[name] for name in names})
        pairs = [(source[name], file[name]) for name in names]
        first = len(pairs[0][1]) if pairs else 0
        for _, target in pairs:
            target.resize(first + taken.shapes, axis=0)
        for row in range(taken.shapes):
            for given, target in pairs:
                copy_row(given, row, target, first + row)
            shape_done()
        file.flush()  # while the datasets are held


def _types(file: h5py.File, names: Sequence[str]) -> Types:
    """The type and the shape of a row of these columns."""
    return {name: (file[name].dtype.str, tuple(file[name].shape[1:])) for name in names}


def _bytes_per_row(columns: Sequence[Column], types: Types) -> int:
    """What one shape takes in a growing file at most."""
    size = 0
    for column in columns:
        if column.name not in types:
            continue
        stored, row = types[column.name]
        chunks = chunk_shape((1, *row), column)
        if chunks is not None:
            count = chunk_count((1, *row), chunks)
            size += count * (math.prod(chunks) * np.dtype(stored).itemsize + 4 + INDEX_BYTES)
    return size


def _check_types(path: Path, before: Types, found: Types) -> None:
    """Nothing; raises DataError unless a shard's samples have the types of those before."""
    if found != before:
        raise DataError(f"{path}: expected samples as in the shards before, {before}, found {found}.")


def copy_row(source: h5py.Dataset, row: int, target: h5py.Dataset, target_row: int) -> None:
    """Nothing; copies one row, chunk by chunk as stored, checksums included.

    A third of the time of reading and writing the values; what was damaged stays recognisable as damaged.
    """
    if source.chunks != target.chunks or not _is_only_checksummed(source):
        target[target_row] = source[row]  # a shard that some tool has repacked
        return
    rest = (0,) * (len(target.shape) - 2)
    for begin in range(0, target.shape[1], target.chunks[1]):
        mask, data = source.id.read_direct_chunk((row, begin, *rest))
        target.id.write_direct_chunk((target_row, begin, *rest), data, mask)


def _is_only_checksummed(dataset: h5py.Dataset) -> bool:
    """Whether the chunks of this dataset are plain numbers followed by a checksum."""
    return bool(dataset.fletcher32 and dataset.compression is None and not dataset.shuffle)
