"""IM-NET against its bars: 24 chairs, tables and mugs as 32^3 voxels, learned coarse to fine and at once.

    python benchmarks/verify_imnet.py --seeds 0 1 2

Each seed is one JSON line of three runs of equally many steps: `progressive` (16^3, then 32^3), `plain` (32^3 alone),
and `fewer`, which is plain with as few points in every step as `progressive` has on average. Of each:
the mean IoU of the training shapes at all 32^3 centres of cells against their voxels, and at the shard's random points
against the meshes, how many points the decoder was asked for, and the seconds of training.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from learned import Row, each_seed, overlap, parser_of, verdict, voxel_centres, voxel_shard

from shapetool.models.imnet import ImNet, ImnetConfig
from shapetool.pipelines.codes import codes_for
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

FAMILIES, EACH, ACROSS, POINTS = ("chair", "table", "mug"), 8, 32, 20_000
STEPS, SHAPES, BAR = 1000, 8, 0.92
RUNS = {
    "progressive": {"stages": [16, 32], "stage_points": [96, 256]},
    "plain": {"stages": [32], "stage_points": [256]},
    "fewer": {"stages": [32], "stage_points": [176]},
}


def iou(model: ImNet, code: torch.Tensor, points: np.ndarray, inside: np.ndarray) -> float:
    """How much of what the field or the truth takes for inside both do."""
    with torch.no_grad():
        values = model.values(torch.from_numpy(points.astype(np.float32))[None], code[None])[0]
    found = values.numpy() < 0
    return overlap(found, inside)


def judged(model: ImNet, codes: torch.Tensor, shapes: Shapes) -> dict[str, float]:
    """The mean IoU over the shapes, at cells and at random points."""
    cells, anywhere = [], []
    for row, code in enumerate(codes):
        cells.append(iou(model, code, voxel_centres(shapes, row, ACROSS), shapes.read(row, "solid").ravel()))
        anywhere.append(iou(model, code, shapes.read(row, "points"), shapes.read(row, "inside")))
    return {"iou": float(np.mean(cells)), "points_iou": float(np.mean(anywhere))}


def measured(seed: int, steps: int, names: list[str], folder: Path) -> Row:
    """One row."""
    shard = voxel_shard(folder, FAMILIES, EACH, seed, ACROSS, POINTS, 0)
    shapes = open_shapes([shard])
    row: Row = {"seed": seed, "shapes": len(shapes), "steps": steps}
    for name in names:
        chosen = {"steps": steps, "shapes": SHAPES, **RUNS[name]}
        order = Order("imnet", shard, folder / name, settings=chosen, seed=seed, pictures=0, device="cpu")
        ended = train(order).ended
        run = open_run(folder / name, "last")
        config = run.recipe.config
        assert isinstance(run.model, ImNet)
        assert isinstance(config, ImnetConfig)
        found = judged(run.model, torch.stack(list(codes_for(run.model, run.recipe, shapes))), shapes)
        found |= {"evaluations": config.evaluations(ended.step), "seconds": round(ended.seconds, 1)}
        row |= {f"{name}_{key}": value for key, value in found.items()}
    return row


def main() -> int:
    """Prints the rows and the medians; returns 1 if a bar is missed."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS))
    options = parser.parse_args()
    rows = each_seed(
        options.seeds, lambda seed, place: measured(seed, options.steps, options.runs, place), options.json
    )
    return verdict(rows, {f"{name}_iou": BAR for name in options.runs if name != "fewer"})


if __name__ == "__main__":
    sys.exit(main())
