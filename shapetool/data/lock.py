"""One writer for one place: a small file names its owner, who touches it every few seconds for as long as it writes.

It works where `flock` does not: the file is made by linking, which network file systems do in one step, and whether the
owner still lives is seen by its beats alone, so neither a clock nor a network is asked. On the owner's own machine the
process itself is looked for. Two writers would do no harm, as every file is published whole: the lock saves the work.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shapetool.data.atomic import is_running, process_start, write_whole
from shapetool.errors import ConfigError

BEAT_SECONDS = 5.0
MISSED_BEATS = 3
ATTEMPTS = 10


class SoleWriter:
    """The right to write one place: `take` it once there is something to write; used in a `with`, it ends with that.

    `path` is the lock, `out` what its owner writes, for the words of a refusal.
    """

    def __init__(self, path: Path, out: Path) -> None:
        self._path, self._out = path, out
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> "SoleWriter":
        return self

    def take(self) -> None:
        """None, once the lock is ours; that of an owner that is gone is taken over.

        On its own machine the owner is known to be gone at once, elsewhere after `MISSED_BEATS`.

        Raises:
            ConfigError: another process writes there.
            OSError: the lock cannot be written.
        """
        if self._beating is None:
            _take(self._path, self._out, self._token)
            self._beating = threading.Thread(target=_beat, args=(self._path, self._token, self._ended), daemon=True)
            self._beating.start()

    def __exit__(self, *error: object) -> None:
        if self._beating is None:
            return
        self._ended.set()
        if self._beating.is_alive():  # a signal may have come before it began
            self._beating.join()
        if _holds(self._path, self._token):
            with contextlib.suppress(OSError):
                self._path.unlink()


@contextmanager
def sole_writer(path: Path, out: Path) -> Iterator[None]:
    """A context in which the lock `path` is ours, as `SoleWriter.take` takes it.

    Raises:
        ConfigError: another process writes there.
        OSError: the lock cannot be written.
    """
    with SoleWriter(path, out) as writer:
        writer.take()
        yield


def refuse_if_held(path: Path, out: Path) -> None:
    """None, if no process that lives owns the lock `path`.

    Raises:
        ConfigError: one does.
    """
    seen = _read(path)
    if seen is not None and _lives(path, seen):
        raise _held(seen[0], out)


def _take(path: Path, out: Path, token: str) -> None:
    mine = {"token": token, "pid": os.getpid(), "start": process_start(os.getpid()) or "0", "since": time.time()}
    text = (json.dumps(mine | _place()) + "\n").encode("utf-8")
    for _ in range(ATTEMPTS):
        if write_whole(path, text, durable=False, exclusive=True):
            return
        refuse_if_held(path, out)
        _remove_stale(path)
    raise ConfigError(f"{out}: other runs keep taking {path.name} there. Start one at a time.")


def _place() -> dict[str, str]:
    """What tells whether a process number means a process of ours: the machine, its start, and the namespace."""
    place = {"host": socket.gethostname(), "boot": "", "space": ""}
    with contextlib.suppress(OSError):
        place["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        place["space"] = os.readlink("/proc/self/ns/pid")
    return place


def _read(path: Path) -> tuple[dict[str, Any], int] | None:
    """What the lock says and when it was last touched; None if there is none.

    It is opened for that: a network file system looks anew at a file that is opened, not at one it remembers.
    """
    try:
        with open(path, "rb") as file:
            text, touched = file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
    try:
        owner = json.loads(text)
    except (ValueError, RecursionError):
        owner = {}
    whole = isinstance(owner, dict) and isinstance(owner.get("pid", 0), int)
    return (owner if whole else {}), touched


def _lives(path: Path, seen: tuple[dict[str, Any], int]) -> bool:
    """Whether the owner is at work: its process on this machine, else a beat among the next `MISSED_BEATS`."""
    owner = seen[0]
    place = _place()
    if place["boot"] and all(owner.get(name) == value for name, value in place.items()):
        return is_running(int(owner.get("pid", 0)), str(owner.get("start", "0")))
    deadline = time.monotonic() + MISSED_BEATS * BEAT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(BEAT_SECONDS / 10)
        now = _read(path)
        if now is None:
            return False
        if now != seen:
            return True
    return False


def _remove_stale(path: Path) -> None:
    """None; takes the lock away that was found stale, and puts it back if another run had replaced it meanwhile."""
    before, aside = _read(path), path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    try:
        now = _read(aside)
        if before is not None and now is not None and now[0].get("token") != before[0].get("token"):
            with contextlib.suppress(OSError):
                os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _held(owner: dict[str, Any], out: Path) -> ConfigError:
    who = f"process {owner.get('pid', 'unknown')} on {owner.get('host', 'an unknown host')}"
    since = owner.get("since")
    age = f", for {max(0, round(time.time() - since))} s" if isinstance(since, int | float) else ""
    return ConfigError(f"{out}: expected to write there alone, but {who} does so{age}. Wait for it, or stop it.")


def _holds(path: Path, token: str) -> bool:
    with contextlib.suppress(OSError):
        seen = _read(path)
        return seen is not None and seen[0].get("token") == token
    return False


def _beat(path: Path, token: str, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        if not _holds(path, token):
            return  # somebody believed us dead: the lock is theirs
        with contextlib.suppress(OSError):
            os.utime(path)
