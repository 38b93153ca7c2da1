"""Shards, data set folders, clouds, cameras, lists, settings."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.cli._options import read_config
from shapetool.data.clouds import is_cloud, read_cloud
from shapetool.data.layout import DIGEST
from shapetool.data.lock import _read
from shapetool.data.reading import open_dataset
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
from tests.data.formats.foreign import view_row
from tests.fuzz.folders import put, ram
from tests.fuzz.layout_targets import small_row
from tests.geometry.mesh_files import obj_text

Target = Callable[[bytes], None]
TICKET = Ticket("boot", "digest", "chair/a", None)


def shard(data: bytes) -> None:
    """A shard is refused, or every row of it can be read; `verify` finds something or nothing."""
    path = put("shard", "shard.h5", data)
    with contextlib.suppress(ShapetoolError):
        verify(path)
    read_rows(path)


def read_rows(path: Path) -> None:
    """Nothing; reads each row, which is refused or finite."""
    with contextlib.suppress(ShapetoolError), open_dataset(path) as dataset:
        for name in ("shape_id", "scale", "watertight"):
            with contextlib.suppress(ShapetoolError):
                assert len(dataset.column(name)) == len(dataset)
        for row in range(len(dataset)):
            with contextlib.suppress(ShapetoolError):
                values = dataset[row]
                assert all(
                    np.isfinite(v).all() for v in values.values() if getattr(v, "dtype", np.dtype("S")).kind == "f"
                )


def shard_bytes(kind: str) -> bytes:
    """A shard of one small shape."""
    row = view_row("chair/a", 2, (6, 6)) if kind == "views" else small_row(kind)
    recipe = row.pop("recipe", {"name": "uniform", "count": 40, "backend": "native"})
    return build_shard(kind, recipe, 7, {name: [value] for name, value in row.items()})


def shard_seeds() -> list[bytes]:
    """One of each kind, and one without rows."""
    return [*(shard_bytes(kind) for kind in ("sdf", "occupancy", "views"))]


VALUES: tuple[Any, ...] = (
    0, -1, 2**63 - 1, 1.5, float("nan"), "", "sdf", "occupancy", "views", "shapetool", "{}", "[]", "null", "{",
    "\udc80", "[" * 5000, "1e999", b"\xff\xfe", np.zeros(3), np.zeros((0,)),
    np.array(["a"], dtype=h5py.string_dtype()), np.bool_(True), h5py.Empty("f4"), '{"name": 3, "backend": []}',
    '{"backend": null, "low": "x"}', np.uint64(2**64 - 1), np.float16(1), '{"count": {}}', 2**31, "lattice",
    "evaluation",
)  # fmt: skip
TYPES = ("f2", "f4", "f8", "i1", "i8", "u1", "u8", "?", "S3", "c8", ">f4", "f4,f4", "V2")
SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (1,),
    (2,),
    (1, 0),
    (1, 40),
    (1, 3),
    (1, 0, 3),
    (1, 40, 3),
    (2, 40, 3),
    (1, 40, 3, 1),
    (1, 12, 3),
)


def shard_tree(data: bytes) -> None:
    """A sound HDF5 file of the wrong things: each three bytes replace, remove or retype one entry of a shard."""
    kind = ("sdf", "occupancy", "views")[data[0] % 3 if data else 0]
    memory = BytesIO(_sound_shard(kind))
    with h5py.File(memory, "r+") as file:
        if DIGEST in file.attrs:
            del file.attrs[DIGEST]
        for at in range(1, min(len(data), 31) - 2, 3):
            with contextlib.suppress(Exception):  # what h5py will not write is left out
                _change(file, *data[at : at + 3])
    shard(memory.getvalue())


@cache
def _sound_shard(kind: str) -> bytes:
    return shard_bytes(kind)


def _change(file: h5py.File, which: int, how: int, what: int) -> None:
    """Nothing; one attribute or dataset becomes another."""
    names = [*sorted(file.attrs), *sorted(file)]
    name = names[which % len(names)]
    if name in file.attrs:
        del file.attrs[name]
        if how % 8:
            file.attrs[name] = VALUES[what % len(VALUES)]
        return
    old = file[name]
    shape, kind = old.shape, old.dtype
    del file[name]
    match how % 8:
        case 1:
            file.create_dataset(name, SHAPES[what % len(SHAPES)], kind)
        case 2:
            file.create_dataset(name, shape, TYPES[what % len(TYPES)])
        case 3:
            file.create_dataset(name, shape, kind, fillvalue=VALUES[what % len(VALUES)])
        case 4:
            file.create_dataset(name, shape, kind, chunks=True, maxshape=(None,) * len(shape))
        case 5:
            file.create_group(name)
        case 6:
            file[name] = VALUES[what % len(VALUES)]
        case 7:
            file.create_dataset(name, (2**40,), "f4", chunks=(1024,))


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
