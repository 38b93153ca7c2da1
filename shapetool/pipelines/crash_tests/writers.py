"""Several writers of one output, one after the other and at once: the same bytes, and a lock that saves the work."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from shapetool.pipelines.crash_tests.check import Check, Finding, WrongError, expect
from shapetool.pipelines.crash_tests.place import FILES, LARGE, Place
from shapetool.pipelines.crash_tests.processes import Running
from shapetool.runner.run import lock_path

REFUSED = 1
TRIES = 8


def divisions(place: Place) -> Finding:
    """One worker or two, the whole or its halves one after the other."""
    place.undisturbed(LARGE)
    place.finish(LARGE, "one", "-j", "1")
    place.compare(LARGE, "one")
    files = len([name for name in place.undisturbed(FILES).tree if name.endswith(".ply")])
    for part in ("0/2", "1/2"):
        place.finish(FILES, "parts", "--shard", part)
    place.compare(FILES, "parts")
    return Finding(f"equal: -j 1 and -j 2; {files} files in one run and in parts 0/2 and 1/2")


def writers_at_once(place: Place) -> Finding:
    """A run of the whole and one of a part that want the same shard at the same time."""
    place.undisturbed(LARGE)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(place.started(LARGE, "both", "-j", "1", *more)) for more in ((), ("--shard", "0/2"))
        ]
        for ended in [running.end() for running in runs]:
            came = f"{ended.code} ({ended.last_line})"
            expect(ended.code == 0, "exit code 0 of both writers", came, "overlapping array jobs fail")
    place.compare(LARGE, "both")
    return Finding("equal bytes, and nothing left over")


def locks(place: Place) -> Finding:
    """A second run on the output of one that is at work, and again once that one was killed."""
    place.undisturbed(LARGE)
    lock = lock_path(place.folder / "locked", None)
    with _holding(place) as owner:
        with place.started(LARGE, "locked") as other:
            ended = other.end()
        came = f"exit code {ended.code} ({ended.last_line})"
        expect(ended.code == REFUSED, "a second run on one OUT to be refused", came, "the work is done twice")
        named = rf"process {owner.pid} on {re.escape(socket.gethostname())} does so, for \d+ s"
        expect(
            re.search(named, ended.last_line), "the owner's process, host and age", came, "nobody knows whom to stop"
        )
        owner.kill()
        owner.end()
    expect(lock.exists(), "the lock of a killed run", "none", "somebody else wrote in this folder")
    place.finish(LARGE, "locked")
    place.compare(LARGE, "locked")
    return Finding("a second run is told process, host and age; a killed owner's lock is taken over")


@contextmanager
def _holding(place: Place) -> Iterator[Running]:
    """A run that stands still amid its work.

    Raises:
        WrongError: none was seen to have a lock.
    """
    lock = lock_path(place.folder / "locked", None)
    for _ in range(TRIES):
        with place.started(LARGE, "locked", "-j", "1") as owner:
            if owner.wait_for(lock):
                owner.send(signal.SIGSTOP)
                if lock.exists():
                    yield owner
                    return
                owner.send(signal.SIGCONT)  # it had just done
        place.remove("locked")
    raise WrongError("expected a lock while a run is at work, found none: two runs would do the work twice.")


WRITERS = (
    Check(
        "D1",
        "workers and parts",
        "One output is made by one worker, by two, and in two parts.",
        divisions,
        ("processes",),
    ),
    Check("D2", "two writers at once", "The whole and the part 0/2 write one shard.", writers_at_once, ("processes",)),
    Check(
        "D3",
        "one owner",
        "A second run on one OUT while the first is at work, and after it was killed.",
        locks,
        ("processes", "starts"),
    ),
)
