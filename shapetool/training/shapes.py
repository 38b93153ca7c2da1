"""The shapes that a run learns from: one or more data sets joined by id, columns in memory while there is room."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.layout import CHUNK_POINTS
from shapetool.data.shards import Dataset, open_dataset
from shapetool.errors import DataError
from shapetool.models.base import Facts

ROOM = 2 << 30
"""Bytes of columns that are kept in memory by default."""


class Shapes:
    """The shapes that all of these data sets hold, or those of them that are `wanted`, in the order of the first.

    A column is that of the first data set that has it. Safe to read from several threads.

    Raises:
        DataError: two data sets have no shape in common, a wanted id is nowhere, or an id is there twice.
    """

    def __init__(self, datasets: Sequence[Dataset], wanted: Sequence[str] | None = None, room: int = ROOM) -> None:
        self.datasets = tuple(datasets)
        self._rows = [_rows(dataset) for dataset in datasets]
        ids = [name for name in datasets[0].shape_ids if all(name in rows for rows in self._rows)]
        if not ids:
            places = " and ".join(str(dataset.path) for dataset in datasets)
            raise DataError(f"{places}: expected shapes in common, found no id in all of them. Name them alike.")
        if wanted is not None:
            known = set(ids)
            missing = [name for name in wanted if name not in known]
            if missing:
                raise DataError(
                    f"{datasets[0].path}: expected the shape {missing[0]!r} ({len(missing)} are missing), found "
                    f"others such as {ids[0]!r}. Sample it, or take it off the list."
                )
            ids = list(wanted)
        self.shape_ids = tuple(ids)
        self.kind = datasets[0].kind
        self._room = room
        self._kept: dict[tuple[int, str], np.ndarray] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of shapes."""
        return len(self.shape_ids)

    def __getitem__(self, index: int) -> "JoinedShape":
        """Shape `index`, as a model's `draw` sees it."""
        return JoinedShape(self, index)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that a shape has."""
        return frozenset(name for dataset in self.datasets for name in dataset.columns)

    def facts(self) -> Facts:
        """What a model is told of the data."""
        sizes = {
            name: tuple(dataset.shapes[name][1])
            for dataset in reversed(self.datasets)
            for name in dataset.columns
            if name in dataset.shapes
        }
        recipe = self.datasets[0].recipe
        half = _half(self.kind, recipe) or self.reach("points", "surface_points")
        return Facts(self.shape_ids, self.kind, half, recipe, sizes)

    def read(self, index: int, name: str, part: slice | None = None) -> np.ndarray:
        """A column of a shape or a part of it along its first axis; kept in memory whole while there is room.

        Raises:
            DataError: no data set has the column, or the file is damaged.
        """
        key = index, name
        kept = self._kept.get(key)
        if kept is None:
            number = next((k for k, dataset in enumerate(self.datasets) if name in dataset.columns), None)
            if number is None:
                places = ", ".join(str(dataset.path) for dataset in self.datasets)
                raise DataError(f"{places}: expected the column {name!r}, found {', '.join(sorted(self.columns))}.")
            dataset, row = self.datasets[number], self._rows[number][self.shape_ids[index]]
            if self._room <= 0:
                return np.asarray(dataset.read(row, name, part))
            kept = np.asarray(dataset.read(row, name))
            with self._lock:
                if kept.nbytes <= self._room and key not in self._kept:
                    kept.flags.writeable = False  # every later step reads it, too
                    self._kept[key] = kept
                    self._room -= kept.nbytes
        return kept if part is None else kept[part]

    def length(self, name: str) -> int:
        """How long a column of a shape is along its first axis.

        Raises:
            DataError: no data set has the column.
        """
        for dataset in self.datasets:
            if name in dataset.columns:
                return int(dataset.shapes[name][1][0])
        raise DataError(
            f"{self.datasets[0].path}: expected the column {name!r}, found none. Sample the shapes with it."
        )

    def reach(self, *names: str) -> float:
        """The largest coordinate of the first shapes in the first of these columns that holds any, else 1."""
        for name in names:
            if name in self.columns and self.length(name):
                return max(float(np.abs(self.read(index, name)).max()) for index in range(min(16, len(self))))
        return 1.0


class JoinedShape:
    """One shape of `Shapes`; `models.base.Shape` says what its parts are."""

    def __init__(self, shapes: Shapes, index: int) -> None:
        self._shapes = shapes
        self.index = index
        self.shape_id = shapes.shape_ids[index]

    def __contains__(self, name: str) -> bool:
        """Whether the data have this column."""
        return name in self._shapes.columns

    def read(self, name: str) -> np.ndarray:
        """A whole column of the shape."""
        return self._shapes.read(self.index, name)

    def chunk(self, names: Sequence[str], rng: np.random.Generator) -> list[np.ndarray]:
        """The same random stretch of several columns of one length: a chunk of the file, or all there is.

        What is left over after the last whole chunk, maybe a point or two, comes with the end of the chunk before.

        Raises:
            DataError: their lengths differ.
        """
        lengths = {name: self._shapes.length(name) for name in names}
        total = min(lengths.values())
        if max(lengths.values()) != total:
            raise DataError(f"{self.shape_id}: expected columns of one length, found {lengths}.")
        first = int(rng.integers(max(1, total))) // CHUNK_POINTS * CHUNK_POINTS
        first = max(0, min(first, total - CHUNK_POINTS))
        part = slice(first, min(first + CHUNK_POINTS, total))
        return [self._shapes.read(self.index, name, part) for name in names]


def open_shapes(paths: Sequence[Path], wanted: Sequence[str] | None = None, room: int = ROOM) -> Shapes:
    """The shapes that all data sets at these paths hold.

    Raises:
        DataError: one is missing, damaged or foreign, or they have no shape in common.
    """
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: expected a shard or a folder of shards, found no such path.")
    return Shapes([open_dataset(path) for path in paths], wanted, room)


def _rows(dataset: Dataset) -> dict[str, int]:
    """The row of each shape.

    Raises:
        DataError: an id is there twice.
    """
    rows = {name: row for row, name in enumerate(dataset.shape_ids)}
    if len(rows) != len(dataset):
        raise DataError(f"{dataset.path}: expected every id once, found one twice. Run `shapetool verify` on it.")
    return rows


def _half(kind: str, recipe: Mapping[str, Any]) -> float | None:
    """Half the side of the cube that the recipe fills, where it says so."""
    if kind == "sdf" and recipe.get("uniform_size"):
        return float(recipe["uniform_size"])
    if kind == "occupancy" and recipe.get("box_size"):
        return float(recipe["box_size"]) * (1 + float(recipe.get("padding", 0.0))) / 2
    return 1.0 if kind == "views" else None
