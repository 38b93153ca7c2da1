"""`shapetool info`: what a mesh, a shard or a dataset folder holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from shapetool.data.reading import Dataset, open_dataset
from shapetool.data.shardfile import describe_shard
from shapetool.errors import DataError
from shapetool.runner.job import Options
from shapetool.runner.report import read_report
from shapetool.runner.run import report_path


def run(path: Path) -> dict[str, Any]:
    """What is known about `path` at a glance, as JSON-able values; samples are not read.

    Raises:
        DataError: there is no such path, or it is a data set that is damaged or foreign.
        MeshError: it is a mesh that cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: expected a mesh, a shard or a dataset folder, found no such path.")
    if path.is_dir():
        from shapetool.pipelines import mesh_folders

        if mesh_folders.is_mesh_folder(path):
            return mesh_folders.describe(path)
    if path.is_dir() or path.suffix.lower() in (".h5", ".hdf5"):
        return describe_dataset(path)
    from shapetool.pipelines.info_mesh import describe

    return describe(path)


def draw(path: Path, picture: Path) -> None:
    """None, once a PNG at `picture` shows the mesh at `path` from four sides, or the first views of a data set.

    Raises:
        ConfigError: `picture` is no place for a PNG.
        DataError: the data set is damaged or has no views.
        MeshError: the mesh cannot be read.
        OSError: the picture cannot be written.
    """
    from shapetool.pipelines.view_pictures import check_place, draw_mesh, draw_sheet

    path = Path(path)
    check_place("--picture", picture, ".png")
    if not path.is_dir() and path.suffix.lower() not in (".h5", ".hdf5"):
        draw_mesh(path, picture)
        return
    with open_dataset(path, partial=True) as dataset:
        if dataset.kind != "views" or not len(dataset):
            raise DataError(
                f"{path}: expected a mesh or views to draw, found {len(dataset)} shapes of kind {dataset.kind!r}. "
                "Make views with `shapetool render-views`."
            )
        draw_sheet(dataset, picture, Options())


def describe_dataset(path: Path) -> dict[str, Any]:
    """What a shard or a dataset folder holds; a folder may be incomplete.

    Raises:
        DataError: it is damaged or foreign.
    """
    with open_dataset(path, partial=True) as dataset:
        attributes = describe_shard(dataset.shards[0][0]).attributes
        about: dict[str, Any] = {"path": str(path), "kind": dataset.kind, "shapes": len(dataset)}
        if path.is_dir():
            total = int(attributes.get("shard_count", len(dataset.shards)))
            about |= {"shards": len(dataset.shards), "shards_expected": total}
            about["complete"] = about["shards"] == total
        about["bytes"] = sum(file.stat().st_size for file, _, _ in dataset.shards)
        about["columns"] = {name: {"type": kind, "shape": shape} for name, (kind, shape) in dataset.shapes.items()}
        about |= _tallies(dataset)
        about |= {"recipe": json.loads(attributes["recipe"]), "seed": int(attributes["seed"])}
        about |= {
            name: attributes[name]
            for name in ("shapetool_version", "layout", "manifest_sha256", "digest")
            if name in attributes and not (path.is_dir() and name == "digest")
        }
        about["first_ids"] = list(dataset.shape_ids[:5])
    lines = report_lines(path)
    if lines:
        about["report"] = dict(sorted(Counter(str(line["status"]) for line in lines).items()))
    return about


def report_lines(path: Path) -> list[dict[str, Any]]:
    """The report of the run that made a data set, one entry an item; empty where there is none.

    Raises:
        DataError: it is damaged.
    """
    report = report_path(Path(path))
    return read_report(report) if report.is_file() else []


def _tallies(dataset: Dataset) -> dict[str, Any]:
    """How many shapes are watertight, and how many each sign method decided."""
    watertight, methods = sum(dataset.column("watertight")), Counter(dataset.column("sign_method"))
    return {"watertight": watertight, "sign_methods": dict(sorted(methods.items()))}
