"""DeepSDF on real bones: 60 learned, 13 held out with all that look alike on one side, against two simple answers.

    python benchmarks/verify_bones.py ../shared/data/bones --seeds 0 1 2

Two answers need no network: the training shape that is nearest, chosen by the true error, and the mean of the training
shapes' signed distances. One JSON line a seed: mean errors over the held-out bones in the unit frame, as in
`verify_deepsdf.py`, Chamfer distances of 10,000 points each (mean of both directions), and how many meshes are closed.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from learned import Row, each_seed, parser_of, true_mesh, verdict
from verify_deepsdf import surface_error

from shapetool.data.split import SplitRecipe, assign
from shapetool.errors import MeshError
from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.extraction.surface import extract_surface
from shapetool.geometry.lattice import lattice_distances
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.topology import analyse
from shapetool.metrics.points import chamfer
from shapetool.pipelines import sample_sdf, split
from shapetool.pipelines.codes import codes_for
from shapetool.pipelines.extract import field_of
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.recipes import sdf_recipe
from shapetool.sampling.surface import sample_surface
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

BOX = ((-1.05,) * 3, (1.05,) * 3)
NODES, RESOLUTION, POINTS, HELD_OUT = 64, 128, 100_000, 13
BAR = 0.75  # of the error of the better simple answer: clearly better
SETTINGS = {"width": 192, "code_size": 64, "shapes": 12, "points": 512, "fit_steps": 500}


def lists(bones: Path, folder: Path) -> Path:
    """Lists with 13 bones held out, similar ones on one side: of the first seed of the hash that gives so many."""
    recipe = SplitRecipe(train=1 - HELD_OUT / 73, val=0.0, test=HELD_OUT / 73, group_by="similarity")
    found = split.run(bones, folder / "similar", recipe)
    keys = {name: name for name in found.parts} | {name: key for key, group in found.groups.items() for name in group}
    for seed in range(1000):
        parts = assign(keys, replace(recipe, seed=seed))
        held = sorted(name for name, part in parts.items() if part == "test")
        if len(held) == HELD_OUT:
            (folder / "lists").mkdir()
            for part in ("train", "test"):
                names = sorted(name for name, found in parts.items() if found == part)
                (folder / "lists" / f"{part}.lst").write_text("".join(f"{name}\n" for name in names))
            return folder / "lists"
    raise SystemExit("no seed below 1000 gives 13 held-out bones")


def chamfer_of(pred: Mesh, true: Mesh, rng: np.random.Generator) -> float:
    """The mean distance to the nearest of 10,000 points, both ways."""
    clouds = [torch.from_numpy(sample_surface(mesh, 10_000, rng)[0])[None] for mesh in (pred, true)]
    return float(chamfer(*clouds)[0])


def scored(pred: Mesh | None, true: Mesh) -> dict[str, float]:
    """Both errors of one answer; of none, those of a point at the origin."""
    rng = np.random.default_rng(0)
    if pred is None:
        worst = float(np.linalg.norm(sample_surface(true, 10_000, rng)[0], axis=1).mean())
        return {"surface": worst, "chamfer": worst, "closed": 0.0}
    return {
        "surface": surface_error(pred, true, rng),
        "chamfer": chamfer_of(pred, true, rng),
        "closed": float(analyse(pred).watertight),
    }


def shapes_of(parts: Path, shard: Path, part: str) -> Shapes:
    """The bones of one list."""
    return open_shapes([shard], (parts / f"{part}.lst").read_text().split())


def simple_answers(bones: Path, parts: Path, shard: Path) -> dict[str, float]:
    """The mean errors of the nearest training shape and of the mean shape."""
    known, held = (shapes_of(parts, shard, part) for part in ("train", "test"))
    train_meshes, trues = ([true_mesh(part, row, bones) for row in range(len(part))] for part in (known, held))
    mean = mesh_of_lattice(np.mean([lattice_distances(mesh, BOX, NODES) for mesh in train_meshes], axis=0), BOX)
    found: dict[str, float] = {}
    nearest = [min((scored(mesh, true) for mesh in train_meshes), key=lambda row: row["surface"]) for true in trues]
    means = [scored(mean, true) for true in trues]
    for name, rows in (("nearest", nearest), ("mean", means)):
        for key in ("surface", "chamfer"):
            found[f"{name}_{key}"] = float(np.mean([row[key] for row in rows]))
    return found


def measured(bones: Path, parts: Path, shard: Path, seed: int, budget: float, folder: Path) -> Row:
    """One row."""
    order = Order(
        "deepsdf", shard, folder / f"run-{seed}", settings=SETTINGS, split=parts, seed=seed, budget=budget, pictures=0
    )
    ended = train(order).ended
    run = open_run(order.run, "last")
    held = shapes_of(parts, shard, "test")
    trues = [true_mesh(held, row, bones) for row in range(len(held))]
    rows = []
    for code, true in zip(codes_for(run.model, run.recipe, held), trues, strict=True):
        try:
            pred = extract_surface(field_of(run.model, code), BOX, RESOLUTION)
        except MeshError:
            pred = None
        rows.append(scored(pred, true))
    row: Row = {"seed": seed, "steps": ended.step, "seconds": round(ended.seconds, 1), "loss": ended.loss}
    row |= {key: float(np.mean([found[key] for found in rows])) for key in rows[0]}
    row["worst_surface"] = max(found["surface"] for found in rows)
    return row


def main() -> int:
    """Prints the rows and the medians; returns 1 if a mesh is open or a simple answer is no worse."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("bones", type=Path)
    parser.add_argument("--budget", type=float, default=240.0, help="seconds of training")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        parts = lists(options.bones, Path(place))
        shard = Path(place) / "bones.h5"
        sample_sdf.run([str(options.bones)], shard, sdf_recipe("deepsdf-code").replace(count=POINTS), seed=0)
        answers = simple_answers(options.bones, parts, shard)
        rows = each_seed(
            options.seeds,
            lambda seed, folder: measured(options.bones, parts, shard, seed, options.budget, folder) | answers,
            options.json,
        )
    for row in rows:
        simple = min(float(str(row[f"{name}_surface"])) for name in ("nearest", "mean"))
        row["surface_over_simple"] = float(str(row["surface"])) / simple
    return verdict(rows, {"closed": 1.0}, {"surface_over_simple": BAR})


if __name__ == "__main__":
    sys.exit(main())
