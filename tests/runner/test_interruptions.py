"""Runs that are killed, stopped or meet a full disk: what is left behind, and that a rerun completes it to the byte."""

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHAPES = 12


class Runs:
    """Starts runs as processes that can be told from all others, and looks for what they leave."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"MARK_{uuid.uuid4().hex}"
        self.folder = folder
        (folder / "in").mkdir()
        for number in range(SHAPES):
            (folder / "in" / f"s{number:02d}.obj").write_text(f"shape {number}")
        (folder / "in" / "bad.obj").write_text("invalid")

    def start(self, out: str, delay: float = 0.0, workers: int = 2, **more: object) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), self.mark: "1"}
        words = ["-m", "tests.runner.run_fakes", self.folder / "in", self.folder / out, str(delay), str(workers)]
        return subprocess.Popen(
            [sys.executable, *map(str, words)], env=environment, cwd=REPOSITORY, stderr=subprocess.PIPE, **more
        )

    def finish(self, out: str, **more: object) -> int:
        process = self.start(out, **more)
        errors = process.communicate(timeout=120)[1]
        assert process.returncode in (0, 3), errors.decode()
        return process.returncode

    def processes(self) -> list[int]:
        """The processes of our runs, found by a word in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def wait_until_gone(self) -> None:
        deadline = time.monotonic() + 10
        while self.processes():
            assert time.monotonic() < deadline, "processes are left behind"
            time.sleep(0.05)

    def wait_for(self, out: str, spools: int) -> None:
        """Waits until a run has finished some items, however slow the machine is."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            folder = self.folder / out
            done = [path for path in folder.rglob("*") if path.name.isdigit() or path.name.startswith("report-")]
            if len(done) >= spools:
                return
            time.sleep(0.02)
        raise AssertionError("the run does not get anywhere")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    yield made
    for number in made.processes():
        os.kill(number, signal.SIGKILL)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("shard-*.h5"))}


def check_complete(runs: Runs, out: str, truth: str) -> None:
    assert digests(runs.folder / out) == digests(runs.folder / truth)
    lines = [json.loads(line) for line in (runs.folder / out / "report.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["bad", *(f"s{number:02d}" for number in range(SHAPES))]
    strange = [
        path.name for path in (runs.folder / out).rglob("*") if path.name.endswith(".tmp") or path.name.isdigit()
    ]
    assert not strange


def kill_and_rerun(runs: Runs, rounds: int, seed: int) -> int:
    """How often a run was killed before it was done; every run goes on where the last one was killed."""
    chance = random.Random(seed)
    killed = 0
    while killed < rounds:
        out = f"out{killed // 5}"
        process = runs.start(out, delay=0.05)
        try:
            process.wait(timeout=chance.uniform(0.3, 2.5))
            runs.wait_until_gone()
            check_complete(runs, out, "truth")
            for path in (runs.folder / out).glob("shard-*.h5"):
                path.unlink()  # done before it could be killed: begin again
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        runs.wait_until_gone()
    for number in range((rounds - 1) // 5 + 1):
        assert runs.finish(f"out{number}") == 3
        check_complete(runs, f"out{number}", "truth")
    return killed


def test_a_killed_run_leaves_no_process_and_a_rerun_completes_it_to_the_byte(runs: Runs) -> None:
    assert runs.finish("truth", workers=1) == 3
    assert kill_and_rerun(runs, 5, seed=0) == 5


def test_a_killed_run_into_one_file_is_completed_to_the_byte_and_leaves_nothing_beside_it(runs: Runs) -> None:
    assert runs.finish("truth.h5", workers=1) == 3
    chance, killed = random.Random(2), 0
    while killed < 6:
        process = runs.start("out.h5", delay=0.05)
        try:
            process.wait(timeout=chance.uniform(0.3, 2.0))
            (runs.folder / "out.h5").unlink()  # done before it could be killed: begin again
            (runs.folder / "out.h5.report.jsonl").unlink()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        runs.wait_until_gone()
    assert runs.finish("out.h5") == 3
    assert (runs.folder / "out.h5").read_bytes() == (runs.folder / "truth.h5").read_bytes()
    left = {path.name for path in runs.folder.iterdir()} - {"in"}
    assert left == {"out.h5", "out.h5.report.jsonl", "truth.h5", "truth.h5.report.jsonl"}


def test_a_killed_run_takes_its_busy_workers_along(runs: Runs) -> None:
    process = runs.start("out", delay=60)
    while not (runs.folder / "in/s00.started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    runs.wait_until_gone()


def test_a_rerun_does_not_do_finished_items_again(runs: Runs) -> None:
    process = runs.start("out", delay=0.3, workers=1)
    runs.wait_for("out", spools=2)
    process.kill()
    process.wait()
    runs.wait_until_gone()
    before = {path.name: path.stat().st_mtime_ns for path in (runs.folder / "out").rglob("report-*")}
    assert runs.finish("out") == 3
    after = {path.name: path.stat().st_mtime_ns for path in (runs.folder / "out").rglob("report-*")}
    assert before.items() <= after.items()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_the_run_in_order_and_a_rerun_goes_on(runs: Runs, number: int, code: int) -> None:
    runs.finish("truth")
    process = runs.start("out", delay=0.4, workers=1)
    runs.wait_for("out", spools=1)
    process.send_signal(number)
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == code
    assert b"Traceback" not in errors
    runs.wait_until_gone()
    assert len(digests(runs.folder / "out")) < len(digests(runs.folder / "truth"))
    assert runs.finish("out") == 3
    check_complete(runs, "out", "truth")


def test_a_signal_to_the_whole_process_group_stops_the_run_in_order(runs: Runs) -> None:
    process = runs.start("out", delay=0.4, start_new_session=True)
    runs.wait_for("out", spools=1)
    os.killpg(process.pid, signal.SIGTERM)
    assert b"Traceback" not in process.communicate(timeout=20)[1]
    assert process.returncode == 75
    runs.wait_until_gone()
    lines = (runs.folder / "out/report.jsonl").read_text()
    assert "crashed" not in lines


def test_a_second_signal_means_now(runs: Runs) -> None:
    process = runs.start("out", delay=30, workers=1)
    while not (runs.folder / "in/s00.started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None  # it waits a little for what runs
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 75
    runs.wait_until_gone()


def limit_files(size: int = 6000) -> None:
    """Makes this process and its children unable to write files above a size, as a full disk would."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_takes_no_more_is_one_error_and_a_rerun_completes(runs: Runs) -> None:
    runs.finish("truth")
    process = runs.start("out", preexec_fn=limit_files)
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    assert "OSError" in errors.splitlines()[-1]
    assert "shard-" in errors.splitlines()[-1]
    assert not digests(runs.folder / "out")
    runs.wait_until_gone()
    assert runs.finish("out") == 3
    check_complete(runs, "out", "truth")


def test_a_disk_that_refuses_the_one_file_keeps_what_is_finished(runs: Runs) -> None:
    runs.finish("truth.h5")
    process = runs.start("out.h5", preexec_fn=lambda: limit_files(12_000))  # a shard fits, the whole does not
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    assert "out.h5" in errors.splitlines()[-1]
    assert "File too large" in errors.splitlines()[-1]
    left = {path.name for path in runs.folder.iterdir()} - {"in"}
    assert left == {"truth.h5", "truth.h5.report.jsonl", "out.h5.partial"}
    runs.wait_until_gone()
    assert runs.finish("out.h5") == 3
    assert (runs.folder / "out.h5").read_bytes() == (runs.folder / "truth.h5").read_bytes()
