"""The layout of Choy's renderings of ShapeNet, which R2N2, Pixel2Mesh, ONet and DISN read: a folder a shape.

`<class>/<name>/rendering/00.png`, RGBA and not premultiplied; `renderings.txt`, the names of these; and
`rendering_metadata.txt`, a line a view: azimuth and elevation in degrees, rotation in the plane (0), distance as a
ratio of 1.75, and a field of view of 25 degrees, which is nominal: the images have a lens of 35 mm before a sensor of
32 mm, a focal length of 35/32 of the width, 49.13 degrees.

Every camera looks at the origin with y upwards. Azimuth 0 is +x and 90 is +z: clockwise seen from above. The middle of
the first pixel is at (0.5, 0.5). Angles and ratios are written with every digit.

Lost on the way out: the frame, colours behind what is covered, and every channel but colour and opacity; cameras that
do not look at the origin upright, or have another lens, are refused.

Source: Choy et al., 3D-R2N2, ECCV 2016; the lens is that of its renderer, restated by Occupancy Networks.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.formats.pictures import picture_head, png_bytes, read_picture
from shapetool.data.formats.places import below, put
from shapetool.data.formats.view_rows import (
    ALIKE,
    ViewSizes,
    clear_pictures,
    colours_of,
    gathered,
    one_lens,
    place_of,
    view_columns,
)
from shapetool.data.outside import plain_file
from shapetool.errors import DataError

KINDS = ("views",)
FRAMES = {"diagonal": 1.0}
ORDERED = False
SHARED = False
NEEDS = ("images", "alpha")
FOLDER, NAMES, MAIN = "rendering", "renderings.txt", "rendering_metadata.txt"
FARTHEST = 1.75
LENS = 35 / 32
NOMINAL = 25
UPRIGHT = 1e-6  # how far a pose may be from the one that its angles say


def find(root: Path) -> list[tuple[str, Path]]:
    """The shapes below `root`: id and main file."""
    found = [path for path in root.rglob(MAIN) if path.is_file() and path.parent.name == FOLDER]
    return sorted(
        (path.parent.parent.relative_to(root).as_posix(), path) for path in found if path.parent != root / FOLDER
    )


def sizes(path: Path, root: Path) -> ViewSizes:
    """What a shape holds, from its metadata and the head of the first picture.

    Raises:
        DataError: the files are not of this layout.
    """
    names = _names(path, len(_metadata(path)))
    height, width, content = picture_head(below(path.parent, names[0]))
    return ViewSizes(len(names), height, width, ("images", "alpha") if content == "opacity" else ("images",))


def read(path: Path, root: Path) -> dict[str, Any]:
    """The columns of the shape whose metadata are at `path`. Its frame is not known and taken as no change.

    Raises:
        DataError: a file is missing or not of this layout.
    """
    views = _metadata(path)
    places = [below(path.parent, name) for name in _names(path, len(views))]
    height, width, content = picture_head(places[0])
    if height != width or content == "grey":
        raise DataError(f"{places[0]}: expected a square picture in colours, found {height}x{width} of {content}.")
    pictures = [read_picture(place, (height, width), (content,)) for place in places]
    lens = np.array([[LENS * width, 0, width / 2], [0, LENS * width, height / 2], [0, 0, 1]])
    pose = np.stack([_pose(azimuth, elevation, ratio) for azimuth, elevation, ratio in views])
    return view_columns(1.0, np.zeros(3), np.tile(lens, (len(views), 1, 1)), pose, **gathered(pictures))


def _metadata(path: Path) -> list[tuple[float, float, float]]:
    """Azimuth, elevation and ratio of each view."""
    try:
        lines = plain_file(path).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected lines of five numbers, but: {error}.") from error
    views = []
    for number, line in enumerate(lines):
        try:
            azimuth, elevation, turned, ratio, _ = (float(word) for word in line.split())
        except ValueError as error:
            raise DataError(f"{path}, line {number + 1}: expected five numbers, found {line[:60]!r}.") from error
        if turned or not (ratio > 0 and np.isfinite([azimuth, elevation, ratio]).all()):
            raise DataError(
                f"{path}, line {number + 1}: expected finite angles, no rotation in the plane and a ratio above 0, "
                f"found {line[:60]!r}."
            )
        views.append((azimuth, elevation, ratio))
    if not views:
        raise DataError(f"{path}: expected a line for each view, found none.")
    return views


def _names(path: Path, count: int) -> list[str]:
    """The pictures, by the list of names or, where that is missing, by number."""
    listed = plain_file(below(path.parent, NAMES))
    if not listed.exists():
        return [f"{view:02d}.png" for view in range(count)]
    names = listed.read_text(encoding="utf-8", errors="replace").split()
    if len(names) != count:
        raise DataError(f"{path}: expected {len(names)} lines, as {NAMES} has names, found {count}.")
    return names


def _pose(azimuth: float, elevation: float, ratio: float) -> Any:
    a, e = math.radians(azimuth), math.radians(elevation)
    back = np.array([math.cos(e) * math.cos(a), math.sin(e), math.cos(e) * math.sin(a)])
    right = np.array([math.sin(a), 0, -math.cos(a)])
    pose = np.eye(4)
    pose[:3, :4] = np.column_stack([right, np.cross(back, right), back, ratio * FARTHEST * back])
    return pose


def files(root: Path, shape_id: str) -> list[Path]:
    """The first picture of a shape, the names and, last, the metadata: where those are, the others are.

    Raises:
        DataError: the id is no path below `root`.
    """
    return [place_of(root, shape_id, FOLDER, name) for name in ("00.png", NAMES, MAIN)]


def write(root: Path, row: Mapping[str, Any]) -> None:
    """None, once the files of a shape are written.

    Raises:
        DataError: the id is no path below `root`, or its cameras are none that angles and a ratio describe.
        OSError: they cannot be written.
    """
    first, names, main = files(root, row["shape_id"])
    angles = [_angles(row, view) for view in range(len(row["pose"]))]
    focal = one_lens(row, "r2n2")
    height, width = row["images"].shape[1:3]
    if height != width or abs(focal - LENS * width) > ALIKE * focal:
        raise DataError(
            f"{row['shape_id']}: r2n2 has square images with a focal length of {LENS} of the width, found "
            f"{height}x{width} with {focal / width:.6g}. Render with --cameras r2n2."
        )
    clear_pictures(first.parent, "[0-9]*.png")
    for view, picture in enumerate(colours_of(row)):
        put(first.with_name(f"{view:02d}.png"), png_bytes(picture))
    put(names, "".join(f"{view:02d}.png\n" for view in range(len(angles))).encode())
    put(main, "".join(f"{a!r} {e!r} 0 {ratio!r} {NOMINAL}\n" for a, e, ratio in angles).encode())


def _angles(row: Mapping[str, Any], view: int) -> tuple[float, float, float]:
    """Azimuth, elevation and ratio of a camera that looks at the origin, y upwards."""
    pose = row["pose"][view]
    x, y, z = pose[:3, 3].tolist()
    distance = math.sqrt(x * x + y * y + z * z)
    if distance == 0:
        raise DataError(f"{row['shape_id']}, camera {view}: r2n2 looks at the origin, found a camera there.")
    azimuth, elevation = (
        math.degrees(math.atan2(z, x)) % 360,
        math.degrees(math.asin(max(-1.0, min(1.0, y / distance)))),
    )
    off = float(np.abs(_pose(azimuth, elevation, distance / FARTHEST) - pose).max())
    if off > UPRIGHT * max(1.0, distance):
        raise DataError(
            f"{row['shape_id']}, camera {view}: r2n2 holds cameras that look at the origin with y upwards, found one "
            f"that is off by {off:.2g}. Render with --cameras r2n2 --up y."
        )
    return azimuth, elevation, distance / FARTHEST


def finish(root: Path, splits: Mapping[str, Iterable[str]], source: Path) -> None:
    """None: no file is about all shapes."""
