"""The laws of views, on images of a sphere that are worked out by hand: true ones pass, and each fault is noticed."""

from collections.abc import Callable

import h5py
import numpy as np
import pytest

from shapetool.data.shards import build_shard, open_dataset, publish
from shapetool.data.verify import verify
from shapetool.data.view_laws import view_problems

SIZE = 40, 48
RADIUS, FOCAL = 0.7, 50.0
Row = dict[str, np.ndarray]


def sphere_views(flat: bool = False) -> Row:
    """Two views of a sphere about the origin, from z = 3 and from x = 3, by the quadratic equation."""
    height, width = SIZE
    front, side = np.eye(4), np.eye(4)
    front[:3, 3] = [0, 0, 3]
    side[:3] = [[0, 0, 1, 3], [0, 1, 0, 0], [-1, 0, 0, 0]]
    focal = 25.0 if flat else FOCAL
    matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    row: Row = {"scale": np.float64(1.0), "intrinsics": np.stack([matrix] * 2), "pose": np.stack([front, side])}
    views = [_sphere(pose, focal, flat) for pose in row["pose"]]
    return row | {name: np.stack([view[name] for view in views]) for name in views[0]}


def _sphere(pose: np.ndarray, focal: float, flat: bool) -> Row:
    height, width = SIZE
    x = (np.arange(width) + 0.5 - width / 2)[None, :] / focal * np.ones((height, 1))
    y = (height / 2 - np.arange(height) - 0.5)[:, None] / focal * np.ones((1, width))
    local = np.stack([x, y, -np.ones_like(x)], axis=-1)
    start = np.stack([x, y, np.zeros_like(x)], axis=-1) if flat else np.zeros_like(local)
    heading = np.broadcast_to([0.0, 0.0, -1.0], local.shape) if flat else local
    directions, origins = heading @ pose[:3, :3].T, start @ pose[:3, :3].T + pose[:3, 3]
    a, b = (directions**2).sum(axis=-1), (directions * origins).sum(axis=-1)
    root = b**2 - a * ((origins**2).sum(axis=-1) - RADIUS**2)
    hit = root > 0
    depth = np.where(hit, (-b - np.sqrt(np.maximum(root, 0))) / a, 0.0)
    points = np.where(hit[..., None], origins + depth[..., None] * directions, 0.0)
    return {
        "images": np.zeros((*SIZE, 3), np.uint8),
        "depth": depth.astype("f4"),
        "ray_length": (depth * np.sqrt(a)).astype("f4"),
        "normals": (points / RADIUS).astype("f4"),
        "camera_normals": (points / RADIUS @ pose[:3, :3]).astype("f4"),
        "silhouette": hit,
        "face": np.where(hit, 0, -1).astype("i4"),
        "coordinates": points.astype("f4"),
    }


def broken(change: Callable[[Row], object], flat: bool = False, samples: int = 3) -> list[str]:
    row = sphere_views(flat)
    change(row)
    return view_problems(row, recipe={"projection": "orthographic" if flat else "perspective", "samples": samples})


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("flat", [False, True])
def test_true_views_break_no_law(flat: bool, samples: int) -> None:
    row = sphere_views(flat)
    assert 200 < np.count_nonzero(row["depth"][0]) < row["depth"][0].size  # there is something to judge
    assert broken(lambda row: None, flat, samples) == []


def _scale(row: Row, name: str, by: float) -> None:
    row[name] *= np.float32(by)


def _mirror(row: Row) -> None:
    row["pose"][1, :3, 0] *= -1


def _swap(row: Row) -> None:
    for name in ("normals", "coordinates"):
        row[name][:] = row[name][..., [0, 2, 1]]


def _hole(row: Row) -> None:
    row["silhouette"][0, 20, 24] = False


def _blank(row: Row) -> None:
    row["silhouette"][:] = False
    del row["face"]


def _full(row: Row) -> None:
    row["silhouette"][0, :, :10] = True


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_mirror, "camera 1: its pose is left-handed"),
        (lambda row: _scale(row, "pose", 1.01), "camera 0: its pose is not rigid"),
        (lambda row: row["intrinsics"].__setitem__((1, 0, 0), -3), "camera 1: its intrinsics"),
        (lambda row: row.__setitem__("scale", np.float64(0)), "scale is 0"),
        (lambda row: _scale(row, "depth", 1.0001), "coordinates are not where the depth leads"),
        (lambda row: _scale(row, "ray_length", 1.0001), "the length along the ray"),
        (lambda row: _scale(row, "depth", -1), "depth is below 0"),
        (lambda row: _scale(row, "normals", 1.01), "normals are not of length 1"),
        (lambda row: _scale(row, "normals", -1), "normals are turned away"),
        (lambda row: _scale(row, "camera_normals", -1), "camera_normals are turned away"),
        (_swap, "coordinates are not where the depth leads"),
        (_swap, "normals and camera_normals are not the same"),
        (lambda row: row["face"].__setitem__((0, 20, 24), -1), "disagree about what is hit"),
        (lambda row: row["face"].__setitem__((0, 0, 0), -2), "a number below -1"),
        (_hole, "a hole inside of a face"),
        (_blank, "empty where something is hit"),
        (_full, "where nothing is hit"),
    ],
)
def test_each_law_notices_what_it_is_for(change: Callable[[Row], object], word: str) -> None:
    assert any(word in problem for problem in broken(change))


@pytest.mark.parametrize("change", [_hole, _full])
def test_with_one_ray_a_pixel_the_silhouette_is_what_is_hit(change: Callable[[Row], object]) -> None:
    assert broken(change, samples=1) == ["the silhouette is not where something is hit: 1 view, the first is 0"]


def test_straight_colours_are_black_where_nothing_is() -> None:
    row = sphere_views()
    row["alpha"] = np.where(row["silhouette"], 255, 0).astype(np.uint8)
    row["images"][:] = np.where(row["silhouette"][..., None], 90, 0)
    recipe = {"samples": 3, "background": "transparent"}
    assert view_problems(row, recipe=recipe) == []
    row["images"][1, 0, 0] = 1
    found = view_problems(row, recipe=recipe)
    assert found == ["there is colour where nothing covers the pixel: 1 view, the first is 1"]


def test_cameras_of_the_other_projection_do_not_fit() -> None:
    assert view_problems(sphere_views(), recipe={"projection": "orthographic", "samples": 3}) != []


def test_a_shard_of_views_is_read_a_view_at_a_time_and_verified(tmp_path) -> None:
    row = {name: [values] for name, values in sphere_views().items()}
    names = {"shape_id": ["a"], "source": ["a.obj"], "offset": [np.zeros(3)], "watertight": [True]}
    whole = build_shard(
        "views", {"projection": "perspective", "samples": 3}, 0, row | names | {"sign_method": ["none"]}
    )
    publish(tmp_path / "v.h5", whole)
    assert verify(tmp_path / "v.h5") == []
    dataset = open_dataset(tmp_path / "v.h5")
    np.testing.assert_array_equal(dataset.read(0, "depth", slice(1, 2)), row["depth"][0][1:])
    with h5py.File(tmp_path / "v.h5", locking=False) as file:
        assert file["images"].chunks == (1, 1, *SIZE, 3)
        assert file["depth"].chunks == (1, 1, *SIZE)
    row["depth"][0][1] *= np.float32(1.01)
    publish(tmp_path / "w.h5", build_shard("views", {"samples": 3}, 0, row | names | {"sign_method": ["none"]}))
    assert any("coordinates" in finding.problem for finding in verify(tmp_path / "w.h5"))
