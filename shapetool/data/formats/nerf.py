"""The layout of NeRF's synthetic scenes: a folder a shape.

`<id>/transforms_{train,val,test}.json` with `camera_angle_x`, the horizontal field of view in radians, and `frames` of
`file_path`, without suffix, and `transform_matrix`, camera-to-world with OpenGL axes; `<id>/train/r_<view>.png`, RGBA,
not premultiplied. Beyond what its loader reads: `w`, `h`, and the frame as `unit_scale` and `unit_offset`.

The world is the unit frame. All views are for training; val and test name the first one again, for its loader fails on
an empty list. The images have the middle of the first pixel at (0.5, 0.5), as Blender's have, but the loader sends the
ray of pixel (i, j) through (i, j): its rays are half a pixel left of and above what the pixel shows.

Lost on the way out: colours behind what is covered, depth, normals and the other channels, silhouette, source,
watertight; cameras that do not share one lens are refused.

Source: Mildenhall et al., NeRF, ECCV 2020, and the released code.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.pictures import picture_head, png_bytes, read_picture
from shapetool.data.formats.places import SPLITS, below, json_bytes, put
from shapetool.data.formats.view_rows import (
    ViewSizes,
    clear_pictures,
    colours_of,
    frame_words,
    gathered,
    id_of,
    one_lens,
    picture_path,
    place_of,
    read_document,
    read_frame,
    read_number,
    read_pose,
    view_columns,
)
from shapetool.errors import DataError

KINDS = ("views",)
FRAMES = dict.fromkeys(("sphere", "box", "diagonal", "centroid", "none"))
ORDERED = False
SHARED = False
NEEDS = ("images", "alpha")
MAIN = "transforms_train.json"


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    return sorted((id_of(root, path.parent), path) for path in root.rglob(MAIN) if path.is_file())


def sizes(path: Path, root: Path) -> ViewSizes:
    """What a shape holds, from its lists and the head of the first picture.

    Raises:
        DataError: the files are not of this layout.
    """
    frames = _frames(path, root)
    height, width, content = picture_head(frames[0][1])
    return ViewSizes(len(frames), height, width, ("images", "alpha") if content == "opacity" else ("images",))


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose list for training is at `path`: the views of all its lists, each once.

    Raises:
        DataError: a file is missing or not of this layout.
    """
    frames, document = _frames(path, root), read_document(path)
    angle = read_number(path, document, "camera_angle_x")
    if not 0 < angle < math.pi:
        raise DataError(f"{path}, camera_angle_x: expected radians between 0 and pi, found {angle}.")
    height, width, content = picture_head(frames[0][1])
    pictures = [read_picture(place, (height, width), (content,)) for _, place in frames]
    if content == "grey":
        raise DataError(f"{frames[0][1]}: expected colours, found grey.")
    focal = width / 2 / math.tan(angle / 2)
    lens = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    pose = np.stack([matrix for matrix, _ in frames])
    scale, offset = read_frame(path, document)
    return view_columns(scale, offset, np.tile(lens, (len(frames), 1, 1)), pose, **gathered(pictures))


def _frames(path: Path, root: Path) -> list[tuple[Any, Path]]:
    """Pose and picture of each view, in the order of the lists, none twice."""
    found: dict[Path, Any] = {}
    for split in SPLITS:
        place = below(root, *path.parent.relative_to(root).parts, f"transforms_{split}.json")
        if split != "train" and not place.exists():
            continue
        for number, frame in enumerate(read_document(place)["frames"]):
            found.setdefault(picture_path(root, place, frame, "file_path", ".png"), read_pose(place, frame, number))
    if not found:
        raise DataError(f"{path}: expected frames, found none.")
    return [(pose, picture) for picture, pose in found.items()]


def files(root: Path, shape_id: str) -> list[Path]:
    """The lists of a shape and its first picture, the main list last: where that is, the others are.

    Raises:
        DataError: the id is no path below `root`.
    """
    names = ("train/r_0.png", "transforms_test.json", "transforms_val.json", MAIN)
    return [place_of(root, shape_id, *name.split("/")) for name in names]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: the id is no path below `root`, or its cameras do not fit.
        OSError: they cannot be written.
    """
    first, test, val, train = files(root, row["shape_id"])
    focal = one_lens(row, "nerf")
    height, width = row["images"].shape[1:3]
    clear_pictures(first.parent, "r_[0-9]*.png")
    frames = []
    for view, picture in enumerate(colours_of(row)):
        put(first.with_name(f"r_{view}.png"), png_bytes(picture))
        frames.append({"file_path": f"./train/r_{view}", "transform_matrix": row["pose"][view].tolist()})
    head = {"camera_angle_x": 2 * math.atan(width / 2 / focal), "w": width, "h": height, **frame_words(row)}
    for path, listed in ((test, frames[:1]), (val, frames[:1]), (train, frames)):
        put(path, json_bytes({**head, "frames": listed}))


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None: no file is about all shapes."""
