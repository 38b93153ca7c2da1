"""Single views against their bar: views that were held out of 24 chairs, tables and mugs, to the codes of an IM-NET.

    python benchmarks/verify_svr.py --seeds 0 1 2

Each seed is one JSON line. IM-NET learns the shapes as 32^3 voxels; then an encoder learns its codes from 64 views of
each, and is asked about 8 more, one at a time. IoU is over all 32^3 centres of cells against the true voxels, a mean
over shapes: `autoencoder_iou` by the codes that are learned, `iou` by those of the held-out views, `ratio` the second
over the first, and `mean_code_iou` what the mean of all codes gets, whatever the view. `recognised` is the share of the
held-out views whose code is nearest to that of their own shape.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from learned import Row, each_seed, overlap, parser_of, verdict, voxel_centres, voxel_shard

from shapetool.models.svr import SingleView
from shapetool.models.views import views_of
from shapetool.pipelines import render_views
from shapetool.pipelines.codes import attach_target, target_codes
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.recipes import views_recipe
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

FAMILIES, EACH, ACROSS = ("chair", "table", "mug"), 8, 32
LEARNED, HELD_OUT, PIXELS = 64, 8, 64
TARGET = {"steps": 500, "shapes": 8, "stages": [32], "stage_points": [512]}
STEPS, BAR = 2500, 0.8


def prepared(folder: Path, seed: int) -> tuple[Path, Path]:
    """The shard of the voxels and that of the views, in one frame."""
    solids = voxel_shard(folder, FAMILIES, EACH, seed, ACROSS, 2000, 0)
    looks = views_recipe("default").replace(
        views=LEARNED + HELD_OUT, height=PIXELS, width=PIXELS, channels="rgb,silhouette", normalize="box"
    )
    render_views.run([str(folder / "meshes")], folder / "views.h5", looks, seed=seed)
    return solids, folder / "views.h5"


def judged(model: SingleView, codes: torch.Tensor, solids: Shapes, views: Shapes) -> dict[str, float]:
    """The means over the shapes."""
    known, seen, blind, right = [], [], [], []
    for row in range(len(views)):
        solid = solids.read(row, "solid").ravel()
        points = torch.from_numpy(voxel_centres(solids, row, ACROSS).astype(np.float32))[None]

        def iou(code: torch.Tensor, points: torch.Tensor = points, solid: np.ndarray = solid) -> float:
            return overlap((model.values(points, code[None])[0] < 0).numpy(), solid)

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


def measured(seed: int, steps: int, settings: dict[str, str], folder: Path) -> Row:
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


def main() -> int:
    """Prints the rows and the medians; returns 1 if the bar is missed."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of svr")
    options = parser.parse_args()
    settings = dict(word.split("=", 1) for word in options.set)
    rows = each_seed(options.seeds, lambda seed, place: measured(seed, options.steps, settings, place), options.json)
    return verdict(rows, {"ratio": BAR})


if __name__ == "__main__":
    sys.exit(main())
