"""The exact earth mover's distance against scipy's assignment and POT, in one run, on the same clouds.

    python benchmarks/emd.py --data ../shared/data --runs 5 --json bench-results/emd.json

Every number is the median over the runs; in each run all contestants follow one another, from two clouds to a value.
scipy and POT need the matrix of costs, which is part of what they do; scipy knows neither other sizes nor weights.
Memory is the peak of a fresh process beyond that of the same process with its libraries loaded and the clouds made. A
peer that is not installed is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sdf import installed, unit_mesh

from shapetool.geometry.kernel import simd
from shapetool.metrics.emd import Emd, emd
from shapetool.sampling.surface import sample_surface

PAIRS = ["sphere-sphere", "sphere-cube", "chair-chair", "unequal", "weighted"]
CHAIRS = ["chairs/ChairArms1.obj", "chairs/ChairNoArms14.obj"]


def sphere(count: int, rng: np.random.Generator) -> np.ndarray:
    """Points on the sphere of radius one half."""
    points = rng.standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None] / 2


def cube(count: int, rng: np.random.Generator) -> np.ndarray:
    """Points on the surface of the unit cube."""
    points = rng.uniform(-0.5, 0.5, (count, 3))
    points[np.arange(count), rng.integers(0, 3, count)] = rng.choice([-0.5, 0.5], count)
    return points


@dataclass(frozen=True)
class Pair:
    """Two clouds, and the weights of their points if these differ."""

    a: np.ndarray
    b: np.ndarray
    a_weights: np.ndarray | None = None
    b_weights: np.ndarray | None = None

    def first(self, count: int) -> "Pair":
        """The same with a few points."""
        parts = (self.a, self.b, self.a_weights, self.b_weights)
        return Pair(*(None if part is None else part[:count] for part in parts))


def clouds(pair: str, count: int, data: Path) -> Pair:
    """The two clouds of a pair; `unequal` has one point less in its second, a cube as in `weighted`."""
    rng = np.random.default_rng(7)
    if pair == "chair-chair":
        return Pair(*(sample_surface(unit_mesh(data / name), count, rng)[0] for name in CHAIRS))
    a, b = sphere(count, rng), (sphere if pair == "sphere-sphere" else cube)(count, rng)
    if pair == "unequal":
        return Pair(a, b[:-1])
    return Pair(a, b, rng.random(count), rng.random(count)) if pair == "weighted" else Pair(a, b)


def by_scipy(pair: Pair) -> float:
    """scipy's shortest augmenting paths."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    costs = cdist(pair.a, pair.b)
    return float(costs[linear_sum_assignment(costs)].mean())


def by_pot(pair: Pair) -> float:
    """POT's network simplex."""
    import ot

    costs = ot.dist(pair.a, pair.b, metric="euclidean")
    weights = [[] if w is None else w / w.sum() for w in (pair.a_weights, pair.b_weights)]
    return float(ot.emd2(*weights, costs, numItermax=100_000_000))


def by_shapetool(pair: Pair) -> float:
    """The value; its certificate is checked by the caller."""
    return certified(pair).value


def certified(pair: Pair) -> Emd:
    """All that shapetool says."""
    return emd(pair.a, pair.b, a_weights=pair.a_weights, b_weights=pair.b_weights)


CONTESTANTS: dict[str, Callable[[Pair], float]] = {
    "shapetool": by_shapetool,
    "scipy": by_scipy,
    "pot": by_pot,
}


def peak() -> int:
    """The largest memory this process has had so far, in kB; getrusage would count its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def memory(name: str, pair: str, count: int, data: Path) -> int:
    """kB that a contestant needs in a process of its own."""
    words = [sys.executable, __file__, "--memory-of", name, pair, str(count), "--data", str(data)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def compete(pair: str, count: int, data: Path, runs: int, names: list[str]) -> dict[str, object]:
    """Seconds, value and memory of each contestant on a pair."""
    both = clouds(pair, count, data)
    if len(both.a) != len(both.b) or both.a_weights is not None:
        names = [name for name in names if name != "scipy"]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    values = {}
    for _ in range(runs):
        for name in names:
            start = time.perf_counter()
            values[name] = CONTESTANTS[name](both)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    kilobytes = {name: memory(name, pair, count, data) for name in names}
    gap = certified(both).gap
    said = " ".join(f"{name} {medians[name]:.3f} s {kilobytes[name] / 1024:.1f} MB" for name in names)
    print(f"{pair} {count}: {said}; gap {gap:.1e}", flush=True)
    row = {"pair": pair, "points": count, "gap": gap, "values": values}
    return row | {"seconds": seconds, "median": medians, "kilobytes": kilobytes}


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[2048, 10_000])
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=PAIRS)
    parser.add_argument("--json", type=Path, default=Path("bench-results/emd.json"))
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        name, pair, count = options.memory_of
        both = clouds(pair, int(count), options.data)
        CONTESTANTS[name](both.first(50))
        before = peak()
        CONTESTANTS[name](both)
        print(peak() - before)
        return
    peers = ["shapetool", *(name for name, module in (("scipy", "scipy"), ("pot", "ot")) if installed(module))]
    rows = []
    for count in options.counts:
        names = [name for name in peers if name != "scipy" or count <= 4096]  # beyond, its time says nothing new
        rows += [compete(pair, count, options.data, options.runs, names) for pair in options.pairs]
    machine = {"cores": os.cpu_count(), "simd": simd()}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
