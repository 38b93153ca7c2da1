"""The layout of IM-NET and IM-NET-pytorch, the second code of IM-NET: one file for all classes.

`all_vox256_img_train.hdf5` with `all_vox256_img_train.txt`, whose lines are `<class>/<name>`, and so for the other
lists; its training takes them as `--dataset all_vox256_img`. 4,096, 4,096 and 16,384 points, all of them in voxels of
256^3; its code places a voxel p at (p + 0.5) / 256 - 0.5.

See `imnet` for what it holds and what is lost; and `pixels`, the views that its single-view network reads, are not
written. Read as well: `<class>_vox256.hdf5` with plain names, as its own scripts write them.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shapetool.data.formats import imnet
from shapetool.data.formats.columns import Array, Sizes
from shapetool.data.formats.places import below

KINDS = ("occupancy",)
FRAMES = {"diagonal": 1.0}
ORDERED = True  # set after set
SHARED = True
NEEDS = ("order", "voxels")
STEM = "all_vox256_img"
_V2 = imnet.Generation("v2", finest=256, half=0.5)
SHAPES = _V2.shapes
_NAME = re.compile(r"(?P<kind>.+)_vox256(_img)?(_[a-z]+)?\.hdf5")


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and file.

    Raises:
        DataError: a file has no list of names.
    """
    found = [path for path in root.rglob("*.hdf5") if path.is_file() and _NAME.fullmatch(path.name)]
    return sorted((shape_id, path) for path in found for shape_id in _ids(path, root))


def _ids(path: Path, root: Path) -> tuple[str, ...]:
    """The ids of the rows of a file; names without a class get that of the file."""
    match = _NAME.fullmatch(path.name)
    assert match is not None  # find returns no other names
    return tuple(name if "/" in name else f"{match['kind']}/{name}" for name in imnet.names_in(path, root))


def sizes(path: Path, root: Path) -> Sizes:
    """What each shape of a file holds.

    Raises:
        DataError: the file is not of this layout.
    """
    return imnet.sizes(_V2, path, _ids(path, root))


def read(path: Path, root: Path, shape_id: str) -> dict[str, Any]:
    """The columns of one shape of the file at `path`.

    Raises:
        DataError: the file is not of this layout.
    """
    return imnet.read(_V2, path, _ids(path, root).index(shape_id))


def shared_files(root: Path, splits: Mapping[str, Sequence[str]], *, listed: bool) -> dict[Path, list[str]]:
    """The ids in each file of an export: one a list, for its loader asks for a list by name."""
    return {below(root, f"{STEM}_{split}.hdf5"): list(ids) for split, ids in splits.items() if ids}


def arrays(row: Mapping[str, Any]) -> dict[str, Array]:
    """The row of a shape in each dataset.

    Raises:
        DataError: its points are not the sets of this generation.
    """
    return imnet.arrays(_V2, row)


def write_names(path: Path, ids: Sequence[str]) -> None:
    """None, once the names of the shapes in the file at `path` stand beside it.

    Raises:
        OSError: they cannot be written.
    """
    imnet.write_names(path, _names(ids))


def holds(path: Path, ids: Sequence[str]) -> bool:
    """Whether the file at `path` is there with just these shapes."""
    return imnet.holds(path, _names(ids))


def _names(ids: Sequence[str]) -> list[str]:
    return [imnet.full_id(shape_id) for shape_id in ids]
