"""Single views against their bar: views that were held out of 24 chairs, tables and mugs, to the codes of an IM-NET.

    python benchmarks/verify_svr.py --seeds 0 1 2

Each seed is one JSON line. IM-NET learns the shapes as 32^3 voxels; then an encoder learns its codes from 16 views of
each, and is asked about 4 more, one at a time. IoU is over all 32^3 centres of cells against the true voxels, a mean
over shapes: `autoencoder_iou` by the codes that are learned, `iou` by those of the held-out views, `ratio` the second
over the first, and `mean_code_iou` what the mean of all codes gets, whatever the view. `recognised` is the share of the
held-out views whose code is nearest to that of their own shape.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from shapetool.geometry.voxels import cell_centres
from shapetool.models.svr import SingleView
from shapetool.models.views import views_of
from shapetool.pipelines import make_shapes, render_views, sample_occupancy
from shapetool.pipelines.codes import attach_target, target_codes
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.recipes import occupancy_recipe, views_recipe
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

FAMILIES, EACH, ACROSS = ("chair", "table", "mug"), 8, 32
LEARNED, HELD_OUT, PIXELS = 16, 4, 64
TARGET = {"steps": 500, "shapes": 8, "stages": [32], "stage_points": [512]}
STEPS = 600


def prepared(folder: Path, seed: int) -> tuple[Path, Path]:
    """The shard of the voxels and that of the views, in one frame."""
    for family in FAMILIES:
        make_shapes.run(family, folder / "meshes" / family, EACH, seed)
    inputs = [str(folder / "meshes")]
    recipe = occupancy_recipe("onet").replace(voxels=ACROSS, count=2000, surface_count=0)
    sample_occupancy.run(inputs, folder / "shapes.h5", recipe, seed=seed)
    looks = views_recipe("default").replace(
        views=LEARNED + HELD_OUT, height=PIXELS, width=PIXELS, channels="rgb,silhouette", normalize="box"
    )
    render_views.run(inputs, folder / "views.h5", looks, seed=seed)
    return folder / "shapes.h5", folder / "views.h5"


def judged(model: SingleView, codes: torch.Tensor, solids: Shapes, views: Shapes) -> dict[str, float]:
    """The means over the shapes."""
    known, seen, blind, right = [], [], [], []
    for row in range(len(views)):
        solid = solids.read(row, "solid").ravel()
        axis = cell_centres(float(solids.read(row, "high")[0]), ACROSS)
        centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(1, -1, 3)
        points = torch.from_numpy(centres.astype(np.float32))

        def iou(code: torch.Tensor, points: torch.Tensor = points, solid: np.ndarray = solid) -> float:
            inside = (model.values(points, code[None])[0] < 0).numpy()
            return float((inside & solid).sum() / max((inside | solid).sum(), 1))

        with torch.no_grad():
            images = torch.from_numpy(views_of(views[row], range(LEARNED, LEARNED + HELD_OUT)))
            found = model.codes_of({"images": images[:, None]})
            known.append(iou(codes[row]))
            blind.append(iou(codes.mean(dim=0)))
            seen.append(np.mean([iou(code) for code in found]))
        right.append((torch.cdist(found, codes).argmin(dim=1) == row).float().mean().item())
    autoencoder, single = float(np.mean(known)), float(np.mean(seen))
    return {
        "autoencoder_iou": autoencoder,
        "iou": single,
        "ratio": single / autoencoder,
        "mean_code_iou": float(np.mean(blind)),
        "recognised": float(np.mean(right)),
    }


def measured(seed: int, steps: int, settings: dict[str, str], folder: Path) -> dict[str, object]:
    """One row."""
    solids, views = prepared(folder, seed)
    began = time.process_time()
    train(Order("imnet", solids, folder / "imnet", settings=TARGET, seed=seed, pictures=0, device="cpu"))
    between = time.process_time()
    chosen = {"steps": steps, "held_out": HELD_OUT, **settings}
    order = Order("svr", views, folder / "svr", settings=chosen, target=folder / "imnet", seed=seed, pictures=0)
    ended = train(order).ended
    seconds = between - began, time.process_time() - between
    run = open_run(folder / "svr", "last")
    attach_target(run.model, run.recipe)
    names = run.recipe.facts.shape_ids
    assert isinstance(run.model, SingleView)
    codes = target_codes(open_run(folder / "imnet"), names)
    found = judged(run.model, codes, open_shapes([solids], names), open_shapes([views], names))
    times = {"target_core_seconds": round(seconds[0], 1), "core_seconds": round(seconds[1], 1)}
    return {"seed": seed, "shapes": len(names), "steps": ended.step, "loss": ended.loss, **found, **times}


def main() -> None:
    """Prints the rows and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of svr")
    parser.add_argument("--json", type=Path, default=Path("bench-results/verify-svr.json"))
    options = parser.parse_args()
    settings = dict(word.split("=", 1) for word in options.set)
    rows = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(seed, options.steps, settings, Path(folder)))
        print(json.dumps(rows[-1]), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
