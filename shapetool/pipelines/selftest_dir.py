"""`shapetool selftest --dir`: crash safety, tried on the user's own file system."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapetool.pipelines.crash_tests.check import Check, Outcome

ROOM = 96 << 20
SECONDS = 60.0  # after so long no further run is killed; what is then under way takes some seconds more
REMOVAL_SECONDS = 5.0


class Scratch:
    """A new folder below one that the user named, for the time of a `with`; nothing else there is touched.

    `left` says why it could not be removed, and is empty if it could.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))
        self.path = self._folder
        self.left = ""

    def __enter__(self) -> Scratch:
        """The scratch folder, once it is there.

        Raises:
            OSError: the folder cannot be written, or has too little room.
        """
        try:
            self.path = Path(tempfile.mkdtemp(prefix="shapetool-selftest-", dir=self._folder))
        except OSError as error:
            found = "found a file" if self._folder.exists() else "found no such folder"
            reason = f"but: {error.strerror}" if self._folder.is_dir() else found
            text = f"expected a folder that can be written, {reason}"
            raise OSError(error.errno, text, str(self._folder)) from error
        free = shutil.disk_usage(self._folder).free
        if free < ROOM:
            self.__exit__()
            text = f"expected {ROOM >> 20} MiB of room for the checks, found {free / (1 << 20):.1f} MiB"
            raise OSError(errno.ENOSPC, text, str(self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        self.left = "stopped before it was gone"
        deadline = time.monotonic() + REMOVAL_SECONDS
        # NFS keeps a file that is open under another name until it is closed, and a process that was killed may take a
        # moment for that.
        while (reason := _removed(self.path)) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.left = reason


def _removed(folder: Path) -> str:
    """Why a folder is still there; "" if it is gone."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return str(error.strerror) if folder.exists() else ""
    return ""


def checks() -> tuple[Check, ...]:
    """All checks, in the order in which they are done."""
    from shapetool.pipelines.crash_tests.damage import DAMAGE
    from shapetool.pipelines.crash_tests.facts import FACTS
    from shapetool.pipelines.crash_tests.interruptions import INTERRUPTIONS
    from shapetool.pipelines.crash_tests.writers import WRITERS

    return (*FACTS, *sorted((*WRITERS, *DAMAGE, *INTERRUPTIONS), key=lambda check: check.id))


def run(scratch: Path, rounds: int | None = None) -> Generator[Outcome, None, None]:
    """The outcome of each check as it is found; `rounds` runs are killed, or as many as there is time for.

    Raises:
        OSError: the disk is full, or no run can write there.
        Interrupted: a signal asked for an end.
    """
    from shapetool.pipelines.crash_tests.check import outcome
    from shapetool.pipelines.crash_tests.place import Place

    # What is killed leaves its sockets behind, whose names may not be long: they are not for the folder under test.
    with tempfile.TemporaryDirectory(prefix="st-", ignore_cleanup_errors=True) as elsewhere:
        place = Place(scratch, Path(elsewhere), rounds, time.monotonic() + SECONDS)
        for check in checks():
            yield outcome(check, place)


def describe(folder: Path) -> str:
    """The folder with the kind of its file system, where that is known, and the room on it."""
    path = Path(os.path.abspath(folder))
    free = shutil.disk_usage(path).free / (1 << 30)
    kind = file_system(path)
    return f"{path}: {f'{kind}, ' if kind else ''}{free:.1f} GiB free"


def file_system(path: Path) -> str:
    """The kind of file system that a folder is on, such as ext4 or nfs4; "" where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real, best = os.path.realpath(path), ("", "")
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        inside = os.path.commonpath([real, point]) == point
        if inside and len(point) >= len(best[0]):
            best = (point, right.split()[0])
    return best[1]
