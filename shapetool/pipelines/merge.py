"""`shapetool merge`: one file from a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shapetool.data.merge import merge
from shapetool.data.reading import open_dataset
from shapetool.errors import ConfigError


@dataclass(frozen=True)
class Preview:
    """What a merge would write: how many shapes, and about how many bytes."""

    shapes: int
    bytes: int


def run(folder: Path, out: Path, *, overwrite: bool = False, report: Callable[[int, int], None] | None = None) -> int:
    """The number of shapes written to `out`; `report(done, total)` is called after each.

    Raises:
        ConfigError: `out` is no .h5, may not be written, or exists and `overwrite` is not given.
        DataError: the folder is incomplete or damaged.
        OSError: the disk is full or fails.
    """
    _check_out(Path(out), overwrite)
    return merge(Path(folder), Path(out), report)


def plan(folder: Path, out: Path, *, overwrite: bool = False) -> Preview:
    """What `run` would write, with nothing written.

    Raises:
        ConfigError: as `run` does.
        DataError: the folder is incomplete or its shards are damaged; samples are not read.
    """
    _check_out(Path(out), overwrite)
    with open_dataset(folder) as dataset:
        return Preview(len(dataset), sum(file.stat().st_size for file, _, _ in dataset.shards))


def _check_out(out: Path, overwrite: bool) -> None:
    """Nothing, when `out` is a place for the file.

    Raises:
        ConfigError: it is not.
    """
    if out.suffix != ".h5":
        raise ConfigError(f"{out}: expected a name that ends in .h5, for the result is one HDF5 file.")
    if out.is_dir():
        raise ConfigError(f"{out}: expected a file to write, found a folder. Choose another name.")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: exists. Use --overwrite to replace it.")
    if not os.access(out.absolute().parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{out}: expected a place that can be written, but its folder is missing or read-only.")
