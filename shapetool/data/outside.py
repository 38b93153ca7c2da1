"""What others give us: names that must not lead elsewhere, and paths at which there may be no file."""

import stat
from pathlib import Path

from shapetool.errors import DataError


def stays_below(shape_id: str) -> bool:
    """Whether an id, taken as a path, leads to a place below the folder that it is put under."""
    return "\0" not in shape_id and not any(part in ("", ".", "..") for part in shape_id.split("/"))


def plain_file(path: Path) -> Path:
    """`path`, unless there is something else than a file: a pipe makes its reader wait for ever, a device never ends.

    One that is missing is left to whoever opens it.

    Raises:
        DataError: it is a folder, pipe, socket or device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: expected a plain file, found a folder, pipe, socket or device. It is not opened.")
    return path
