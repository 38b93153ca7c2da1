"""`shapetool merge`: one file from a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from shapetool.data.merge import merge
from shapetool.errors import ConfigError


def run(folder: Path, out: Path, *, overwrite: bool = False, report: Callable[[int, int], None] | None = None) -> int:
    """The number of shapes written to `out`.

    Raises: ConfigError where `out` is no .h5, may not be written, or exists and `overwrite` is not given; otherwise as
    `data.merge.merge`.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix != ".h5":
        raise ConfigError(f"{out}: expected a name that ends in .h5, for the result is one HDF5 file.")
    if out.is_dir():
        raise ConfigError(f"{out}: expected a file to write, found a folder. Choose another name.")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: exists. Use --overwrite to replace it.")
    if not os.access(out.absolute().parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{out}: expected a place that can be written, but its folder is missing or read-only.")
    return merge(folder, out, report)
