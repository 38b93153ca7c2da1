"""Runs whose processes are all killed at random moments, again and again: nothing is lost, doubled or left over."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.faulty_run import Shim, started
from tests.faults.targets import TARGETS, Target, make_inputs, undisturbed

KILLS_A_RUN = 5


def kill_at(target: Target, place: Path, seconds: float) -> bool:
    """Whether a run was killed, with all its processes, this long after its start; else it had ended before."""
    with started(target.words(target.inputs, place / target.out)) as process:
        try:
            errors = process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return process.returncode == -signal.SIGKILL
    assert process.returncode == target.ended.code, errors.decode()
    return False


def finish(target: Target, place: Path) -> None:
    """Nothing, once a run was left alone and has made what an undisturbed run makes, and `place` is empty again."""
    with started(target.words(target.inputs, place / target.out)) as process:
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == target.ended.code, errors.decode()
    target.check_complete(place)
    shutil.rmtree(place)
    place.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_runs_killed_at_random_moments_end_as_if_left_alone(shim: Shim, tmp_path, times, record, name) -> None:
    inputs = make_inputs(tmp_path / "inputs")
    begun = time.monotonic()
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    longest = time.monotonic() - begun
    chance, place = random.Random(name), tmp_path / "run"
    place.mkdir()
    kills, finished, halfway = 0, 0, 0
    while kills < times(2, 50):
        if kill_at(target, place, chance.uniform(0, longest)):
            kills += 1
            halfway += any(place.iterdir())
            target.check_published(place)
            if kills % KILLS_A_RUN:
                continue
        finish(target, place)
        finished += 1
    finish(target, place)
    record(1, run=name, kills=kills, killed_with_files=halfway, compared=finished + 1, wrong=0, left_over=0)
