"""The layout of 3DShape2VecSet, with the distances that VecSetX and sdf_gen read from the same file.

`ShapeNetV2_point/<class>/<name>.npz` with `vol_points`, `near_points` (N, 3) float32; their `vol_label`, `near_label`
(1 inside) and, from shards of distances, `vol_sdf`, `near_sdf` (below 0 inside), `surface_points` (M, 3), `shifts` (3,)
and `scale` (), unit = (original - shifts) * scale. `<name>.npy`, a scale that the loader multiplies the cloud with,
here 1; `ShapeNetV2_watertight/<class>/4_pointcloud/<name>.npz` with `points` and `normals`; `<class>/train.lst` etc.
with `.npz` after each name. All points are in the unit frame. Its loader knows the classes of ShapeNet by number only.

A shard does not say which points were drawn near the surface. Here a point is `near` within 0.1 of it, two deviations
of the wider noise (where no distance is stored: with a surface point in a neighbouring cell of that size). So
`vol_points` has none there, and IoU is to be measured on both. Lost on the way out: the order and that division;
source, watertight and sign_method. On the way in, files with `*_sdf` become shards of distances, others shards of
occupancy; the cloud counts only where it has normals.

Source: Zhang et al., 3DShape2VecSet, SIGGRAPH 2023, and the released code.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.columns import Array, Sizes, columns, positive, same_length
from shapetool.data.formats.npz import Key, npz_heads, read_npy, read_npz, write_npy, write_npz
from shapetool.data.formats.places import below, class_and_name, shapes_below, write_lists
from shapetool.errors import DataError

KINDS = ("sdf", "occupancy")
FRAMES = {"box": 1.98, "sphere": None}
ORDERED = True  # the volume first, then what is near the surface
SHARED = False
NEAR = 0.1
GROUPS = ("vol", "near")
_POINTS = Key("f", (None, 3))
_FRAME = {"shifts": Key("f", (3,), optional=True), "scale": Key("f", (), optional=True)}
_FACTOR = Key("fiu", ())
_CLOUD = {"points": _POINTS, "normals": _POINTS}


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    return shapes_below(root / "ShapeNetV2_point", "*.npz")


def _keys(value: str) -> dict[str, Key]:
    """What a file must hold, for distances or labels."""
    kinds = "f" if value == "sdf" else "fiub"
    return {f"{group}_points": _POINTS for group in GROUPS} | {
        f"{group}_{value}": Key(kinds, (None,)) for group in GROUPS
    }


def _value(path: Path) -> str:
    """Whether a file says distances or labels."""
    return "sdf" if "vol_sdf" in npz_heads(path, _keys("sdf")) else "label"


def sizes(path: Path, root: Path) -> Sizes:
    """What a shape holds, from the heads of its files.

    Raises:
        DataError: a file is not of this layout.
    """
    value, cloud = _value(path), _cloud_path(root, path)
    surface = npz_heads(cloud, _CLOUD) if cloud.exists() else {}
    points = sum(shape[0] for name, (shape, _) in npz_heads(path, _keys(value)).items() if name.endswith("_points"))
    kind = "sdf" if value == "sdf" else "occupancy"
    return Sizes(kind, points, surface["points"][0][0] if set(_CLOUD) <= set(surface) else 0)


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose samples are at `path`; its surface is known where the cloud has normals.

    Raises:
        DataError: a file is missing or not of this layout.
    """
    value = _value(path)
    found = read_npz(path, _keys(value) | _FRAME)
    for group in GROUPS:
        same_length(path, {name: found[name] for name in (f"{group}_points", f"{group}_{value}")})
    points = np.concatenate([found[f"{group}_points"] for group in GROUPS]).astype(np.float32)
    values = np.concatenate([found[f"{group}_{value}"] for group in GROUPS])
    more = {"distances": values.astype(np.float32)} if value == "sdf" else {"inside": values > 0.5}
    scale = positive(path, "scale", found.get("scale", 1.0))
    offset = 0.0 - found.get("shifts", np.zeros(3)).astype(np.float64)
    return columns(scale, offset, points, **more, **_surface(_cloud_path(root, path), path, root))


def _cloud_path(root: Path, path: Path) -> Path:
    *folders, name = path.relative_to(root / "ShapeNetV2_point").parts
    return below(root, "ShapeNetV2_watertight", *folders, "4_pointcloud", name)


def _surface(cloud_path: Path, path: Path, root: Path) -> dict[str, Any]:
    """The surface columns, scaled as its loader does, or nothing."""
    if not cloud_path.exists() or set(npz_heads(cloud_path, _CLOUD)) != set(_CLOUD):
        return {}
    cloud = read_npz(cloud_path, _CLOUD)
    factor_path = below(root, *path.with_suffix(".npy").relative_to(root).parts)
    same_length(cloud_path, cloud)
    number = positive(factor_path, "scale", read_npy(factor_path, _FACTOR).astype(np.float64))
    return {
        "surface_points": (cloud["points"].astype(np.float32) * np.float32(number)).astype(np.float32),
        "surface_normals": cloud["normals"].astype(np.float32),
    }


def files(root: Path, shape_id: str) -> list[Path]:
    """The files of a shape, the main one last: where that is, the others are.

    Raises:
        DataError: the id is no path below `root`.
    """
    class_name, name = class_and_name(shape_id)
    return [
        below(root, "ShapeNetV2_watertight", class_name, "4_pointcloud", f"{name}.npz"),
        below(root, "ShapeNetV2_point", class_name, f"{name}.npy"),
        below(root, "ShapeNetV2_point", class_name, f"{name}.npz"),
    ]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: the id is no path below `root`, or no sample is near the surface or none far: its loader draws both.
        OSError: they cannot be written.
    """
    cloud, factor, samples = files(root, row["shape_id"])
    points, near, arrays = row["points"].astype(np.float32), _near(row), {}
    if near.all() or not near.any():
        raise DataError(f"{row['shape_id']}: expected points nearer than {NEAR} and farther, found one kind alone.")
    inside = row["distances"] < 0 if "distances" in row else row["inside"]
    for group, chosen in zip(GROUPS, (~near, near), strict=True):
        arrays[f"{group}_points"] = points[chosen]
        arrays[f"{group}_label"] = inside[chosen].astype(np.float32)
        if "distances" in row:
            arrays[f"{group}_sdf"] = row["distances"][chosen].astype(np.float32)
    frame = {"shifts": 0.0 - np.asarray(row["offset"], np.float64), "scale": np.float64(row["scale"])}
    write_npz(cloud, {"points": row["surface_points"], "normals": row["surface_normals"]})
    write_npy(factor, np.float64(1.0))
    write_npz(samples, arrays | {"surface_points": row["surface_points"]} | frame)


def _near(row: Mapping[str, Any]) -> Array:
    """Whether each point is near the surface."""
    if "distances" in row:
        return np.abs(row["distances"].astype(np.float32)) < NEAR
    corners = np.stack(np.meshgrid(*[range(-1, 2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    held = np.unique(np.floor(row["surface_points"] / NEAR).astype(np.int64), axis=0)
    around = (held[:, None] + corners).reshape(-1, 3)
    return np.isin(_packed(np.floor(row["points"].astype(np.float64) / NEAR).astype(np.int64)), _packed(around))


def _packed(cells: Array) -> Array:
    """One number a cell."""
    x, y, z = (cells + (1 << 20)).T
    return (x << 42) | (y << 21) | z


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None, once the lists are written.

    Raises:
        OSError: they cannot be written.
    """
    write_lists(root / "ShapeNetV2_point", splits, ".npz")
