"""What the layouts of views have in common: their row, how cameras are asked to be, and JSON that lists frames."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.pictures import over, straight
from shapetool.data.formats.places import below, class_and_name
from shapetool.data.outside import plain_file
from shapetool.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
CHANNELS = {"images": "rgb", "alpha": "alpha", "depth": "depth", "silhouette": "silhouette"}
PIXEL_BYTES = {"images": 3, "alpha": 1, "depth": 4, "silhouette": 1}
SUFFIXES = (".png", ".jpg", ".jpeg")
ALIKE = 1e-9  # how far two lenses may differ, relative to the focal length, and be one
LARGEST = 1e100  # of a number in a file; NaN and what no double holds are not below it
FLIP = np.diag([1.0, -1.0, -1.0])  # camera axes of OpenGL to those of OpenCV, and back


@dataclass(frozen=True)
class ViewSizes:
    """What a foreign shape holds: how many views of which size, and the columns of pixels that it makes."""

    views: int
    height: int
    width: int
    columns: tuple[str, ...]


def view_columns(scale: float, offset: Array, intrinsics: Array, pose: Array, **channels: Array) -> dict[str, Any]:
    """The columns of a shape but for its id and source."""
    return {
        "scale": scale,
        "offset": np.asarray(offset, np.float64).reshape(3),
        "watertight": False,
        "sign_method": "none",
        "intrinsics": np.ascontiguousarray(intrinsics, np.float64),
        "pose": np.ascontiguousarray(pose, np.float64),
        **{name: np.ascontiguousarray(values) for name, values in channels.items()},
    }


def place_of(root: Path, shape_id: str, *parts: str) -> Path:
    """A path in the folder of a shape.

    Raises:
        DataError: the id is no plain path, or leads out of `root`.
    """
    class_and_name(shape_id)
    return below(root, *shape_id.split("/"), *parts)


def id_of(root: Path, folder: Path) -> str:
    """The id of a shape with this folder; that of `root` itself has its name."""
    return folder.relative_to(root).as_posix() if folder != root else root.name


def perspective(row: Mapping[str, Any], layout: str) -> Array:
    """The intrinsics of a row.

    Raises:
        DataError: its cameras are orthographic.
    """
    if row["recipe"].get("projection", "perspective") != "perspective":
        raise DataError(
            f"{row['shape_id']}: {layout} has pinholes only, found orthographic cameras. Render with --projection "
            "perspective."
        )
    return np.asarray(row["intrinsics"])


def one_lens(row: Mapping[str, Any], layout: str) -> float:
    """The focal length that all cameras of a row share, with square pixels about the middle of the image.

    Raises:
        DataError: they have not one, or are orthographic.
    """
    matrices = perspective(row, layout)
    height, width = row["images"].shape[1:3]
    focal = float(matrices[0, 0, 0])
    wanted = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    for number, matrix in enumerate(matrices):
        if np.abs(matrix - wanted).max() > ALIKE * focal:
            raise DataError(
                f"{row['shape_id']}, camera {number}: {layout} holds one focal length for square pixels about the "
                f"middle of the image, {wanted.tolist()}; found {matrix.tolist()}. Use nerfstudio or neus."
            )
    return focal


def colours_of(row: Mapping[str, Any]) -> Iterator[Array]:
    """View by view: straight colours with opacity (H, W, 4) where the row has `alpha`, else those over its background
    (H, W, 3). Over none, `transparent`, the row has straight ones already.
    """
    background = row["recipe"].get("background", "white")
    for view, image in enumerate(row["images"]):
        if "alpha" not in row:
            yield image
        elif background == "transparent":
            yield np.concatenate([image, row["alpha"][view][..., None]], axis=-1)
        else:
            yield straight(image, row["alpha"][view], background)


def mask_of(row: Mapping[str, Any]) -> Array | None:
    """Which pixels show the shape, if the row says it: at least half covered where it has `alpha` alone."""
    if "silhouette" in row:
        return np.asarray(row["silhouette"])
    return row["alpha"] >= 128 if "alpha" in row else None


def gathered(pictures: Sequence[Array]) -> dict[str, Array]:
    """The columns `images`, and `alpha` if the pictures have opacity: those over white."""
    if pictures[0].shape[-1] == 3:
        return {"images": np.stack(pictures)}
    both = [over(picture, "white") for picture in pictures]
    return {"images": np.stack([image for image, _ in both]), "alpha": np.stack([alpha for _, alpha in both])}


def read_document(path: Path) -> dict[str, Any]:
    """A JSON file with frames.

    Raises:
        DataError: it is missing or another.
    """
    try:
        document = json.loads(plain_file(path).read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a list of frames as JSON, found no such file.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, found something else or a truncated file ({error}).") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise DataError(
            f"{path}: expected an object with a list 'frames' of objects, found none. Is it of this layout?"
        )
    found: dict[str, Any] = document
    return found


def read_number(path: Path, words: Mapping[str, Any], key: str) -> float:
    """A finite number under a key.

    Raises:
        DataError: there is none.
    """
    value = words.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise DataError(f"{path}, {key}: expected a number, found {str(value)[:60]!r}.")
    return float(value)


def read_pose(path: Path, frame: Mapping[str, Any], number: int) -> Array:
    """The camera-to-world matrix of a frame.

    Raises:
        DataError: it has none.
    """
    try:
        matrix = np.array(frame.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.zeros(0)
    if matrix.shape != (4, 4):
        raise DataError(f"{path}, frame {number}: expected a transform_matrix of 4 rows of 4 numbers, found another.")
    return matrix


def read_frame(path: Path, document: Mapping[str, Any]) -> tuple[float, Array]:
    """Scale and offset of the unit frame as `frame_words` wrote them; those of no change where a file has none.

    Raises:
        DataError: they are no frame.
    """
    if "unit_scale" not in document:
        return 1.0, np.zeros(3)
    scale, offset = read_number(path, document, "unit_scale"), document.get("unit_offset")
    if not (scale > 0 and isinstance(offset, list) and len(offset) == 3):
        raise DataError(f"{path}, unit_scale: expected one above 0 and a unit_offset of 3 numbers.")
    return scale, np.array([read_number(path, {"unit_offset": value}, "unit_offset") for value in offset])


def frame_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """The frame for a JSON file: unit = (original + unit_offset) * unit_scale.

    Not `scale` and `offset`, which instant-ngp takes for a change of its own.
    """
    return {"unit_scale": float(row["scale"]), "unit_offset": np.asarray(row["offset"], np.float64).tolist()}


def picture_path(root: Path, document_path: Path, frame: Mapping[str, Any], key: str, suffix: str = "") -> Path:
    """The file that a frame names under a key, beside the document; with `suffix` where the name has none.

    Raises:
        DataError: it names none, or one that is not below `root`.
    """
    name = frame.get(key)
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{document_path}, {key}: expected the path of a picture, found {name!r}.")
    if not name.lower().endswith(SUFFIXES):
        name += suffix
    return below(root, *document_path.parent.relative_to(root).parts, name)


def clear_pictures(folder: Path, pattern: str) -> None:
    """Nothing; removes pictures of an earlier export, which a loader that lists the folder would take for views."""
    for path in folder.glob(pattern):
        path.unlink()
