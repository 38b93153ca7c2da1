"""Deep Level Sets against its bars: 24 shapes of eight families as 32^3 voxels, by level sets and by cross-entropy.

    python benchmarks/verify_levelset.py --seeds 0 1 2

Each seed is one JSON line. The same network learns the same shapes twice; a step with cross-entropy is cheaper, so it
gets half as many steps again, and the seconds of both are given. Of each: the mean over the shapes of the distance
between the extracted surface and the true one, both ways, at 10,000 points each, in edges of the cube, and the IoU of
the two solids. `empty` counts shapes without a surface; they are left out of the distance and have an IoU of 0. The
line begins with how far area and volume of a sphere on a lattice of 64^3 are off.
"""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from learned import Row, each_seed, parser_of, true_mesh, verdict, voxel_shard

from shapetool.errors import MeshError
from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.losses import levelset
from shapetool.metrics.surface import compare_surfaces
from shapetool.metrics.volume import iou
from shapetool.models.levelset_lattice import LevelSetLattice
from shapetool.pipelines.codes import codes_for
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

FAMILIES, EACH, ACROSS = ("bottle", "bracket", "capsule", "chair", "gear", "mug", "table", "vase"), 3, 32
STEPS, SAMPLES, RADIUS = 400, 10_000, 0.35
RUNS = {"levelset": ("default", 1.0), "cross_entropy": ("cross-entropy", 1.5)}


def sphere_errors(count: int = 64) -> dict[str, float]:
    """How far the area and the volume of a sphere are off, as shares of them."""
    spacing = 1 / count
    axis = (torch.arange(count, dtype=torch.float64) + 0.5) * spacing - 0.5
    nodes = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    lattice = nodes.norm(dim=0)[None] - RADIUS
    area, volume = (float(measure(lattice, spacing)) for measure in (levelset.area, levelset.volume))
    return {
        "sphere_area_error": abs(area / (4 * math.pi * RADIUS**2) - 1),
        "sphere_volume_error": abs(volume / (4 / 3 * math.pi * RADIUS**3) - 1),
    }


def judged(model: LevelSetLattice, codes: torch.Tensor, shapes: Shapes, folder: Path) -> dict[str, float]:
    """The means of the scores over the shapes."""
    box = ((-model.extent,) * 3, (model.extent,) * 3)
    with torch.no_grad():
        lattices = model.lattices(codes).double().numpy()
    distances, overlaps, empty = [], [], 0
    for row, lattice in enumerate(lattices):
        true = true_mesh(shapes, row, folder)
        try:
            pred = mesh_of_lattice(lattice, box)
        except MeshError:
            empty += 1
            overlaps.append(0.0)
            continue
        distances.append(float(compare_surfaces(pred, true, SAMPLES, np.random.default_rng(row)).chamfer()))
        overlaps.append(iou(pred, true).value)
    worst = max(distances, default=math.nan)
    mean = float(np.mean(distances)) if distances else math.nan
    return {"chamfer": mean, "worst_chamfer": worst, "iou": float(np.mean(overlaps)), "empty": empty}


def measured(seed: int, steps: int, folder: Path) -> Row:
    """One row."""
    shard = voxel_shard(folder, FAMILIES, EACH, seed, ACROSS, 2000, 16384)
    shapes = open_shapes([shard])
    row: Row = {"seed": seed, "shapes": len(shapes), **sphere_errors()}
    for name, (config, more) in RUNS.items():
        settings = {"steps": round(more * steps)}
        order = Order("levelset-grid", shard, folder / name, config, settings, seed=seed, pictures=0, device="cpu")
        began = time.process_time()
        ended = train(order).ended
        seconds = time.process_time() - began
        run = open_run(folder / name, "last")
        assert isinstance(run.model, LevelSetLattice)
        found = judged(run.model, codes_for(run.model, run.recipe, shapes), shapes, folder / "meshes")
        found |= {"steps": ended.step, "core_seconds": round(seconds, 1)}
        row |= {f"{name}_{key}": value for key, value in found.items()}
    return row


def main() -> int:
    """Prints the rows and the medians; returns 1 if a bar is missed."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    rows = each_seed(options.seeds, lambda seed, place: measured(seed, options.steps, place), options.json)
    for row in rows:
        row["chamfer_ratio"] = float(str(row["levelset_chamfer"])) / float(str(row["cross_entropy_chamfer"]))
    return verdict(rows, {}, {"sphere_area_error": 0.01, "sphere_volume_error": 0.01, "chamfer_ratio": 1.0})


if __name__ == "__main__":
    sys.exit(main())
