"""A check of a file system: what it does, what it needs of the machine, and what came of it."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shapetool.errors import Interrupted, ShapetoolError

if TYPE_CHECKING:
    from shapetool.pipelines.crash_tests.place import Place

State = Literal["ok", "note", "WRONG", "left out"]
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class WrongError(ShapetoolError):
    """Something came out otherwise than it has to."""


@dataclass(frozen=True)
class Finding:
    """What a check found. A `note` is something that the file system lacks and shapetool gets along without."""

    text: str
    state: State = "ok"


@dataclass(frozen=True)
class Check:
    """One thing to try in a folder. `run` raises WrongError where it does not come out as it has to."""

    id: str
    name: str
    does: str
    run: Callable[[Place], Finding]
    wants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A check with what it found, after so many seconds."""

    check: Check
    finding: Finding
    seconds: float

    @property
    def passed(self) -> bool | None:
        """Whether it came out as it has to; None for one that this machine cannot do."""
        return None if self.finding.state == "left out" else self.finding.state != "WRONG"

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-able values."""
        known = {"id": self.check.id, "name": self.check.name, "does": self.check.does, "passed": self.passed}
        return known | {"state": self.finding.state, "found": self.finding.text, "seconds": round(self.seconds, 3)}


def expect(condition: object, expected: str, found: object, meaning: str) -> None:
    """None where the condition holds.

    Raises:
        WrongError: it does not; its text says what was expected, what came, and what it means.
    """
    if not condition:
        raise WrongError(f"expected {expected}, found {found}: {meaning}.")


def outcome(check: Check, place: Place) -> Outcome:
    """What came of a check, or why it was left out here.

    Raises:
        OSError: the disk is full, so nothing can be said of it.
        Interrupted: a signal asked for an end.
    """
    begun = time.monotonic()
    lacking = [FACILITIES[name][1] for name in check.wants if not FACILITIES[name][0]()]
    if lacking:
        return Outcome(check, Finding(f"left out: this system has no {lacking[0]}", "left out"), 0.0)
    try:
        finding = check.run(place)
    except Interrupted:
        raise
    except ShapetoolError as error:
        finding = Finding(str(error), "WRONG")
    except OSError as error:
        if error.errno in NO_ROOM or isinstance(error, CannotWriteError):
            raise
        finding = Finding(f"expected no error of the system, found {_worded(error)}.", "WRONG")
    return Outcome(check, finding, time.monotonic() - begun)


class CannotWriteError(OSError):
    """A run that nothing disturbed could not write in the folder under test."""


def _worded(error: OSError) -> str:
    where = f" at {os.fsdecode(error.filename)}" if error.filename is not None else ""
    return f"{error.strerror or type(error).__name__}{where}"


def _has_processes() -> bool:
    return hasattr(os, "killpg") and hasattr(signal, "SIGKILL")


def _tells_starts() -> bool:
    return Path("/proc/self/stat").exists()


def _has_limits() -> bool:
    try:
        import resource
    except ImportError:
        return False
    return hasattr(resource, "RLIMIT_FSIZE")


# What checks want of the machine: whether it is there, and how it is called.
FACILITIES: dict[str, tuple[Callable[[], bool], str]] = {
    "processes": (_has_processes, "groups of processes that can be killed"),
    "starts": (_tells_starts, "/proc, which tells when a process began"),
    "limits": (_has_limits, "limit for the size of files (the module resource)"),
}
