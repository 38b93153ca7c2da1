"""The checks of `selftest --dir` that start, stop and kill runs: they hold here, and notice runs that do wrong."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shapetool.pipelines import selftest_dir
from shapetool.pipelines.crash_tests import check, interruptions, processes
from shapetool.pipelines.crash_tests.check import CannotWriteError, Finding, WrongError
from shapetool.pipelines.crash_tests.place import FILES, LARGE, SMALL, Place, environment
from shapetool.pipelines.crash_tests.processes import alive, started

CHECKS = {one.id: one for one in selftest_dir.checks()}
# Python runs a module of this name before anything else, so each process of a run has the fault.
FAULT = "sitecustomize.py"

BY_WORKERS = """
import os, sys
if sys.orig_argv[-2:] == ["-j", "1"]:
    os.environ["ONE_WORKER"] = "1"
from shapetool.data import atomic
whole = atomic.write_whole
atomic.write_whole = lambda path, data, **more: whole(
    path, data + b"#" if path.suffix == ".h5" and "ONE_WORKER" in os.environ else data, **more)
"""
LEAVING = """
from shapetool.data import atomic
whole = atomic.write_whole
def leave(path, data, **more):
    path.with_name("half.tmp").write_bytes(b"1")
    return whole(path, data, **more)
atomic.write_whole = leave
"""
NEVER_REFUSING = """
from shapetool.data import lock
lock._lives = lambda path, seen: False
"""
NAMELESS = """
from shapetool.data import lock
from shapetool.errors import ConfigError
lock._held = lambda owner, out: ConfigError(f"{out}: somebody writes there.")
"""
ENDING_WITH = """
import os, sys
sys.exit = lambda code=0: os._exit({codes}.get(code, code))
"""
DEAF = """
import signal
set_handler = signal.signal
signal.signal = lambda number, handler: set_handler(
    number, signal.SIG_IGN if number == signal.SIGTERM else handler)
"""
IN_PLACE = """
import time
from shapetool.data import atomic
whole = atomic.write_whole
def in_place(path, data, **more):
    if path.suffix != ".h5":
        return whole(path, data, **more)
    with open(path, "wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        time.sleep(1.5)
        file.write(data[len(data) // 2 :])
    return True
atomic.write_whole = in_place
"""


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place in which the runs have been left alone once."""
    place = Place(tmp_path_factory.mktemp("scratch"), None)
    for task in (SMALL, LARGE, FILES):
        place.undisturbed(task)
    return place


@pytest.fixture
def place_with(truths: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Place]:
    """Makes a place whose runs have a fault, and which knows what runs without it leave."""

    def make(fault: str) -> Place:
        (tmp_path / "fault").mkdir()
        (tmp_path / "fault" / FAULT).write_text(fault, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fault"))
        (tmp_path / "scratch").mkdir()
        place = Place(tmp_path / "scratch", None, rounds=10)
        place._undisturbed = truths._undisturbed
        return place

    return make


def found(id: str, place: Place) -> Finding:
    return check.outcome(CHECKS[id], place).finding


@pytest.mark.parametrize(
    ("id", "fault", "text"),
    [
        ("D1", BY_WORKERS, "expected the files of an undisturbed run, found different: shard-00000.h5: "),
        ("D2", LEAVING, "expected the files of an undisturbed run, found left over: .shapetool/half.tmp half.tmp: "),
        ("D3", NEVER_REFUSING, "expected a second run on one OUT to be refused, found exit code 0 "),
        (
            "D3",
            NAMELESS,
            "expected the owner's process, host and age, found exit code 1 (shapetool: error: locked",
        ),
        ("D4", ENDING_WITH.format(codes={74: 0}), "expected exit code 74 on a full disk, found 0 "),
        ("D7", ENDING_WITH.format(codes={75: 143}), "expected exit code 75 after SIGTERM, found 143 "),
        ("D8", LEAVING, "expected the files of an undisturbed run, found left over: .shapetool/half.tmp half.tmp: "),
    ],
)
def test_a_run_that_does_wrong_is_noticed(place_with, id, fault, text) -> None:
    finding = found(id, place_with(fault))
    assert finding.state == "WRONG"
    assert finding.text.startswith(text)


def test_a_run_that_does_not_listen_is_noticed(place_with, monkeypatch) -> None:
    monkeypatch.setattr(interruptions, "TRIES", 1)
    finding = found("D7", place_with(DEAF))
    assert finding.text.startswith("expected to stop a run of ")
    assert finding.text.endswith("found 1 done before: it does not listen.")


@pytest.mark.slow
def test_a_writer_whose_files_are_not_whole_is_noticed(place_with) -> None:
    finding = found("D8", place_with(IN_PLACE))
    assert finding.text == "expected whole files or none, found half of shard-00000.h5: readers meet halves."


def test_a_run_that_cannot_write_undisturbed_ends_the_test(place_with) -> None:
    place = place_with(ENDING_WITH.format(codes={0: 74}))
    place._undisturbed = {}
    with pytest.raises(CannotWriteError, match="sample-sdf could not write there"):
        found("D2", place)


SLEEP = "import time; time.sleep(60)"
ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], stderr=subprocess.DEVNULL)"


def run(script: str, folder: Path):
    return started([sys.executable, "-c", script], folder, os.environ)


def test_a_command_that_hangs_is_wrong_and_gone_after_its_block(tmp_path) -> None:
    with pytest.raises(WrongError, match="expected a command to end within 0 s"), run(SLEEP, tmp_path) as running:
        running.end(0.2)
    assert not alive(running.pid)


def test_processes_that_a_command_leaves_are_wrong_and_gone_after_its_block(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(processes, "GONE_SECONDS", 0.2)
    left = pytest.raises(WrongError, match=r"no process left of a command that ended, found \[\d+\]")
    with left, run(ORPHAN, tmp_path) as running:
        running.end()
    assert not alive(running.pid)


def test_the_block_ends_when_the_system_has_ended_what_was_killed(tmp_path, monkeypatch) -> None:
    kill = processes.kill
    monkeypatch.setattr(processes, "kill", lambda session: threading.Timer(0.5, kill, [session]).start())
    with run(ORPHAN, tmp_path) as running:
        running.end_within(20.0)
    assert not alive(running.pid)


@pytest.mark.skipif(not processes.MEMORY.is_dir(), reason="semaphores are no files here")
def test_semaphores_of_killed_processes_are_removed(tmp_path) -> None:
    script = "import multiprocessing as m, sys, time; lock = m.get_context('spawn').Lock()\n"
    script += "open('name', 'w').write(lock._semlock.name); open('ready', 'w'); time.sleep(60)"
    with run(script, tmp_path) as running:
        assert running.wait_for(tmp_path / "ready")
        semaphore = processes.MEMORY / f"sem.{(tmp_path / 'name').read_text().strip('/')}"
        assert semaphore.exists()
        running.kill()
        assert running.end().code == -signal.SIGKILL
    assert not semaphore.exists()


def test_options_and_arrays_of_the_environment_do_not_reach_the_runs(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    before = {"SHAPETOOL_SEED": "7", "SHAPETOOL_SIMD": "baseline", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "1"}
    after = environment({**before, "PYTHONPATH": "here"})
    assert after.pop("PYTHONPATH").split(os.pathsep)[0] == str(tmp_path / "here")
    assert after == {"SHAPETOOL_SIMD": "baseline", "SLURM_JOB_ID": "1"}


def test_a_place_for_sockets_whose_name_is_too_long_is_not_used(tmp_path) -> None:
    assert Place(tmp_path, Path("/tmp/st"))._environment["TMPDIR"] == "/tmp/st"
    assert Place(tmp_path, Path(f"/tmp/{'s' * 80}"))._environment.get("TMPDIR") == os.environ.get("TMPDIR")


WITHOUT_TRUTHS = """
from shapetool.pipelines import selftest
selftest.run = lambda: iter(())
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_selftest_that_is_stopped_leaves_nothing(tmp_path, short, number, code) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / FAULT).write_text(WITHOUT_TRUTHS, encoding="utf-8")
    words = [sys.executable, "-m", "shapetool", "selftest", "--dir", str(tmp_path / "dir")]
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))
    place = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(short)}
    process = subprocess.Popen(words, env=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "dir").glob("*/undisturbed-0/.shapetool/lock-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not os.listdir(tmp_path / "dir")
    assert not os.listdir(short)
    assert not [1 for name in running_words() if str(short) in name]


def running_words() -> list[str]:
    """The environments of all processes that may be looked at."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append((folder / "environ").read_text(errors="replace"))
        except OSError:
            continue
    return found
