"""Folders in memory for one process, which go with it."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

SHM = Path("/dev/shm")


@cache
def ram(name: str) -> Path:
    """An empty folder of this name, in memory where the system has such a place."""
    folder = Path(tempfile.mkdtemp(prefix=f"shapetool-fuzz-{name}-", dir=SHM if SHM.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def put(folder: str, name: str, data: bytes) -> Path:
    """The path of a file of that content, in the folder of that name."""
    path = ram(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
