"""The layouts of others: one file of a sound folder is replaced, and the folder is read as `convert` reads it."""

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats import load_format
from shapetool.data.formats.binvox import Voxels, read_binvox, write_binvox
from shapetool.data.formats.splits import read_splits
from shapetool.data.formats.stacked import StackedFile
from shapetool.data.layout import columns_of
from shapetool.data.shards import checked_row
from shapetool.errors import ShapetoolError
from shapetool.render.cameras import Cameras
from tests.data.formats.foreign import sphere_row, view_row
from tests.fuzz.folders import put, ram

Target = Callable[[bytes], None]


def layout(name: str) -> Target:
    """The first byte says which file of the folder the rest is put in place of."""

    def run(data: bytes) -> None:
        root, files = sound(name)
        path = files[data[0] % len(files) if data else 0]
        kept = path.read_bytes()
        path.write_bytes(data[1:])
        try:
            with contextlib.suppress(ShapetoolError):
                read_all(name, root)
        finally:
            path.write_bytes(kept)

    return run


def read_all(name: str, root: Path) -> None:
    """Nothing; reads every shape of a folder and holds it to what a shard stores."""
    module = load_format(name)
    for shape_id, path in module.find(root):
        sizes = module.sizes(path, root)
        columns = module.read(path, root, *([shape_id] if module.SHARED else []))
        kind = "views" if module.KINDS == ("views",) else sizes.kind
        if kind == "views":
            assert len(columns["images"]) == sizes.views >= 1
            Cameras((sizes.height, sizes.width), columns["intrinsics"], columns["pose"])
        else:
            assert len(columns["points"]) == len(columns.get("distances", columns.get("inside")))
        known = {column.name for column in columns_of(kind)}
        held = {key: value for key, value in columns.items() if key in known}
        with contextlib.suppress(ShapetoolError):
            checked_row(columns_of(kind), held | {"shape_id": shape_id, "source": "a"})


@cache
def sound(name: str) -> tuple[Path, list[Path]]:
    """A folder of the layout with one small shape in it, and its files."""
    root, module = ram(f"layout-{name}").resolve(), load_format(name)
    if module.SHARED:
        stem = {"imnet-v1": "chair_vox", "imnet-v2": "all_vox256_img_train"}[name]
        with StackedFile(root / f"{stem}.hdf5", module.SHAPES) as file:
            file.add({key: np.zeros(shape, np.uint8) for key, shape in module.SHAPES.items()})
            file.publish()
        module.write_names(root / f"{stem}.hdf5", ["chair/a"])
    else:
        module.write(root, small_row(module.KINDS[0]))
        module.finish(root, {"train": ["chair/a"]}, root)
    return root, sorted(path for path in root.rglob("*") if path.is_file())


def small_row(kind: str) -> dict[str, Any]:
    """A row of few points, or of few pixels."""
    if kind == "views":
        return view_row("chair/a", views=2, size=(8, 8))
    row = sphere_row("chair/a", kind, count=40)
    return row | {name: row[name][:12] for name in ("surface_points", "surface_normals")}


def layout_seeds(name: str) -> list[bytes]:
    """Each file of the sound folder behind its number."""
    return [bytes([number]) + path.read_bytes() for number, path in enumerate(sound(name)[1])]


def binvox(data: bytes) -> None:
    """Voxels are a cube of truth values at a finite place, or refused."""
    with contextlib.suppress(ShapetoolError):
        voxels = read_binvox(put("binvox", "model.binvox", data))
        assert voxels.filled.shape == (len(voxels.filled),) * 3
        assert len(voxels.filled) >= 1
        assert np.isfinite(voxels.translate).all()
        assert voxels.scale > 0


def binvox_seeds() -> list[bytes]:
    """A small ball of voxels."""
    filled = np.linalg.norm(np.mgrid[:6, :6, :6] - 2.5, axis=0) < 2
    write_binvox(ram("seeds") / "a.binvox", Voxels(filled, np.array([0.5, 0, -1]), 2.0))
    return [(ram("seeds") / "a.binvox").read_bytes(), b"#binvox 1\ndim 1 1 1\ndata\n\x01\x01"]


def lists(data: bytes) -> None:
    """Lists beside a data set name its shapes, or are refused."""
    with contextlib.suppress(ShapetoolError):
        put("lists", "train.lst", data)
        found = read_splits(ram("lists"), ["a", "chair/b", "größe/c"])
        assert set(found["train"]) <= {"a", "chair/b", "größe/c"}
