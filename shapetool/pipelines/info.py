"""`shapetool info`: what a mesh, a shard or a dataset folder holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from shapetool.data.reading import Dataset, open_dataset
from shapetool.data.shardfile import describe_shard
from shapetool.data.verify import REPORT
from shapetool.errors import DataError


def run(path: Path) -> dict[str, Any]:
    """What is known about `path` at a glance, as JSON-able values; samples are not read.

    Raises: DataError for a path that is no data set, MeshError for a mesh that cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: expected a mesh, a shard or a dataset folder, found no such path.")
    if path.is_dir() or path.suffix.lower() in (".h5", ".hdf5"):
        return describe_dataset(path)
    from shapetool.pipelines.info_mesh import describe

    return describe(path)


def describe_dataset(path: Path) -> dict[str, Any]:
    """What a shard or a dataset folder holds; a folder may be incomplete.

    Raises: DataError where it is damaged or foreign.
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
    if path.is_dir() and (path / REPORT).exists():
        about["report"] = _statuses(path / REPORT)
    return about


def _tallies(dataset: Dataset) -> dict[str, Any]:
    """How many shapes are watertight, and how many each sign method decided."""
    watertight, methods = 0, Counter[str]()
    for index in range(len(dataset)):
        watertight += bool(dataset.read(index, "watertight"))
        methods[str(dataset.read(index, "sign_method"))] += 1
    return {"watertight": watertight, "sign_methods": dict(sorted(methods.items()))}


def _statuses(report: Path) -> dict[str, int]:
    """How many items of a run ended in each status."""
    try:
        lines = [json.loads(line) for line in report.read_bytes().split(b"\n")[:-1]]
        return dict(sorted(Counter(str(line["status"]) for line in lines).items()))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{report}: expected one JSON object with a status on each line ({error}).") from error
