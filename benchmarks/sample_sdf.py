"""The whole command against the shortest script a user would write, over a folder of meshes, in one run.

    python benchmarks/sample_sdf.py ../shared/data/bones --runs 5 --json bench-results/sample_sdf.json

Every round runs all the contestants one after the other, each in a fresh interpreter, so that a slow spell of the
machine hits all of them. Printed are medians; the JSON holds every round.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from shapetool import __version__
from shapetool.data.shards import build_shard, publish
from shapetool.geometry.frame import fit
from shapetool.geometry.mesh import load_mesh
from shapetool.geometry.sdf import SignedField
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.pipelines.sample_sdf import SdfJob, sample_one
from shapetool.recipes import SdfRecipe, sdf_recipe
from shapetool.runner.job import cores, shapes_per_shard

PEERS = Path(__file__).parent / "peers"


def timed(call: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def command(inputs: list[Path], count: int, workers: int, out: Path) -> float:
    """The seconds of the whole command, from a cold interpreter to the finished file."""
    entry = "import sys; from shapetool.cli.app import main; sys.exit(main())"
    words = ["sample-sdf", *map(str, inputs), str(out), "--count", str(count), "-j", str(workers), "-q"]
    return timed(lambda: subprocess.run([sys.executable, "-c", entry, *words], check=True))


def peer(script: str, paths: list[Path], count: int, out: Path) -> float:
    """The seconds of a peer's script, from a cold interpreter to its last file."""
    out.mkdir()
    words = [sys.executable, str(PEERS / script), str(count), str(out), *map(str, paths)]
    return timed(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))


class Parts:
    """What has to be done at least: loading, the kernel's own work, and writing, in one thread of this process."""

    def __init__(self, paths: list[Path], recipe: SdfRecipe) -> None:
        self.paths, self.recipe = paths, recipe
        self.records = [dict(sample_one(path, recipe, 0, path.stem, threads=1).columns) for path in paths]

    def run(self, out: Path) -> dict[str, float]:
        """The seconds of each part, and their sum."""
        out.mkdir()
        load = kernel = write = 0.0
        for path, record in zip(self.paths, self.records, strict=True):
            start = time.perf_counter()
            mesh = load_mesh(path)
            load += time.perf_counter() - start
            unit = fit(mesh, self.recipe.normalize, self.recipe.frame_size).apply_mesh(mesh)
            points = record["points"].astype(np.float64)
            start = time.perf_counter()
            SignedField(unit, threads=1)(points)
            kernel += time.perf_counter() - start
        group = shapes_per_shard(SdfJob(self.recipe).bytes_per_shape)
        for first in range(0, len(self.records), group):
            part = self.records[first : first + group]
            columns = {name: [record[name] for record in part] for name in part[0]}
            start = time.perf_counter()
            publish(out / f"{first}.h5", build_shard("sdf", self.recipe.to_dict(), 0, columns))
            write += time.perf_counter() - start
        return {"load": load, "kernel": kernel, "write": write, "sum": load + kernel + write}


def versions() -> dict[str, str]:
    """The versions of what is compared, and the machine."""
    found = {"machine": platform.processor() or platform.machine(), "cores": str(cores()), "shapetool": __version__}
    for name in ("open3d", "pysdf", "trimesh", "numpy", "h5py"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def rounds(paths: list[Path], options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """The seconds of every contestant in every round."""
    recipe = sdf_recipe("deepsdf-code").replace(count=options.count)
    parts = Parts(paths, recipe)
    inputs = paths if options.limit else [options.folder]
    contestants: dict[str, Callable[[Path], dict[str, float]]] = {
        "one worker": lambda out: {"one worker": command(inputs, options.count, 1, out / "out.h5")},
        "all workers": lambda out: {"all workers": command(inputs, options.count, options.workers, out / "out.h5")},
        "one worker, folder": lambda out: {"one worker, folder": command(inputs, options.count, 1, out / "folder")},
        "all workers, folder": lambda out: {
            "all workers, folder": command(inputs, options.count, options.workers, out / "folder")
        },
        "parts": lambda out: parts.run(out / "parts"),
    }
    for name in options.peers:
        contestants[name] = lambda out, name=name: {name: peer(f"{name}_npz.py", paths, options.count, out / "npz")}
    results = []
    for number in range(options.runs):
        seconds: dict[str, float] = {}
        for name, contestant in contestants.items():
            out = folder / f"{number}-{name.replace(' ', '-')}"
            out.mkdir()
            os.sync()  # what the contestant before left to be written is not this one's
            seconds |= contestant(out)
            shutil.rmtree(out)
        results.append(seconds)
        print(f"round {number + 1} of {options.runs}: " + ", ".join(f"{k} {v:.2f}" for k, v in seconds.items()))
    return results


def table(medians: dict[str, float], options: argparse.Namespace) -> list[tuple[str, float, str, str]]:
    """The claims: name, value, and what is asked, if anything."""
    whole, one = medians["all workers"], medians["one worker"]
    rows = [(f"{name} script / whole command", medians[name] / whole, "x", "at least 3") for name in options.peers]
    rows.append(("one worker / (loading + kernel + writing)", one / medians["sum"], "x", "at most 1.3"))
    rows.append((f"one worker / {options.workers} workers, one file", one / whole, "x", "at least 1.8 with 2"))
    folders = medians["one worker, folder"] / medians["all workers, folder"]
    rows.append((f"one worker / {options.workers} workers, a folder of shards", folders, "x", "at least 1.8 with 2"))
    return rows


def main() -> None:
    """Measures, prints a table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="meshes, searched recursively")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=500_000, help="points a shape")
    parser.add_argument("--limit", type=int, default=None, help="take only the first meshes")
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--peers", nargs="*", default=["open3d", "pysdf"], choices=["open3d", "pysdf"])
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in MESH_SUFFIXES)[: options.limit]
    if not paths:
        parser.error(f"no meshes below {options.folder}")
    scratch = Path("bench-results")
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        results = rounds(paths, options, Path(folder))
    medians = {name: statistics.median(result[name] for result in results) for name in results[0]}
    print(f"\n{len(paths)} meshes, {options.count:,} points each, medians of {options.runs} rounds")
    for name, seconds in medians.items():
        print(
            f"  {name:<46}{seconds:9.2f} s   {len(paths) * options.count / seconds / 1e6:8.2f} million points a second"
        )
    for name, value, unit, asked in table(medians, options):
        print(f"  {name:<46}{value:9.2f} {unit}   {asked}")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {"meshes": len(paths), "count": options.count, "workers": options.workers, "versions": versions()}
        options.json.write_text(json.dumps(record | {"median": medians, "rounds": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
