"""Finished records waiting for their shard: one plain file an item, a JSON line and then the arrays.

A spool is renamed into place without fsync, since it is only a shortcut: it is trusted by the boot that wrote it, for
the settings and the input that its head names, and made again otherwise.
"""

import json
import math
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shapetool.data.atomic import beside
from shapetool.runner.files import to_json_line

ALIGN = 64
READ_BYTES = 1 << 16
_HERE = uuid.uuid4().hex


@dataclass(frozen=True)
class Ticket:
    """What a spool must have been made for to be used: the boot, the settings, the item and its input."""

    boot: str
    digest: str
    id: str
    sha256: str | None


def boot_name() -> str:
    """A name for this start of the machine; where the system tells none, one that only this run knows."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _HERE


def write_spool(path: Path, ticket: Ticket, line: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    """None, once the report line and the columns of one item are under `path`.

    Raises:
        OSError: the file could not be written; nothing is left behind.
    """
    arrays, plain, offset = {}, {}, 0
    for name, value in columns.items():
        if hasattr(value, "dtype") and value.ndim:
            arrays[name] = {"dtype": value.dtype.str, "shape": list(value.shape), "offset": offset}
            offset += -(-value.nbytes // ALIGN) * ALIGN
        else:
            plain[name] = value.item() if hasattr(value, "item") else value
    head = to_json_line({"ticket": vars(ticket), "line": dict(line), "plain": plain, "arrays": arrays, "bytes": offset})
    head = head[:-1] + b" " * (-len(head) % ALIGN) + b"\n"
    temporary = beside(path)
    try:
        with open(temporary, "wb", buffering=0) as file:
            if len(head) + offset <= READ_BYTES:
                _write(file, _joined(head, arrays, columns, offset))  # one call instead of two for each column
            else:
                _write(file, head)
                for name, place in arrays.items():
                    file.seek(len(head) + place["offset"])
                    _write(file, memoryview(columns[name]).cast("B") if columns[name].nbytes else b"")
                file.truncate(len(head) + offset)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = f"{error.strerror} while writing {len(head) + offset} bytes"
        raise OSError(error.errno, reason, str(path)) from error


def _joined(head: bytes, arrays: Mapping[str, Any], columns: Mapping[str, Any], size: int) -> bytearray:
    whole = bytearray(len(head) + size)
    whole[: len(head)] = head
    for name, place in arrays.items():
        begin = len(head) + place["offset"]
        whole[begin : begin + columns[name].nbytes] = columns[name].tobytes()
    return whole


def _write(file: Any, data: Any) -> None:
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def read_line(path: Path, ticket: Ticket | None = None) -> dict[str, Any] | None:
    """The report line in a spool; None if there is no whole one, or it was made for something other than `ticket`."""
    try:
        with open(path, "rb") as file:
            head = _head(file, ticket)
    except FileNotFoundError:
        return None
    return None if head is None else head["line"]


def read_columns(path: Path, ticket: Ticket) -> dict[str, Any] | None:
    """The columns in a spool, arrays mapped from the file; None under the conditions of `read_line`.

    The file is opened once: another run may take its name away at any moment, and the content stays.
    """
    import numpy as np

    try:
        with open(path, "rb") as file:
            head = _head(file, ticket)
            if head is None:
                return None
            start, columns = file.tell(), dict(head["plain"])
            for name, place in head["arrays"].items():
                shape, dtype = tuple(place["shape"]), np.dtype(place["dtype"])
                begin, size = start + place["offset"], math.prod(shape) * dtype.itemsize
                if size > READ_BYTES:
                    columns[name] = np.memmap(file, dtype, "r", begin, shape)
                else:  # a map would keep a descriptor open for as long as a shard holds the value
                    file.seek(begin)
                    columns[name] = np.frombuffer(file.read(size), dtype).reshape(shape)
            return columns
    except (
        FileNotFoundError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
        SyntaxError,
    ):
        return None


def _head(file: BinaryIO, ticket: Ticket | None) -> dict[str, Any] | None:
    """The head of an open spool, whose arrays begin where the file then stands."""
    try:
        first = file.readline()
        head: dict[str, Any] = json.loads(first)
        size = os.fstat(file.fileno()).st_size
        if size != len(first) + head["bytes"] or (ticket is not None and head["ticket"] != vars(ticket)):
            return None
        return head if isinstance(head["line"], dict) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
