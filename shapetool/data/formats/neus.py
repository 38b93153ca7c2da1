"""The layout of NeuS and IDR: a folder a shape.

`<id>/image/000.png`, RGB over the background, or over white where there is none; `mask/000.png`, white where the shape
is; and `cameras_sphere.npz` with, for view i, `world_mat_i` (4, 4) = K [R|t], from the original frame to pixels with
OpenCV axes (x right, y down, z forwards), and `scale_mat_i` (4, 4), from the unit frame to the original one. So
`world_mat_i @ scale_mat_i` projects points of the unit frame, and cameras taken from it, as its loader takes them, are
those of the unit frame.

Its rays go through whole numbers: the middle of the first pixel is at (0, 0), as in OpenCV. So the principal point of K
is half a pixel less than in a shard, and rays are the same.

Lost on the way out: opacity, depth, normals and the other channels, source, watertight.

Source: Wang et al., NeuS, NeurIPS 2021; Yariv et al., IDR, NeurIPS 2020; and the released code.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.npz import Key, npz_keys, read_npz, write_npz
from shapetool.data.formats.pictures import over, picture_head, png_bytes, read_picture
from shapetool.data.formats.places import put
from shapetool.data.formats.view_rows import (
    FLIP,
    ViewSizes,
    clear_pictures,
    colours_of,
    id_of,
    mask_of,
    perspective,
    place_of,
    view_columns,
)
from shapetool.errors import DataError

KINDS = ("views",)
FRAMES = dict.fromkeys(("sphere", "box", "diagonal", "centroid"))
ORDERED = False
SHARED = False
NEEDS = ("images",)
MAIN = "cameras_sphere.npz"
HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
_MATRIX = Key("f", (4, 4))


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    return sorted((id_of(root, path.parent), path) for path in root.rglob(MAIN) if path.is_file())


def sizes(path: Path, root: Path) -> ViewSizes:
    """What a shape holds, from the names of its matrices and the head of the first picture.

    Raises:
        DataError: the files are not of this layout.
    """
    count = _count(path)
    height, width, _ = picture_head(_pictures(path, "image", count)[0])
    more = ("silhouette",) if path.with_name("mask").is_dir() else ()
    return ViewSizes(count, height, width, ("images", *more))


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose cameras are at `path`.

    Raises:
        DataError: a file is missing or not of this layout.
    """
    count = _count(path)
    found = read_npz(path, {f"{name}_{view}": _MATRIX for view in range(count) for name in ("world_mat", "scale_mat")})
    scales = [found[f"scale_mat_{view}"].astype(np.float64) for view in range(count)]
    scale, offset = _similarity(path, scales)
    lenses, poses = [], []
    for view in range(count):
        lens, pose = _decomposed(path, view, found[f"world_mat_{view}"].astype(np.float64) @ scales[view])
        lenses.append(lens + HALF)
        poses.append(pose)
    images = _pictures(path, "image", count)
    height, width, content = picture_head(images[0])
    if content == "grey":
        raise DataError(f"{images[0]}: expected colours, found grey.")
    pixels = np.stack([read_picture(place, (height, width), (content,))[..., :3] for place in images])
    channels = {"images": pixels}
    if path.with_name("mask").is_dir():
        masks = [_mask(place, (height, width)) for place in _pictures(path, "mask", count)]
        channels["silhouette"] = np.stack(masks)
    return view_columns(scale, offset, np.stack(lenses), np.stack(poses), **channels)


def _count(path: Path) -> int:
    keys = npz_keys(path)
    count = sum(key.startswith("world_mat_") and key[len("world_mat_") :].isdigit() for key in keys)
    if not count:
        raise DataError(f"{path}: expected the keys world_mat_0 and on, found none. Is it of this layout?")
    return count


def _pictures(path: Path, folder: str, count: int) -> list[Path]:
    """The pictures of a folder in the order of their names, as many as there are cameras."""
    found = sorted(place for place in path.with_name(folder).glob("*.png") if place.is_file())
    if len(found) != count:
        raise DataError(f"{path.with_name(folder)}: expected {count} PNG files, one a camera, found {len(found)}.")
    if any(not place.resolve().is_relative_to(path.parent.resolve()) for place in found):
        raise DataError(f"{path.with_name(folder)}: refused, for a symbolic link leads out of it. Copy the files.")
    return found


def _mask(place: Path, size: tuple[int, int]) -> Any:
    pixels = read_picture(place, size, ("grey", "colour", "opacity"))
    return (pixels if pixels.ndim == 2 else pixels[..., 0]) > 127


def _similarity(path: Path, scales: list[Any]) -> tuple[float, Any]:
    """Scale and offset of the unit frame."""
    first = scales[0]
    wanted = np.eye(4) * [first[0, 0], first[0, 0], first[0, 0], 1]
    wanted[:3, 3] = first[:3, 3]
    if not all(np.allclose(matrix, wanted, rtol=1e-6, atol=0) for matrix in scales) or not first[0, 0] > 0:
        raise DataError(f"{path}, scale_mat: expected the same scale and shift for every view, found {first.tolist()}.")
    return float(1 / first[0, 0]), -first[:3, 3]


def _decomposed(path: Path, view: int, matrix: Any) -> tuple[Any, Any]:
    """Intrinsics and pose of a projection: the upper triangle and the rotation whose product is its left part."""
    left = matrix[:3, :3]
    if not (np.isfinite(matrix).all() and abs(np.linalg.det(left)) > 0):
        raise DataError(f"{path}, world_mat_{view}: expected a projection of rank 3, found {matrix.tolist()}.")
    orthogonal, triangle = np.linalg.qr(left[::-1].T)
    lens, rotation = triangle.T[::-1, ::-1], orthogonal.T[::-1]
    signs = np.sign(np.diag(lens))
    lens, rotation = lens * signs, signs[:, None] * rotation
    if np.linalg.det(rotation) < 0:  # the sign of a projection means nothing
        rotation = -rotation
    pose = np.eye(4)
    pose[:3, :3] = rotation.T @ FLIP
    pose[:3, 3] = -np.linalg.solve(left, matrix[:3, 3])
    return np.triu(lens / lens[2, 2]), pose


def files(root: Path, shape_id: str) -> list[Path]:
    """The first pictures of a shape and, last, its cameras: where those are, the others are.

    Raises:
        DataError: the id is no path below `root`.
    """
    names = (("image", "000.png"), ("mask", "000.png"), (MAIN,))
    return [place_of(root, shape_id, *parts) for parts in names]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: the id is no path below `root`, its cameras are orthographic, or nothing says where the shape is.
        OSError: they cannot be written.
    """
    image, mask, main = files(root, row["shape_id"])
    lenses, masks = perspective(row, "neus"), mask_of(row)
    if masks is None:
        raise DataError(
            f"{row['shape_id']}: neus needs masks, found neither silhouette nor alpha. Render with --channels "
            "rgb,silhouette."
        )
    to_original = np.eye(4)
    to_original[:3] = np.column_stack([np.eye(3) / row["scale"], -np.asarray(row["offset"], np.float64)])
    matrices: dict[str, Any] = {}
    shown = row["images"]
    if row["recipe"].get("background") == "transparent":  # it has no opacity, so something must be behind
        shown = (over(pixels, "white")[0] for pixels in colours_of(row))
    for first, pictures in ((image, shown), (mask, masks.astype(np.uint8) * 255)):
        clear_pictures(first.parent, "[0-9]*.png")
        for view, picture in enumerate(pictures):
            put(first.with_name(f"{view:03d}.png"), png_bytes(picture))
    for view, (lens, pose) in enumerate(zip(lenses, row["pose"], strict=True)):
        rotation = FLIP @ pose[:3, :3].T
        position = pose[:3, 3] / row["scale"] - row["offset"]
        world = np.eye(4)
        world[:3] = (lens - HALF) @ np.column_stack([rotation, -rotation @ position])
        matrices |= {f"world_mat_{view}": world, f"scale_mat_{view}": to_original}
    write_npz(main, matrices)


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None: no file is about all shapes."""
