"""What a run costs beside its items: finding, listing, resuming, handing out; two workers; Dask.

    python benchmarks/runner.py --items 100000 --meshes ../shared/data/bones --runs 3 --json bench-results/runner.json

Each step runs in an interpreter of its own, which tells its seconds and the most memory it held. The items are
tetrahedra in 200 folders; 64 points are drawn around each, so that an item is as small as one can be. `--meshes` are
sampled by the command, from a cold interpreter to the last shard.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TETRAHEDRON = b"OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
COUNT, SURFACE = 64, 4


def make_items(folder: Path, count: int) -> None:
    """None, once the folder holds that many tetrahedra."""
    for number in range(count):
        place = folder / f"c{number % 200:03d}"
        if number < 200:
            place.mkdir(parents=True)
        (place / f"s{number:07d}.off").write_bytes(TETRAHEDRON)


def step_scan(folder: Path, out: Path) -> dict[str, float]:
    """Looking for the inputs."""
    from shapetool.geometry.suffixes import MESH_SUFFIXES
    from shapetool.runner.items import collect

    started = time.perf_counter()
    collect([str(folder)], MESH_SUFFIXES)
    return {"seconds": time.perf_counter() - started}


def step_list(folder: Path, out: Path) -> dict[str, float]:
    """Freezing the manifest, for which every input is read once, and reading it again."""
    from shapetool.geometry.suffixes import MESH_SUFFIXES
    from shapetool.runner.items import collect
    from shapetool.runner.manifest import begin_folder, open_layout

    found, job = collect([str(folder)], MESH_SUFFIXES).items, the_job()
    begin_folder(out, job)
    started = time.perf_counter()
    open_layout(out, found, job)
    frozen = time.perf_counter()
    open_layout(out, found, job)
    return {"seconds": frozen - started, "again": time.perf_counter() - frozen}


def step_run(folder: Path, out: Path) -> dict[str, float]:
    """The whole run with one worker."""
    from shapetool.pipelines.sample_sdf import run
    from shapetool.runner.job import Options

    started = time.perf_counter()
    summary = run([folder], out, the_job().recipe, options=Options(workers=1))
    assert summary.counts["ok"] > 0.99 * summary.total, summary  # a draw may have no point inside, which is refused
    return {"seconds": time.perf_counter() - started, "items": summary.total}


def step_items(folder: Path, out: Path) -> dict[str, float]:
    """The work itself: a thousand of the items, one after the other in this process."""
    from shapetool.geometry.suffixes import MESH_SUFFIXES
    from shapetool.runner.items import collect

    found, job = collect([str(folder)], MESH_SUFFIXES).items, the_job()
    for item in found[:100]:
        job(item, 1)
    started = time.perf_counter()
    for item in found[:1000]:
        job(item, 1)
    return {"seconds": (time.perf_counter() - started) / min(len(found), 1000)}


def step_resume(folder: Path, out: Path) -> dict[str, float]:
    """The same run again, which has nothing left to do: all from the scan to the summary."""
    from shapetool.pipelines.sample_sdf import run
    from shapetool.runner.job import Options

    started = time.perf_counter()
    summary = run([folder], out, the_job().recipe, options=Options(workers=1))
    assert summary.shards == 0, summary
    return {"seconds": time.perf_counter() - started}


STEPS = {"scan": step_scan, "list": step_list, "items": step_items, "run": step_run, "resume": step_resume}


def the_job():
    """Sampling as few points as there are."""
    from shapetool.pipelines.sample_sdf import SdfJob
    from shapetool.recipes import sdf_recipe

    return SdfJob(sdf_recipe("deepsdf-code").replace(count=COUNT, surface_count=SURFACE), 0)


def most_memory() -> int:
    """The bytes that this process has held at most."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) << 10


def in_a_new_process(step: str, folder: Path, out: Path) -> dict[str, float]:
    """What a step says of itself."""
    words = [sys.executable, __file__, "--step", step, str(folder), str(out)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def command(meshes: Path, out: Path, *words: str) -> float:
    """The seconds of the whole command."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "shapetool", "sample-sdf", str(meshes), str(out), "-q", *words], check=True)
    return time.perf_counter() - started


def engines(meshes: Path, place: Path, runs: int, count: int) -> dict[str, list[float]]:
    """Rounds of one worker, two workers, and Dask with two processes on this machine, one after the other."""
    many = ["--count", str(count)]
    contestants = {"one": ["-j", "1"], "two": ["-j", "2"], "dask": ["-j", "2", "--engine", "dask"]}
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, words in contestants.items():
            rounds[name].append(command(meshes, place / name, *words, *many))
    return rounds


def messages(meshes: Path, place: Path) -> dict[str, int]:
    """How many messages go through the scheduler for a run, counted at both ends of what it sends and hears."""
    from distributed.batched import BatchedSend
    from distributed.scheduler import Scheduler

    from shapetool.pipelines.sample_sdf import run
    from shapetool.runner.engines.cluster import Cluster
    from shapetool.runner.engines.dask import DaskSchedule
    from shapetool.runner.job import Options

    counts = {"sent": 0, "lots": 0}
    send, lot, hear = BatchedSend.send, DaskSchedule._next_lot, Scheduler.handle_task_finished

    def counted_send(self, *said):
        counts["sent"] += len(said)
        return send(self, *said)

    def counted_lot(self):
        counts["lots"] += 1
        return lot(self)

    def counted_hear(self, *about, **more):
        counts["sent"] += 1
        return hear(self, *about, **more)

    BatchedSend.send, DaskSchedule._next_lot, Scheduler.handle_task_finished = counted_send, counted_lot, counted_hear
    try:
        run([meshes], place / "messages", the_job().recipe.replace(count=500_000), options=Options(cluster=Cluster()))
    finally:
        BatchedSend.send, DaskSchedule._next_lot, Scheduler.handle_task_finished = send, lot, hear
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--meshes", type=Path)
    parser.add_argument("--count", type=int, default=500_000, help="points around each of --meshes")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        told = STEPS[given.step[0]](Path(given.step[1]), Path(given.step[2]))
        print(json.dumps({**told, "bytes": most_memory()}))
        return
    found: dict[str, object] = {"machine": platform.processor() or platform.machine(), "items": given.items}
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        if given.items:
            make_items(place / "in", given.items)
            steps = {name: [] for name in STEPS}
            for number in range(given.runs):
                for name in STEPS:
                    out = place / f"{'list' if name == 'list' else 'out'}{number}"
                    steps[name].append(in_a_new_process(name, place / "in", out))
            found |= steps
            middle = {name: statistics.median(run["seconds"] for run in told) for name, told in steps.items()}
            for name, seconds in middle.items():
                most = max(run["bytes"] for run in steps[name]) >> 20
                each = f"{1000 * seconds:.3f} ms an item" if name == "items" else f"{seconds:.2f} s"
                print(f"{name:8} {each}, at most {most} MiB   {STEPS[name].__doc__}")
            over = 1000 * (middle["run"] / given.items - middle["items"])
            print(f"a run takes {over:.3f} ms an item beside the item itself")
        if given.meshes:
            rounds = engines(given.meshes, place, given.runs, given.count)
            found |= {"engines": rounds}
            one, two, dask = (statistics.median(rounds[name]) for name in ("one", "two", "dask"))
            print(f"one worker {one:.2f} s, two {two:.2f} s ({one / two:.2f} times as fast), ", end="")
            print(f"Dask {dask:.2f} s ({100 * (dask / two - 1):+.1f} %)")
            found |= {"messages": messages(given.meshes, place)}
            print(f"messages through the scheduler: {found['messages']}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
