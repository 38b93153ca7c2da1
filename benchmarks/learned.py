"""What the files that verify models share: shapes and their truth, a line a seed, and medians beside their bars."""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from shapetool.geometry.frame import Similarity
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.voxels import cell_centres
from shapetool.pipelines import make_shapes, sample_occupancy
from shapetool.recipes import occupancy_recipe
from shapetool.training.shapes import Shapes

Row = dict[str, object]


def voxel_shard(
    folder: Path, families: tuple[str, ...], each: int, seed: int, across: int, count: int, surface_count: int
) -> Path:
    """A shard of shapes of some families as `across`^3 voxels and `count` points; their meshes lie in `meshes`."""
    for family in families:
        make_shapes.run(family, folder / "meshes" / family, each, seed)
    recipe = occupancy_recipe("onet").replace(voxels=across, count=count, surface_count=surface_count)
    sample_occupancy.run([str(folder / "meshes")], folder / "shapes.h5", recipe, seed=seed)
    return folder / "shapes.h5"


def true_mesh(shapes: Shapes, row: int, folder: Path) -> Mesh:
    """The mesh of a shape, which lies below `folder`, in the unit frame."""
    frame = Similarity(float(shapes.read(row, "scale")), np.asarray(shapes.read(row, "offset")))
    return frame.apply_mesh(load_mesh(folder / str(shapes.read(row, "source"))))


def voxel_centres(shapes: Shapes, row: int, across: int) -> Float[np.ndarray, "N 3"]:
    """The centres of the voxels of a shape, in the order of `solid`."""
    axis = cell_centres(float(shapes.read(row, "high")[0]), across)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """How many of the points that either takes for inside both do; 0 if none is."""
    return float((found & true).sum() / max((found | true).sum(), 1))


def parser_of(file: str, doc: str | None) -> argparse.ArgumentParser:
    """The options that every file has; the rows go to a file with its name."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, default=Path("bench-results") / f"{Path(file).stem}.jsonl")
    return parser


def each_seed(seeds: list[int], measured: Callable[[int, Path], Row], out: Path) -> list[Row]:
    """The rows of all seeds, each measured in a folder of its own, printed and written as soon as it is known."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    with out.open("w") as file:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measured(seed, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
            print(json.dumps(rows[-1]), file=file, flush=True)
    return rows


def verdict(rows: list[Row], least: Mapping[str, float], most: Mapping[str, float] | None = None) -> int:
    """1 if the median of a figure misses its bar or a row lacks the figure, else 0; the medians are printed."""
    found, missed = {}, []
    for name, bar, sign in [(n, b, 1) for n, b in least.items()] + [(n, b, -1) for n, b in (most or {}).items()]:
        values = [float(str(row[name])) for row in rows if name in row]
        found[name] = float(np.median(values)) if values else None
        if len(values) < len(rows) or not sign * np.median(values) >= sign * bar:
            missed.append(f"{name}: expected {'at least' if sign > 0 else 'at most'} {bar}")
    print(json.dumps({"medians": found, "missed": missed}), flush=True)
    return int(bool(missed))
