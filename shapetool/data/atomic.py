"""Whole files or none: a file is written beside its place under a name that says whose it is, and renamed into it."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
WITHOUT_SYNC = (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS)  # said of a folder, never of a broken disk


def write_whole(path: Path, data: bytes | Iterable[bytes], *, durable: bool = True, exclusive: bool = False) -> bool:
    """True if `path` now holds `data`, or its pieces one after the other; False if `exclusive` and another process was
    first.

    Other processes see the old file or the new one. With `durable` it is on the disk before it has its name.

    Raises:
        OSError: the file could not be written; nothing is left behind, and an older file stands.
    """
    temporary, size = beside(path), 0
    try:
        with open(temporary, "wb", buffering=0) as file:
            for piece in (data,) if isinstance(data, bytes) else data:
                view = memoryview(piece)
                size += len(view)
                while view:
                    view = view[file.write(view) :]
            if durable:
                os.fsync(file.fileno())
        if exclusive:
            if not _named_first(temporary, path):
                return False
        else:
            os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
        return True
    except OSError as error:
        reason = f"{os.strerror(error.errno or 0)} while writing {size} bytes"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _named_first(temporary: Path, path: Path) -> bool:
    """Whether `path` is now a name of the file, which nothing had before."""
    try:
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
    if path.exists():
        return False
    os.rename(temporary, path)  # two at once may both come here, where the file system knows no better
    return True


def sync_file(path: Path) -> None:
    """None, once the content of `path` is on disk."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> bool:
    """True, once the names in `folder` are on disk; False where the file system has no way to wait for that."""
    try:
        _sync(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise
        return False
    return True


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path) -> Path:
    """A name next to `path` that no other process uses, here or on another machine of the same file system."""
    return path.with_name(f".{path.name}.{_owner(os.getpid())}.tmp")


@lru_cache(maxsize=1)
def _owner(pid: int) -> str:
    """The host, number and start of this process, whose number a forked one does not share."""
    return f"{socket.gethostname()}.{pid}-{process_start(pid) or 0}"


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """None; removes what `beside` named (for one name, or for all) and a process that is gone from here left behind."""
    end = f".{socket.gethostname()}."
    for path in folder.glob(".*.tmp"):
        place, _, owner = path.name.removesuffix(".tmp").rpartition(end)
        pid, _, start = owner.partition("-")
        ours = bool(place) and pid.isdigit() and name in (None, place[1:])
        if ours and not is_running(int(pid), start):
            with contextlib.suppress(OSError):
                path.unlink()


def is_running(pid: int, start: str) -> bool:
    """Whether the process that began at `start` still runs: not one with the same number, nor one that only waits to
    be buried by a parent that never looks.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is not ours to signal, so it exists
    now = process_start(pid)
    return now is None or start in ("0", now)


def process_start(pid: int) -> str | None:
    """When a process began, in ticks since the boot; "" for one that has ended, None where the system does not tell."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return "" if state in "ZX" else fields[18]
