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
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.data.layout import DIGEST, columns_of
from shapetool.data.shardfile import Shard, describe_shard, open_file
from shapetool.errors import DataError

SHARD_NAME = re.compile(r"shard-(\d{5,})\.h5")
MANIFEST = "manifest.jsonl"


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
        self.columns = tuple(column.name for column in columns_of(first.kind) if column.name in first.shapes)
        self.shapes = first.shapes
        self.shape_ids = tuple(shape_id for shard in shards for shape_id in shard.shape_ids)
        self.shards = tuple((shard.path, len(shard.shape_ids), shard.attributes.get(DIGEST)) for shard in shards)
        self._small = {column.name for column in columns_of(first.kind) if column.is_small}
        self._texts = {column.name for column in columns_of(first.kind) if column.is_text}
        self._digests = {path: digest for path, _, digest in self.shards}
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
        local = ("_pid", "_lock", "_open")
        return {name: value for name, value in vars(self).items() if name not in local}

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
            except (OSError, RuntimeError, ValueError) as error:
                raise DataError(f"{where}: the stored data are damaged ({error}). Make the shard again.") from error
        if not isinstance(value, np.ndarray):
            return value.item()
        if value.dtype.kind == "f" and value.size and not np.isfinite(value).all():
            raise DataError(f"{where}: the stored data are damaged (not finite). Make the shard again.")
        return value

    def column(self, name: str) -> list[Any]:
        """A small column of all shapes, read shard by shard: names, flags, scales.

        Raises: DataError for an unknown or a large column, and where a file is damaged, missing or was exchanged.
        """
        if name not in self.columns or name not in self._small:
            raise DataError(f"{self.path}: no small column '{name}'.")
        values: list[Any] = []
        for path, _, _ in self.shards:
            with self._lock:
                dataset = self._file(path)[name]
                try:
                    values += (dataset.asstr()[...] if name in self._texts else dataset[...]).tolist()
                except (OSError, RuntimeError, ValueError) as error:
                    raise DataError(f"{path}, {name}: the stored data are damaged ({error}). Make it again.") from error
        return values

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
            # HDF5 would hand an inherited file, with the parent's descriptor, to whoever opens the same path again:
            # the child's copies are closed first. The parent's stay open.
            self.close()
            self._pid = os.getpid()
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        while len(self._open) >= self._max_open:
            self._open.popitem(last=False)[1].close()
        file = open_file(path)
        if file.attrs.get(DIGEST) != self._digests[path]:
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
