"""The layout of nerfstudio: a folder a shape.

`<id>/transforms.json` with `camera_model` OPENCV, `w`, `h`, `fl_x`, `fl_y`, `cx`, `cy` in pixels, for all frames or,
where lenses differ, for each, and `frames` of `file_path`, with suffix, and `transform_matrix`, camera-to-world with
OpenGL axes; `images/00000.png`, RGBA and not premultiplied if the shard has `alpha`, else RGB; if there are,
`depth_file_path`, 16 bits of millimetres along the optical axis, 0 where nothing is known, and `mask_path`, white where
the shape is.

The world is the unit frame and its unit is a metre, so depths reach 65.535 and are rounded to 0.001. The frame is
written as `unit_scale` and `unit_offset`. The middle of the first pixel is at (0.5, 0.5).

Lost on the way out: colours behind what is covered, depth beyond a millimetre, normals and the other channels, source,
watertight; lenses with skew are refused.

Source: Tancik et al., Nerfstudio, SIGGRAPH 2023, and its documentation of data conventions.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.pictures import picture_head, png_bytes, read_picture
from shapetool.data.formats.places import json_bytes, put
from shapetool.data.formats.view_rows import (
    ALIKE,
    ViewSizes,
    clear_pictures,
    colours_of,
    frame_words,
    gathered,
    id_of,
    mask_of,
    perspective,
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
NEEDS = ("images",)
MAIN = "transforms.json"
MILLIMETRES = 1000  # in a unit
DEEPEST = 65535 / MILLIMETRES
_LENS = ("fl_x", "fl_y", "cx", "cy")
_BENT = ("k1", "k2", "k3", "k4", "p1", "p2")
_PINHOLES = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE")


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    return sorted((id_of(root, path.parent), path) for path in root.rglob(MAIN) if path.is_file())


def sizes(path: Path, root: Path) -> ViewSizes:
    """What a shape holds, from its list and the head of the first picture.

    Raises:
        DataError: the files are not of this layout.
    """
    frames = _frames(path)
    height, width, content = picture_head(picture_path(root, path, frames[0], "file_path"))
    more = ["alpha"] if content == "opacity" else []
    more += ["depth"] if "depth_file_path" in frames[0] else []
    more += ["silhouette"] if "mask_path" in frames[0] else []
    return ViewSizes(len(frames), height, width, ("images", *more))


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose list is at `path`.

    Raises:
        DataError: a file is missing or not of this layout, or a lens is bent.
    """
    document, frames = read_document(path), _frames(path)
    places = [picture_path(root, path, frame, "file_path") for frame in frames]
    height, width, content = picture_head(places[0])
    if content == "grey":
        raise DataError(f"{places[0]}: expected colours, found grey.")
    lenses = [_lens(path, {**document, **frame}, (height, width)) for frame in frames]
    poses = [read_pose(path, frame, number) for number, frame in enumerate(frames)]
    channels = gathered([read_picture(place, (height, width), (content,)) for place in places])
    if "depth_file_path" in frames[0]:
        depths = [picture_path(root, path, frame, "depth_file_path") for frame in frames]
        held = np.stack([read_picture(place, (height, width), ("grey",)) for place in depths])
        channels["depth"] = (held / MILLIMETRES).astype(np.float32)
    if "mask_path" in frames[0]:
        masks = [picture_path(root, path, frame, "mask_path") for frame in frames]
        channels["silhouette"] = np.stack([read_picture(place, (height, width), ("grey",)) for place in masks]) > 0
    scale, offset = read_frame(path, document)
    return view_columns(scale, offset, np.stack(lenses), np.stack(poses), **channels)


def _frames(path: Path) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = read_document(path)["frames"]
    if not frames:
        raise DataError(f"{path}: expected frames, found none.")
    return frames


def _lens(path: Path, words: Mapping[str, Any], size: tuple[int, int]) -> Any:
    bent = [key for key in _BENT if words.get(key)]
    model = words.get("camera_model", _PINHOLES[0])
    if bent or model not in _PINHOLES:
        found = f"{bent[0]} = {words[bent[0]]}" if bent else f"the model {model!r}"
        raise DataError(f"{path}: expected pinholes, found {found}. Undistort the images first.")
    if (words.get("h", size[0]), words.get("w", size[1])) != size:
        raise DataError(f"{path}: expected pictures of {words.get('h')}x{words.get('w')}, found {size[0]}x{size[1]}.")
    fx, fy, cx, cy = (read_number(path, words, key) for key in _LENS)
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def files(root: Path, shape_id: str) -> list[Path]:
    """The first pictures of a shape and, last, its list: where that is, the others are.

    Raises:
        DataError: the id is no path below `root`.
    """
    names = ("images", "depths", "masks")
    return [*(place_of(root, shape_id, name, "00000.png") for name in names), place_of(root, shape_id, MAIN)]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: the id is no path below `root`, a lens has skew, or a depth is beyond what 16 bits hold.
        OSError: they cannot be written.
    """
    *firsts, main = files(root, row["shape_id"])
    lenses = _lens_words(row)
    pixels = {"file_path": colours_of(row), "depth_file_path": _millimetres(row), "mask_path": mask_of(row)}
    height, width = row["images"].shape[1:3]
    shared = lenses[0] if all(lens == lenses[0] for lens in lenses) else {}
    frames: list[dict[str, Any]] = [{} if shared else dict(lens) for lens in lenses]
    for first, (key, pictures) in zip(firsts, pixels.items(), strict=True):
        clear_pictures(first.parent, "[0-9]*.png")
        if pictures is None:
            continue
        for view, picture in enumerate(pictures):
            place = first.with_name(f"{view:05d}.png")
            put(place, png_bytes(picture.astype(np.uint8) * 255 if key == "mask_path" else picture))
            frames[view][key] = f"{first.parent.name}/{place.name}"
    for view, frame in enumerate(frames):
        frame["transform_matrix"] = row["pose"][view].tolist()
    head = {"camera_model": "OPENCV", "w": width, "h": height, **shared, **frame_words(row)}
    put(main, json_bytes({**head, "frames": frames}))


def _lens_words(row: Mapping[str, Any]) -> list[dict[str, float]]:
    words = []
    for number, matrix in enumerate(perspective(row, "nerfstudio")):
        if abs(matrix[0, 1]) > ALIKE * matrix[0, 0]:
            raise DataError(
                f"{row['shape_id']}, camera {number}: nerfstudio has no skew, found {matrix[0, 1]}. Use neus."
            )
        numbers = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
        words.append({key: float(number) for key, number in zip(_LENS, numbers, strict=True)})
    return words


def _millimetres(row: Mapping[str, Any]) -> Iterator[Any] | None:
    """Depth in 16 bits; what is nearer than half a millimetre is the nearest that there is, for 0 means unknown.

    Raises:
        DataError: one is beyond what these hold.
    """
    if "depth" not in row:
        return None
    if row["depth"].max(initial=0) > DEEPEST:
        raise DataError(
            f"{row['shape_id']}: nerfstudio holds depths up to {DEEPEST} in millimetres of 16 bits, found "
            f"{row['depth'].max():.6g}. Bring the cameras nearer, or render with --normalize sphere."
        )
    rounded = (np.rint(depth.astype(np.float64) * MILLIMETRES) for depth in row["depth"])
    return (
        np.where(depth > 0, np.maximum(held, 1), 0).astype(np.uint16)
        for depth, held in zip(row["depth"], rounded, strict=True)
    )


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None: no file is about all shapes."""
