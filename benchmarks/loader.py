"""The loader alone, as an empty model would drive it, beside the steps of the networks that it feeds, in one run.

    python benchmarks/loader.py --runs 5 --json bench-results/loader.json

24 generated shapes with 100,000 signed distances each; a step reads one chunk of each and takes 16,384 points of it,
or 2,048 where there is no GPU. `memory` has every column in memory after its first use, `disk` reads chunks at every
step. A step is everything from a batch that is there to moved parameters, on the device that `train` would take.
Medians over the runs.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import torch

from shapetool.cli.app import main as shapetool
from shapetool.models.base import Batch
from shapetool.models.deepsdf import DeepSDF, DeepSdfConfig
from shapetool.pipelines.train import device_of
from shapetool.training.batches import Batches, Plan, moved
from shapetool.training.optimizers import optimizers_of
from shapetool.training.shapes import Shapes, open_shapes

SHAPES = 24
FAMILIES = ("bottle", "chair", "gear", "lamp")
NETWORKS = {"default": DeepSDF.configs["default"], "reference": DeepSDF.configs["reference"]}


def sampled(folder: Path, count: int) -> Path:
    """A shard of generated shapes."""
    for family in FAMILIES:
        words = ["make-shapes", family, str(folder / family), "--count", str(SHAPES // len(FAMILIES))]
        assert shapetool(words) == 0
    shard = folder / "shapes.h5"
    assert shapetool(["sample-sdf", str(folder), str(shard), "--count", str(count), "-q"]) == 0
    return shard


def loading(shapes: Shapes, config: DeepSdfConfig, threads: int, pin: bool, steps: int) -> float:
    """Seconds a batch takes that nobody learns from."""
    with closing(Batches(shapes, config, Plan(threads=threads, pin=pin))(0)) as batches:  # type: ignore[type-var]
        next(batches)
        return seconds(lambda: next(batches), steps)


def training(shapes: Shapes, config: DeepSdfConfig, device: torch.device, steps: int) -> float:
    """Seconds a step takes whose batches are there already."""
    model = DeepSDF(config, shapes.facts()).to(device)
    objective = model.objectives()[0]
    optimizers = optimizers_of(objective)
    ready: Iterator[Batch] = iter(
        [moved(b, device) for b in islice(Batches(shapes, config, Plan(threads=0))(0), steps + 1)]
    )

    def step() -> None:
        for parameter in model.parameters():
            parameter.grad = None
        objective.loss(next(ready), 0)[0].backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers.values():
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    if device.type == "cuda":
        step()
    return seconds(step, steps)


def seconds(work: Callable[[], object], times: int) -> float:
    """The mean time of some calls."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def main() -> None:
    """Prints a table, and writes it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="batches of a run")
    parser.add_argument("--count", type=int, default=100_000, help="points of a shape")
    parser.add_argument("--points", type=int, help="points of a shape in a step")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    device = device_of(asked.device)
    points = asked.points or (16_384 if device.type == "cuda" else 2_048)
    with tempfile.TemporaryDirectory() as folder:
        shard = sampled(Path(folder), asked.count)
        ready = open_shapes([shard])
        configs = {name: config.replace(shapes=SHAPES, points=points) for name, config in NETWORKS.items()}
        rows: dict[str, list[float]] = {}
        for _ in range(asked.runs):
            for threads in (0, 1, 2, 4):
                for place, shapes in (("memory", ready), ("disk", open_shapes([shard], room=0))):
                    found = loading(shapes, configs["default"], threads, device.type == "cuda", asked.steps)
                    rows.setdefault(f"loader, {place}, -j {threads}", []).append(found)
            for name, config in configs.items():
                found = training(ready, config, device, asked.steps if device.type == "cuda" else 1)
                rows.setdefault(f"step of {name}, {device.type}", []).append(found)
    medians = {name: statistics.median(found) for name, found in rows.items()}
    print(f"{SHAPES} shapes, {points} points of each a step, {asked.count} stored; medians of {asked.runs} runs")
    print(f"{'':28}{'ms a batch':>12}{'batches/s':>12}{'Mpoints/s':>12}")
    for name, median in medians.items():
        print(f"{name:28}{1e3 * median:12.2f}{1 / median:12.1f}{SHAPES * points / median / 1e6:12.1f}")
    if asked.json:
        asked.json.write_text(json.dumps({"device": device.type, "points": points, "seconds": medians}, indent=1))


if __name__ == "__main__":
    main()
