"""HDF5 files of others, opened without trust: no links or bytes from elsewhere, no filters that h5py does not carry."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.data.formats.npz import Array, Key
from shapetool.data.formats.places import put
from shapetool.data.shardfile import inside_file, open_file
from shapetool.errors import DataError

BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def read_hdf5(path: Path, keys: Mapping[str, Key]) -> dict[str, Array]:
    """The datasets of these names.

    Raises:
        DataError: the file is missing, damaged or foreign, or a dataset is missing, of another type or shape, or not
            wholly in this file.
    """
    with open_file(path) as file:
        checked = {name: checked_dataset(file, path, name, key) for name, key in keys.items()}
        try:
            return {name: np.asarray(dataset[...]) for name, dataset in checked.items()}
        except BROKEN as error:
            raise DataError(f"{path}: expected whole data, found damaged ones ({error}).") from error


def hdf5_shape(path: Path, name: str, key: Key) -> tuple[int, ...]:
    """The shape of one dataset.

    Raises:
        DataError: as `read_hdf5` does.
    """
    with open_file(path) as file:
        return tuple(checked_dataset(file, path, name, key).shape)


def write_hdf5(path: Path, arrays: Mapping[str, Array]) -> None:
    """None, once `path` holds these datasets, compressed as DISN does.

    Raises:
        OSError: it cannot be written.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip", compression_opts=4, track_times=False)
    put(path, memory.getvalue())


def checked_dataset(file: h5py.File, path: Path, name: str, key: Key) -> Any:
    """The dataset of this name, seen to be what `key` asks for and to lie in this file.

    Raises:
        DataError: it is not.
    """
    where = f"{path}, {name}"
    try:
        dataset = inside_file(file, name, where)
        shape, stored = dataset.shape, dataset.dtype
    except BROKEN as error:
        raise DataError(f"{where}: expected a whole dataset, found a damaged one ({error}).") from error
    if stored.kind not in key.kinds:
        raise DataError(f"{where}: expected numbers of kind {key.kinds}, found {stored}.")
    if len(shape) != len(key.shape) or any(w not in (None, n) for w, n in zip(key.shape, shape, strict=True)):
        raise DataError(f"{where}: expected shape {key.shape} (None: any), found {shape}.")
    return dataset
