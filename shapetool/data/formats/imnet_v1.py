"""The layout of implicit-decoder, the first code of IM-NET: one file a class.

`<class>_vox.hdf5` with `<class>_vox.txt`, or one for each list: `<class>_vox_train.hdf5` and so on, which its training
takes as `--dataset <class>_vox_train`. 4,096, 8,192 and 32,768 points, each in cells of the lattice of its own set; its
code places a cell p of 64 at (p + 0.5) / 64 * 2 - 1.

See `imnet` for what it holds and what is lost. Read as well: names in `obj_list.txt`, as its own scripts write them.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shapetool.data.formats import imnet
from shapetool.data.formats.columns import Array, Sizes
from shapetool.data.formats.places import SPLITS, below, by_class, class_and_name

KINDS = ("occupancy",)
FRAMES = {"diagonal": 2.0}
ORDERED = True  # set after set
SHARED = True
NEEDS = ("order", "voxels")
_V1 = imnet.Generation("v1", finest=0, half=1.0)
SHAPES = _V1.shapes
_NAME = re.compile(rf"(?P<kind>.+)_vox(_({'|'.join(SPLITS)}))?\.hdf5")


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and file.

    Raises:
        DataError: a file has no list of names.
    """
    found = [path for path in root.rglob("*.hdf5") if path.is_file() and _NAME.fullmatch(path.name)]
    return sorted((shape_id, path) for path in found for shape_id in _ids(path, root))


def _ids(path: Path, root: Path) -> tuple[str, ...]:
    """The ids of the rows of a file: the class is its name, in its folder unless that is named after the class too."""
    match = _NAME.fullmatch(path.name)
    assert match is not None  # find returns no other names
    kind, folders = match["kind"], path.relative_to(root).parts[:-1]
    if folders and folders[-1].startswith(kind):
        folders = folders[:-1]
    return tuple("/".join((*folders, kind, name)) for name in imnet.names_in(path, root))


def sizes(path: Path, root: Path) -> Sizes:
    """What each shape of a file holds.

    Raises:
        DataError: the file is not of this layout.
    """
    return imnet.sizes(_V1, path, _ids(path, root))


def read(path: Path, root: Path, shape_id: str) -> dict[str, Any]:
    """The columns of one shape of the file at `path`.

    Raises:
        DataError: the file is not of this layout.
    """
    return imnet.read(_V1, path, _ids(path, root).index(shape_id))


def shared_files(root: Path, splits: Mapping[str, Sequence[str]], *, listed: bool) -> dict[Path, list[str]]:
    """The ids in each file of an export; with `listed`, one a list.

    Raises:
        DataError: an id is no path below `root`.
    """
    files: dict[Path, list[str]] = {}
    for split, ids in splits.items():
        for kind in by_class(ids):
            path = below(root, f"{kind}_vox_{split}.hdf5" if listed else f"{kind}_vox.hdf5")
            files[path] = [shape_id for shape_id in ids if class_and_name(shape_id)[0] == kind]
    return files


def arrays(row: Mapping[str, Any]) -> dict[str, Array]:
    """The row of a shape in each dataset.

    Raises:
        DataError: its points are not the sets of this generation.
    """
    return imnet.arrays(_V1, row)


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
    return [class_and_name(shape_id)[1] for shape_id in ids]
