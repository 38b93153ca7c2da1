"""Writing shards: built whole in memory, then published in one step. Reading is re-exported here.

HDF5 never meets the file system while a shard is written: on a full disk it leaves files that open cleanly and read
zeros, and takes the interpreter down at exit. A file image and a plain `write` have one clean failure, OSError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.data.layout import (
    DIGEST,
    LIBVER,
    ROW_DIGESTS,
    Column,
    columns_of,
    create_column,
    encode_text,
    root_attributes,
    row_digest,
    shard_digest,
    text_type,
)
from shapetool.data.reading import Dataset, open_dataset
from shapetool.errors import DataError

__all__ = ["Dataset", "ShardBuilder", "build_shard", "open_dataset", "publish"]


class ShardBuilder:
    """A shard of `shapes` shapes, filled row by row so that only the image and one row are in memory.

    `recipe` holds every setting as JSON-able values. `extra_attrs` are root attributes on top of the layout's own; a
    shard of a folder carries `shard_index`, `shard_count` and `manifest_sha256` (of the manifest file), by which
    readers notice missing, swapped and foreign shards. Equal arguments give equal bytes.
    """

    def __init__(
        self, kind: str, recipe: Mapping[str, Any], seed: int, shapes: int, extra_attrs: Mapping[str, Any] | None = None
    ) -> None:
        self.kind = kind
        self.shapes = shapes
        self._columns = columns_of(kind)
        self._attributes = root_attributes(kind, recipe, seed, extra_attrs or {})
        self._small: dict[str, list[Any]] = {column.name: [] for column in self._columns if column.is_small}
        self._digests: list[str] = []
        self._file: h5py.File | None = None
        self._large: dict[str, _Rows] = {}

    def put(self, row: int, columns: Mapping[str, Any]) -> None:
        """Nothing; takes the columns of shape `row`. Rows come in order, for the bytes depend on the order.

        Raises: DataError for a missing or unknown column, a wrong type, shape or order, or a value that is not finite.
        """
        if row != len(self._digests) or row >= self.shapes:
            raise DataError(f"row {row}: expected row {len(self._digests)} of {self.shapes}. Put the rows in order.")
        values = checked_row(self._columns, columns)
        if self._file is None:
            self._columns = tuple(column for column in self._columns if column.name in values)
            self._small = {name: held for name, held in self._small.items() if name in values}
            self._file = self._create(values)
        if set(values) != {column.name for column in self._columns}:
            raise DataError(
                f"row {row}: expected the columns {sorted(column.name for column in self._columns)} as in the rows "
                f"before, came {sorted(values)}. All shapes of a shard have the same."
            )
        for name, rows in self._large.items():
            array = values[name]
            if array.shape != rows.shape or array.dtype != rows.dtype:
                raise DataError(
                    f"row {row}, {name}: expected {rows.dtype} {rows.shape} as in the rows before, "
                    f"came {array.dtype} {array.shape}. A shard holds shapes with equally many samples."
                )
        for name, rows in self._large.items():
            if values[name].size:
                rows.write(row, values[name])
        for name, held in self._small.items():
            held.append(values[name])
        self._digests.append(row_digest(self.kind, values))

    def image(self) -> bytes:
        """The whole HDF5 file as bytes; the builder is spent afterwards.

        Raises: DataError while rows are missing.
        """
        if len(self._digests) != self.shapes:
            raise DataError(f"expected {self.shapes} rows, came {len(self._digests)}. Put every row first.")
        if self._file is None:
            self._columns = tuple(column for column in self._columns if not column.optional)
            self._small = {name: [] for name in self._small if name in {column.name for column in self._columns}}
            self._file = self._create({})
        file = self._file
        write_small_columns(file, self._columns, self._small)
        write_attributes(file, self._attributes, self._digests)
        file.flush()
        image: bytes = file.id.get_file_image()
        file.close()
        return image

    def _create(self, first: Mapping[str, Any]) -> h5py.File:
        """A new file in memory whose large columns have the types and lengths of the first row."""
        large = [column for column in self._columns if not column.is_small]
        arrays = {column.name: first.get(column.name, _nothing(column)) for column in large}
        size = self.shapes * sum(array.nbytes for array in arrays.values())
        # One block as large as the shard: growing the image by small steps costs twice the time.
        file = h5py.File.in_memory(libver=LIBVER, block_size=size + size // 16 + (1 << 16))
        for column in large:
            array = arrays[column.name]
            dataset = create_column(file, column, (self.shapes, *array.shape), array.dtype)
            self._large[column.name] = _Rows(dataset, array.shape, array.dtype)
        return file


class _Rows:
    """A dataset that is written row by row. What h5py works out for each assignment is worked out once: of small rows,
    that was most of the time of a shard.
    """

    def __init__(self, dataset: h5py.Dataset, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self._id, self._file_space = dataset.id, dataset.id.get_space()
        self._row_space = h5py.h5s.create_simple((1, *shape))

    def write(self, row: int, array: Any) -> None:
        """Nothing; row `row` holds the array, which has the shape and type of all rows."""
        self._file_space.select_hyperslab((row, *(0 for _ in self.shape)), (1, *self.shape))
        self._id.write(self._row_space, self._file_space, np.ascontiguousarray(array))


def build_shard(
    kind: str,
    recipe: Mapping[str, Any],
    seed: int,
    columns: Mapping[str, Sequence[Any]],
    extra_attrs: Mapping[str, Any] | None = None,
) -> bytes:
    """A whole shard as the bytes of an HDF5 file: contract layout 1, the same bytes for the same arguments.

    Each column is indexed by row: an array (S, ...) or a list of S arrays, which is not stacked first.

    Raises: DataError as `ShardBuilder.put` does, and where columns disagree on S.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"expected columns of one length, came {lengths}. Give every column one entry a shape.")
    shapes = next(iter(lengths.values()), 0)
    builder = ShardBuilder(kind, recipe, seed, shapes, extra_attrs)
    for row in range(shapes):
        builder.put(row, {name: values[row] for name, values in columns.items()})
    return builder.image()


def checked_row(columns: Sequence[Column], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one shape as stored: text as utf-8, everything else as an array of the layout's type.

    Raises: DataError for a missing or unknown column, a wrong type or shape, or a value that is not finite.
    """
    names = {column.name for column in columns}
    needed = {column.name for column in columns if not column.optional}
    if not needed <= set(given) <= names:
        raise DataError(
            f"expected the columns {sorted(needed)}; missing {sorted(needed - set(given))}, "
            f"unknown {sorted(set(given) - names)}. Leave out or add exactly those."
        )
    lengths: dict[str, int] = {}
    return {
        column.name: _checked_value(column, given[column.name], lengths) for column in columns if column.name in given
    }


def _checked_value(column: Column, value: Any, lengths: dict[str, int]) -> Any:
    """One value of a row as stored; `lengths` collects what each letter of the layout stands for."""
    if column.is_text:
        return encode_text(str(value), column.name)
    array = np.asarray(value)
    kinds = [np.dtype(name) for name in column.types]
    if array.ndim == 0 and array.dtype.kind in "fiub" and len(kinds) == 1:
        array = array.astype(kinds[0])
    if array.dtype not in kinds:
        raise DataError(f"{column.name}: expected {' or '.join(column.types)}, came {array.dtype}. Convert it first.")
    wanted = [axis if isinstance(axis, int) else lengths.get(axis) for axis in column.axes]
    if len(wanted) != array.ndim or any(w not in (None, n) for w, n in zip(wanted, array.shape, strict=True)):
        raise DataError(f"{column.name}: expected shape {column.axes} with {lengths}, came {array.shape}.")
    lengths.update({axis: n for axis, n in zip(column.axes, array.shape, strict=True) if isinstance(axis, str)})
    if array.dtype.kind == "f" and array.size and not (math.isfinite(array.min()) and math.isfinite(array.max())):
        raise DataError(f"{column.name}: expected finite values, came NaN or infinity. Do not store this shape.")
    return array


def _nothing(column: Column) -> np.ndarray[Any, np.dtype[Any]]:
    """The value of a column in a shard that holds no shape."""
    return np.zeros([axis if isinstance(axis, int) else 0 for axis in column.axes], column.types[0])


def write_small_columns(file: h5py.File, columns: Sequence[Column], held: Mapping[str, Sequence[Any]]) -> None:
    """Nothing; writes the columns that take a few bytes a shape."""
    for column in columns:
        if not column.is_small or column.name not in held:
            continue
        values = held[column.name]
        stored = text_type(values) if column.is_text else np.dtype(column.types[0])
        shape = (len(values), *(axis for axis in column.axes if isinstance(axis, int)))
        dataset = create_column(file, column, shape, stored)
        if values:
            dataset[...] = np.array(values, dtype=stored)
            if file.driver != "core":
                dataset.flush()  # what fails to be written when a dataset is let go is told to nobody


def write_attributes(file: h5py.File, attributes: Mapping[str, Any], digests: Sequence[str]) -> None:
    """Nothing; writes the digest of each row and the root attributes with the digest of the whole."""
    write_small_columns(file, [Column(ROW_DIGESTS, ("text",))], {ROW_DIGESTS: [text.encode() for text in digests]})
    kind = str(attributes["kind"])
    shapes = {
        column.name: ("text", []) if column.is_text else (dataset.dtype.str, list(dataset.shape[1:]))
        for column in columns_of(kind)
        if column.name in file
        for dataset in [file[column.name]]
    }
    for name, value in attributes.items():
        file.attrs[name] = value
    file.attrs[DIGEST] = shard_digest(attributes, shapes, digests)


def publish(path: Path, image: bytes, *, durable: bool = True) -> None:
    """Nothing; makes `image` the content of `path` in one step: other processes see the old file or the new one.

    With `durable` it is on the disk before it has its name; without, a power failure may leave a torn file there.

    Raises: OSError (ENOSPC, EACCES, ...) naming the path; then nothing is left behind and the old file stands.
    """
    path = Path(path)
    remove_leftovers(path.parent, path.name)
    write_whole(path, image, durable=durable)
