"""The layout of DeepSDF: signed distances split by sign.

`SdfSamples/<dataset>/<class>/<name>.npz` with `pos` and `neg` (N, 4) float32, x y z distance, above 0 in `pos`;
`NormalizationParameters/...npz` with `offset` (3,) and `scale` (1,) float32, the same shift-then-scale as in a shard;
`SurfaceSamples/...ply`, points in the original frame with triples of them as faces, which its evaluation reads;
`splits/{train,val,test}.json` and `.datasources.json`.

Lost on the way out: the order of the samples, normals, the frame beyond float32, source, watertight and sign_method.
Lost on the way in: the surface points, which have no normals; rows whose distance is NaN, which its loader drops too.

Source: Park et al., DeepSDF, CVPR 2019, and the released code.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.columns import Sizes, columns, positive
from shapetool.data.formats.npz import Key, npz_heads, read_npz, write_npz
from shapetool.data.formats.places import below, by_class, class_and_name, json_bytes, put, shapes_below
from shapetool.errors import DataError

KINDS = ("sdf",)
FRAMES = {"sphere": 1 / 1.03}  # what its networks are built for; any other works too, for the files say it
ORDERED = True  # outside first, then inside: a shard wants them mixed
SHARED = False
DATASET = "shapetool"

_SAMPLES = {"pos": Key("f", (None, 4)), "neg": Key("f", (None, 4))}
_FRAME = {"offset": Key("f", (3,)), "scale": Key("f", (1,))}


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file. The name of the data set is part of the id where there are several."""
    found = shapes_below(root / "SdfSamples", "*.npz")
    datasets = {shape_id.split("/")[0] for shape_id, _ in found}
    deep = all(shape_id.count("/") >= 2 for shape_id, _ in found)
    if len(datasets) == 1 and deep:
        return [(shape_id.split("/", 1)[1], path) for shape_id, path in found]
    return found


def sizes(path: Path, root: Path) -> Sizes:
    """What a shape holds, from the heads of its file.

    Raises:
        DataError: the file is not of this layout.
    """
    heads = npz_heads(path, _SAMPLES)
    return Sizes("sdf", sum(shape[0] for shape, _ in heads.values()))


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose SdfSamples are at `path`. Without NormalizationParameters the frame is the
    original one.

    Raises:
        DataError: a file is missing or not of this layout, or a distance is on the wrong side.
    """
    groups = read_npz(path, _SAMPLES)
    rows = {name: rows[~np.isnan(rows[:, 3])].astype(np.float32) for name, rows in groups.items()}
    if (rows["pos"][:, 3] < 0).any() or (rows["neg"][:, 3] > 0).any():
        name = "pos" if (rows["pos"][:, 3] < 0).any() else "neg"
        raise DataError(f"{path}, {name}: expected distances of one sign, found both. Its sign is not DeepSDF's.")
    both = np.concatenate([rows["pos"], rows["neg"]])
    frame_path = below(root, "NormalizationParameters", *path.relative_to(root / "SdfSamples").parts)
    scale, offset = 1.0, np.zeros(3)
    if frame_path.exists():
        frame = read_npz(frame_path, _FRAME)
        scale, offset = positive(frame_path, "scale", frame["scale"]), frame["offset"].astype(np.float64)
    return columns(scale, offset, both[:, :3].copy(), distances=both[:, 3].copy())


def files(root: Path, shape_id: str) -> list[Path]:
    """The files of a shape, the main one last: where that is, the others are."""
    place = (DATASET, *class_and_name(shape_id))
    return [
        below(root, folder, *place[:-1], place[-1] + suffix)
        for folder, suffix in (("NormalizationParameters", ".npz"), ("SurfaceSamples", ".ply"), ("SdfSamples", ".npz"))
    ]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: no sample lies inside, or none outside: the loader would fail on it.
        OSError: they cannot be written.
    """
    frame, surface, samples = files(root, row["shape_id"])
    both = np.concatenate([row["points"], row["distances"][:, None]], axis=1).astype(np.float32)
    outside = both[:, 3] > 0
    if outside.all() or not outside.any():
        raise DataError(f"{row['shape_id']}: expected samples on both sides; DeepSDF's loader fails on one alone.")
    write_npz(frame, {"offset": np.float32(row["offset"]), "scale": np.full(1, row["scale"], np.float32)})
    put(surface, _ply(row["surface_points"].astype(np.float64) / row["scale"] - row["offset"]))
    write_npz(samples, {"pos": both[outside], "neg": both[~outside]})


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None, once the split files and the name of the source are written.

    Raises:
        OSError: they cannot be written.
    """
    for split, ids in splits.items():
        put(root / "splits" / f"{split}.json", json_bytes({DATASET: by_class(ids)}))
    put(root / ".datasources.json", json_bytes({DATASET: os.path.abspath(source)}))


def _ply(points: np.ndarray[Any, np.dtype[np.float64]]) -> bytes:
    """Points as text, every three a face: its evaluation loads them as a mesh and takes the vertices."""
    faces = len(points) // 3
    head = (
        f"ply\nformat ascii 1.0\nelement vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    vertices = "".join(f"{x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in points.tolist())
    return (head + vertices + "".join(f"3 {3 * i} {3 * i + 1} {3 * i + 2}\n" for i in range(faces))).encode()
