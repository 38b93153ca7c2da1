"""What both generations of IM-NET's files have in common: one HDF5 file for many shapes, and a list of their names.

`voxels` (N, 64, 64, 64, 1), and for 16, 32 and 64 `points_*` (N, P, 3), whole numbers of cells, and `values_*`
(N, P, 1), 1 inside; all uint8, with gzip. The names stand in a text file beside it, one a line, in the order of rows.

Lost on the way out: the surface, the frame, source, watertight and sign_method. Lost on the way in: `pixels`. The
points of a shard are shuffled over the three sets; its `order` leads back.

Source: Chen and Zhang, "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, and the released code.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.columns import Array, Sizes, columns
from shapetool.data.formats.npz import Key
from shapetool.data.formats.places import below, class_and_name, put
from shapetool.data.formats.stacked import stacked_row, stacked_rows
from shapetool.errors import DataError
from shapetool.recipes import PROGRESSIVE

ENCODED = 64
LARGEST_LIST = 1 << 28
_STRAY = 1e-3  # of a cell: float16 holds the centres of 256 cells exactly, other cubes need rounding


@dataclass(frozen=True)
class Generation:
    """One of the two: how it counts cells, and in which cube its training code places them.

    `finest` is the lattice that all points are counted in, or 0 where each set has its own; `half` is half the edge.
    """

    method: str
    finest: int
    half: float

    @property
    def counts(self) -> Mapping[int, int]:
        """The points of each set."""
        return PROGRESSIVE[self.method]

    @property
    def keys(self) -> dict[str, Key]:
        """What a file must hold."""
        return {name: Key("u", (None, *shape)) for name, shape in self.shapes.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of a row of each dataset."""
        found: dict[str, tuple[int, ...]] = {"voxels": (ENCODED, ENCODED, ENCODED, 1)}
        for across, count in self.counts.items():
            found |= {f"points_{across}": (count, 3), f"values_{across}": (count, 1)}
        return found

    def across(self, level: int) -> int:
        """The cells along an edge in which the points of a set are counted."""
        return self.finest or level


def names_in(path: Path, root: Path) -> tuple[str, ...]:
    """The lines of the list of names of the file at `path`: of its own name, or `obj_list.txt` beside it.

    Raises:
        DataError: there is no list, or none that can be read.
    """
    parts = path.relative_to(root).parts[:-1]
    for name in (f"{path.stem}.txt", "obj_list.txt"):
        found = below(root, *parts, name)
        if found.is_file():
            state = found.stat()
            return _lines(found, state.st_size, state.st_mtime_ns)
    raise DataError(f"{path}: expected the names of its shapes in {path.stem}.txt beside it, found no such file.")


@lru_cache(maxsize=64)
def _lines(path: Path, size: int, changed: int) -> tuple[str, ...]:
    """The lines of a file that has this size and was changed then."""
    if size > LARGEST_LIST:
        raise DataError(f"{path}: expected a list of names, found {size} bytes.")
    try:
        text = path.read_text(encoding="utf-8")
    except ValueError as error:
        raise DataError(f"{path}: expected names in utf-8, but: {error}.") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def sizes(generation: Generation, path: Path, ids: tuple[str, ...]) -> Sizes:
    """What each shape of a file holds.

    Raises:
        DataError: the file is not of this layout, or has another number of rows than of names.
    """
    rows = stacked_rows(path, generation.keys)
    if rows != len(ids):
        raise DataError(f"{path}: expected {len(ids)} rows, as many as names in the list beside it, found {rows}.")
    count = sum(generation.counts.values())
    return Sizes("occupancy", count, more=4 * count + ENCODED**3)


def read(generation: Generation, path: Path, row: int) -> dict[str, Any]:
    """The columns of one shape, in the order of the sets.

    Raises:
        DataError: the file is not of this layout, or a cell, a label or a voxel is none.
    """
    found = stacked_row(path, generation.keys, row)
    points, inside = [], []
    for level in generation.counts:
        across, cells, values = generation.across(level), found[f"points_{level}"], found[f"values_{level}"]
        if (cells >= across).any():
            raise DataError(f"{path}, points_{level}, row {row}: expected cells below {across}, found {cells.max()}.")
        points.append((cells + 0.5) * (2 * generation.half / across) - generation.half)
        inside.append(_truths(path, f"values_{level}, row {row}", values[:, 0]))
    count = sum(generation.counts.values())
    more = {
        "inside": np.concatenate(inside),
        "order": np.arange(count, dtype=np.int32),
        "voxels": _truths(path, f"voxels, row {row}", found["voxels"][..., 0]),
    }
    return columns(1.0, np.zeros(3), np.concatenate(points).astype(np.float32), **more)


def _truths(path: Path, where: str, values: Array) -> Array:
    if (values > 1).any():
        raise DataError(f"{path}, {where}: expected 0 and 1, found {values.max()}. Is it of this layout?")
    return values.astype(bool)


def arrays(generation: Generation, row: Mapping[str, Any]) -> dict[str, Array]:
    """The row of a shape in each dataset.

    Raises:
        DataError: its points are not the sets of this generation.
    """
    counts = list(generation.counts.values())
    points, order, where = row["points"].astype(np.float64), row["order"], row["shape_id"]
    if not np.array_equal(np.sort(order), np.arange(sum(counts))):
        raise DataError(
            f"{where}: expected {sum(counts)} points in sets of {', '.join(map(str, counts))}, found {len(order)} in "
            f"others. Sample with --recipe imnet-{generation.method} and no --count."
        )
    place, ends = np.argsort(order), np.cumsum(counts)[:-1]
    found = {"voxels": row["voxels"].astype(np.uint8)[..., None]}
    sets = zip(np.split(points[place], ends), np.split(row["inside"][place], ends), strict=True)
    for level, (centres, inside) in zip(generation.counts, sets, strict=True):
        across = generation.across(level)
        exact = (centres + generation.half) * (across / (2 * generation.half)) - 0.5
        cells = np.rint(exact)
        if np.abs(exact - cells).max() > _STRAY or cells.min() < 0 or cells.max() >= across:
            raise DataError(
                f"{where}, set of {level}: expected centres of {across}^3 cells of the cube up to {generation.half:g}, "
                f"found others. Sample with --recipe imnet-{generation.method} and no --padding."
            )
        found[f"points_{level}"] = cells.astype(np.uint8)
        found[f"values_{level}"] = inside.astype(np.uint8)[:, None]
    return found


def write_names(path: Path, names: Iterable[str]) -> None:
    """None, once the names of the shapes in the file at `path` stand beside it.

    Raises:
        OSError: they cannot be written.
    """
    put(path.with_suffix(".txt"), "".join(f"{name}\n" for name in names).encode())


def holds(path: Path, names: Sequence[str]) -> bool:
    """Whether the file at `path` is there and has just these shapes."""
    return path.exists() and path.with_suffix(".txt").is_file() and names_in(path, path.parent) == tuple(names)


def full_id(shape_id: str) -> str:
    """The id with a class, as it stands in a list for all classes.

    Raises:
        DataError: it is no plain path.
    """
    return "/".join(class_and_name(shape_id))
