"""Two runs that want to write one output: the second is told of the first, and overlapping ones do no harm."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHAPES = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(SHAPES):
        (tmp_path / "in" / f"s{number}.obj").write_text(f"shape {number}")
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a run of the made-up job on the folder; what still runs after the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(out: str, delay: float = 0.0, shard: str = "") -> "subprocess.Popen[str]":
        words = ["-m", "tests.runner.run_fakes", str(folder / "in"), str(folder / out), str(delay), "2", shard]
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_lock(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not list((folder / ".shapetool").glob("lock-*")):
        assert time.monotonic() < deadline, "no lock"
        time.sleep(0.02)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("shard-*.h5"))}


@pytest.mark.parametrize("out", ["out", "out.h5"])
def test_a_second_run_on_one_output_is_told_who_writes_there(folder, start, record, out) -> None:
    first = start(out, delay=30.0)
    wait_for_lock(folder / (out if out == "out" else "out.h5.partial"))
    errors = start(out).communicate(timeout=60)[1]
    assert re.search(
        rf"ConfigError: \S*{out}: expected to write there alone, but process {first.pid} on .*\d s\.", errors
    )
    first.kill()
    first.wait()
    again = start(out)
    assert again.communicate(timeout=120)[1] == ""
    assert again.returncode == 0  # the lock of a killed run on this machine is nobody's
    if out == "out":
        assert not list((folder / "out" / ".shapetool").glob("lock-*"))
    record(23, refused=1, taken_over=1, out=out)


def test_overwrite_leaves_a_folder_alone_that_is_being_written(folder, start) -> None:
    from shapetool.errors import ConfigError
    from shapetool.runner.run import remove_dataset

    first = start("out", delay=30.0)
    wait_for_lock(folder / "out")
    with pytest.raises(ConfigError, match=f"process {first.pid}"):
        remove_dataset(folder / "out")
    assert (folder / "out" / "manifest.jsonl").exists() or first.poll() is None


def test_the_same_shards_made_twice_at_once_are_whole_and_equal(folder, start, times, record) -> None:
    assert start("truth").wait(timeout=120) == 0
    truth = digests(folder / "truth")
    rounds = times(2, 20)
    for number in range(rounds):
        # The whole and two halves: every shard is wanted by two of the three.
        together = [start(f"out{number}", delay=0.05, shard=shard) for shard in ("", "0/2", "1/2")]
        for process in together:
            assert process.communicate(timeout=120)[1] == ""
            assert process.returncode == 0
        assert digests(folder / f"out{number}") == truth
        lines = [json.loads(line) for line in (folder / f"out{number}" / "report.jsonl").read_text().splitlines()]
        assert [line["id"] for line in lines] == [f"s{number}" for number in range(SHAPES)]
        left = [path.name for path in (folder / f"out{number}").rglob("*") if path.suffix == ".tmp"]
        assert not left
    record(24, rounds=rounds, shards=len(truth))
