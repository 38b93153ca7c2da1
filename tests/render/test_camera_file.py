"""Files of cameras: what they hold is read to the bit, and what is no camera is refused with its row."""

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.render.camera_file import cameras_text, read_cameras
from shapetool.render.cameras import Cameras, look_at, pinhole

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
TURNED = [[0, 0, 1, 3], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
STRAIGHT = np.eye(4).tolist()
LENS = [[50, 0, 32], [0, 50, 24], [0, 0, 1]]


def own(**changes: object) -> dict:
    views = [{"intrinsics": LENS, "pose": STRAIGHT}, {"intrinsics": LENS, "pose": TURNED}]
    return copy.deepcopy({"size": [48, 64], "views": views} | changes)


def written(folder: Path, document: object) -> Path:
    path = folder / "cameras.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_the_example_of_the_page_is_read(tmp_path: Path) -> None:
    text = re.search(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert text is not None
    cameras = read_cameras(written(tmp_path, text[1]))
    assert cameras.size == (480, 640)
    np.testing.assert_array_equal(cameras.positions, [[0, 0, 2]])
    pixels, depth = cameras.project(np.array([[0.0, 0.0, 0.0], [0.2, 0.1, 0.0]]), 0)
    np.testing.assert_allclose(pixels, [[320, 240], [320 + 60, 240 - 30]])
    np.testing.assert_allclose(depth, 2)


def test_the_list_may_be_called_cameras(tmp_path: Path) -> None:
    document = own()
    expected = read_cameras(written(tmp_path, document))
    document["cameras"] = document.pop("views")
    np.testing.assert_array_equal(read_cameras(written(tmp_path, document)).pose, expected.pose)


@pytest.mark.parametrize("flat", [False, True])
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, flat: bool) -> None:
    places = np.random.default_rng(0).standard_normal((5, 3))
    cameras = Cameras((30, 40), np.tile(pinhole(31.7, (30, 40)), (5, 1, 1)), look_at(places), flat)
    found = read_cameras(written(tmp_path, cameras_text(cameras)))
    assert (found.size, found.orthographic) == ((30, 40), flat)
    np.testing.assert_array_equal(found.pose, cameras.pose)
    np.testing.assert_array_equal(found.intrinsics, cameras.intrinsics)


def test_transforms_of_nerf_and_nerfstudio_are_read(tmp_path: Path) -> None:
    angle = 2 * math.atan(0.5)
    nerf = {"camera_angle_x": angle, "frames": [{"file_path": "a", "transform_matrix": TURNED}]}
    cameras = read_cameras(written(tmp_path, nerf))
    assert cameras.size == (800, 800)
    np.testing.assert_allclose(cameras.intrinsics[0], [[800, 0, 400], [0, 800, 400], [0, 0, 1]])
    np.testing.assert_array_equal(cameras.pose[0], TURNED)
    frames = [{"transform_matrix": TURNED}, {"transform_matrix": STRAIGHT, "fl_x": 70, "fl_y": 71, "cx": 30}]
    studio = {"fl_x": 60, "fl_y": 61, "cx": 33, "cy": 22, "w": 64, "h": 48, "k1": 0.0, "frames": frames}
    cameras = read_cameras(written(tmp_path, studio))
    assert cameras.size == (48, 64)
    np.testing.assert_array_equal(cameras.intrinsics[0], [[60, 0, 33], [0, 61, 22], [0, 0, 1]])
    np.testing.assert_array_equal(cameras.intrinsics[1], [[70, 0, 30], [0, 71, 22], [0, 0, 1]])


def second(**changes: object) -> dict:
    document = own()
    document["views"][1].update(changes)
    return document


MIRRORED = [[0, 0, -1, 3], *TURNED[1:]]
SCALED = [[0, 0, 2, 3], *TURNED[1:]]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (second(pose=MIRRORED), "camera 1: expected a right-handed pose"),
        (second(pose=SCALED), "camera 1: expected a rotation"),
        (second(pose=TURNED[:3]), r"camera 1: expected pose of 4 rows of 4 numbers, found the shape \(3, 4\)"),
        (second(pose=[1, [2]]), "camera 1: expected pose"),
        (second(pose=[["a"] * 4] * 4), "camera 1: expected pose"),
        (second(pose=[[float("nan")] * 4] * 4), "camera 1: expected a finite pose"),
        (second(intrinsics=[[0, 0, 1], *LENS[1:]]), "camera 1: expected finite intrinsics"),
        ({"size": [4, 4], "views": [{"pose": STRAIGHT}]}, "camera 0: expected intrinsics"),
        (own(views=[]), "at least one camera, found none"),
        (own(views=[3]), "camera 0: expected an object"),
        (own(size=[0, 5]), "pixels as height"),
        (own(size=[5, 1e9]), "pixels as width"),
        (own(size=[5, float("inf")]), "pixels as width"),
        (own(size=5), r"a size \[height, width\]"),
        (own(projection="fisheye"), "a projection perspective or orthographic"),
        ({"frames": []}, "at least one camera"),
        ({"frames": [{"transform_matrix": STRAIGHT}]}, "camera 0: expected fl_x or camera_angle_x"),
        ({"frames": [{"transform_matrix": STRAIGHT}], "fl_x": 5, "k2": 0.1}, "camera 0: expected a pinhole"),
        ({"frames": [{"transform_matrix": STRAIGHT}], "fl_x": 5, "camera_model": "FISHEYE"}, "expected a pinhole"),
        ({"frames": [{"transform_matrix": STRAIGHT}], "fl_x": "5"}, "camera 0: expected a number as fl_x"),
        ({"frames": [{"transform_matrix": STRAIGHT}], "camera_angle_x": 4}, "camera_angle_x in radians"),
        ([1], "expected cameras such as"),
        ({"views": {}}, "expected cameras such as"),
        ("{", "a JSON file of cameras, but"),
        ("[" * 100_000, "a JSON file of cameras, but"),
    ],
)
def test_what_is_no_camera_is_refused_with_the_file_and_the_row(tmp_path: Path, document: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        read_cameras(written(tmp_path, document))
    assert "cameras.json" in str(error.value)


def test_a_file_that_is_not_there_is_an_unknown_distribution(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected r2n2, sphere, hammersley or a JSON file"):
        read_cameras(tmp_path / "spheer")
