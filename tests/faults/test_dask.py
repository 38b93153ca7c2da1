"""Runs by Dask: the bytes of a local run, whoever is killed."""

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.batch import batch_system

pytest.importorskip("distributed", reason="the extra dask is not installed")

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SHAPETOOL = [sys.executable, "-m", "shapetool"]


class Started:
    """Processes of a test in sessions of their own, so that none outlives it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.all: list[subprocess.Popen[str]] = []

    def __call__(self, *words: object, **more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.all.append(process)
        return process

    def done(self, *words: object, codes: tuple[int, ...] = (0,), **more: str) -> str:
        process = self(*words, **more)
        errors = process.communicate(timeout=240)[1]
        assert process.returncode in codes, errors
        assert "Traceback" not in errors, errors
        return errors

    def end(self) -> None:
        for process in self.all:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    made = Started(tmp_path, {})
    yield made
    made.end()


@pytest.fixture(scope="module")
def meshes(capsules: Path) -> Path:
    """Six small shapes and a file that is none."""
    (capsules / "bad.obj").write_text("v 0 0 0\nf 1 2 3\n")
    return capsules


@pytest.fixture
def texts(tmp_path: Path) -> Callable[[int], Path]:
    """Makes files for the made-up job of the runner's tests, some of which misbehave."""

    def make(count: int) -> Path:
        folder = tmp_path / "in"
        folder.mkdir()
        for number in range(count):
            (folder / f"s{number:03d}.obj").write_text(f"shape {number}")
        for name in ("invalid", "segfault", "raise"):
            (folder / f"{name}.obj").write_text(name)
        return folder

    return make


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("shard-*.h5"))}


def fake(folder: Path, out: str, delay: float, *dask: object) -> list[object]:
    return [sys.executable, "-m", "tests.runner.run_fakes", folder, out, delay, 1, "", *dask]


def check_whole(folder: Path, truth: Path) -> list[str]:
    """The ids of the report, after the shards are those of the truth and nothing else is left."""
    assert digests(folder) == digests(truth)
    lines = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
    first = [json.loads(line) for line in (truth / "report.jsonl").read_text().splitlines()]
    assert [(line["id"], line["status"], line["error"]) for line in lines] == [
        (line["id"], line["status"], line["error"]) for line in first
    ]
    left = [path.name for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.isdigit()]
    assert not [name for name in left if name]
    return [line["id"] for line in lines]


def begin_scheduler(start: Started) -> "subprocess.Popen[str]":
    where = start.folder / "scheduler.json"
    where.unlink(missing_ok=True)
    words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", where]
    process = start(BIN / "dask", "scheduler", *words)
    wait_until(where.exists, "no scheduler")
    return process


def begin_worker(start: Started) -> "subprocess.Popen[str]":
    words = ["--scheduler-file", start.folder / "scheduler.json", "--nthreads", "1", "--no-dashboard"]
    return start(BIN / "dask", "worker", *words, "--local-directory", start.folder / "scratch")


def wait_until(what: Callable[[], bool], otherwise: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.mark.parametrize("command", ["sample-sdf", "sample-occupancy", "render-views", "repair"])
def test_dask_on_this_machine_gives_the_bytes_of_a_local_run(start, meshes, command) -> None:
    few = {"sample-sdf": ["--count", "5000"], "sample-occupancy": ["--count", "5000"], "repair": ["--resolution", "32"]}
    words = [*SHAPETOOL, command, meshes, "local", *few.get(command, ["--views", "2", "--size", "32"])]
    start.done(*words, codes=(3,))
    words[words.index("local")] = "dask"
    start.done(*words, "--engine", "dask", "-j", "2", codes=(3,))
    local, dask = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.suffix in (".h5", ".ply")}
        for top in (start.folder / "local", start.folder / "dask")
    )
    assert dask == local
    assert len(local) == (6 if command == "repair" else 1)


@pytest.mark.parametrize("where", ["local", "slurm"])
def test_settings_that_the_cluster_does_not_know_are_refused(start, meshes, where) -> None:
    words = [*SHAPETOOL, "sample-sdf", meshes, "out", "--engine", "dask", "--dask", where, "--dask-set", "colour=red"]
    errors = start.done(*words, codes=(1,))
    assert f"--dask {where}: it cannot be started with these --dask-set" in errors
    assert "unexpected keyword argument 'colour'" in errors


def test_dask_fills_one_file_with_the_bytes_of_a_local_run(start, texts) -> None:
    folder = texts(8)
    start.done(*fake(folder, "local.h5", 0), codes=(3,))
    start.done(*fake(folder, "dask.h5", 0, "local"), codes=(3,))
    assert (start.folder / "dask.h5").read_bytes() == (start.folder / "local.h5").read_bytes()
    assert not (start.folder / "dask.h5.partial").exists()


def test_killed_dask_workers_cost_no_item_and_change_no_byte(start, texts, times, record) -> None:
    from distributed import Client

    kills = times(3, 20)
    folder = texts(30 * kills // 3)
    start.done(*fake(folder, "truth", 0), codes=(3,))
    begin_scheduler(start)
    for _ in range(2):
        begin_worker(start)
    run = start(*fake(folder, "out", 0.3, start.folder / "scheduler.json"))
    wait_until(lambda: any((start.folder / "out").rglob("report-*")), "the run does not get anywhere")
    chance, killed = random.Random(0), 0
    with Client(scheduler_file=str(start.folder / "scheduler.json")) as client:
        while killed < kills:
            assert run.poll() is None, f"done after {killed} kills: {run.communicate()[1]}"
            processes = client.run(os.getpid, on_error="ignore")
            busy = sorted(processes[name] for name, lots in client.processing().items() if lots and name in processes)
            if busy:
                os.kill(chance.choice(busy), signal.SIGKILL)
                killed += 1
            time.sleep(chance.uniform(0.3, 1.5))
    errors = run.communicate(timeout=240)[1]
    assert run.returncode == 3, errors
    ids = check_whole(start.folder / "out", start.folder / "truth")
    record(25, worker_kills=killed, items=len(ids), lost=0, double=len(ids) - len(set(ids)))


def test_a_scheduler_that_is_killed_ends_the_run_and_a_rerun_goes_on(start, texts, record) -> None:
    folder = texts(24)
    start.done(*fake(folder, "truth", 0), codes=(3,))
    scheduler = begin_scheduler(start)
    worker = begin_worker(start)
    run = start(*fake(folder, "out", 0.3, start.folder / "scheduler.json"))
    wait_until(lambda: any((start.folder / "out").rglob("report-*")), "the run does not get anywhere")
    os.killpg(scheduler.pid, signal.SIGKILL)
    errors = run.communicate(timeout=120)[1]
    assert run.returncode == 75, errors
    assert "scheduler is gone; run the same command again" in errors
    os.killpg(worker.pid, signal.SIGKILL)
    finished = {path.name: path.stat().st_mtime_ns for path in (start.folder / "out").glob("shard-*.h5")}
    assert 0 < len(finished) < len(digests(start.folder / "truth"))
    begin_scheduler(start)
    begin_worker(start)
    start.done(*fake(folder, "out", 0, start.folder / "scheduler.json"), codes=(3,))
    ids = check_whole(start.folder / "out", start.folder / "truth")
    assert finished.items() <= {p.name: p.stat().st_mtime_ns for p in (start.folder / "out").glob("shard-*.h5")}.items()
    record(25, scheduler_kills=1, items=len(ids), lost=0, double=len(ids) - len(set(ids)))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_by_dask_and_a_rerun_goes_on(start, texts, number, code) -> None:
    folder = texts(20)
    start.done(*fake(folder, "truth", 0), codes=(3,))
    run = start(*fake(folder, "out", 0.3, "local"))
    wait_until(lambda: any((start.folder / "out").rglob("report-*")), "the run does not get anywhere")
    run.send_signal(number)
    errors = run.communicate(timeout=60)[1]
    assert run.returncode == code, errors
    assert "Traceback" not in errors
    assert len(digests(start.folder / "out")) < len(digests(start.folder / "truth"))
    start.done(*fake(folder, "out", 0, "local"), codes=(3,))
    check_whole(start.folder / "out", start.folder / "truth")


def test_a_second_ctrl_c_waits_for_no_item(start, texts) -> None:
    run = start(*fake(texts(4), "out", 60, "local"), MARK_OF_DASK=str(start.folder))
    wait_until(lambda: any((start.folder / "in").glob("*.started")), "no item was begun")
    for _ in range(2):
        run.send_signal(signal.SIGINT)
        time.sleep(1)
    errors = run.communicate(timeout=30)[1]
    assert run.returncode == 130, errors
    assert "Traceback" not in errors
    wait_until(lambda: not marked(f"MARK_OF_DASK={start.folder}"), "processes are left behind", 20)
    assert not list((start.folder / "out/.shapetool").glob("stop-*"))


# A caller's own script, which has no guard against being imported by a process that it starts.
PLAIN = """
import json, sys
from pathlib import Path
from shapetool.runner.engines.cluster import Cluster
from shapetool.runner.items import collect
from shapetool.runner.job import Options
from shapetool.runner.run import run_job
from tests.runner.runner_fakes import FakeJob

folder, out, delay, workers = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])

def listen(event):
    if event["event"] == "shard":
        begun = len(list(folder.glob("*.started")))
        print(json.dumps({"shard": event["shard"], "begun": begun}), flush=True)

found = collect([str(folder)], {".obj"}).items
run_job(FakeJob(delay=delay), found, out, Options(workers=1, cluster=Cluster(workers=workers), on_event=listen))
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """That script as a file."""
    path = tmp_path / "plain.py"
    path.write_text(PLAIN)
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_a_script_without_a_guard_runs_by_dask_and_hears_of_each_shard_once_while_others_are_made(
    start, plain, texts, workers
) -> None:
    run = start(sys.executable, plain, texts(16), "out", 0.3, workers)
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    told = [json.loads(line) for line in output.splitlines()]
    assert sorted(line["shard"] for line in told) == list(range(10))
    assert told[0]["begun"] < 16


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell its sockets here")
@pytest.mark.parametrize(("workers", "sockets"), [(1, 2), (2, 6)])
def test_dask_on_this_machine_listens_on_loopback_alone_and_to_its_own(start, plain, texts, workers, sockets) -> None:
    start(sys.executable, plain, texts(16), "out", 3, workers, MARK_OF_DASK=str(start.folder))
    wait_until(lambda: any((start.folder / "in").glob("*.started")), "no item was begun")
    found = listening(f"MARK_OF_DASK={start.folder}")
    assert len(found) >= sockets
    assert {address.partition(":")[0] for address in found} == {"0100007F"}
    assert "0100007F:2253" not in found  # 8787, where everybody looks for the pages of a scheduler
    for port in (int(address.partition(":")[2], 16) for address in found):
        with socket.create_connection(("127.0.0.1", port)) as caller:  # other users of the machine get here as well
            caller.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                assert caller.recv(1) == b"", "without TLS, Dask introduces itself to everybody"


def listening(mark: str) -> list[str]:
    """The addresses in hexadecimal that the processes with `mark` in their environment wait for callers at."""
    waiting = {}
    for table in ("tcp", "tcp6"):
        lines = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
        waiting |= {f"socket:[{words[9]}]": words[1] for words in lines if words[3] == "0A"}
    found = []
    for entry in marked(mark):
        with contextlib.suppress(OSError):
            names = [os.readlink(link) for link in (entry / "fd").iterdir()]
            found += [waiting[name] for name in names if name in waiting]
    return found


def marked(mark: str) -> list[Path]:
    """The folders in /proc of the processes that have `mark` in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(entry)
    return found


def test_a_killed_driver_takes_its_dask_workers_along(start, texts) -> None:
    run = start(*fake(texts(20), "out", 1.0, "local"), MARK_OF_DASK=str(start.folder))
    wait_until(lambda: any((start.folder / "in").glob("*.started")), "no item was begun")
    run.kill()
    run.wait()
    wait_until(lambda: not marked(f"MARK_OF_DASK={start.folder}"), "processes are left behind", 20)


def test_jobs_of_a_batch_system_give_the_bytes_of_a_local_run(start, meshes, record) -> None:
    start.environment = batch_system(start.folder)
    start.done(*SHAPETOOL, "sample-sdf", meshes, "local", "--count", "5000", codes=(3,))
    jobs = ["--engine", "dask", "--dask", "slurm", "--dask-workers", "2", "--dask-set", "walltime=00:30:00"]
    errors = start.done(
        *SHAPETOOL,
        "sample-sdf",
        meshes,
        "out",
        "--count",
        "5000",
        *jobs,
        "--dask-set",
        "log_directory=logs",
        codes=(3,),
    )
    assert "no TLS" not in errors
    assert list((start.folder / "jobs").glob("job-*.sh"))
    check_whole(start.folder / "out", start.folder / "local")
    record(26, jobs=len(list((start.folder / "jobs").glob("job-*.sh"))))
