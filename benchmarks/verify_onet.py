"""Occupancy networks against their bars: 48 shapes of four families, 12 more that they never saw, and an autoencoder.

    python benchmarks/verify_onet.py --seeds 0 1 2

Each seed is one JSON line. The overlap (IoU) of a shape is that of the points that the network takes for inside with
those that are, among 20,000 uniform points of the shard's box that were drawn anew and never learned from; the clouds
that codes are made from are new as well. Of the autoencoder: the overlap of what it makes of the shapes it learned, how
many numbers of the code carry more than half a nat on average over these shapes, and the share of codes drawn from its
prior that have something inside.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from learned import Row, each_seed, overlap, parser_of, verdict

from shapetool.models.onet import OccupancyNetwork, kl_from_normal
from shapetool.pipelines import make_shapes, sample_occupancy
from shapetool.pipelines.codes import codes_for
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.recipes import occupancy_recipe
from shapetool.training.batches import validation_batches
from shapetool.training.runs import OpenedRun, open_run
from shapetool.training.shapes import Shapes, open_shapes

FAMILIES = ("box", "bottle", "capsule", "torus")
TRAINED, HELD_OUT = 12, 3  # of each family
POINTS, SURFACE, ASKED = 40_000, 10_000, 20_000
SAMPLES, ACTIVE = 64, 0.5  # drawn codes; nats
BARS = {
    "onet": {"train_iou": 0.90, "heldout_iou": 0.75},
    "vae": {"vae_iou": 0.80, "vae_active": 2, "vae_nonempty": 0.90},
}


def prepared(folder: Path, seed: int) -> dict[str, Path]:
    """The shard to learn from, and those to be judged by."""
    parts: dict[str, list[str]] = {"train": [], "heldout": []}
    for family in FAMILIES:
        made = make_shapes.run(family, folder / family, TRAINED + HELD_OUT, seed)
        files = [str(folder / family / record["file"]) for record in made]
        parts["train"] += files[:TRAINED]
        parts["heldout"] += files[TRAINED:]
    recipe = occupancy_recipe("onet").replace(count=POINTS, surface_count=SURFACE)
    asked = recipe.replace(count=ASKED)
    places = {name: folder / f"{name}.h5" for name in ("learn", "train", "heldout")}
    sample_occupancy.run(parts["train"], places["learn"], recipe, seed=seed)
    for name, files in parts.items():
        sample_occupancy.run(files, places[name], asked, seed=seed + 1000)
    return places


def overlaps(run: OpenedRun, shapes: Shapes) -> list[float]:
    """The overlap of each shape."""
    assert isinstance(run.model, OccupancyNetwork)
    found = []
    for row, code in enumerate(codes_for(run.model, run.recipe, shapes)):
        points = torch.from_numpy(shapes.read(row, "points").astype(np.float32))
        with torch.no_grad():
            inside = (run.model.values(points[None], code[None])[0] < 0).numpy()
        found.append(overlap(inside, shapes.read(row, "inside")))
    return found


def by_family(shapes: Shapes, found: list[float]) -> dict[str, float]:
    """The mean of each family."""
    names = [Path(name).name.rsplit("-", 1)[0] for name in shapes.shape_ids]
    return {
        family: round(float(np.mean([value for value, name in zip(found, names, strict=True) if name == family])), 4)
        for family in sorted(set(names))
    }


def active(run: OpenedRun, shapes: Shapes) -> int:
    """How many numbers of the code say something of the shape."""
    assert isinstance(run.model, OccupancyNetwork)
    nats = []
    for batch in validation_batches(shapes, run.recipe.config, 0):
        with torch.no_grad():
            mean, log_std = run.model.posterior(batch)
        assert log_std is not None
        nats.append(kl_from_normal(mean, log_std))
    return int((torch.cat(nats).mean(dim=0) > ACTIVE).sum())


def nonempty(run: OpenedRun, points: torch.Tensor) -> float:
    """The share of drawn codes whose shape has one of the points inside."""
    assert isinstance(run.model, OccupancyNetwork)
    codes = run.model.prior_codes(SAMPLES, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float(np.mean([bool((run.model.values(points[None], code[None]) < 0).any()) for code in codes]))


def trained(
    config: str, settings: list[str], data: Path, folder: Path, seed: int
) -> tuple[OpenedRun, dict[str, float]]:
    """A run, and what it took."""
    chosen = dict(setting.split("=", 1) for setting in settings)
    wall, cpu = time.perf_counter(), time.process_time()
    train(Order("onet", data, folder, config, chosen, seed=seed, pictures=0, device="cpu"))
    took = {"seconds": round(time.perf_counter() - wall, 1), "core_seconds": round(time.process_time() - cpu, 1)}
    return open_run(folder, "last"), took


def measured(seed: int, options: argparse.Namespace, folder: Path) -> Row:
    """One row."""
    places = prepared(folder, seed)
    known, unseen = open_shapes([places["train"]]), open_shapes([places["heldout"]])
    row: Row = {"seed": seed}
    if "onet" in options.parts:
        run, took = trained(options.config, options.set, places["learn"], folder / "run", seed)
        for name, shapes in (("train", known), ("heldout", unseen)):
            found = overlaps(run, shapes)
            row |= {f"{name}_iou": round(float(np.mean(found)), 4), f"{name}_families": by_family(shapes, found)}
        row |= took
    if "vae" in options.parts:
        run, took = trained("vae", options.set_vae, places["learn"], folder / "vae", seed)
        found = overlaps(run, known)
        row |= {"vae_iou": round(float(np.mean(found)), 4), "vae_families": by_family(known, found)}
        row["vae_active"] = active(run, known)
        row["vae_nonempty"] = nonempty(run, torch.from_numpy(known.read(0, "points").astype(np.float32)))
        row |= {f"vae_{name}": value for name, value in took.items()}
    return row


def main() -> int:
    """Prints a line a seed, then the medians; returns 1 if one misses its bar."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--parts", nargs="+", default=list(BARS), choices=list(BARS))
    parser.add_argument("--config", default="default")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--set-vae", nargs="*", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(1)  # small matrices: a second thread costs more than it brings
    rows = each_seed(options.seeds, lambda seed, folder: measured(seed, options, folder), options.json)
    return verdict(rows, {name: bar for part in options.parts for name, bar in BARS[part].items()})


if __name__ == "__main__":
    sys.exit(main())
