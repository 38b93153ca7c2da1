"""Runs that are told to stop at random moments, and runs whose parent is killed: how they end, and what is left."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.faulty_run import Shim, alive, started, wait_until_gone
from tests.faults.targets import LONGER, TARGETS, Target, make_inputs, undisturbed

INTERRUPTED, CTRL_C = 75, 130
SECONDS = 10
Times = Callable[[int, int], int]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def wait_for_files(place: Path, process: "subprocess.Popen[bytes]") -> None:
    """Nothing, once the run has begun to write."""
    while not any(place.iterdir()) and process.poll() is None:
        time.sleep(0.002)


def wait_until_listening(process: "subprocess.Popen[bytes]") -> None:
    """Nothing, once the interpreter has come to our first line, by which SIGTERM is caught."""
    caught = 0
    while not caught & 1 << signal.SIGTERM - 1 and process.poll() is None:
        words = (Path("/proc") / str(process.pid) / "status").read_text().split()
        caught = int(words[words.index("SigCgt:") + 1], 16) if "SigCgt:" in words else 0


def stop(process: "subprocess.Popen[bytes]", numbers: list[signal.Signals], everyone: bool, pause: float) -> float:
    """How long it took a run to end after the first of these signals came, to its parent alone or to all."""
    begun = time.monotonic()
    for number in numbers:
        try:
            (os.killpg if everyone else os.kill)(process.pid, number)
        except ProcessLookupError:
            break
        time.sleep(pause)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running {time.monotonic() - begun:.0f} s after {numbers}")
    return time.monotonic() - begun


def stop_at_random(
    target: Target, place: Path, chance: random.Random, numbers: list[signal.Signals]
) -> tuple[int, float]:
    """The exit code of a run that got these signals once it had begun to write, and how long it took to end."""
    with started(target.words(target.inputs, place / target.out)) as process:
        wait_for_files(place, process)
        time.sleep(chance.uniform(0, 0.5))
        took = stop(process, numbers, chance.random() < 0.5, chance.uniform(0, 0.1))
        errors = process.communicate(timeout=30)[1].decode()
    assert "Traceback" not in errors, errors
    assert "Exception ignored" not in errors, errors
    return process.returncode, took


def check_stops(
    target: Target, place: Path, numbers: list[signal.Signals], code: int, wanted: int
) -> tuple[int, float]:
    """How many runs it took until `wanted` of them had been stopped, and the longest wait; each is then resumed."""
    chance, tried, stopped, longest = random.Random(f"{target.out} {numbers}"), 0, 0, 0.0
    while stopped < wanted:
        assert tried < 10 * wanted + 10, f"only {stopped} of {tried} runs could be stopped"
        place.mkdir()
        tried += 1
        ended, took = stop_at_random(target, place, chance, numbers)
        assert ended in (code, target.ended.code)
        assert took < SECONDS
        stopped, longest = stopped + (ended == code), max(longest, took)
        target.check_published(place)
        if ended == code:
            target.check_rerun(place, always=True)
        else:
            target.check_complete(place)
        shutil.rmtree(place)
    return tried, longest


@pytest.mark.slow
@pytest.mark.parametrize("name", LONGER)
def test_sigterm_at_a_random_moment_is_75_and_a_rerun_is_exact(
    shim: Shim, inputs, tmp_path, times, record, name
) -> None:
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    wanted = times(1, 25)
    tried, longest = check_stops(target, tmp_path / "run", [signal.SIGTERM], INTERRUPTED, wanted)
    record(19, run=name, tried=tried, stopped=wanted, exit=INTERRUPTED, longest_s=round(longest, 2), wrong=0)


@pytest.mark.slow
@pytest.mark.parametrize("often", [1, 2, 5])
@pytest.mark.parametrize("name", LONGER)
def test_ctrl_c_is_130_without_a_traceback_or_an_orphan(
    shim: Shim, inputs, tmp_path, times, record, name, often
) -> None:
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    wanted = times(1, 10)
    tried, longest = check_stops(target, tmp_path / "run", often * [signal.SIGINT], CTRL_C, wanted)
    record(
        20, run=name, ctrl_c=often, tried=tried, stopped=wanted, longest_s=round(longest, 2), tracebacks=0, orphans=0
    )


def test_signals_from_the_first_moment_on_end_a_run_without_a_traceback(inputs, tmp_path, times, record) -> None:
    """Before it has begun, while it imports what it needs, and while it takes its leave."""
    ends: Counter[int] = Counter()
    chance, tries = random.Random(3), times(6, 100)
    for number in range(tries):
        which = chance.choice([signal.SIGINT, signal.SIGTERM])
        with started(TARGETS["sample-sdf into a folder"][0](inputs, tmp_path / f"out{number}")) as process:
            wait_until_listening(process)
            time.sleep(0.8 * (number / tries) ** 2)
            stop(process, [which, which], chance.random() < 0.5, 0.001)
            errors = process.communicate(timeout=30)[1].decode()
        assert "Traceback" not in errors, errors
        assert process.returncode in (0, CTRL_C if which == signal.SIGINT else INTERRUPTED), (number, which, errors)
        ends[process.returncode] += 1
    record(20, run="from the first moment on", tried=tries, **{f"exit {code}": count for code, count in ends.items()})


def orphan_words(inputs: Path, place: Path) -> dict[str, list[object]]:
    """Commands that have workers, each with work for longer than the test waits."""
    meshes = inputs / "meshes"
    return {
        "sample-sdf": ["sample-sdf", meshes, place / "out", "--count", 20_000_000, "-j", 2],
        "sample-sdf into one file": ["sample-sdf", meshes, place / "out.h5", "--count", 20_000_000, "-j", 2],
        "render-views": ["render-views", meshes, place / "views", "--views", 200, "--size", 512, "-j", 2],
        "eval": ["eval", meshes, meshes, "--out", place / "scores", "--samples", 5_000_000, "-j", 2],
        "train": ["train", "deepsdf", inputs / "train.h5", place / "run", "--steps", 100_000],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample-sdf", "sample-sdf into one file", "render-views", "eval", "train"])
def test_a_killed_parent_takes_its_processes_along(inputs, tmp_path, times, record, name) -> None:
    if name == "train" and not (inputs / "train.h5").exists():
        words = ["shapetool", "sample-sdf", inputs / "meshes", inputs / "train.h5", "--count", 2000, "-q"]
        with started(words) as process:
            assert process.wait(timeout=120) == 0
    chance, tries, longest, most = random.Random(21), times(1, 10), 0.0, 0
    for number in range(tries):
        place = tmp_path / f"run{number}"
        place.mkdir()
        with started(["shapetool", *orphan_words(inputs, place)[name]]) as process:
            wait_for_files(place, process)
            time.sleep(chance.uniform(0, 1.0))
            assert process.poll() is None, process.communicate()[1].decode()
            most = max(most, len(alive(process.pid)))
            process.kill()
            process.wait()
            begun = time.monotonic()
            wait_until_gone(process.pid, SECONDS)
            longest = max(longest, time.monotonic() - begun)
        shutil.rmtree(place)
    record(21, run=name, killed=tries, processes=most, longest_s=round(longest, 2), left=0)
