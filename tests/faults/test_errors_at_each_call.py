"""A run for which the N-th call on its files fails, for every N: one line, exit 74, and a rerun that completes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.faulty_run import Ended, Fault, Shim, spread, tree
from tests.faults.targets import TARGETS, Target, ends, faking, make_inputs, undisturbed

IO_FAILED = 74
Times = Callable[[int, int], int]
# Which errors the manual gives to a call, besides EIO, and whether they come once or ever after: a call that is always
# interrupted would always be repeated.
RETURNS = (("EIO", False), ("EIO", True), ("ENOSPC", False), ("ENOSPC", True), ("EINTR", False))
FULL = {"open", "write", "pwrite", "mkdir", "link", "rename", "fallocate", "ftruncate", "fsync", "close"}
INTERRUPTED = {"open", "write", "pwrite", "fallocate", "ftruncate", "fsync", "close"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def check_words(ended: Ended) -> None:
    """Nothing; fails unless a run that failed says so in one line, and one that did not says nothing of it."""
    assert "Traceback" not in ended.errors, ended.errors
    said = [line for line in ended.errors.splitlines() if line.startswith("shapetool: error: ")]
    assert len(said) == (ended.code == IO_FAILED), ended.errors


def fail_and_rerun(target: Target, place: Path, fault: Fault) -> str:
    """How a run under this fault ended; what it published is right, and a second run has completed it to the byte.

    It may end as if nothing had happened only where everything is there: a call may be repeated, and what is not
    removed is removed by the next run.
    """
    place.mkdir()
    ended = target.run(place, fault=fault)
    check_words(ended)
    assert ended.code in (IO_FAILED, target.ended.code), f"exit {ended.code}: {ended.errors}"
    target.check_published(place)
    if ended.code != IO_FAILED:
        found = tree(place)
        assert {name: found.get(name) for name in target.truth} == target.truth, ended.errors
    target.check_rerun(place)
    shutil.rmtree(place)
    return "untouched" if not ended.faults else "refused" if ended.code == IO_FAILED else "went on"


def faults_of(target: Target, short: int, times: Times) -> list[Fault]:
    """Every error at every call that may return it, and half of every write; in the short form some of each.

    Runs of several workers are twice as long and make the same calls: for them, a sample of each.
    """
    calls = [call.split()[0] for call in target.ended.calls]
    faults = []
    for what, always in RETURNS:
        may = {"EIO": set(calls), "ENOSPC": FULL, "EINTR": INTERRUPTED}[what]
        places = [at for at, call in enumerate(calls, 1) if call in may]
        number = times(short, 20 if target.words is faking else len(places))
        faults += [Fault(places[k - 1], what, always) for k in spread(len(places), number)]
    writes = [at for at, call in enumerate(calls, 1) if "write" in call]
    return faults + [Fault(writes[k - 1], "short", True) for k in spread(len(writes), times(1, len(writes)))]


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_an_error_of_any_call_is_one_line_and_a_rerun_completes(
    shim: Shim, inputs, tmp_path, times, record, name
) -> None:
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    counts, wrong = ends(target, faults_of(target, 2, times), tmp_path, fail_and_rerun)
    record(
        3,
        run=name,
        calls=len(target.ended.calls),
        tried=counts.total(),
        states=len(target.completed),
        wrong=len(wrong),
        what_was_wrong=wrong[:10],
        **counts,
    )
    assert not wrong, "\n".join(wrong[:40])
