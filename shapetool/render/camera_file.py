"""Cameras in a JSON file: a list of our own, or the `transforms.json` of NeRF and nerfstudio."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError
from shapetool.recipes.views import LARGEST_EDGE, PROJECTIONS
from shapetool.render.cameras import Cameras

LARGEST = 1e100  # of a number of pixels or radians; NaN and numbers beyond what a double holds are not below it
BLENDER_SIZE = 800  # what the loaders of NeRF's synthetic scenes take where the file names no size
DISTORTIONS = ("k1", "k2", "k3", "k4", "p1", "p2")
EXAMPLE = '{"size": [480, 640], "views": [{"intrinsics": [[...], ...], "pose": [[...], ...]}, ...]}'


def read_cameras(path: str | Path) -> Cameras:
    """The cameras of a file, in the unit frame.

    Our own format has `size` (height, width), `views` (or `cameras`) with `intrinsics` (3 x 3) and `pose` (4 x 4,
    camera-to-world, OpenGL axes) each, and optionally `projection`. A `transforms.json` has `frames` with
    `transform_matrix`, and `fl_x` (`fl_y`, `cx`, `cy`, `w`, `h`) or `camera_angle_x` for all frames or for each.

    Raises:
        ConfigError: the file is missing, is no JSON, has no camera or one that is no camera; the message names the row.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"--cameras {path}: expected r2n2, sphere, hammersley or a JSON file of cameras, but: {reason}."
        ) from error
    if isinstance(document, dict) and "cameras" in document:
        document.setdefault("views", document["cameras"])
    if not isinstance(document, dict) or not isinstance(document.get("views", document.get("frames")), list):
        raise ConfigError(f"{path}: expected cameras such as {EXAMPLE}, or the frames of a transforms.json.")
    try:
        return _own(document) if "views" in document else _transforms(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def cameras_text(cameras: Cameras) -> str:
    """The JSON that `read_cameras` reads back as these cameras, to the last bit."""
    views = [
        {"intrinsics": intrinsics.tolist(), "pose": pose.tolist()}
        for intrinsics, pose in zip(cameras.intrinsics, cameras.pose, strict=True)
    ]
    projection = PROJECTIONS[cameras.orthographic]
    return json.dumps({"size": list(cameras.size), "projection": projection, "views": views}, indent=1) + "\n"


def _own(document: Mapping[str, Any]) -> Cameras:
    size = document.get("size")
    if not (isinstance(size, list) and len(size) == 2):
        raise ConfigError(f"expected a size [height, width], found {size!r}.")
    projection = document.get("projection", PROJECTIONS[0])
    if projection not in PROJECTIONS:
        raise ConfigError(f"expected a projection {' or '.join(PROJECTIONS)}, found {projection!r}.")
    rows = _rows(document["views"])
    intrinsics = [_matrix(row, "intrinsics", (3, 3), number) for number, row in enumerate(rows)]
    poses = [_matrix(row, "pose", (4, 4), number) for number, row in enumerate(rows)]
    height, width = (_pixels(value, name) for value, name in zip(size, ("height", "width"), strict=True))
    return Cameras((height, width), np.array(intrinsics), np.array(poses), projection == PROJECTIONS[1])


def _transforms(document: Mapping[str, Any]) -> Cameras:
    rows = _rows(document["frames"])
    poses, intrinsics, sizes = [], [], []
    for number, row in enumerate(rows):
        poses.append(_matrix(row, "transform_matrix", (4, 4), number))
        size, matrix = _lens({**document, **row}, number)
        sizes.append(size)
        intrinsics.append(matrix)
        if size != sizes[0]:
            raise ConfigError(f"camera {number}: expected images of {sizes[0]} as before, found {size}.")
    return Cameras(sizes[0], np.array(intrinsics), np.array(poses))


def _lens(words: Mapping[str, Any], number: int) -> tuple[tuple[int, int], Float[np.ndarray, "3 3"]]:
    """The size of the image and the intrinsics of one frame."""
    bent = [name for name in DISTORTIONS if words.get(name)]
    model = words.get("camera_model", "OPENCV")
    if bent or model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE"):
        found = f"{bent[0]} = {words[bent[0]]}" if bent else f"the model {model!r}"
        raise ConfigError(f"camera {number}: expected a pinhole, found {found}. Undistort the images first.")
    width, height = (_pixels(words.get(name, BLENDER_SIZE), name) for name in ("w", "h"))
    if "fl_x" in words or "fl_y" in words:
        fx = _number(words, "fl_x" if "fl_x" in words else "fl_y", number)
        fy = _number(words, "fl_y", number) if "fl_y" in words else fx
    elif "camera_angle_x" in words:
        angle = _number(words, "camera_angle_x", number)
        if not 0 < angle < math.pi:
            raise ConfigError(f"camera {number}: expected camera_angle_x in radians, 0 to pi, found {angle}.")
        fx = fy = width / 2 / math.tan(angle / 2)
    else:
        raise ConfigError(f"camera {number}: expected fl_x or camera_angle_x, found neither.")
    cx = _number(words, "cx", number) if "cx" in words else width / 2
    cy = _number(words, "cy", number) if "cy" in words else height / 2
    return (height, width), np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)


def _rows(rows: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    if not rows:
        raise ConfigError("expected at least one camera, found none.")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ConfigError(f"camera {number}: expected an object, found {str(row)[:60]!r}.")
    return rows


def _matrix(row: Mapping[str, Any], name: str, shape: tuple[int, int], number: int) -> Float[np.ndarray, "K K"]:
    where = f"camera {number}: expected {name} of {shape[0]} rows of {shape[1]} numbers"
    if name not in row:
        raise ConfigError(f"{where}, found none.")
    try:
        matrix = np.array(row[name], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{where}, found {str(row[name])[:60]}.") from None
    if matrix.shape != shape:
        raise ConfigError(f"{where}, found the shape {matrix.shape}.")
    return matrix


def _number(words: Mapping[str, Any], name: str, number: int) -> float:
    value = words[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise ConfigError(f"camera {number}: expected a number as {name}, found {str(value)[:60]!r}.")
    return float(value)


def _pixels(value: Any, name: str) -> int:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 1 <= value <= LARGEST_EDGE or value != int(value):
        raise ConfigError(f"expected 1 to {LARGEST_EDGE} pixels as {name}, found {str(value)[:60]!r}.")
    return int(value)
