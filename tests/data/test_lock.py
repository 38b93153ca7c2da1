"""The lock of a place that is written by one process at a time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shapetool.data import lock
from shapetool.data.lock import refuse_if_held, sole_writer
from shapetool.errors import ConfigError

OWNER = (
    "import sys; from pathlib import Path; from shapetool.data.lock import sole_writer\n"
    "with sole_writer(Path(sys.argv[1]), Path('out')): print('held', flush=True); sys.stdin.read()\n"
)


def elsewhere(path: Path) -> Path:
    """A lock as a process of another machine would have left it."""
    path.write_text(json.dumps({"token": "theirs", "pid": 7, "start": "1", "host": "node3", "boot": "b", "space": "s"}))
    return path


def test_a_lock_is_gone_after_its_block_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with sole_writer(tmp_path / "lock", tmp_path):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
        assert not list(tmp_path.iterdir())


def test_a_second_process_is_told_who_writes_there_and_for_how_long(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=rf"out: .*process {owner.pid} on .*, for \d+ s"):
            refuse_if_held(tmp_path / "lock", Path("out"))
        with pytest.raises(ConfigError), sole_writer(tmp_path / "lock", Path("out")):
            raise AssertionError("two writers")
    finally:
        owner.kill()
        owner.communicate()
    with sole_writer(tmp_path / "lock", Path("out")):  # the owner is gone, and this machine can tell
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_the_lock_of_another_machine_holds_as_long_as_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.3)
    held = elsewhere(tmp_path / "lock")
    beating = subprocess.Popen(
        [sys.executable, "-c", f"import os, time\nwhile True: os.utime({str(held)!r}); time.sleep(0.1)"]
    )
    try:
        first = held.stat().st_mtime_ns
        while held.stat().st_mtime_ns == first:
            time.sleep(0.05)
        with pytest.raises(ConfigError, match="process 7 on node3"):
            refuse_if_held(held, tmp_path)
    finally:
        beating.kill()
        beating.wait()
    refuse_if_held(held, tmp_path)
    with sole_writer(held, tmp_path):
        assert json.loads(held.read_text())["token"] != "theirs"
    assert not list(tmp_path.iterdir())


def test_a_lock_that_says_nothing_is_judged_by_its_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)
    for text in (b"", b"[1]", b"{half", b"\xff\xfe"):
        (tmp_path / "lock").write_bytes(text)
        with sole_writer(tmp_path / "lock", tmp_path):
            pass


def test_the_owner_beats_by_itself_and_leaves_a_lock_alone_that_became_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    path = tmp_path / "lock"
    with sole_writer(path, tmp_path):
        first = path.stat().st_mtime_ns
        deadline = time.monotonic() + 20
        while path.stat().st_mtime_ns == first:
            assert time.monotonic() < deadline, "no beat"
            time.sleep(0.02)
        elsewhere(path)
    assert json.loads(path.read_text())["token"] == "theirs"


def test_a_file_system_without_links_has_locks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with (
        sole_writer(tmp_path / "lock", tmp_path),
        pytest.raises(ConfigError, match=f"process {os.getpid()}"),
        sole_writer(tmp_path / "lock", tmp_path),
    ):
        raise AssertionError("two writers")
