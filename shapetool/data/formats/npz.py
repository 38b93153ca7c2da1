"""Arrays in an .npz or .npy, read without trust: no pickles; key, type and shape are seen before a byte is unpacked."""

import io
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from shapetool.data.formats.places import put
from shapetool.data.outside import plain_file
from shapetool.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
_COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can say: equal arrays are equal bytes
_BROKEN = (  # what zipfile raises; NotImplementedError is a RuntimeError
    ValueError, OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
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


def read_npy(path: Path, key: Key) -> Array:
    """The array of an .npy file.

    Raises:
        DataError: the file is missing, damaged or no .npy, or holds something else.
    """
    try:
        with open(plain_file(path), "rb") as file:
            shape, stored = _array_head(file)
            promised, left = _bytes(shape, stored), os.fstat(file.fileno()).st_size - file.tell()
            _check(str(path), shape, stored, key)
            if promised != left:
                raise ValueError(f"{shape} {stored} in {left} bytes")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected an .npy, found no such file.") from error
    except _BROKEN as error:
        raise DataError(f"{path}: expected an array as .npy, found something else ({error}).") from error


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
        return zipfile.ZipFile(plain_file(path))
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected an .npz, found no such file.") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected an .npz, found something else or a truncated file ({error}).") from error


def _names(archive: zipfile.ZipFile) -> str:
    return ", ".join(sorted(name.removesuffix(".npy") for name in archive.namelist())) or "nothing"


def _head(archive: zipfile.ZipFile, path: Path, name: str, key: Key) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type of an array, which are what `key` asks for."""
    where = f"{path}, {name}"
    try:
        member = archive.getinfo(name + ".npy")
        if member.compress_type not in _COMPRESSED:  # others shrink zeros a millionfold
            raise ValueError(f"compression {member.compress_type}, which numpy does not write")
        with archive.open(member) as file:
            shape, stored = _array_head(file)
            begin = file.tell()
        size = member.file_size
    except _BROKEN as error:
        raise DataError(f"{where}: expected an array, found something damaged ({error}).") from error
    _check(where, shape, stored, key)
    if size != begin + _bytes(shape, stored):
        raise DataError(f"{where}: expected {shape} {stored}, found {size} bytes: the file is damaged.")
    return shape, stored


def _check(where: str, shape: tuple[int, ...], stored: np.dtype[Any], key: Key) -> None:
    """Nothing; raises DataError unless an array of this shape and type is what `key` asks for."""
    if stored.hasobject or stored.kind not in key.kinds:
        pickled = "pickled objects, which are not opened" if stored.hasobject else str(stored)
        raise DataError(f"{where}: expected numbers of kind {key.kinds}, found {pickled}.")
    wanted = key.shape
    if len(shape) != len(wanted) or any(w not in (None, n) for w, n in zip(wanted, shape, strict=True)):
        raise DataError(f"{where}: expected shape {wanted} (None: any), found {shape}.")


def _bytes(shape: tuple[int, ...], stored: np.dtype[Any]) -> int:
    return math.prod(shape) * stored.itemsize


def _array_head(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"array format {version}")
    try:
        shape, _, stored = _HEADERS[version](file)
    except (TokenError, SyntaxError, RecursionError, MemoryError) as error:  # its few bytes are read as Python
        raise ValueError(f"a head that is no Python literal: {type(error).__name__}") from error
    return shape, stored


def _content(archive: zipfile.ZipFile, path: Path, name: str, shape: tuple[int, ...], stored: np.dtype[Any]) -> Array:
    try:
        with archive.open(name + ".npy") as file:
            data = file.read()
        if len(data) != archive.getinfo(name + ".npy").file_size:  # before room is made for all that is promised
            raise ValueError(f"{len(data)} bytes")
        reader: BinaryIO = io.BytesIO(data)
        array: Array = np.lib.format.read_array(reader, allow_pickle=False)
    except _BROKEN as error:
        raise DataError(f"{path}, {name}: expected {shape} {stored}, found damaged data ({error}).") from error
    return array
