"""A process of several that train one model is killed: all begin again, and no step is lost or doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shapetool.cli.app import main
from tests.trained import words

STEPS = 300
EVERY = 20  # steps between checkpoints
NUMBERS = ("loss", "distance", "code", "lr")
# Two processes add gradients up in another order than one. At such rates the rounding is not made larger by each step,
# and another batch, or a step left out, is seen.
RATES = {"lr": 1e-5, "code_lr": 1e-5, "muon_lr": 1e-5}


def line(data: Path, run: Path) -> list[str]:
    return words(data, run, steps=STEPS, checkpoint_every=EVERY, points=64, width=32, depth=4, **RATES)


class Launch:
    """`torchrun` with two processes of the command, that can be killed."""

    def __init__(self, asked: list[str], log: Path, restarts: int) -> None:
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}"]
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, *start, "-m", "shapetool", *asked],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def ranks(self) -> dict[int, int]:
        """The processes that train, by rank."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == (
                    self.process.pid
                ):
                    held = dict(
                        word.split(b"=", 1) for word in (entry / "environ").read_bytes().split(b"\0") if b"=" in word
                    )
                    found[int(held[b"RANK"])] = int(entry.name)
            except (OSError, KeyError, ValueError):
                continue
        return found

    def wait_for_step(self, step: int) -> bool:
        """Whether the log came to a step before the end."""
        deadline = time.monotonic() + 200
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "no step is taken"
            if last_step(self.log) >= step:
                return True
            time.sleep(0.002)
        return False

    def finish(self) -> str:
        said = self.process.communicate(timeout=250)[1]
        assert self.process.returncode == 0, said
        return said

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


@pytest.fixture
def launched() -> Iterator[list[Launch]]:
    """What a test has launched, to be killed at its end with all its processes."""
    launches: list[Launch] = []
    yield launches
    for launch in launches:
        for number in launch.ranks().values():
            os.kill(number, signal.SIGKILL)
        launch.kill()


@pytest.fixture(scope="module")
def truth(sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of two processes that nothing interrupted."""
    run = tmp_path_factory.mktemp("truth") / "run"
    launch = Launch(line(sampled, run), run / "log.jsonl", 0)
    try:
        launch.finish()
    finally:
        launch.kill()
    return run / "log.jsonl"


def read_lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in log.read_bytes().splitlines() if text.endswith(b"}")]


def last_step(log: Path) -> int:
    return max((entry["step"] for entry in read_lines(log)), default=0) if log.exists() else 0


def check_curve(log: Path, truth: Path) -> float:
    """How far the losses are from those of the run that nothing interrupted, at most; every step is there once."""
    entries, true = read_lines(log), read_lines(truth)
    assert [entry["step"] for entry in entries] == [entry["step"] for entry in true] == list(range(10, STEPS + 1, 10))
    return max(abs(one[name] - two[name]) for one, two in zip(entries, true, strict=True) for name in NUMBERS)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system shows no processes below /proc")
def test_a_killed_rank_costs_the_steps_since_the_checkpoint_and_changes_no_loss(
    sampled, truth, tmp_path, launched, times, record
):
    kills, chance = times(1, 5), random.Random(27)
    launch = Launch(line(sampled, tmp_path / "run"), tmp_path / "run/log.jsonl", kills)
    launched.append(launch)
    killed = []
    for number in range(kills):
        # After the first checkpoint, each beyond the last.
        step = 30 + (STEPS - 50) // kills * number + 10 * chance.randrange(0, 3)
        assert launch.wait_for_step(step), launch.finish()
        time.sleep(chance.uniform(0, 0.03))
        rank = number % 2
        before = launch.ranks()
        os.kill(before[rank], signal.SIGKILL)
        killed.append((rank, step))
        deadline = time.monotonic() + 100
        while len(now := launch.ranks()) < 2 or set(now.values()) & set(before.values()):
            assert launch.process.poll() is None, launch.finish()
            assert time.monotonic() < deadline, "the processes did not begin again"
            time.sleep(0.05)
    launch.finish()
    assert len(killed) == kills
    apart = check_curve(tmp_path / "run/log.jsonl", truth)
    record(27, kills=len(killed), ranks_and_steps=killed, steps=STEPS, largest_difference=apart)
    assert apart <= 1e-6


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system shows no processes below /proc")
def test_a_run_of_two_processes_that_was_killed_goes_on_in_one(sampled, truth, tmp_path, launched, record):
    launch = Launch(line(sampled, tmp_path / "run"), tmp_path / "run/log.jsonl", 0)
    launched.append(launch)
    assert launch.wait_for_step(110)
    os.kill(launch.ranks()[1], signal.SIGKILL)
    launch.process.communicate(timeout=100)
    assert launch.process.returncode != 0
    assert EVERY <= json.loads((tmp_path / "run/last/state.json").read_text())["step"] < STEPS
    assert main([*line(sampled, tmp_path / "run"), "-q"]) == 0
    apart = check_curve(tmp_path / "run/log.jsonl", truth)
    record(27, kills=1, resumed_on=1, steps=STEPS, largest_difference=apart)
    assert apart <= 1e-6
