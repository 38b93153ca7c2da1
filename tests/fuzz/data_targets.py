"""Data set folders and what other commands leave, clouds, cameras, lists, settings."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from shapetool.cli._options import read_config
from shapetool.data.clouds import is_cloud, read_cloud
from shapetool.data.lock import _read
from shapetool.data.shards import build_shard
from shapetool.data.split import match, read_lists
from shapetool.data.verify import verify
from shapetool.errors import ShapetoolError
from shapetool.pipelines import mesh_folders
from shapetool.pipelines.make_shapes import _read_list
from shapetool.recipes.occupancy import OccupancyRecipe
from shapetool.recipes.sdf import SdfRecipe
from shapetool.recipes.settings import parse_settings
from shapetool.render.camera_file import read_cameras
from shapetool.runner.items import STATE
from shapetool.runner.manifest import files_made, read_settings
from shapetool.runner.report import read_report
from shapetool.runner.spool import Ticket, read_columns, read_line, write_spool
from tests.fuzz.folders import put, ram
from tests.fuzz.hdf5_targets import read_rows
from tests.fuzz.layout_targets import small_row
from tests.geometry.mesh_files import obj_text

Target = Callable[[bytes], None]
TICKET = Ticket("boot", "digest", "chair/a", None)


def folder(data: bytes) -> None:
    """A folder with one file of a run replaced: what it says of itself is refused or read."""
    root, files = _sound_folder()
    path = files[data[0] % len(files) if data else 0]
    kept = path.read_bytes()
    path.write_bytes(data[1:])
    try:
        for read in (
            verify,
            read_rows,
            files_made,
            read_settings,
            lambda root: read_report(root / "report.jsonl"),
            _spooled,
        ):
            with contextlib.suppress(ShapetoolError):
                read(root)
    finally:
        path.write_bytes(kept)


def _spooled(root: Path) -> None:
    path = root / STATE / "spool" / "00000000"
    read_line(path)
    assert read_columns(path, TICKET) is None or read_line(path, TICKET) is not None


@cache
def _sound_folder() -> tuple[Path, list[Path]]:
    root = ram("folder")
    row = small_row("sdf")
    entry = {"id": "chair/a", "source": "chair/a.obj", "size": 1, "sha256": "0" * 64}
    manifest = (json.dumps(entry) + "\n").encode()
    put("folder", "manifest.jsonl", manifest)
    put("folder", "report.jsonl", (json.dumps({**entry, "status": "ok", "error": None}) + "\n").encode())
    put(
        "folder",
        f"{STATE}/settings.json",
        b'{"kind": "sdf", "seed": 7, "shapes_per_shard": 1, "suffix": "obj", "recipe": {}}',
    )
    extra = {"shard_index": 0, "shard_count": 1, "manifest_sha256": hashlib.sha256(manifest).hexdigest()}
    recipe = {"name": "uniform", "count": 40, "backend": "native"}
    put(
        "folder", "shard-00000.h5", build_shard("sdf", recipe, 7, {name: [value] for name, value in row.items()}, extra)
    )
    (root / STATE / "spool").mkdir()
    write_spool(root / STATE / "spool" / "00000000", TICKET, {"id": "chair/a", "status": "ok"}, row)
    return root, sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".h5")


def outputs(data: bytes) -> None:
    """What runs of other commands leave for the next one, with one file replaced: refused or read."""
    root, files = _sound_outputs()
    path = files[data[0] % len(files) if data else 0]
    kept = path.read_bytes()
    path.write_bytes(data[1:])
    lists = (lambda root: _read_list(root / "shapes.jsonl"), lambda root: _read(root / "lock"))
    try:
        for read in (mesh_folders.describe, mesh_folders.verify, *lists):
            with contextlib.suppress(ShapetoolError, OSError):  # a name may be too long for the system
                read(root)
    finally:
        path.write_bytes(kept)


@cache
def _sound_outputs() -> tuple[Path, list[Path]]:
    root = ram("outputs")
    entry = {"id": "chair/a", "source": "chair/a.obj", "size": 1, "sha256": "0" * 64}
    line = {**entry, "status": "ok", "n_vertices": 8, "n_faces": 12, "method": "kept", "watertight": True}
    texts = {
        "manifest.jsonl": entry,
        "report.jsonl": line,
        f"{STATE}/settings.json": {
            "kind": "meshes", "seed": 7, "shapes_per_shard": 1, "suffix": "obj", "recipe": {}, "shapetool_version": ""
        },
        "shapes.jsonl": {"id": "chair/a", "family": "chair"},
        "lock": {"pid": 1, "host": "here", "boot": "", "start": "0"},
    }  # fmt: skip
    files = [put("outputs", name, (json.dumps(tree) + "\n").encode()) for name, tree in texts.items()]
    put("outputs", "chair/a.obj", obj_text().encode())
    return root, files


def outputs_seeds() -> list[bytes]:
    """Each of these files behind its number."""
    return [bytes([number]) + path.read_bytes() for number, path in enumerate(_sound_outputs()[1])]


def folder_seeds() -> list[bytes]:
    """Each file of a folder behind its number."""
    return [bytes([number]) + path.read_bytes() for number, path in enumerate(_sound_folder()[1])]


def cloud(data: bytes) -> None:
    """A cloud is finite points, and as many normals or none, or refused; the first byte says its ending."""
    suffix = (".ply", ".npz", ".npy", ".xyz", ".pts")[data[0] % 5 if data else 0]
    path = put("cloud", f"cloud{suffix}", data[1:])
    with contextlib.suppress(ShapetoolError):
        is_cloud(path)
    with contextlib.suppress(ShapetoolError):
        points, normals = read_cloud(path)
        assert np.isfinite(points).all()
        assert normals is None or normals.shape == points.shape


def cameras(data: bytes) -> None:
    """A file of cameras is refused, or has at least one, of finite numbers."""
    with contextlib.suppress(ShapetoolError):
        found = read_cameras(put("cameras", "cameras.json", data))
        assert len(found.pose) == len(found.intrinsics) >= 1
        assert np.isfinite(found.pose).all()
        assert np.isfinite(found.intrinsics).all()
        assert min(found.size) >= 1


def split_file(data: bytes) -> None:
    """Lists of names put each on one list, or are refused; the first byte says the name of the file."""
    name = ("split.json", "train.json", "val.lst", "test.txt")[data[0] % 4 if data else 0]
    with contextlib.suppress(ShapetoolError):
        found, missing = match(["a", "chair/b"], read_lists([put("split", name, data[1:])]))
        assert set(found) == {"a", "chair/b"}
        assert all(isinstance(word, str) for word in missing)


KNOWN = {"seed", "workers", "count", "sign", "normalize", "json", "from_"}


def config(data: bytes) -> None:
    """A file of options gives options of the command, or is refused."""
    with contextlib.suppress(ShapetoolError):
        assert set(read_config(put("config", "a.toml", data), "sample-sdf", KNOWN)) <= KNOWN


def settings(data: bytes) -> None:
    """Words of settings make a recipe that JSON can hold and give back, or are refused."""
    words = data.decode("utf-8", "surrogateescape").split("\n")
    for kind in (SdfRecipe, OccupancyRecipe):
        base = kind(name="uniform", count=10, uniform_weight=1.0)
        with contextlib.suppress(ShapetoolError):
            recipe = base.replace(**parse_settings(words))
            assert kind.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
        with contextlib.suppress(ShapetoolError, ValueError, RecursionError):
            found = json.loads(data)
            if isinstance(found, dict):
                kind.from_dict(found)
