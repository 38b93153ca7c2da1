"""Whole files or none: small files of the runner are written beside their place and renamed into it."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shapetool.errors import ConfigError

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """A context in which a place that may not be written is a refusal, and not a failure of the disk.

    Raises:
        ConfigError: the system does not allow writing at `out`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NOT_ALLOWED:
            raise ConfigError(f"{out}: expected a place that can be written, but: {error.strerror}.") from error
        raise


def beside(path: Path) -> Path:
    """A name next to `path` that no other process uses, here or on another machine of the same file system."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")


def write_whole(path: Path, data: bytes, *, durable: bool = True, exclusive: bool = False) -> bool:
    """True if `path` now holds `data`; False if `exclusive` and another process was first.

    Raises:
        OSError: the file could not be written; nothing is left behind.
    """
    temporary = beside(path)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if exclusive:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
        else:
            os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
        return True
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """None; removes what `write_whole` and its like left in `folder` when their process on this machine was killed."""
    for path in folder.glob(f".*.{socket.gethostname()}.*.tmp"):
        number = path.name.split(".")[-2]
        if number.isdigit() and not Path(f"/proc/{number}").exists():
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """None, once the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json_line(record: dict[str, Any]) -> bytes:
    """`record` as one line of JSON: one spelling for equal records, and no number that JSON lacks."""
    return (json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(", ", ": ")) + "\n").encode("utf-8")
