"""A run that is killed at the N-th call on its files, for every N: a rerun makes what would have been made."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.faulty_run import Fault, Shim, spread
from tests.faults.targets import TARGETS, Target, make_inputs, undisturbed


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def kill_and_rerun(target: Target, place: Path, fault: Fault) -> bool:
    """Whether the run was killed; a second one has then completed it to the byte."""
    place.mkdir()
    ended = target.run(place, fault=fault)
    if ended.faults == 0:  # the order of calls depends on which worker is first
        assert ended.code == target.ended.code, ended.errors
        target.check_complete(place)
    else:
        assert ended.code == -signal.SIGKILL, ended.errors
        target.check_published(place)
        target.check_rerun(place)
    shutil.rmtree(place)
    return ended.faults > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_kill_at_any_call_is_made_good_by_a_rerun(shim: Shim, inputs, tmp_path, times, record, name) -> None:
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    calls = target.ended.calls
    kills = [Fault(at, "kill") for at in spread(len(calls), times(4, len(calls)))]
    writes = [at for at, call in enumerate(calls, 1) if "write" in call.split()[0]]
    tears = [Fault(writes[k - 1], "tear") for k in spread(len(writes), times(1, len(writes)))]
    killed, wrong = 0, []
    for fault in (*kills, *tears):
        try:
            killed += kill_and_rerun(target, tmp_path / f"run{len(wrong)}", fault)
        except AssertionError as error:
            wrong.append(f"{fault} ({calls[fault.at - 1]}): {error}")
    tried = len(kills) + len(tears)
    record(2, run=name, calls=len(calls), tried=tried, killed=killed, states=len(target.completed), wrong=len(wrong))
    assert not wrong, "\n".join(wrong[:40])
    assert killed >= 0.9 * tried


def test_a_run_killed_again_and_again_a_little_later_gets_done(shim: Shim, inputs, tmp_path, times, record) -> None:
    """Each rerun of one OUT is killed itself, a few calls after it began to go on."""
    target = undisturbed(shim, inputs, "four shards joined to one file", tmp_path / "truth")
    place, kills = tmp_path / "run", 0
    place.mkdir()
    for step in spread(len(target.ended.calls), times(3, 60)):
        if target.run(place, fault=Fault(step, "kill")).code != -signal.SIGKILL:
            break
        kills += 1
        target.check_published(place)
    assert target.run(place).code == target.ended.code
    target.check_complete(place)
    record(2, run="one OUT, killed again and again", killed=kills, wrong=0)
