"""Inside or outside against the peers, in one run, on the same points: 100,000 uniform ones, closed meshes.

    python benchmarks/occupancy.py --data ../shared/data --runs 7 --json bench-results/occupancy.json

Every number is the median over the runs of seconds for building and asking together; in each run all contestants
follow one another on one mesh, so that a slow spell of the machine hits all of them. Points are ONet's: uniform in
[-0.55, 0.55]^3 about a mesh with longest edge 1, rounded to float16. Peers get arrays ready in the form they want;
conversions are not timed. Each waits a moment and is called twice in a row, and the second call counts: nobody then
pays for the memory that the one before gave back, nor shares the cores with its threads. trimesh asks embree through
embreex; libigl sums the fast winding number. A peer that is not installed is left out.
"""

import argparse
import importlib
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shapetool.geometry.frame import fit
from shapetool.geometry.inside import is_inside
from shapetool.geometry.kernel import simd
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.sign import winding_number

Call = Callable[[], np.ndarray]


def installed(name: str) -> object | None:
    """The module, if it can be imported here."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        print(f"left out: {name} ({error})")
        return None


def contestants(mesh: Mesh, points: np.ndarray) -> dict[str, Call]:
    """What builds and asks, by name."""
    calls: dict[str, Call] = {"shapetool": lambda: is_inside(Mesh(mesh.vertices, mesh.faces), points)}
    if installed("embreex"):
        import trimesh

        calls["trimesh+embreex"] = lambda: trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).contains(points)
    if igl := installed("igl"):
        calls["libigl"] = lambda: igl.fast_winding_number(mesh.vertices, mesh.faces, points) > 0.5
    return calls


def compete(calls: dict[str, Call], runs: int) -> dict[str, dict[str, object]]:
    """Median seconds, all seconds and the answer of each contestant."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    answers = {name: call() for name, call in calls.items()}  # once unmeasured: imports, first touches of memory
    for _ in range(runs):
        for name, call in calls.items():
            time.sleep(0.1)
            call()
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {"median": statistics.median(seconds[name]), "runs": seconds[name], "answer": answers[name]}
        for name in calls
    }


def row(name: str, mesh: Mesh, points: np.ndarray, runs: int) -> dict[str, object]:
    """Medians, ratios to ours, and the labels that are not those of the exact winding number."""
    results = compete(contestants(mesh, points), runs)
    ours = results["shapetool"]["median"]
    doubtful = np.zeros(len(points), dtype=bool)
    for result in results.values():
        doubtful |= result["answer"] != results["shapetool"]["answer"]
    doubtful[:2000] = True  # where all agree, a part of the points is checked too
    truth = winding_number(mesh, points[doubtful], exact=True) > 0.5
    return {
        "mesh": name,
        "faces": len(mesh.faces),
        "median": {peer: result["median"] for peer, result in results.items()},
        "ratio": {peer: result["median"] / ours for peer, result in results.items()},
        "wrong": {peer: int((result["answer"][doubtful] != truth).sum()) for peer, result in results.items()},
        "runs": {peer: result["runs"] for peer, result in results.items()},
    }


def main() -> None:
    """Prints a line a mesh and writes all numbers as JSON."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--count", type=int, default=100_000)
    words.add_argument("--runs", type=int, default=7)
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    rows = []
    for path in sorted((asked.data / "classic").iterdir()):
        mesh = load_mesh(path)
        mesh = fit(mesh, "box").apply_mesh(mesh)
        points = np.random.default_rng(0).uniform(-0.55, 0.55, (asked.count, 3))
        rows.append(row(path.name, mesh, points.astype(np.float16).astype(np.float64), asked.runs))
        print(path.name, rows[-1]["faces"], {k: f"{v:.2f}" for k, v in rows[-1]["ratio"].items()}, rows[-1]["wrong"])
    for peer in rows[0]["ratio"]:
        ratios = [one["ratio"][peer] for one in rows if peer in one["ratio"]]
        print(f"{peer}: median {statistics.median(ratios):.1f}, least {min(ratios):.1f}")
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        about = {"cores": os.cpu_count(), "simd": simd(), "count": asked.count, "runs": asked.runs}
        asked.json.write_text(json.dumps({**about, "meshes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
