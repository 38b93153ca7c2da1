"""Shards of spheres: their distances are known by hand, so a law that holds for true distances holds for them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapetool.data.shards import build_shard, publish

RECIPE = {"name": "uniform", "count": 600, "backend": "native"}
Columns = dict[str, list[Any]]
COLUMNS = ("shape_id", "source", "scale", "offset", "watertight", "sign_method")
COLUMNS += ("points", "distances", "surface_points", "surface_normals")


def sphere_columns(names: list[str], count: int = 600, surface_count: int = 200, dtype: str = "f4") -> Columns:
    """The columns of one sphere a name, each of a radius of its own, sampled in the cube about it."""
    columns: Columns = {name: [] for name in COLUMNS}
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        radius = 0.4 + 0.5 * rng.random()
        points = rng.uniform(-1, 1, (count, 3)).astype(dtype)
        normals = rng.standard_normal((surface_count, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        row = {
            "shape_id": name,
            "source": f"{name}.obj",
            "scale": 1 / radius,
            "offset": rng.standard_normal(3),
            "watertight": True,
            "sign_method": "pseudonormal",
            "points": points,
            "distances": (np.linalg.norm(points.astype("f8"), axis=1) - radius).astype(dtype),
            "surface_points": (radius * normals).astype("f4"),
            "surface_normals": normals.astype("f4"),
        }
        for column, value in row.items():
            columns[column].append(value)
    return columns


def write_folder(folder: Path, shards: list[list[str]], seed: int = 0, **sizes: int) -> Path:
    """A complete dataset folder with these names in its shards; each shard also lacks one item that failed."""
    folder.mkdir(parents=True)
    lines, report = [], []
    for number, names in enumerate(shards):
        for name in [*names, f"failed/{number}"]:
            lines.append({"id": name, "source": f"{name}.obj", "size": 1, "sha256": "0" * 64})
            report.append({"id": name, "source": f"{name}.obj", "status": "ok" if name in names else "invalid"})
    manifest = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / "manifest.jsonl").write_bytes(manifest)
    (folder / "report.jsonl").write_text("".join(json.dumps(line) + "\n" for line in report))
    for number, names in enumerate(shards):
        extra = {
            "shard_index": number,
            "shard_count": len(shards),
            "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        }
        columns = sphere_columns(names, **sizes)
        publish(folder / f"shard-{number:05d}.h5", build_shard("sdf", RECIPE, seed, columns, extra))
    return folder


@pytest.fixture
def columns() -> Callable[..., Columns]:
    """Makes the columns of spheres by name."""
    return sphere_columns


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """One shard of three spheres that stands alone."""
    path = tmp_path / "three.h5"
    publish(path, build_shard("sdf", RECIPE, 7, sphere_columns(["a/one", "a/two", "größe/drei"])))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete folder: two shapes, none (every item failed), three, one."""
    return write_folder(tmp_path / "set", [["a", "b"], [], ["c", "d", "e"], ["f"]])


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a complete folder below tmp_path: name, then the names of the shapes in each shard."""
    return lambda name, shards, **options: write_folder(tmp_path / name, shards, **options)
