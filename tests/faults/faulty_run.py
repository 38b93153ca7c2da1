"""Runs of commands under a shim that kills them, or lets the system refuse something, at their N-th call on files."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("inject.c")
TIMED = ("seconds", "n_seconds", "peak_rss")  # what two equal runs write differently
ERRORS = ("EIO", "ENOSPC", "EINTR")


@dataclass(frozen=True)
class Fault:
    """What happens at the N-th call: `kill`, `tear` (a kill after half of a write), `short` (half of a write), or an
    error by its name; once, or `always` from then on.
    """

    at: int
    what: str
    always: bool = False

    def __str__(self) -> str:
        return f"{self.what} {'from' if self.always else 'at'} call {self.at}"


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, what it printed, and the calls on its files with the faults among them."""

    code: int
    output: str
    errors: str
    calls: tuple[str, ...]
    count: int
    faults: int

    @property
    def error_lines(self) -> list[str]:
        """The lines that tell why it failed."""
        return [line for line in self.errors.splitlines() if "error" in line.lower() or "Traceback" in line]


class Shim:
    """The shim, built once a test session, and the runs under it."""

    def __init__(self, folder: Path) -> None:
        compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
        if not sys.platform.startswith("linux") or compiler is None:
            pytest.skip("faults are injected by a shim for LD_PRELOAD, which needs Linux and a C compiler")
        self.library, self.folder = folder / "inject.so", folder
        words = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", self.library, SOURCE, "-ldl"]
        built = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr

    def run(self, words: Sequence[object], under: Path, fault: Fault | None = None, *, deadline: float = 120) -> Ended:
        """How `python -m WORDS` ended, under a fault in its calls below `under`; none of its processes is left."""
        state, log = self.folder / "state", self.folder / "calls"
        state.write_bytes(bytes(16))
        log.write_bytes(b"")
        what = fault.what if fault else "kill"
        number = str(getattr(errno, what)) if what in ERRORS else what
        environment = os.environ | {
            "LD_PRELOAD": str(self.library),
            "INJECT_UNDER": str(under),
            "INJECT_STATE": str(state),
            "INJECT_LOG": str(log),
            "INJECT_AT": str(fault.at if fault else 0),
            "INJECT_WHAT": number,
            "INJECT_ALWAYS": "1" if fault and fault.always else "0",
        }
        with started(words, env=environment) as process:
            output, errors = process.communicate(timeout=deadline)
        calls, faults = (int.from_bytes(part, sys.byteorder) for part in halves(state.read_bytes()))
        lines = tuple(line.split(" ", 2)[2] for line in log.read_text("utf-8").splitlines())
        return Ended(process.returncode, output.decode(), errors.decode(), lines, calls, faults)


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


@contextmanager
def started(words: Sequence[object], **more: object) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m WORDS` in a session of its own, all of which is gone within ten seconds of the end of the block."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, words)],
        **{"cwd": REPOSITORY, **pipes, **more},  # type: ignore[arg-type]
        start_new_session=True,
    )
    try:
        yield process
        wait_until_gone(process.pid)
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def alive(session: int) -> list[int]:
    """The processes of a session that still run, by their numbers."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, owner = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(owner) == session and state not in "ZX":
            found.append(int(entry.name))
    return found


def wait_until_gone(session: int, seconds: float = 10) -> None:
    """Nothing, once no process of the session runs any more, which is to be so within ten seconds."""
    deadline = time.monotonic() + seconds
    while left := alive(session):
        assert time.monotonic() < deadline, f"processes {left} are left behind"
        time.sleep(0.01)


def tree(folder: Path) -> dict[str, object]:
    """Every file below a folder by its name, with its bytes; of lines of JSON without the times in them."""
    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*")) if not path.is_dir()}


def content(path: Path) -> object:
    """What a file holds that two equal runs have in common."""
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        return [json_content(line) for line in data.splitlines()]
    return json_content(data) if path.suffix == ".json" else data


def json_content(data: bytes) -> object:
    """JSON without the times in it; a line that a kill cut off as it is."""
    try:
        return without_times(json.loads(data))
    except ValueError:
        return data


def without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_times(entry) for key, entry in value.items() if key not in TIMED}
    return value


def state_of(folder: Path) -> str:
    """A word for what lies below a folder: equal for two folders from which a run goes on in the same way.

    Process numbers in the names of half-written files and in locks differ, and so do the times in the heads of records.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = re.sub(r"\.\d+-\d+\.tmp$|lock-.*", "", str(path.relative_to(folder)))
        data = (
            b"" if path.is_dir() or "lock-" in path.name else re.sub(rb'"seconds": [0-9.e-]+', b"", path.read_bytes())
        )
        digest.update(f"{name}\n{len(data)}\n".encode() + data)
    return digest.hexdigest()


def spread(total: int, count: int) -> list[int]:
    """`count` numbers from 1 to `total`, evenly; all of them where there are no more."""
    if count >= total:
        return list(range(1, total + 1))
    return sorted({1 + round(k * (total - 1) / max(1, count - 1)) for k in range(count)})
