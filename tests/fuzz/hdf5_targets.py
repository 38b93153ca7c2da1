"""HDF5 files: shards and those of other layouts, changed byte by byte and entry by entry."""

import contextlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shapetool.data.layout import DIGEST, ROW_DIGESTS
from shapetool.data.reading import open_dataset
from shapetool.data.shards import build_shard
from shapetool.data.verify import verify
from shapetool.errors import ShapetoolError
from tests.data.formats.foreign import view_row
from tests.fuzz.folders import put
from tests.fuzz.layout_targets import read_all, small_row, sound

Target = Callable[[bytes], None]


def shard(data: bytes) -> None:
    """A shard is refused, or every row of it can be read; `verify` finds something or nothing.

    What `verify` says the HDF5 library would never end with is not read, as SECURITY.md tells people.
    """
    path = put("shard", "shard.h5", data)
    with contextlib.suppress(ShapetoolError):
        if not any("of no length" in finding.problem for finding in verify(path)):
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
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (1, 40))
FILLS = (0, 1, -1, 0.5, 2, 255, 1e-40, 1e30, -1e300, np.nan, np.inf, 1 / 3)


def shard_tree(data: bytes) -> None:
    """A sound HDF5 file of the wrong things: each three bytes replace, remove or retype one entry of a shard."""
    shard(changed(_sound_shard(("sdf", "occupancy", "views")[data[0] % 3 if data else 0]), data))


def layout_tree(data: bytes) -> None:
    """The same for the HDF5 files of other layouts."""
    name = ("disn", "imnet-v1", "imnet-v2")[data[0] % 3 if data else 0]
    root, files = sound(name)
    path = next(path for path in files if path.suffix in (".h5", ".hdf5"))
    kept = path.read_bytes()
    path.write_bytes(changed(kept, data))
    try:
        with contextlib.suppress(ShapetoolError):
            read_all(name, root)
    finally:
        path.write_bytes(kept)


def changed(image: bytes, data: bytes) -> bytes:
    """An HDF5 file with one entry changed for each three bytes behind the first."""
    memory = BytesIO(image)
    with h5py.File(memory, "r+") as file:
        file.attrs.pop(DIGEST, None)
        if ROW_DIGESTS in file:  # what is changed is to be looked at
            del file[ROW_DIGESTS]
        for at in range(1, min(len(data), 31) - 2, 3):
            with contextlib.suppress(Exception):  # what h5py will not write is left out
                _change(file, *data[at : at + 3])
    return memory.getvalue()


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
    old = np.asarray(file[name][...])
    del file[name]
    match how % 8:
        case 1:
            file[name] = np.resize(old, _other_shape(old.shape, what))
        case 2:
            file[name] = np.zeros(old.shape, TYPES[what % len(TYPES)])
        case 3:
            file[name] = np.full(old.shape, FILLS[what % len(FILLS)]).astype(old.dtype)
        case 4:
            random = np.random.default_rng(what).integers(0, 256, old.nbytes, np.uint8)
            file[name] = random.view(old.dtype).reshape(old.shape)
        case 5:
            file.create_group(name)
        case 6:
            file[name] = VALUES[what % len(VALUES)]
        case 7:
            promised = (2**40,) if what % 2 else old.shape
            file.create_dataset(name, promised, "f4" if what % 2 else old.dtype, chunks=True)


def _other_shape(shape: tuple[int, ...], what: int) -> tuple[int, ...]:
    """A shape with one axis more, less, doubled or empty; or one of a few."""
    axis = what // 8 % max(len(shape), 1)
    return (
        (*shape, 1),
        shape[:-1],
        (*shape[:axis], 0, *shape[axis + 1 :]),
        (*shape[:axis], 2 * max(shape[axis : axis + 1], default=1), *shape[axis + 1 :]),
        *SHAPES,
    )[what % (4 + len(SHAPES))]


def tree_seeds() -> list[bytes]:
    """Each kind of change of each entry, once."""
    return [bytes([k % 3, k, k // 3, k]) for k in range(60)]
