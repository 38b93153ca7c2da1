"""The layout of Occupancy Networks and Convolutional Occupancy Networks for single shapes.

`<class>/<name>/points.npz` with `points` (P, 3), `occupancies` (bits packed eight to a byte, highest first; or one a
point), `loc` (3,) and `scale` (); `pointcloud.npz` with `points`, `normals` (M, 3), `loc`, `scale`; `model.binvox` with
the solid voxels of [-0.5, 0.5]^3, where the shard has some, and where all shapes have as many;
`<class>/{train,val,test}.lst`; `metadata.yaml` in the syntax of JSON. original = unit * scale + loc.

Points keep the type they have in the shard, so a label stays that of its point: float16 (as published) for float16
shards, float32 (as its script writes by default, and its loader takes) for float32 ones. The surface follows.
Lost on the way out: the last bits of the frame, for the inverse of a scale is rounded; the surface beyond float16 in
such shards; the surface voxels; source, watertight and sign_method. Its loader takes every binvox for that cube, so
what one says of its place is not read.

Source: Mescheder et al., Occupancy Networks, CVPR 2019; Peng et al., ECCV 2020; and the released code.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.binvox import Voxels, binvox_dim, read_binvox, write_binvox
from shapetool.data.formats.columns import Sizes, columns, float_points, positive, same_length
from shapetool.data.formats.npz import Key, npz_heads, read_npz, write_npz
from shapetool.data.formats.places import below, class_and_name, json_bytes, put, write_lists
from shapetool.errors import DataError

KINDS = ("occupancy",)
FRAMES = {"box": 1.0}
ORDERED = False  # uniform draws: every slice is as fair as another
SHARED = False
BINVOX = "model.binvox"
_WITH_FRAME = {"loc": Key("f", (3,)), "scale": Key("f", ())}
_POINTS = {"points": Key("f", (None, 3)), "occupancies": Key("ub", (None,)), **_WITH_FRAME}
_CLOUD = {"points": Key("f", (None, 3)), "normals": Key("f", (None, 3)), **_WITH_FRAME}


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    found = [path for path in root.rglob("points.npz") if path.is_file()]
    return sorted((path.parent.relative_to(root).as_posix(), path) for path in found if path.parent != root)


def sizes(path: Path, root: Path) -> Sizes:
    """What a shape holds, from the heads of its files.

    Raises:
        DataError: a file is not of this layout.
    """
    heads = npz_heads(path, _POINTS)
    if "points" not in heads:
        raise DataError(f"{path}: expected the key 'points', found none. Is it of this layout?")
    shape, stored = heads["points"]
    cloud = below(root, *path.relative_to(root).parts[:-1], "pointcloud.npz")
    binvox = below(root, *path.relative_to(root).parts[:-1], BINVOX)
    clouds = npz_heads(cloud, _CLOUD) if cloud.exists() else {}
    surface = clouds["points"][0][0] if "points" in clouds else 0
    voxels = binvox_dim(binvox) if binvox.exists() else 0
    return Sizes("occupancy", shape[0], surface, "f2" if stored == np.float16 else "f4", voxels, 48 if voxels else 0)


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose points are at `path`.

    Raises:
        DataError: a file is missing or not of this layout.
    """
    found = read_npz(path, _POINTS)
    scale, offset = 1 / positive(path, "scale", found["scale"]), -found["loc"].astype(np.float64)
    more = {"inside": _inside(path, found["occupancies"], len(found["points"]))}
    cloud_path = below(root, *path.relative_to(root).parts[:-1], "pointcloud.npz")
    if cloud_path.exists():
        cloud = read_npz(cloud_path, _CLOUD)
        same_length(cloud_path, {"points": cloud["points"], "normals": cloud["normals"]})
        if not (np.array_equal(cloud["loc"], found["loc"]) and cloud["scale"] == found["scale"]):
            raise DataError(f"{cloud_path}, loc: expected the frame of points.npz beside it, found another.")
        more["surface_points"] = cloud["points"].astype(np.float32)
        more["surface_normals"] = cloud["normals"].astype(np.float32)
    binvox = below(root, *path.relative_to(root).parts[:-1], BINVOX)
    if binvox.exists():
        more |= {"low": np.full(3, -0.5), "high": np.full(3, 0.5), "solid": read_binvox(binvox).filled}
    return columns(scale, offset, float_points(found["points"]), **more)


def _inside(path: Path, stored: Any, count: int) -> Any:
    """One truth value a point, from bits or from bytes."""
    if stored.dtype == np.bool_ and len(stored) == count:
        return stored
    if stored.dtype == np.uint8 and len(stored) == -(-count // 8):
        return np.unpackbits(stored)[:count].astype(bool)
    raise DataError(
        f"{path}, occupancies: expected {-(-count // 8)} bytes of bits or {count} of bool for {count} points, "
        f"found {len(stored)} of {stored.dtype}."
    )


def files(root: Path, shape_id: str) -> list[Path]:
    """The files of a shape, the main one last: where that is, the others are, but for voxels that it has not."""
    place = class_and_name(shape_id)
    return [below(root, *place, name) for name in (BINVOX, "pointcloud.npz", "points.npz")]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: the id is no path below `root`, or the voxels are of another cube than its loader takes them for.
        OSError: they cannot be written.
    """
    binvox, cloud, points = files(root, row["shape_id"])
    stored = row["points"].dtype
    frame = {"loc": -np.asarray(row["offset"], np.float64), "scale": np.float64(1 / row["scale"])}
    surface = {"points": row["surface_points"].astype(stored), "normals": row["surface_normals"].astype(stored)}
    if "solid" in row:
        if not (np.allclose(row["low"], -0.5) and np.allclose(row["high"], 0.5)):
            raise DataError(
                f"{row['shape_id']}: expected voxels of [-0.5, 0.5]^3, as its loader takes them, found those of "
                f"{row['low'].tolist()} to {row['high'].tolist()}. Sample with --recipe onet."
            )
        low = row["low"] / row["scale"] - row["offset"]
        write_binvox(binvox, Voxels(row["solid"], low, float(1 / row["scale"])))
    write_npz(cloud, surface | frame)
    write_npz(points, {"points": row["points"], "occupancies": np.packbits(row["inside"])} | frame)


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None, once lists and the names of the classes are written.

    Raises:
        OSError: they cannot be written.
    """
    write_lists(root, splits)
    classes = sorted({class_and_name(shape_id)[0] for ids in splits.values() for shape_id in ids})
    put(root / "metadata.yaml", json_bytes({name: {"id": name, "name": name} for name in classes}))
