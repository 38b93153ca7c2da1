"""The scripts of examples/slurm, run as they are by a batch system of shell scripts on this machine."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.batch import batch_system

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "examples" / "slurm"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "setsid", "pkill"))), reason="bash, setsid or pkill is not here"
)


class Batch:
    """Jobs of the stand-in: submits them, waits for them, and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.jobs = folder, folder / "jobs"
        found = batch_system(folder)
        self.environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{found['PATH']}"} | {"PYTHONPATH": str(REPOSITORY)}

    def call(self, *words: object) -> str:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr
        return done.stdout

    def submit(self, *words: object) -> str:
        return self.call("sbatch", *words).split()[-1]

    def codes(self, job: str) -> list[str]:
        """How each run of each task ended, requeued ones too."""
        return [path.read_text().split() for path in sorted(self.jobs.glob(f"rc-{job}-*"))]

    def said(self, job: str) -> str:
        return "\n".join(path.read_text() for path in sorted(self.jobs.glob(f"out-{job}-*")))

    def wait(self, job: str, tasks: int = 1) -> list[list[str]]:
        """The exit codes of the tasks, once none is to run again."""

        def ended() -> bool:
            codes = self.codes(job)
            waiting = list(self.jobs.glob(f"requeue-{job}-*"))
            return len(codes) == tasks and not waiting and not self.running(job)

        wait_until(ended, lambda: f"the job does not end: {self.said(job)}", 240)
        return self.codes(job)

    def running(self, job: str) -> bool:
        pids = [int(path.read_text() or 0) for path in self.jobs.glob(f"pid-{job}-*")]
        return any(pid and Path(f"/proc/{pid}").exists() for pid in pids)

    def end(self) -> None:
        for path in self.jobs.glob("pid-*"):
            subprocess.run(["pkill", "-KILL", "--session", path.read_text().strip()], check=False)


def wait_until(what: Callable[[], bool], otherwise: Callable[[], str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    made = Batch(tmp_path)
    yield made
    made.end()


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".h5", ".png", ".csv", ".ply")
    }


SAMPLING = ["--count", "1000000"]  # three shapes a shard


def test_an_array_samples_the_bytes_of_a_local_run(batch, capsules, record) -> None:
    batch.call("shapetool", "sample-sdf", capsules, "local", *SAMPLING, "-q")
    job = batch.submit("--array=0-1", SCRIPTS / "array.sbatch", "sample-sdf", capsules, "out", *SAMPLING)
    assert batch.wait(job, 2) == [["0"], ["0"]]
    assert len(files(batch.folder / "out")) > 1
    assert files(batch.folder / "out") == files(batch.folder / "local")
    record(22, engine="array of a stand-in Slurm", shards=len(files(batch.folder / "out")))


def test_an_array_renders_the_bytes_of_a_local_run(batch, capsules) -> None:
    words = ["--views", "3", "--size", "64", "--layout", "nerf"]
    batch.call("shapetool", "render-views", capsules, "local", *words, "-q")
    job = batch.submit("--array=0-1", SCRIPTS / "array.sbatch", "render-views", capsules, "out", *words)
    assert batch.wait(job, 2) == [["0"], ["0"]]
    assert len(files(batch.folder / "out")) > 6
    assert files(batch.folder / "out") == files(batch.folder / "local")


def test_an_array_evaluates_to_the_numbers_of_a_local_run(batch, capsules) -> None:
    words = ["eval", capsules, capsules, "--samples", "2000", "--metrics", "chamfer"]
    batch.call("shapetool", *words, "--out", "local", "-q")
    job = batch.submit("--array=0-1", SCRIPTS / "array.sbatch", *words, "--out", "out")
    assert batch.wait(job, 2) == [["0"], ["0"]]
    batch.call("shapetool", *words, "--out", "out", "-q")  # all rows are there: it adds them up
    assert files(batch.folder / "out")["per_shape.csv"] == files(batch.folder / "local")["per_shape.csv"]


def test_a_task_that_is_interrupted_is_requeued_and_goes_on(batch, capsules, record) -> None:
    words = ["--count", "3000000", "-j", "1"]
    batch.call("shapetool", "sample-sdf", capsules, "local", *words, "-q")
    job = batch.submit("--array=0-0", SCRIPTS / "array.sbatch", "sample-sdf", capsules, "out", *words)
    state = batch.folder / "out" / ".shapetool"
    wait_until(lambda: any(state.rglob("report-*")) or any(state.glob("spool/0*")), lambda: batch.said(job), 120)
    batch.call("scancel", "--signal=USR1", job)
    assert batch.wait(job) == [["75", "0"]]
    assert "stopped by SIGUSR1" in batch.said(job)
    assert files(batch.folder / "out") == files(batch.folder / "local")
    record(22, engine="a requeued task of a stand-in Slurm", codes="75, 0")


@pytest.mark.slow
def test_training_that_is_interrupted_goes_on_in_a_new_job_to_the_same_losses(batch, sampled) -> None:
    small = ["--set", "width=16", "--set", "code_size=4", "--set", "points=256", "--set", "shapes=6", "--steps", "60"]
    small += ["--set", "checkpoint_every=10", "--set", "depth=4", "--set", "skip=2"]
    batch.call("shapetool", "train", "deepsdf", sampled, "local", *small, "-q")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        batch.environment["PORT"] = str(free.getsockname()[1])
    job = batch.submit(SCRIPTS / "train.sbatch", "deepsdf", sampled, "out", *small)
    wait_until((batch.folder / "out" / "last").exists, lambda: batch.said(job), 120)
    batch.call("scancel", "--batch", "--signal=USR1", job)
    codes = batch.wait(job)
    assert len(codes[0]) == 2, batch.said(job)
    assert codes[0][1] == "0", batch.said(job)
    losses = [
        {
            entry["step"]: entry["loss"]
            for line in (batch.folder / run / "log.jsonl").read_text().splitlines()
            if "loss" in (entry := json.loads(line))
        }
        for run in ("local", "out")
    ]
    assert losses[0] == losses[1]


def test_an_allocation_shared_out_by_dask_gives_the_bytes_of_a_local_run(batch, capsules, record) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    batch.call("shapetool", "sample-sdf", capsules, "local", *SAMPLING, "-q")
    job = batch.submit(SCRIPTS / "allocation.sbatch", "sample-sdf", capsules, "out", *SAMPLING)
    assert batch.wait(job) == [["0"]], batch.said(job)
    assert files(batch.folder / "out") == files(batch.folder / "local")
    assert not list(batch.folder.glob("dask-*"))
    record(26, allocation=1, shards=len(files(batch.folder / "out")))


def test_the_page_shows_the_scripts_as_they_are() -> None:
    page = (REPOSITORY / "docs" / "on-a-cluster.md").read_text()
    for script in SCRIPTS.glob("*.sbatch"):
        assert script.read_text() in page, script.name
