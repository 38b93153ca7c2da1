"""One HDF5 file for many shapes, a row each: written row by row, whatever it grows to, and whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from shapetool.data.atomic import beside, remove_leftovers
from shapetool.data.formats.hdf5 import BROKEN, checked_dataset
from shapetool.data.formats.npz import Array, Key
from shapetool.data.layout import LIBVER
from shapetool.data.room import INDEX_BYTES, named_failure, opened, reserve
from shapetool.data.shardfile import open_file
from shapetool.errors import DataError

ROWS_AT_ONCE = 16
COMPRESSION = 9  # as IM-NET's own scripts


class StackedFile:
    """A file that takes rows of uint8 and gets the name `path` when it is published.

    Used in a `with`, nothing is left behind unless it was published. Every method raises OSError naming `path` when
    there is no room.
    """

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Begins a file whose rows have these shapes by the names of the datasets."""
        self.path, self._shapes = path, dict(shapes)
        self._temporary = beside(path)
        self._waiting: list[Mapping[str, Array]] = []
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        with h5py.File.in_memory(libver=LIBVER) as file:
            for name, shape in self._shapes.items():
                file.create_dataset(
                    name,
                    (0, *shape),
                    np.uint8,
                    maxshape=(None, *shape),
                    chunks=(1, *shape),
                    compression=COMPRESSION,
                    track_times=False,
                )
            file.flush()
            image: bytes = file.id.get_file_image()
        with named_failure(path):
            self._temporary.write_bytes(image)

    def __enter__(self) -> StackedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object | TracebackType
    ) -> None:
        with suppress(OSError):  # a disk that refuses this too; the next run removes it
            self._temporary.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Array]) -> None:
        """None, once the row is taken; it is written with the others that wait."""
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == ROWS_AT_ONCE:
            self._flush()

    def publish(self) -> None:
        """None, once the file has its name."""
        self._flush()
        with named_failure(self.path):
            os.replace(self._temporary, self.path)

    def _flush(self) -> None:
        if not self._waiting:
            return
        # What deflate cannot shrink it stores, with a few bytes a block.
        size = sum(array.nbytes + array.nbytes // 1000 + INDEX_BYTES for row in self._waiting for array in row.values())
        with named_failure(self.path):
            reserve(self._temporary, size)
        first = self.rows - len(self._waiting)
        with named_failure(self.path), opened(self._temporary) as file:
            for name in self._shapes:
                dataset = file[name]
                dataset.resize(self.rows, axis=0)
                for place, row in enumerate(self._waiting, first):
                    dataset[place] = row[name]
                dataset.flush()
        self._waiting = []


def stacked_rows(path: Path, keys: Mapping[str, Key]) -> int:
    """How many rows the datasets of these names have, all equally many.

    Raises:
        DataError: the file is missing, damaged or foreign, or a dataset is missing, of another type or shape, or not
            wholly in this file.
    """
    with open_file(path) as file:
        lengths = {name: checked_dataset(file, path, name, key).shape[0] for name, key in keys.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"{path}: expected equally many rows, found {lengths}. The file is damaged or foreign.")
    return int(next(iter(lengths.values())))


def stacked_row(path: Path, keys: Mapping[str, Key], row: int) -> dict[str, Array]:
    """One row of the datasets of these names.

    Raises:
        DataError: as `stacked_rows` does, or the row is not there or damaged.
    """
    with open_file(path) as file:
        checked = {name: checked_dataset(file, path, name, key) for name, key in keys.items()}
        try:
            return {name: np.asarray(dataset[row]) for name, dataset in checked.items()}
        except (*BROKEN, IndexError) as error:
            raise DataError(f"{path}, row {row}: expected whole data, found damaged ones ({error}).") from error
