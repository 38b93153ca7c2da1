"""Golden tests of the layouts of views: files are read by the rules of each author's loader, written anew here.

The scene is three balls whose pictures are found by hand, so a loader that has the cameras finds each where it stands.
"""

import json
import math
import os

import numpy as np
import pytest
from PIL import Image
from scipy.linalg import null_space, rq
from scipy.spatial.transform import Rotation

from shapetool.data.formats import load_format
from shapetool.errors import DataError
from tests.data.formats.foreign import BALL, BALLS, pictures_of_balls, view_row

ID = "chair/1a2b"


def by_hand(row, view, point):
    """u and v in pixels from the upper left corner, and depth, of a point of the unit frame."""
    right, up, back, position = (row["pose"][view, :3, column] for column in range(4))
    x, y, depth = ((point - position) @ axis for axis in (right, up, -back))
    lens = row["intrinsics"][view]
    return lens[0, 0] * x / depth - lens[0, 1] * y / depth + lens[0, 2], lens[1, 2] - lens[1, 1] * y / depth, depth


def lenses_of_their_own():
    """The same scene in images that are not square, through a lens for each view that is not in the middle."""
    row = view_row(ID, size=(90, 120))
    for view in range(3):
        row["intrinsics"][view] = [[130 + 7 * view, 0, 55.5 + view], [0, 120 + 5 * view, 47.25 - view], [0, 0, 1]]
    return row | pictures_of_balls(row["intrinsics"], row["pose"], (90, 120))


def check_balls(row, view, project, colours, half=0.0):
    """Nothing; the balls stand where `project` puts them to 0.01 pixel, and their middle has their colour in 0..1.

    `half` is by how much the whole number of a pixel differs from the coordinate of its upper left corner.
    """
    found = 0
    for paint, centre in BALLS.items():
        wanted = by_hand(row, view, np.array(centre))
        np.testing.assert_allclose(project(np.array(centre)), np.array(wanted[:2]) - half, atol=0.01)
        u, v = math.floor(wanted[0]), math.floor(wanted[1])
        in_front = row["depth"][view, v, u] > wanted[2] - 2 * BALL
        if in_front:
            np.testing.assert_allclose(colours[v, u], np.array(paint) / 255, atol=1 / 255)
            found += 1
    assert found >= 2


def test_nerf_loads_images_poses_and_focal_and_casts_rays_through_whole_pixels(tmp_path):
    row = view_row(ID)
    load_format("nerf").write(tmp_path, row)
    base = str(tmp_path / "chair" / "1a2b")
    images, poses, counts = [], [], []
    for split in ("train", "val", "test"):
        with open(os.path.join(base, f"transforms_{split}.json")) as file:
            meta = json.load(file)
        loaded = [np.asarray(Image.open(os.path.join(base, f["file_path"] + ".png"))) for f in meta["frames"]]
        images.append((np.array(loaded) / 255.0).astype(np.float32))
        poses.append(np.array([f["transform_matrix"] for f in meta["frames"]]).astype(np.float32))
        counts.append(len(loaded))
    assert counts == [3, 1, 1]
    images, poses = np.concatenate(images), np.concatenate(poses)  # fails in the loader too where a list is empty
    assert images.shape == (5, 137, 137, 4)
    height, width = images.shape[1:3]
    focal = 0.5 * width / np.tan(0.5 * float(meta["camera_angle_x"]))
    white = images[..., :3] * images[..., 3:] + (1 - images[..., 3:])
    np.testing.assert_allclose(white[:3] * 255, row["images"], atol=0.51)
    for view in range(3):
        c2w = poses[view]

        def project(point, c2w=c2w):
            """Where (i, j) is at which its ray meets the point: dirs = ((i - W/2) / f, -(j - H/2) / f, -1)."""
            local = c2w[:3, :3].T @ (point - c2w[:3, 3])
            return focal * local[0] / -local[2] + width / 2, height / 2 - focal * local[1] / -local[2]

        # Its ray of pixel (i, j) goes through the coordinates (i, j), the corner of what the pixel shows: (i + 0.5,
        # j + 0.5) is its middle. In numbers of pixels the ball is half a pixel further than the picture has it.
        check_balls(row, view, project, white[view])
        i, j = 20, 101
        direction = c2w[:3, :3] @ [(i - width / 2) / focal, -(j - height / 2) / focal, -1]
        np.testing.assert_allclose(by_hand(row, view, c2w[:3, 3] + direction)[:2], (i, j), atol=1e-4)


@pytest.mark.parametrize("make", [lambda: view_row(ID), lenses_of_their_own], ids=["one lens", "lenses"])
def test_nerfstudio_loads_frames_depth_in_millimetres_and_masks(make, tmp_path):
    row = make()
    load_format("nerfstudio").write(tmp_path, row)
    base = tmp_path / "chair" / "1a2b"
    meta = json.loads((base / "transforms.json").read_text())
    assert meta["camera_model"] == "OPENCV"
    assert [name for name in ("k1", "k2", "p1", "p2") if name in meta] == []
    frames = [meta["frames"][index] for index in np.argsort([frame["file_path"] for frame in meta["frames"]])]
    assert len(frames) == 3
    for view, frame in enumerate(frames):
        words = {name: float(meta[name] if name in meta else frame[name]) for name in ("fl_x", "fl_y", "cx", "cy")}
        pixels = np.asarray(Image.open(base / frame["file_path"])) / 255.0
        assert pixels.shape == (int(meta["h"]), int(meta["w"]), 4)
        c2w = np.array(frame["transform_matrix"]).astype(np.float32)

        def project(point, c2w=c2w, words=words):
            local = c2w[:3, :3].T @ (point - c2w[:3, 3])
            return words["fl_x"] * local[0] / -local[2] + words["cx"], words["cy"] - words["fl_y"] * local[1] / -local[
                2
            ]

        check_balls(row, view, project, pixels[..., :3])
        stored = Image.open(base / frame["depth_file_path"])
        assert stored.mode == "I;16"
        depth = np.asarray(stored).astype(np.float64) * 1e-3
        np.testing.assert_array_equal(depth > 0, row["depth"][view] > 0)
        np.testing.assert_allclose(depth, row["depth"][view], atol=0.00051)  # half a millimetre, and float32
        mask = Image.open(base / frame["mask_path"])
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask) > 0, row["silhouette"][view])
        # Its rays go through the middles of pixels: (column + 0.5 - cx) / fl_x and so on, depth along the axis.
        v, u = np.argwhere(row["silhouette"][view])[40]
        local = np.array([(u + 0.5 - words["cx"]) / words["fl_x"], -(v + 0.5 - words["cy"]) / words["fl_y"], -1])
        point = c2w[:3, 3] + depth[v, u] * (c2w[:3, :3] @ local)
        surface = min(abs(np.linalg.norm(point - np.array(centre)) - BALL) for centre in BALLS.values())
        assert surface < 0.0012  # half a millimetre along a ray that grazes


def test_the_world_of_r2n2_in_the_reader_of_onet_is_ours(tmp_path):
    row = view_row(ID, views=24)
    load_format("r2n2").write(tmp_path, row)
    base = tmp_path / "chair" / "1a2b" / "rendering"
    names = (base / "renderings.txt").read_text().split()
    assert names == [f"{view:02d}.png" for view in range(24)]
    lines = (base / "rendering_metadata.txt").read_text().splitlines()
    table = np.array([[float(word) for word in line.split()] for line in lines])
    assert table.shape == (24, 5)
    assert (table[:, 0] >= 0).all()
    assert (table[:, 0] < 360).all()
    np.testing.assert_allclose(table[:, 1], np.degrees(np.arcsin(row["pose"][:, 1, 2])), atol=1e-9)
    np.testing.assert_array_equal(table[:, 2], 0)
    np.testing.assert_allclose(table[:, 3], np.linalg.norm(row["pose"][:, :3, 3], axis=1) / 1.75)
    np.testing.assert_array_equal(table[:, 4], 25)
    for view, (azimuth, elevation, _, ratio, _) in enumerate(table):
        # Its axes: the object turned by both angles backwards, then seen from (d, 0, 0), y and z of Blender's camera
        # turned round, and y up brought to the z up in which Choy rendered.
        turned = Rotation.from_euler("z", -azimuth, degrees=True) * Rotation.from_euler("y", -elevation, degrees=True)
        from_front = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
        opencv, upright = np.diag([1.0, -1, -1]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        world = opencv @ from_front @ turned.as_matrix().T @ upright
        shift = -opencv @ from_front @ [ratio * 1.75, 0, 0]
        lens = np.array([[35 * 137 / 32, 0, 137 / 2], [0, 35 * 137 / 32, 137 / 2], [0, 0, 1]])

        def project(point, world=world, shift=shift, lens=lens):
            pixel = lens @ (world @ point + shift)
            return pixel[:2] / pixel[2]

        pixels = np.asarray(Image.open(base / names[view]))
        assert pixels.shape == (137, 137, 4)
        check_balls(row, view, project, pixels[..., :3] / 255.0)


def test_the_camera_of_choys_renderer_stands_and_looks_as_ours(tmp_path):
    """Blender: a camera at (d, 0, 0) below an empty that is turned by minus each angle; .obj files get z up."""
    row = view_row(ID, views=5)
    load_format("r2n2").write(tmp_path, row)
    lines = (tmp_path / "chair" / "1a2b" / "rendering" / "rendering_metadata.txt").read_text().splitlines()
    for view, line in enumerate(lines):
        azimuth, elevation, yaw, ratio, _ = (float(word) for word in line.split())
        empty = Rotation.from_euler("xyz", [-yaw, -elevation, -azimuth], degrees=True)
        # The camera's own mode is ZXY with x 0, y 90 and z 90 degrees: about z first, then x, then y, axes that stay.
        axes = (empty * Rotation.from_euler("zxy", [90, 0, 90], degrees=True)).as_matrix()
        to_ours = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # (x, y, z) of Blender is (x, z, -y) with y up
        np.testing.assert_allclose(to_ours @ axes, row["pose"][view, :3, :3], atol=1e-9)
        np.testing.assert_allclose(to_ours @ empty.apply([ratio * 1.75, 0, 0]), row["pose"][view, :3, 3], atol=1e-9)


@pytest.mark.parametrize("make", [lambda: view_row(ID), lenses_of_their_own], ids=["one lens", "lenses"])
def test_neus_decomposes_its_projections_into_our_rays(make, tmp_path):
    row = make()
    load_format("neus").write(tmp_path, row)
    base = tmp_path / "chair" / "1a2b"
    cameras = np.load(base / "cameras_sphere.npz")
    images = sorted((base / "image").glob("*.png"))
    masks = sorted((base / "mask").glob("*.png"))
    assert len(images) == len(masks) == 3
    for view in range(3):
        world, scale = (cameras[f"{name}_mat_{view}"].astype(np.float32) for name in ("world", "scale"))
        assert world.shape == scale.shape == (4, 4)
        projection = (world @ scale)[:3, :4].astype(np.float64)
        lens, rotation = rq(projection[:, :3])
        signs = np.diag(np.sign(np.diag(lens)))
        lens, rotation = lens @ signs, signs @ rotation
        centre = null_space(projection)[:, 0]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation.T, centre[:3] / centre[3]
        assert np.linalg.det(pose) == pytest.approx(1, abs=1e-5)
        inverse = np.linalg.inv(lens / lens[2, 2])
        pixels, mask = (np.asarray(Image.open(path[view])) / 255.0 for path in (images, masks))
        assert pixels.shape == (*row["silhouette"].shape[1:], 3)
        np.testing.assert_array_equal(mask > 0.5, row["silhouette"][view])
        for x, y in ((0, 0), (17, 60), (119, 89)):
            ray = pose[:3, :3] @ (inverse @ [x, y, 1])
            # Whole numbers are the middles of pixels: ours have a half more. float32 leaves a thousandth of a pixel.
            np.testing.assert_allclose(by_hand(row, view, pose[:3, 3] + ray)[:2], (x + 0.5, y + 0.5), atol=0.01)

        def project(point, projection=projection):
            pixel = projection @ np.append(point, 1)
            return pixel[:2] / pixel[2]

        check_balls(row, view, project, pixels, half=0.5)
        # world_mat alone takes points of the original frame, and scale_mat leads there.
        original = np.array([0.3, 0, 0]) / row["scale"] - row["offset"]
        np.testing.assert_allclose((scale @ [0.3, 0, 0, 1])[:3], original, atol=1e-5)


REFUSED = {
    "another focal length": ("nerf r2n2", lambda row: row["intrinsics"].__setitem__((1, 0, 0), 200)),
    "off the middle": ("nerf r2n2", lambda row: row["intrinsics"].__setitem__((1, 0, 2), 60)),
    "skew": ("nerf r2n2 nerfstudio", lambda row: row["intrinsics"].__setitem__((1, 0, 1), 3)),
    "roll": ("r2n2", lambda row: row["pose"].__setitem__(1, row["pose"][1] @ rolled())),
    "looks past": ("r2n2", lambda row: row["pose"].__setitem__((1, 0, 3), 0.4)),
}


def rolled():
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 2, degrees=True).as_matrix()
    return matrix


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("layout", ["nerf", "nerfstudio", "r2n2", "neus"])
def test_cameras_that_a_layout_cannot_say_are_refused_with_their_row(layout, what, tmp_path):
    layouts, change = REFUSED[what]
    row = view_row(ID)
    change(row)
    if layout in layouts.split():
        with pytest.raises(DataError, match=f"{ID}, camera 1: {layout}"):
            load_format(layout).write(tmp_path, row)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    else:
        module = load_format(layout)
        module.write(tmp_path, row)
        again = module.read(module.find(tmp_path)[0][1], tmp_path)
        np.testing.assert_allclose(again["intrinsics"], row["intrinsics"], atol=1e-9)
        np.testing.assert_allclose(again["pose"], row["pose"], atol=1e-9)


@pytest.mark.parametrize("layout", ["nerf", "nerfstudio", "r2n2", "neus"])
def test_orthographic_cameras_are_refused(layout, tmp_path):
    row = view_row(ID)
    row["recipe"] = {"projection": "orthographic"}
    with pytest.raises(DataError, match="orthographic"):
        load_format(layout).write(tmp_path, row)


def test_r2n2_wants_its_lens_and_y_upwards(tmp_path):
    row = view_row(ID, size=(60, 60))
    row["intrinsics"][:, [0, 1], [0, 1]] *= 1.1
    with pytest.raises(DataError, match="1\\.09375 of the width"):
        load_format("r2n2").write(tmp_path, row)
    row = view_row(ID)
    lying = np.eye(4)
    lying[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    row["pose"] = lying @ row["pose"]
    with pytest.raises(DataError, match="y upwards"):
        load_format("r2n2").write(tmp_path, row)


def test_depths_beyond_sixteen_bits_are_refused_and_near_ones_are_not_unknown(tmp_path):
    row, module = view_row(ID), load_format("nerfstudio")
    row["depth"][1, 0, 0] = 1e-5
    module.write(tmp_path, row)
    assert module.read(module.find(tmp_path)[0][1], tmp_path)["depth"][1, 0, 0] == np.float32(0.001)
    row["depth"][1, 0, 0] = 65.6
    with pytest.raises(DataError, match=r"65\.535"):
        module.write(tmp_path, row)


def test_neus_without_a_mask_is_refused(tmp_path):
    row = {name: value for name, value in view_row(ID).items() if name not in ("alpha", "silhouette")}
    with pytest.raises(DataError, match="masks"):
        load_format("neus").write(tmp_path, row)
