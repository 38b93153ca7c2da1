"""The layout of DISN: signed distances in one HDF5 file a shape.

`SDF_v1/<class>/<name>/ori_sample.h5` with `pc_sdf_sample` (P, 4) float32, x y z distance, below 0 inside and not
shifted by its iso-value 0.003; `norm_params` (4,) centre and radius, unit = (original - centre) / radius; `sdf_params`
(6,) the corners of the box; `pc_sdf_original` (1, 3) zeros; and `filelists/<class>_{train,test}.lst`.

Lost on the way out: the surface, the frame beyond float32, source, watertight and sign_method. Its own files hold
at most 32,768 samples, in bands of distances about the iso-value; the recipe `disn` draws those.

Source: Xu et al., DISN, NeurIPS 2019, and the released code.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.columns import Sizes, columns, positive
from shapetool.data.formats.hdf5 import hdf5_shape, read_hdf5, write_hdf5
from shapetool.data.formats.npz import Key
from shapetool.data.formats.places import below, by_class, class_and_name, put

KINDS = ("sdf",)
FRAMES = {"centroid": 1.0}
ORDERED = True  # band after band
SHARED = False
BOX = 1.2  # half the edge of its box
_SAMPLES = Key("f", (None, 4))
_KEYS = {"pc_sdf_sample": _SAMPLES, "norm_params": Key("f", (4,))}


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    top = root / "SDF_v1"
    found = [path for path in top.rglob("ori_sample.h5") if path.is_file() and path.parent != top]
    return sorted((path.parent.relative_to(top).as_posix(), path) for path in found)


def sizes(path: Path, root: Path) -> Sizes:
    """What a shape holds, from the heads of its file.

    Raises:
        DataError: the file is not of this layout.
    """
    return Sizes("sdf", hdf5_shape(path, "pc_sdf_sample", _SAMPLES)[0])


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose file is at `path`.

    Raises:
        DataError: the file is missing or not of this layout.
    """
    found = read_hdf5(path, _KEYS)
    both, frame = found["pc_sdf_sample"].astype(np.float32), found["norm_params"].astype(np.float64)
    scale = 1 / positive(path, "norm_params", frame[3])
    return columns(scale, -frame[:3], both[:, :3].copy(), distances=both[:, 3].copy())


def files(root: Path, shape_id: str) -> list[Path]:
    """The file of a shape.

    Raises:
        DataError: the id is no path below `root`.
    """
    return [below(root, "SDF_v1", *class_and_name(shape_id), "ori_sample.h5")]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the file of a shape is written.

    Raises:
        DataError: the id is no path below `root`.
        OSError: it cannot be written.
    """
    arrays = {
        "pc_sdf_original": np.zeros((1, 3), np.float32),
        "pc_sdf_sample": np.concatenate([row["points"], row["distances"][:, None]], axis=1).astype(np.float32),
        "norm_params": np.append(-np.asarray(row["offset"], np.float64), 1 / row["scale"]).astype(np.float32),
        "sdf_params": np.repeat(np.array([-BOX, BOX], np.float32), 3),
    }
    write_hdf5(files(root, row["shape_id"])[0], arrays)


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None, once the lists are written: one name a line.

    Raises:
        OSError: they cannot be written.
    """
    for split, ids in splits.items():
        for class_name, names in by_class(ids).items():
            put(below(root, "filelists", f"{class_name}_{split}.lst"), "".join(f"{name}\n" for name in names).encode())
