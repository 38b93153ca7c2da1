"""One file from shards, taken in one after the other and published in one step.

This is the one place where HDF5 writes to disk, for the whole may be larger than memory. The room for what comes is
reserved first, so HDF5 never asks a full disk for more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from shapetool.data.atomic import beside, remove_leftovers, sync_folder
from shapetool.data.layout import DIGEST, LIBVER, ROW_DIGESTS, chunk_count, columns_of, create_column
from shapetool.data.reading import open_dataset
from shapetool.data.shardfile import open_file
from shapetool.data.shards import write_attributes, write_small_columns
from shapetool.errors import DataError

_OF_A_FOLDER = ("shard_index", "shard_count")  # attributes that mean nothing in a file that stands alone
_INDEX_BYTES = 64  # what HDF5's chunk index takes a chunk at most, with room to spare
_ROOM = 1 << 20  # for object headers and index pages


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

        with Joiner(out, dataset.kind) as joiner:
            for path, _, _ in dataset.shards:
                joiner.add(path, shape_done)
            return joiner.publish()


class Joiner:
    """A file that grows shard by shard and appears under its name when it is published.

    The bytes depend on the shards and their order, not on when they came. Every method raises OSError naming the file
    when there is no room for it; used in a `with`, nothing is left behind unless it was published.
    """

    def __init__(self, out: Path, kind: str) -> None:
        self._out = Path(out)
        self._beside = beside(self._out)
        self._columns = columns_of(kind)
        self._held: dict[str, list[Any]] = {column.name: [] for column in self._columns if column.is_small}
        self._digests: list[str] = []
        self._attributes: dict[str, Any] = {}
        self._rows: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._file: h5py.File | None = None
        self._reserved = 0

    def __enter__(self) -> Joiner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def add(self, path: Path, shape_done: Callable[[], None] = lambda: None) -> None:
        """None, once the shapes of a shard are behind those that came before.

        Raises: DataError where the shard is damaged or differs in its samples' types from those before.
        """
        with open_file(path) as source:
            self._take_small(source, path)
            rows = len(source[self._columns[0].name])
            found = {name: (source[name].dtype, source[name].shape[1:]) for name in self._large()}
            if not rows:
                self._rows = self._rows or found
                return
            if self._file is None:
                self._rows = found
                self._begin()
            if found != self._rows:
                raise DataError(f"{path}: expected samples as in the shards before, {self._rows}, found {found}.")
            self._reserve(rows * self._bytes_per_row())
            self._copy(source, rows, shape_done)

    def publish(self) -> int:
        """The number of shapes, once the file is on the disk under its name."""
        if self._file is None:
            self._begin()
        assert self._file is not None
        shapes = len(self._digests)
        self._reserve(2 * sum(np.asarray(values).nbytes for values in (*self._held.values(), self._digests)))
        for column in self._columns:
            if not column.is_small and column.name not in self._file:
                stored, row = self._rows[column.name]
                create_column(self._file, column, (shapes, *row), stored)
        write_small_columns(self._file, self._columns, self._held)
        write_attributes(self._file, self._attributes, self._digests)
        self._file.close()
        self._file = None
        os.truncate(self._beside, _true_length(self._beside))
        self.sync()
        os.replace(self._beside, self._out)
        sync_folder(self._out.parent)
        return shapes

    def sync(self) -> None:
        """None, once what was added so far is on the disk."""
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self._beside, os.O_RDWR)
            try:
                os.fsync(descriptor)
            except OSError as error:
                raise self._failure(error) from error
            finally:
                os.close(descriptor)

    def discard(self) -> None:
        """None; removes what was not published."""
        if self._file is not None:
            self._file.close()
            self._file = None
        with contextlib.suppress(OSError):
            self._beside.unlink(missing_ok=True)

    def _large(self) -> list[str]:
        return [column.name for column in self._columns if not column.is_small]

    def _take_small(self, source: h5py.File, path: Path) -> None:
        """Keeps a shard's small columns, row digests and, of the first one, the root attributes."""
        if ROW_DIGESTS not in source or DIGEST not in source.attrs:
            raise DataError(f"{path}: expected the digest of each of its shapes, found none. Make the shard again.")
        self._attributes = self._attributes or {
            name: value for name, value in source.attrs.items() if name not in (*_OF_A_FOLDER, DIGEST)
        }
        for name, held in self._held.items():
            held.extend(source[name][...])
        self._digests.extend(source[ROW_DIGESTS].asstr()[...].tolist())

    def _begin(self) -> None:
        """Makes the file, with columns that are to grow; one that holds nothing is made at the end."""
        with h5py.File.in_memory(libver=LIBVER) as file:
            for column in self._columns:
                if column.name in self._rows and 0 not in self._rows[column.name][1]:
                    stored, row = self._rows[column.name]
                    create_column(file, column, (0, *row), stored, growing=True)
            file.flush()
            image: bytes = file.id.get_file_image()
        remove_leftovers(self._out.parent, self._out.name)
        try:
            self._beside.write_bytes(image)
        except OSError as error:
            raise self._failure(error) from error
        self._reserve(len(image) + _ROOM)
        self._file = h5py.File(self._beside, "r+", libver=LIBVER, locking=False)

    def _bytes_per_row(self) -> int:
        """What one shape takes in the file at most."""
        assert self._file is not None
        size = 0
        for name in self._large():
            if name in self._file:
                dataset = self._file[name]
                count = chunk_count((1, *dataset.shape[1:]), dataset.chunks)
                size += count * (int(np.prod(dataset.chunks)) * dataset.dtype.itemsize + 4 + _INDEX_BYTES)
        return size

    def _reserve(self, size: int) -> None:
        """Makes sure of the disk's room for `size` more bytes."""
        if not size:
            return
        end = self._reserved + size
        try:
            with open(self._beside, "r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), self._reserved, size)
                else:
                    file.seek(0, os.SEEK_END)
                    for begin in range(file.tell(), end, _ROOM):
                        file.write(bytes(min(_ROOM, end - begin)))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise self._failure(error) from error
        self._reserved = end

    def _copy(self, source: h5py.File, rows: int, shape_done: Callable[[], None]) -> None:
        assert self._file is not None
        pairs = [(source[name], self._file[name]) for name in self._large() if name in self._file]
        first = len(self._digests) - rows
        for _, target in pairs:
            target.resize(first + rows, axis=0)
        for row in range(rows):
            for given, target in pairs:
                copy_row(given, row, target, first + row)
            shape_done()

    def _failure(self, error: OSError) -> OSError:
        reason = f"{os.strerror(error.errno or 0)} while writing {self._reserved} bytes"
        return OSError(error.errno, reason, str(self._out))


def _true_length(path: Path) -> int:
    """Where the content of an HDF5 file ends, which may have room reserved behind it.

    Source: HDF5 File Format Specification, superblock versions 2 and 3: the end of file address is at byte 28.
    """
    with open(path, "rb") as file:
        head = file.read(36)
    assert head[8] in (2, 3), "LIBVER asks for a superblock of version 3"
    return int.from_bytes(head[28:36], "little")


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
