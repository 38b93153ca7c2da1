"""DeepSDF against its bars: 24 boxes with round edges, 12 more that it never saw, and halves of those to complete.

    python benchmarks/verify_deepsdf.py --seeds 0 1 2

Each seed is one JSON line with the figures of every configuration. Errors are in the unit frame: the mean distance
between the extracted surface and the true one, both ways, at 20,000 points each, the mean of both. Normals are those of
the field at points of the true surface. Every configuration gets the same seconds of training on this machine: the
published one with a step as small as that of the default, for otherwise it gets through hardly a step;
`reference-small` also has a network as narrow as the default. The wide ones are judged by the shapes they learned
alone, for finding codes takes them longer than training. `failed` says why there is no figure.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from learned import Row, each_seed, parser_of, true_mesh, verdict

from shapetool.extraction.surface import extract_surface
from shapetool.geometry.distance import closest_point
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.topology import analyse
from shapetool.models.fitting import fit_codes, partial_observations
from shapetool.pipelines import make_shapes, sample_sdf
from shapetool.pipelines.codes import codes_for
from shapetool.pipelines.extract import field_of
from shapetool.pipelines.train import Order
from shapetool.pipelines.train import run as train
from shapetool.recipes import sdf_recipe
from shapetool.render.sphere_trace import normals_of
from shapetool.sampling.surface import sample_surface
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes

TRAINED, HELD_OUT, POINTS = 24, 12, 50_000
RESOLUTION, SAMPLES, PARTIAL = 96, 20_000, 2_000
SMALL_STEP = {"shapes": 8, "points": 512, "fit_steps": 300, "fit_points": 2048}
WIDE = ("reference", "reference-small-steps")
CONFIGS = {
    "default": ("default", {}),
    "curriculum": ("curriculum", {}),
    "reference": ("reference", {}),
    "reference-small-steps": ("reference", SMALL_STEP),
    "reference-small": ("reference", SMALL_STEP | {"width": 128, "narrow": False}),
}
BARS = {"train_surface": 0.0015, "held_out_surface": 0.0020, "completion_surface": 0.005, "train_normals": 3.0}


def prepared(folder: Path, seed: int) -> tuple[Path, Path]:
    """The shards of the shapes to learn and of those to hold out."""
    make_shapes.run("rounded-box", folder / "meshes", TRAINED + HELD_OUT, seed)
    names = sorted((folder / "meshes").glob("*.obj"))
    places = []
    for part, files in (("train", names[:TRAINED]), ("held-out", names[TRAINED:])):
        out = folder / f"{part}.h5"
        sample_sdf.run([str(file) for file in files], out, sdf_recipe("deepsdf-code").replace(count=POINTS), seed=seed)
        places.append(out)
    return places[0], places[1]


def surface_error(pred: Mesh, true: Mesh, rng: np.random.Generator) -> float:
    """The mean distance between two surfaces, both ways."""
    there = closest_point(true, sample_surface(pred, SAMPLES, rng)[0])[0].mean()
    back = closest_point(pred, sample_surface(true, SAMPLES, rng)[0])[0].mean()
    return float(there + back) / 2


def normal_error(field, true: Mesh, rng: np.random.Generator) -> float:
    """The mean angle in degrees between the field's normals and the true ones, on the true surface."""
    points, normals, _ = sample_surface(true, SAMPLES, rng)
    cosine = (normals_of(field, points) * normals).sum(axis=1)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def judged(model, codes, shapes: Shapes, folder: Path) -> dict[str, float]:
    """The means of the errors over shapes."""
    rng = np.random.default_rng(0)
    errors, normals, closed = [], [], []
    for row, code in enumerate(codes):
        true, field = true_mesh(shapes, row, folder), field_of(model, code)
        pred = extract_surface(field, ((-1.0,) * 3, (1.0,) * 3), RESOLUTION)
        errors.append(surface_error(pred, true, rng))
        normals.append(normal_error(field, true, rng))
        closed.append(analyse(pred).watertight)
    return {"surface": float(np.mean(errors)), "normals": float(np.mean(normals)), "closed": float(np.mean(closed))}


def completed(model, shapes: Shapes, folder: Path) -> float:
    """The mean error of the whole surface where one half of it was seen."""
    rng = np.random.default_rng(0)
    errors = []
    for row in range(len(shapes)):
        true = true_mesh(shapes, row, folder)
        points, normals, _ = sample_surface(true, 2 * PARTIAL, rng)
        side = rng.normal(size=3)
        half = points @ side > 0
        cloud, at = (torch.from_numpy(part[half].astype(np.float32)) for part in (points, normals))
        (code,) = fit_codes(model, partial_observations(cloud, at))
        pred = extract_surface(field_of(model, code), ((-1.0,) * 3, (1.0,) * 3), RESOLUTION)
        errors.append(surface_error(pred, true, rng))
    return float(np.mean(errors))


def measured(name: str, seed: int, budget: float, folder: Path, places: tuple[Path, Path]) -> Row:
    """What one configuration reaches."""
    config, settings = CONFIGS[name]
    train_shard, held_shard = places
    order = Order(
        "deepsdf", train_shard, folder / name, config, settings, seed=seed, budget=budget, pictures=0, device="cpu"
    )
    began = time.perf_counter()
    ended = train(order).ended
    row: Row = {"steps": ended.step, "loss": ended.loss}
    row["train_seconds"] = round(time.perf_counter() - began, 1)
    run = open_run(folder / name, "last")
    known, held = open_shapes([train_shard]), open_shapes([held_shard])
    with torch.no_grad():
        codes = run.model.codes_of({"index": torch.arange(len(known))})
    try:
        for part, found in judged(run.model, codes, known, folder / "meshes").items():
            row[f"train_{part}"] = found
        if name in WIDE:
            return row
        began = time.perf_counter()
        codes = codes_for(run.model, run.recipe, held)
        row["fit_seconds"] = round(time.perf_counter() - began, 1)
        for part, found in judged(run.model, codes, held, folder / "meshes").items():
            row[f"held_out_{part}"] = found
        row["completion_surface"] = completed(run.model, held, folder / "meshes")
    except Exception as error:  # a network after one step has no surface: that is its result
        row["failed"] = str(error)
    return row


def main() -> int:
    """Prints the rows and the medians; returns 1 if the first configuration misses a bar."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument(
        "--configs", nargs="+", default=["default", "reference-small-steps", "reference-small"], choices=list(CONFIGS)
    )
    parser.add_argument("--budget", type=float, default=85.0, help="seconds of training")
    options = parser.parse_args()

    def row_of(seed: int, folder: Path) -> Row:
        places = prepared(folder, seed)
        found = {name: measured(name, seed, options.budget, folder, places) for name in options.configs}
        return {"seed": seed} | {f"{name}_{key}": value for name, row in found.items() for key, value in row.items()}

    rows = each_seed(options.seeds, row_of, options.json)
    return verdict(rows, {}, {f"{options.configs[0]}_{key}": bar for key, bar in BARS.items()})


if __name__ == "__main__":
    sys.exit(main())
