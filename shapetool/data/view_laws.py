"""What must hold for the views of one shape whatever the mesh was; cheap checks that need no mesh.

Everything but colour, alpha and silhouette is of the one ray through the middle of a pixel, so these channels agree
about what is hit, and each follows from depth, normal and camera. Cameras are worked out here anew, from the
conventions: camera-to-world poses, x right, y up, looking along -z, the middle of the first pixel at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from shapetool.geometry.wording import plural

RIGID = 1e-6  # as in shapetool.render.cameras
ROUNDED = 8 * float(np.finfo(np.float32).eps)  # of numbers that were stored as float32, and what is made of them
CLEAR = 9  # pixels along the side of a square that thin things cannot fill

Rows = dict[str, np.ndarray]


def view_problems(row: Mapping[str, Any], *, recipe: Mapping[str, Any]) -> list[str]:
    """One sentence for each law of views that the record of a shape breaks; `recipe` is that of the shard.

    Cameras come first: where one is broken, the images are not judged. A recipe without `samples`, of imported views,
    may have had several.
    """
    problems = [] if float(row["scale"]) > 0 else [f"scale is {float(row['scale'])}, expected a positive number"]
    cameras = _camera_problems(np.asarray(row["intrinsics"]), np.asarray(row["pose"]))
    if cameras:
        return problems + cameras
    images = [name for name in row if np.ndim(row[name]) >= 3 and name not in ("intrinsics", "pose")]
    found: dict[str, list[int]] = {}
    for number in range(len(row["pose"])):
        view = {name: np.asarray(row[name][number]) for name in images}
        camera = np.asarray(row["intrinsics"][number]), np.asarray(row["pose"][number])
        for problem in _view_problems(view, camera, recipe):
            found.setdefault(problem, []).append(number)
    return problems + [
        f"{text}: {plural(len(views), 'view')}, the first is {views[0]}" for text, views in found.items()
    ]


def _camera_problems(intrinsics: Float[np.ndarray, "N 3 3"], pose: Float[np.ndarray, "N 4 4"]) -> list[str]:
    """A sentence for each way in which some of the cameras are none."""
    rotation = pose[:, :3, :3]
    off = np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max(axis=(1, 2), initial=0)
    last = np.abs(pose[:, 3] - [0, 0, 0, 1]).max(axis=1, initial=0)
    focal = intrinsics[:, [0, 1], [0, 1]]
    rest = np.abs(intrinsics[:, [1, 2, 2, 2], [0, 0, 1, 2]] - [0, 0, 0, 1]).max(axis=1, initial=0)
    kinds = {
        "pose is not rigid": (off > RIGID) | (last > RIGID),
        "pose is left-handed, so its image is mirrored": (off <= RIGID) & (np.linalg.det(rotation) < 0),
        "intrinsics are not [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]": (focal <= 0).any(axis=1) | (rest != 0),
    }
    return [f"camera {int(np.flatnonzero(bad)[0])}: its {text}" for text, bad in kinds.items() if bad.any()]


def _view_problems(
    view: Rows, camera: tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]], recipe: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with the images of one camera."""
    flat, clear = recipe.get("projection") == "orthographic", recipe.get("background") == "transparent"
    if any((view[name] < 0).any() for name in ("depth", "ray_length") if name in view):
        yield "depth is below 0"
    if "face" in view and (view["face"] < -1).any():
        yield "a face has a number below -1"
    hits = {
        name: view[name] > (-1 if name == "face" else 0) for name in ("depth", "ray_length", "face") if name in view
    }
    names = list(hits)
    for name in names[1:]:
        if not np.array_equal(hits[name], hits[names[0]]):
            yield f"{names[0]} and {name} disagree about what is hit"
            return
    hit = hits[names[0]] if names else None
    directions, origins = _rays(next(iter(view.values())).shape[:2], camera, flat)
    yield from _normal_problems(view, hit, directions, camera[1][:3, :3])
    if "depth" in view:
        depth = view["depth"].astype(np.float64)[..., None]
        slack = ROUNDED * (np.abs(camera[1][:3, 3]).max() + float(depth.max(initial=0)) + 1)
        if "coordinates" in view:
            points = np.where(depth > 0, origins + depth * directions, 0.0)
            if np.abs(points - view["coordinates"]).max(initial=0) > 2 * slack * np.abs(directions).max():
                yield "coordinates are not where the depth leads"
        if "ray_length" in view:
            length = depth[..., 0] * np.linalg.norm(directions, axis=-1)
            if (np.abs(length - view["ray_length"]) > ROUNDED * length).any():
                yield "the length along the ray is not that of the depth"
    if clear and "alpha" in view and "images" in view and view["images"][view["alpha"] == 0].any():
        yield "there is colour where nothing covers the pixel"
    if "silhouette" in view and hit is not None:
        yield from _silhouette_problems(view, hit, int(recipe.get("samples", 2)))


def _rays(
    size: tuple[int, ...], camera: tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]], flat: bool
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W 3"]]:
    """The directions of the rays through the middles of the pixels, of depth 1, and where they begin."""
    matrix, pose = camera
    v, u = np.mgrid[: size[0], : size[1]] + 0.5
    y = (v - matrix[1, 2]) / matrix[1, 1]
    x = (u - matrix[0, 2] - matrix[0, 1] * y) / matrix[0, 0]
    right, up, back, place = (pose[:3, column] for column in range(4))
    across = x[..., None] * right - y[..., None] * up
    if flat:
        return np.broadcast_to(-back, across.shape), place + across
    return across - back, np.broadcast_to(place, across.shape)


def _normal_problems(
    view: Rows,
    hit: Bool[np.ndarray, "H W"] | None,
    directions: Float[np.ndarray, "H W 3"],
    rotation: Float[np.ndarray, "3 3"],
) -> Iterator[str]:
    """What is wrong with the normals of one camera."""
    for name in ("normals", "camera_normals"):
        if name not in view:
            continue
        normals = view[name].astype(np.float64)
        length = np.linalg.norm(normals, axis=-1)
        there = length > 0 if hit is None else hit
        if (np.abs(length - there) > 1e-3).any():
            yield f"{name} are not of length 1 where something is hit and 0 elsewhere"
        turned = normals if name == "normals" else normals @ rotation.T
        if ((turned * directions).sum(axis=-1) > 1e-4 * np.linalg.norm(directions, axis=-1)).any():
            yield f"{name} are turned away from the camera"
    if "normals" in view and "camera_normals" in view:
        off = np.abs(view["normals"].astype(np.float64) @ rotation - view["camera_normals"]).max(initial=0)
        if off > 1e-5:
            yield "normals and camera_normals are not the same directions"


def _silhouette_problems(view: Rows, hit: Bool[np.ndarray, "H W"], samples: int) -> Iterator[str]:
    """What is wrong between the silhouette and what the middles of the pixels hit.

    With several rays a pixel they differ where the shape ends inside a pixel; but a pixel whose eight neighbours hit
    the same face is covered, for triangles are convex, and nothing thin fills a large square and misses all centres.
    """
    silhouette = view["silhouette"]
    if samples == 1:
        if not np.array_equal(silhouette, hit):
            yield "the silhouette is not where something is hit"
        return
    if "face" in view and min(hit.shape) >= 3:
        faces, inner = view["face"], hit[1:-1, 1:-1].copy()
        for y in range(3):
            for x in range(3):
                inner &= faces[y : y + inner.shape[0], x : x + inner.shape[1]] == faces[1:-1, 1:-1]
        if (inner & ~silhouette[1:-1, 1:-1]).any():
            yield "the silhouette has a hole inside of a face"
    if (_full(silhouette) & ~_full(hit, any_of_them=True)).any():
        yield "the silhouette is where nothing is hit"
    if (_full(hit) & ~_full(silhouette, any_of_them=True)).any():
        yield "the silhouette is empty where something is hit"


def _full(image: Bool[np.ndarray, "H W"], any_of_them: bool = False) -> Bool[np.ndarray, "H1 W1"]:
    """Whether each square of CLEAR pixels is all true, or any of it."""
    if min(image.shape) < CLEAR:
        return np.zeros((0, 0), dtype=bool)
    total = np.zeros((image.shape[0] + 1, image.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = image.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    counts = total[CLEAR:, CLEAR:] - total[:-CLEAR, CLEAR:] - total[CLEAR:, :-CLEAR] + total[:-CLEAR, :-CLEAR]
    found: np.ndarray = counts > 0 if any_of_them else counts == CLEAR**2
    return found
