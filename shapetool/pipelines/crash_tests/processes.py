"""A command as processes of its own: started, waited for, stopped, killed, and all of it gone in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shapetool.pipelines.crash_tests.check import WrongError, expect

END_SECONDS = 90.0
GONE_SECONDS = 10.0
KILLED_SECONDS = 5.0
POLL_SECONDS = 0.003
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    errors: str

    @property
    def last_line(self) -> str:
        """What it said in the end."""
        return (self.errors.splitlines() or ["nothing said"])[-1]


class Running:
    """A command that runs in a session of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def wait_for(self, *patterns: Path) -> bool:
        """True once a file of such a name (its last part may have `*`) is there, False if the command ended before."""
        while self._process.poll() is None:
            if any(next(path.parent.glob(path.name), None) for path in patterns):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def send(self, number: int, everyone: bool = True) -> None:
        """None, after the signal went to all processes of the command, or to its first alone."""
        with suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(self.pid, number)

    def kill(self) -> None:
        """None, after all its processes were killed at once."""
        kill(self.pid)

    def end(self, seconds: float = END_SECONDS) -> Ended:
        """How it ended, within so many seconds, with nothing of it left running.

        Raises:
            WrongError: it did not end, or left processes behind.
        """
        ended = self.end_within(seconds)
        if ended is None:
            raise WrongError(f"expected a command to end within {seconds:.0f} s, found it running: it hangs.")
        deadline = time.monotonic() + GONE_SECONDS
        while left := alive(self.pid):
            expect(time.monotonic() < deadline, "no process left of a command that ended", left, "they hold memory")
            time.sleep(POLL_SECONDS)
        return ended

    def end_within(self, seconds: float) -> Ended | None:
        """How it ended, or None if it still runs after so many seconds."""
        try:
            errors = self._process.communicate(timeout=max(0.0, seconds))[1]
        except subprocess.TimeoutExpired:
            return None
        return Ended(self._process.returncode, errors)


@contextmanager
def started(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """A command that has been started in `folder`; after the block none of its processes runs."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None or alive(process.pid):
            kill(process.pid)
        process.wait()
        deadline = time.monotonic() + KILLED_SECONDS
        while alive(process.pid) and time.monotonic() < deadline:  # the system ends them, but when it has the time
            time.sleep(POLL_SECONDS)
        if process.stderr is not None:
            process.stderr.close()


def kill(session: int) -> None:
    """Nothing, after all processes of a session are killed at once.

    Python's semaphores are files in memory that only these processes know, so nobody else would ever remove them.
    """
    with suppress(ProcessLookupError):
        os.killpg(session, signal.SIGSTOP)
    known = {number for process in alive(session) for number in _semaphores(process)}
    with suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
    for path in MEMORY.glob("sem.mp-*") if known else ():
        with suppress(OSError):
            if path.stat().st_ino in known:
                path.unlink()


def _semaphores(process: int) -> list[int]:
    """The inodes of the semaphores that a process has in its memory, where they go by a name that is gone."""
    try:
        lines = Path(f"/proc/{process}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [int(line.split()[4]) for line in lines if f"{MEMORY}/sem." in line]


def alive(session: int) -> list[int]:
    """The processes of a session that run; where the system has no /proc, the first if any does."""
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(session, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [session]
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                state, _, _, owner = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(owner) == session and state not in "ZX":
                found.append(int(name))
    return found
