"""IM-NET against its bars: 24 chairs, tables and mugs as 32^3 voxels, learned coarse to fine and at once.

    python benchmarks/verify_imnet.py --seeds 0 1 2

Each seed is one JSON line of two runs of equally many steps, `progressive` (16^3, then 32^3) and `plain` (32^3 alone),
and with --control a third, `fewer`: plain with as few points in every step as `progressive` has on average. Of each:
the mean IoU of the training shapes at all 32^3 centres of cells against their voxels, and at the shard's random points
against the meshes, how many points the decoder was asked for, and the seconds of training.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from shapetool.geometry.voxels import cell_centres
from shapetool.models.imnet import ImNet, ImnetConfig
from shapetool.pipelines import make_shapes, sample_occupancy
from shapetool.pipelines.codes import codes_for
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.recipes import occupancy_recipe
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

FAMILIES, EACH, ACROSS, POINTS = ("chair", "table", "mug"), 8, 32, 20_000
STEPS, SHAPES = 700, 8
RUNS = {
    "progressive": {"stages": [16, 32], "stage_points": [128, 512]},
    "plain": {"stages": [32], "stage_points": [512]},
    "fewer": {"stages": [32], "stage_points": [320]},
}


def prepared(folder: Path, seed: int) -> Path:
    """The shard of the shapes to learn."""
    for family in FAMILIES:
        make_shapes.run(family, folder / "meshes" / family, EACH, seed)
    recipe = occupancy_recipe("onet").replace(voxels=ACROSS, count=POINTS, surface_count=0)
    sample_occupancy.run([str(folder / "meshes")], folder / "shapes.h5", recipe, seed=seed)
    return folder / "shapes.h5"


def iou(model: ImNet, code: torch.Tensor, points: np.ndarray, inside: np.ndarray) -> float:
    """How much of what the field or the truth takes for inside both do."""
    with torch.no_grad():
        values = model.values(torch.from_numpy(points.astype(np.float32))[None], code[None])[0]
    found = values.numpy() < 0
    return float((found & inside).sum() / max((found | inside).sum(), 1))


def judged(model: ImNet, codes: torch.Tensor, shapes: Shapes) -> dict[str, float]:
    """The mean IoU over the shapes, at cells and at random points."""
    cells, anywhere = [], []
    for row, code in enumerate(codes):
        axis = cell_centres(float(shapes.read(row, "high")[0]), ACROSS)
        centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        cells.append(iou(model, code, centres, shapes.read(row, "solid").ravel()))
        anywhere.append(iou(model, code, shapes.read(row, "points"), shapes.read(row, "inside")))
    return {"iou": float(np.mean(cells)), "points_iou": float(np.mean(anywhere))}


def measured(seed: int, steps: int, names: list[str], folder: Path) -> dict[str, object]:
    """One row."""
    shard = prepared(folder, seed)
    shapes = open_shapes([shard])
    row: dict[str, object] = {"seed": seed, "shapes": len(shapes), "steps": steps}
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


def main() -> None:
    """Prints the rows and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--control", action="store_true", help="also learn 32^3 alone with fewer points")
    parser.add_argument("--json", type=Path, default=Path("bench-results/verify_imnet.jsonl"))
    options = parser.parse_args()
    names = list(RUNS) if options.control else ["progressive", "plain"]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with options.json.open("w") as file:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as place:
                line = json.dumps(measured(seed, options.steps, names, Path(place)))
            print(line, flush=True)
            file.write(line + "\n")


if __name__ == "__main__":
    main()
