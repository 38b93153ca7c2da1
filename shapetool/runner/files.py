"""What the runner's own files have in common: how a record is spelled, and what it means that a place refuses."""

import errno
import gc
import json
import threading
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


_ours = threading.local()  # whether it was a block of this thread that told Python not to look


@contextmanager
def many_objects() -> Iterator[None]:
    """A context in which Python does not look for cycles: among a hundred thousand new objects without any, it would
    look again and again, for a third of the time.
    """
    if not gc.isenabled():
        yield
        return
    before = getattr(_ours, "off", False)
    _ours.off = True
    gc.disable()
    try:
        yield
    finally:
        _ours.off = before
        gc.enable()


@contextmanager
def long_work() -> Iterator[None]:
    """A part of such a context in which Python looks as usual, since it may make cycles for hours."""
    if not getattr(_ours, "off", False):
        yield
        return
    gc.enable()
    try:
        yield
    finally:
        gc.disable()


def to_json_line(record: dict[str, Any]) -> bytes:
    """`record` as one line of JSON: one spelling for equal records, and no number that JSON lacks."""
    return (json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(", ", ": ")) + "\n").encode("utf-8")
