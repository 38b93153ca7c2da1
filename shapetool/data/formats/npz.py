"""Arrays in an .npz, read without trust: no pickles, every key, type and shape checked before a byte is unpacked."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from shapetool.data.formats.places import put
from shapetool.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can say: equal arrays are equal bytes
_BROKEN = (ValueError, OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)  # what zipfile raises
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Key:
    """What an array must be: the kinds of numpy's types it may have, and its shape with None for any length."""

    kinds: str
    shape: tuple[int | None, ...]
    optional: bool = False


def read_npz(path: Path, keys: Mapping[str, Key]) -> dict[str, Array]:
    """The arrays of these keys; optional ones only where the file has them.

    Raises:
        DataError: the file is missing or no .npz, lacks a key, or holds something else under it.
    """
    with _opened(path) as archive:
        found = {}
        for name, key in keys.items():
            if name + ".npy" in archive.namelist():
                shape, stored = _head(archive, path, name, key)
                found[name] = _content(archive, path, name, shape, stored)
            elif not key.optional:
                raise DataError(f"{path}: expected the key '{name}', found {_names(archive)}. Is it of this layout?")
        return found


def npz_heads(path: Path, keys: Mapping[str, Key]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The shape and type of each array that the file has of these, from the heads alone.

    Raises:
        DataError: as `read_npz` does, but for missing keys.
    """
    with _opened(path) as archive:
        names = [name for name in keys if name + ".npy" in archive.namelist()]
        return {name: _head(archive, path, name, keys[name]) for name in names}


def npz_keys(path: Path) -> list[str]:
    """The names of the arrays in a file.

    Raises:
        DataError: it is missing or no .npz.
    """
    with _opened(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """None, once `path` holds these arrays, uncompressed: equal arrays give equal bytes.

    Raises:
        OSError: it cannot be written.
    """
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as archive:
        for name, value in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy", _EPOCH), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(value), allow_pickle=False)
    put(path, memory.getvalue())


def write_npy(path: Path, value: Any) -> None:
    """None, once `path` holds one array.

    Raises:
        OSError: it cannot be written.
    """
    memory = io.BytesIO()
    np.lib.format.write_array(memory, np.asanyarray(value), allow_pickle=False)
    put(path, memory.getvalue())


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected an .npz, found no such file.") from error
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: expected an .npz, found something else or a truncated file ({error}).") from error


def _names(archive: zipfile.ZipFile) -> str:
    return ", ".join(sorted(name.removesuffix(".npy") for name in archive.namelist())) or "nothing"


def _head(archive: zipfile.ZipFile, path: Path, name: str, key: Key) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type of an array, which are what `key` asks for."""
    where = f"{path}, {name}"
    try:
        with archive.open(name + ".npy") as file:
            shape, stored = _array_head(file)
            begin = file.tell()
        size = archive.getinfo(name + ".npy").file_size
    except _BROKEN as error:
        raise DataError(f"{where}: expected an array, found something damaged ({error}).") from error
    if stored.hasobject or stored.kind not in key.kinds:
        pickled = "pickled objects, which are not opened" if stored.hasobject else str(stored)
        raise DataError(f"{where}: expected numbers of kind {key.kinds}, found {pickled}.")
    wanted = key.shape
    if len(shape) != len(wanted) or any(w not in (None, n) for w, n in zip(wanted, shape, strict=True)):
        raise DataError(f"{where}: expected shape {wanted} (None: any), found {shape}.")
    if size != begin + int(np.prod(shape, dtype=object)) * stored.itemsize:
        raise DataError(f"{where}: expected {shape} {stored}, found {size} bytes: the file is damaged.")
    return shape, stored


def _array_head(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"array format {version}")
    shape, _, stored = _HEADERS[version](file)
    return shape, stored


def _content(archive: zipfile.ZipFile, path: Path, name: str, shape: tuple[int, ...], stored: np.dtype[Any]) -> Array:
    try:
        with archive.open(name + ".npy") as file:
            reader: BinaryIO = io.BytesIO(file.read())
        array: Array = np.lib.format.read_array(reader, allow_pickle=False)
    except _BROKEN as error:
        raise DataError(f"{path}, {name}: expected {shape} {stored}, found damaged data ({error}).") from error
    return array
