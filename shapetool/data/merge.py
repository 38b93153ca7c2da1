"""One file from a dataset folder, streamed shape by shape and published in one step.

This is the one place where HDF5 writes to disk, for the whole may be larger than memory. The file's small parts are
laid out in memory first and its whole length is reserved, so HDF5 never asks a full disk for more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.data.layout import (
    DIGEST,
    LIBVER,
    ROW_DIGESTS,
    chunk_count,
    chunk_shape,
    columns_of,
    create_column,
)
from shapetool.data.reading import Dataset, open_dataset
from shapetool.data.shardfile import open_file
from shapetool.data.shards import (
    leftover_path,
    remove_leftovers,
    sync_folder,
    write_attributes,
    write_small_columns,
)
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
    folder, out = Path(folder), Path(out)
    dataset = open_dataset(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a dataset folder, found a file. A single shard needs no merging.")
    with dataset:
        skeleton, size = _skeleton(dataset)
        remove_leftovers(out.parent, out.name)
        beside = leftover_path(out)
        try:
            _reserve(beside, skeleton, size)
            _fill(beside, dataset, report)
            os.replace(beside, out)
            sync_folder(out.parent)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            if isinstance(error, OSError) and error.errno:
                reason = f"{os.strerror(error.errno)} while writing {size} bytes"
                raise OSError(error.errno, reason, str(out)) from error
            raise
    return len(dataset)


def _skeleton(dataset: Dataset) -> tuple[bytes, int]:
    """The merged file without its samples, and the bytes that the whole takes at most."""
    columns = columns_of(dataset.kind)
    held, digests, attributes = _small_parts(dataset)
    with h5py.File.in_memory(libver=LIBVER) as file:
        size = _ROOM
        for column in columns:
            if column.is_small:
                continue
            stored, row_shape = dataset.shapes[column.name]
            shape, kind = (len(dataset), *row_shape), np.dtype(stored)
            create_column(file, column, shape, kind)
            chunks = chunk_shape(shape)
            if chunks is not None:
                size += chunk_count(shape, chunks) * (int(np.prod(chunks)) * kind.itemsize + 4 + _INDEX_BYTES)
        write_small_columns(file, columns, held)
        write_attributes(file, attributes, digests)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image, size + len(image)


def _small_parts(dataset: Dataset) -> tuple[dict[str, list[Any]], list[str], dict[str, Any]]:
    """The small columns of all shards, their row digests, and the root attributes of the merged file."""
    names = [column.name for column in columns_of(dataset.kind) if column.is_small]
    held: dict[str, list[Any]] = {name: [] for name in names}
    digests: list[str] = []
    attributes: dict[str, Any] = {}
    for path, rows, _ in dataset.shards:
        with open_file(path) as file:
            attributes = attributes or dict(file.attrs)
            for name in names:
                held[name].extend(file[name][...])
            if ROW_DIGESTS not in file or DIGEST not in file.attrs:
                raise DataError(f"{path}: expected the digests of its {rows} shapes, found none. Make the shard again.")
            digests.extend(file[ROW_DIGESTS].asstr()[...].tolist())
    return held, digests, {k: v for k, v in attributes.items() if k not in (*_OF_A_FOLDER, DIGEST)}


def _reserve(path: Path, start: bytes, size: int) -> None:
    """Nothing; makes a file of `size` bytes that begins with `start` and whose room on the disk is taken.

    Raises: OSError (ENOSPC) where there is not that much room.
    """
    with open(path, "wb") as file:
        file.write(start)
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            for begin in range(len(start), size, _ROOM):
                file.write(bytes(min(_ROOM, size - begin)))
            file.flush()
            os.fsync(file.fileno())


def _fill(path: Path, dataset: Dataset, report: Callable[[int, int], None] | None) -> None:
    """Nothing; copies the samples into the file, cut to its true length at the end, and sends it to the disk."""
    large = [column.name for column in columns_of(dataset.kind) if not column.is_small]
    done = 0
    with h5py.File(path, "r+", libver=LIBVER, locking=False) as file:
        for source_path, rows, _ in dataset.shards:
            with open_file(source_path) as source:
                for row in range(rows):
                    for name in large:
                        copy_row(source[name], row, file[name], done)
                    done += 1
                    if report is not None:
                        report(done, len(dataset))
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_row(source: h5py.Dataset, row: int, target: h5py.Dataset, target_row: int) -> None:
    """Nothing; copies one row, chunk by chunk as stored, checksums included.

    A third of the time of reading and writing the values; what was damaged stays recognisable as damaged.
    """
    if 0 in target.shape:
        return
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
