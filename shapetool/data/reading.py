"""Reading shards: one file or a folder of them as one indexable data set that never invents a value.

HDF5's own views over many files (virtual data sets) are not used: with too many files open, or one missing, they
return the fill value without an error.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
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
from shapetool.errors import DataError

SHARD_NAME = re.compile(r"shard-(\d{5,})\.h5")
MANIFEST = "manifest.jsonl"
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

    Raises: DataError where it is missing, empty, truncated or not HDF5; OSError where the system refuses to open it.
    """
    try:
        with open(path, "rb") as file:
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
        columns = columns_of(attributes["kind"])
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
        json.loads(attributes["recipe"])
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: expected a recipe in JSON, found {attributes['recipe']!r}.") from error


def _check_column(file: h5py.File, column: Column, path: Path) -> tuple[str, list[int]]:
    """Type and shape of a column, after it has been seen to lie whole inside this file."""
    where = f"{path}, {column.name}"
    dataset = _inside(file, column.name, where)
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if not (is_text if column.is_text else dataset.dtype in [np.dtype(name) for name in column.types]):
        raise DataError(f"{where}: expected {' or '.join(column.types)}, found {dataset.dtype}.")
    shape = dataset.shape
    fixed = [axis if isinstance(axis, int) else None for axis in column.axes]
    if len(shape) != 1 + len(fixed) or any(w not in (None, n) for w, n in zip(fixed, shape[1:], strict=True)):
        raise DataError(f"{where}: expected shape {('S', *column.axes)}, found {shape}.")
    if dataset.chunks is not None and dataset.id.get_num_chunks() != chunk_count(shape, dataset.chunks):
        raise DataError(f"{where}: parts of the data are missing from the file. Make the shard again.")
    return ("text" if column.is_text else dataset.dtype.str), list(shape)


def _inside(file: h5py.File, name: str, where: str) -> h5py.Dataset:
    """The dataset of this name; DataError where its bytes would come from outside the file or need foreign code."""
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
    return dataset


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
    dataset = _inside(file, ROW_DIGESTS, f"{path}, {ROW_DIGESTS}")
    return tuple(dataset.asstr()[...].tolist())


class Dataset:
    """The shapes of one shard or of a folder of shards, by number.

    `dataset[i]` is a dict of all columns of shape i; `read` fetches one column or a slice of it. Files are opened when
    first needed, at most `max_open` at a time, anew in each process, so that it pickles and is safe in the workers of a
    DataLoader however they start.
    """

    def __init__(self, path: Path, shards: list[Shard], max_open: int = 8) -> None:
        self.path = path
        first = next((shard for shard in shards if shard.shape_ids), shards[0])
        self.kind = first.kind
        self.recipe: dict[str, Any] = json.loads(first.attributes["recipe"])
        self.seed = int(first.attributes["seed"])
        self.columns = tuple(column.name for column in columns_of(first.kind))
        self.shapes = first.shapes
        self.shape_ids = tuple(shape_id for shard in shards for shape_id in shard.shape_ids)
        self.shards = tuple((shard.path, len(shard.shape_ids), shard.attributes.get(DIGEST)) for shard in shards)
        self._texts = {column.name for column in columns_of(first.kind) if column.is_text}
        self._ends = np.cumsum([rows for _, rows, _ in self.shards]).tolist()
        self._max_open = max_open
        self._start()

    def _start(self) -> None:
        """Nothing; forgets open files, as after unpickling or a fork."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._open: OrderedDict[Path, h5py.File] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but open files."""
        return {name: value for name, value in vars(self).items() if name not in ("_pid", "_lock", "_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    def __len__(self) -> int:
        """The number of shapes."""
        return len(self.shape_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Every column of shape `index`: arrays, and str, float and bool for what is one value."""
        return {name: self.read(index, name) for name in self.columns}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The shapes in order."""
        return (self[index] for index in range(len(self)))

    def locate(self, index: int) -> tuple[Path, int]:
        """The file that holds shape `index`, and its row there.

        Raises: IndexError beyond the last shape.
        """
        index = index + len(self) if index < 0 else index
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path}: shape {index} of {len(self)}")
        shard = bisect.bisect_right(self._ends, index)
        return self.shards[shard][0], index - (self._ends[shard] - self.shards[shard][1])

    def read(self, index: int, name: str, part: slice | None = None) -> Any:
        """Column `name` of shape `index`, or the `part` of it along its first axis; only chunks it touches are read.

        Raises: DataError for an unknown column, and where the file is damaged, missing or was exchanged since.
        """
        if name not in self.columns:
            raise DataError(f"{self.path}: no column '{name}'. It has: {', '.join(self.columns)}.")
        path, row = self.locate(index)
        where = f"{path}, {name}, row {row} ({self.shape_ids[index]})"
        with self._lock:
            dataset = self._file(path)[name]
            try:
                if name in self._texts:
                    return str(dataset.asstr()[row])
                value = dataset[row] if part is None else dataset[row, part]
            except (OSError, RuntimeError) as error:
                raise DataError(f"{where}: the stored data are damaged ({error}). Make the shard again.") from error
        if not isinstance(value, np.ndarray):
            return value.item()
        if value.dtype.kind == "f" and value.size and not np.isfinite(value).all():
            raise DataError(f"{where}: the stored data are damaged (not finite). Make the shard again.")
        return value

    def close(self) -> None:
        """Nothing; closes the open files. The data set stays usable and opens them again."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _file(self, path: Path) -> h5py.File:
        """The open file at `path`, checked to be the one seen when the data set was opened."""
        if os.getpid() != self._pid:
            # Handles inherited by a fork belong to the parent: they are put aside, neither used nor closed.
            self._inherited = self._open
            self._pid, self._open = os.getpid(), OrderedDict()
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        while len(self._open) >= self._max_open:
            self._open.popitem(last=False)[1].close()
        file = open_file(path)
        expected = next(digest for known, _, digest in self.shards if known == path)
        if file.attrs.get(DIGEST) != expected:
            file.close()
            raise DataError(f"{path}: the file was exchanged since the data set was opened. Open it again.")
        self._open[path] = file
        return file


def open_dataset(path: str | os.PathLike[str], *, partial: bool = False, max_open: int = 8) -> Dataset:
    """The shapes in a shard file or a dataset folder; with `partial`, in the shards that a folder has so far.

    Raises: DataError where a shard is missing, truncated, foreign or in another's place.
    """
    path = Path(path)
    if not path.is_dir():
        return Dataset(path, [describe_shard(path)], max_open)
    shards = [describe_shard(file) for file in shard_files(path)]
    problems = folder_problems(path, shards, partial=partial)
    if problems:
        raise DataError(problems[0])
    return Dataset(path, shards, max_open)


def shard_files(folder: Path) -> list[Path]:
    """The shards of a dataset folder in order.

    Raises: DataError where there is none.
    """
    found = sorted(
        (int(match[1]), name) for name in os.listdir(folder) if (match := SHARD_NAME.fullmatch(name)) is not None
    )
    if not found:
        raise DataError(f"{folder}: expected shard-00000.h5 and so on, found none. Run the command that makes it.")
    return [folder / name for _, name in found]


def folder_problems(folder: Path, shards: list[Shard], *, partial: bool = False) -> list[str]:
    """One sentence for each reason why these shards are not the whole of one data set."""
    first = shards[0]
    problems = []
    for shard in shards:
        number = shard_number(shard.path)
        if shard.index not in (None, number):
            problems.append(f"{shard.path}: expected shard {number}, found shard {shard.index} under its name.")
        if shard.origin != first.origin:
            problems.append(f"{shard.path}: expected a shard of the run of {first.path.name}, found a foreign one.")
        if shard.shape_ids and first.shape_ids and shard.shapes != first.shapes:
            problems.append(f"{shard.path}: expected as many samples a shape as in {first.path.name}.")
    count = first.attributes.get("shard_count")
    total = int(count) if count is not None else shard_number(shards[-1].path) + 1
    found = {shard_number(shard.path) for shard in shards}
    if found - set(range(total)):
        problems.append(f"{folder}: expected {total} shards, found shard-{max(found):05d}.h5 beyond the last.")
    missing = sorted(set(range(total)) - found)
    if missing and not partial:
        names = ", ".join(f"shard-{number:05d}.h5" for number in missing[:3]) + (", ..." if len(missing) > 3 else "")
        problems.append(
            f"{folder}: expected {total} shards, {len(missing)} missing ({names}). "
            "Run the command again to complete it, or open it with partial=True."
        )
    return problems + manifest_problems(folder, first)


def manifest_problems(folder: Path, shard: Shard) -> list[str]:
    """One sentence if the folder's manifest is not the one that this shard was made from."""
    manifest, expected = folder / MANIFEST, shard.attributes.get("manifest_sha256")
    if expected is None or not manifest.exists():
        return []
    if hashlib.sha256(manifest.read_bytes()).hexdigest() == expected:
        return []
    return [f"{manifest}: expected the manifest from which {shard.path.name} was made, found another."]


def shard_number(path: Path) -> int:
    """The number in the name of a shard of a folder."""
    match = SHARD_NAME.fullmatch(path.name)
    assert match is not None  # shard_files returns no other names
    return int(match[1])
