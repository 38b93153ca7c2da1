"""The other commands that write what is relied on, killed and refused at sampled calls: nothing torn, and a rerun."""

import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.faulty_run import Fault, Shim, content, spread
from tests.faults.targets import COMMANDS, Target, ends, make_inputs, make_set, undisturbed

IO_FAILED = 74
WHOLE = {".obj", ".npz", ".ply", ".h5", ".lst", ".csv"}  # written once, so never anything else under their names
KINDS = (("kill", False), ("tear", False), ("EIO", False), ("ENOSPC", True), ("EINTR", False), ("short", True))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_inputs(tmp_path_factory.mktemp("inputs"))
    make_set(folder)
    return folder


def check_whole(target: Target, place: Path) -> None:
    """Nothing; fails if something under its final name is not what it is to be."""
    for path in place.rglob("*"):
        name = str(path.relative_to(place))
        if path.suffix in WHOLE and name in target.truth:
            assert content(path) == target.truth[name], f"{name} is torn"
    run = place / target.out
    for folder in (run / "last", run / "best", run / ".last.old", run / ".best.old"):
        if folder.is_dir():
            check_checkpoint(folder)


def check_checkpoint(folder: Path) -> None:
    """Nothing; fails unless every tensor of a checkpoint can be read, and its numbers."""
    from shapetool.training.checkpoint import read_numbers, read_tensors

    assert read_numbers(folder, {})["step"] in (2, 4)
    assert read_tensors(folder / "model.safetensors")
    if folder.name in ("last", ".last.old"):
        assert read_tensors(folder / "training.safetensors")


def disturb(target: Target, place: Path, fault: Fault) -> str:
    """How a command ended under this fault; what is there is whole, and a rerun has made the rest."""
    place.mkdir()
    ended = target.run(place, fault=fault)
    if not ended.faults:
        end = "untouched"
    elif fault.what in ("kill", "tear"):
        end = "killed"
        assert ended.code == -signal.SIGKILL, f"exit {ended.code}: {ended.errors}"
    else:
        assert ended.code in (IO_FAILED, 0), f"exit {ended.code}: {ended.errors}"
        end = "refused" if ended.code == IO_FAILED else "went on"
        said = [line for line in ended.errors.splitlines() if line.startswith("shapetool: error: ")]
        assert len(said) == (ended.code == IO_FAILED), ended.errors
    assert "Traceback" not in ended.errors, ended.errors
    check_whole(target, place)
    if ended.code == 0:
        for name, value in target.truth.items():
            assert (place / name).exists(), f"{name} is missing, and the command ended well"
            assert content(place / name) == value, f"{name} is wrong, and the command ended well"
    target.check_rerun(place)
    shutil.rmtree(place)
    return end


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "stacked"])
def test_a_disturbed_command_leaves_nothing_torn_and_a_rerun_completes(
    shim: Shim, inputs, tmp_path, times, record, name
) -> None:
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    calls, chance = target.ended.calls, random.Random(name)
    faults: list[Fault] = []
    for what, always in chance.sample(KINDS, times(2, len(KINDS))):
        places = [k for k, call in enumerate(calls, 1) if what not in ("tear", "short") or "write" in call.split()[0]]
        faults += [Fault(at, what, always) for at in sorted(chance.sample(places, min(len(places), times(1, 6))))]
    counts, wrong = ends(target, faults, tmp_path, disturb)
    record(3, run=name, calls=len(calls), tried=counts.total(), wrong=len(wrong), **counts)
    assert not wrong, "\n".join(wrong[:40])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["merge", "stacked"])
def test_no_write_that_hdf5_loses_goes_unnoticed(shim: Shim, inputs, tmp_path, times, record, name) -> None:
    """HDF5 may write when a dataset is let go, and what fails there is told to nobody."""
    target = undisturbed(shim, inputs, name, tmp_path / "truth")
    places = [at for at, call in enumerate(target.ended.calls, 1) if call.split()[0] == "pwrite"]
    some = [places[k - 1] for k in spread(len(places), times(5, len(places)))]
    faults = [fault for at in some for fault in (Fault(at, "EIO"), Fault(at, "ENOSPC", True))]
    counts, wrong = ends(target, faults, tmp_path, disturb)
    record(3, run=f"writes of HDF5: {name}", calls=len(places), tried=counts.total(), wrong=len(wrong), **counts)
    assert not wrong, "\n".join(wrong[:40])
