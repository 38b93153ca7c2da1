"""Chamfer, F-score and Hausdorff of two clouds against pykdtree alone, in one run; `--crossover` compares the two ways.

    python benchmarks/points.py [--count 100000] [--runs 7]

The peer builds a tree on each cloud and asks it for the neighbours of the other: what any of the three metrics needs.
The metrics are called by their three public names, as a user would, one after the other. Measured with as many threads
as OpenMP takes by itself, and with one, each in a process of its own, for the number is read when a process starts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from pykdtree.kdtree import KDTree

from shapetool.metrics import nearest
from shapetool.metrics.points import chamfer, fscore, hausdorff


def sphere(count: int, seed: int, dtype: torch.dtype) -> torch.Tensor:
    """One cloud of points on the sphere of radius one half."""
    points = np.random.default_rng(seed).normal(size=(1, count, 3))
    return torch.from_numpy(points / np.linalg.norm(points, axis=2, keepdims=True) / 2).to(dtype)


def alternating(runs: int, *calls: Callable[[], object]) -> list[float]:
    """The median seconds of each call; they take turns at being first, so that a busy machine is busy for all."""
    seconds: list[list[float]] = [[] for _ in calls]
    for run in range(runs + 1):
        for place in range(len(calls)):
            which = (run + place) % len(calls)
            start = time.perf_counter()
            calls[which]()
            seconds[which].append(time.perf_counter() - start)
    return [float(np.median(spent[1:])) for spent in seconds]


def against_the_peer(count: int, runs: int, dtype: torch.dtype) -> dict[str, object]:
    """Both times and their ratio; every run has clouds of its own, so nothing is remembered from the one before."""
    clouds = iter([(sphere(count, 2 * k, dtype), sphere(count, 2 * k + 1, dtype)) for k in range(runs + 1)])
    again = iter([(sphere(count, 2 * k, dtype), sphere(count, 2 * k + 1, dtype)) for k in range(runs + 1)])

    def peer() -> None:
        a, b = (cloud[0].numpy() for cloud in next(clouds))
        KDTree(b).query(a, k=1)
        KDTree(a).query(b, k=1)

    def ours() -> None:
        a, b = next(again)
        chamfer(a, b)
        fscore(a, b, [0.005, 0.01, 0.02])
        hausdorff(a, b)

    alone, all_three = alternating(runs, peer, ours)
    threads = os.environ.get("OMP_NUM_THREADS", "default")
    return {"count": count, "dtype": str(dtype), "threads": threads} | {
        "pykdtree": alone,
        "shapetool": all_three,
        "ratio": all_three / alone,
    }


def crossover(batch: int, count: int, runs: int) -> dict[str, object]:
    """The time of the trees and of brute force on the CPU for one size."""
    a, b = torch.rand(batch, count, 3), torch.rand(batch, count, 3)
    tree, force = alternating(runs, lambda: nearest._by_trees(a, b, None, None), lambda: nearest._by_force(a, b, None))
    return {"batch": batch, "count": count, "tree": tree, "force": force}


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--crossover", action="store_true")
    parser.add_argument("--here", action="store_true", help="in this process, with the threads it has")
    options = parser.parse_args()
    if options.crossover:
        for batch in (1, 16):
            for count in (16, 32, 64, 128, 256, 512, 1024):
                print(json.dumps(crossover(batch, count, options.runs)), flush=True)
        return
    if options.here:
        for dtype in (torch.float32, torch.float64):
            print(json.dumps(against_the_peer(options.count, options.runs, dtype)), flush=True)
        return
    for threads in ({}, {"OMP_NUM_THREADS": "1"}):
        subprocess.run([sys.executable, *sys.argv, "--here"], env=os.environ | threads, check=True)


if __name__ == "__main__":
    main()
