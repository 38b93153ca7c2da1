"""Where points land: against numbers worked out by hand, the projection written anew, and rendered images."""

import math

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras, directions_of, focal_of, look_at, pinhole
from shapetool.render.placing import placed
from shapetool.render.views import render_views

SIZE = (80, 100)  # height, width: a square image would hide a swap
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
MODELS = {
    "sphere": ViewsRecipe(cameras="sphere", views=6, height=80, width=100),
    "hammersley": ViewsRecipe(cameras="hammersley", views=6, height=80, width=100, radius=2.2, fov=55.0),
    "r2n2": ViewsRecipe(cameras="r2n2", views=6, height=137, width=137),
    "orthographic": ViewsRecipe(cameras="sphere", views=6, height=80, width=100, projection="orthographic"),
    "z up": ViewsRecipe(cameras="sphere", views=6, height=80, width=100, up="z"),
}


def cameras_of(model):
    return placed(MODELS[model], np.random.default_rng(5))


def front(focal=100.0, distance=4.0, orthographic=False):
    """One camera on the z axis that looks at the origin, x to the right and y up."""
    pose = np.eye(4)[None].copy()
    pose[0, 2, 3] = distance
    return Cameras(SIZE, pinhole(focal, SIZE)[None], pose, orthographic)


def by_hand(cameras, point, view):
    """u, v and depth, from the directions right, up and backwards that the columns of a pose are."""
    right, up, back, position = (cameras.pose[view, :3, column] for column in range(4))
    (fx, skew, cx), (_, fy, cy), _ = cameras.intrinsics[view]
    x, y, depth = (float(np.dot(axis, point - position)) for axis in (right, up, -back))
    by = 1.0 if cameras.orthographic else depth
    return cx + fx * x / by - skew * y / by, cy - fy * y / by, depth


def test_the_corner_of_a_cube_lands_in_its_pixel():
    # A corner (0.5, 0.5, 0.5) is 3.5 before the camera: 100 * 0.5 / 3.5 = 14.2857 right of and above the middle.
    near = 50 / 3.5
    pixels, depth = front().project(np.array([[0.5, 0.5, 0.5], [-0.5, -0.5, 0.5], [0.5, -0.5, -0.5]]), 0)
    far = 50 / 4.5
    hand = [[50 + near, 40 - near], [50 - near, 40 + near], [50 + far, 40 + far]]
    np.testing.assert_allclose(pixels, hand, atol=1e-12)
    np.testing.assert_allclose(depth, [3.5, 3.5, 4.5], atol=1e-12)


def test_the_corner_of_a_cube_lands_in_its_pixel_without_perspective():
    pixels, depth = front(orthographic=True).project(np.array([[0.1, 0.2, 0.5], [-0.3, -0.1, -0.5]]), 0)
    np.testing.assert_allclose(pixels, [[60, 20], [20, 50]], atol=1e-12)
    np.testing.assert_allclose(depth, [3.5, 4.5], atol=1e-12)


def test_above_the_centre_is_up_and_left_is_left():
    for orthographic in (False, True):
        pixels, _ = front(orthographic=orthographic).project(np.array([[0, 0, 0], [0, 0.1, 0], [-0.1, 0, 0]]), 0)
        assert tuple(pixels[0]) == (50, 40)
        assert pixels[1, 0] == 50
        assert pixels[1, 1] < 40
        assert pixels[2, 0] < 50
        assert pixels[2, 1] == 40


def test_skew_and_unequal_focal_lengths_act_on_y_downwards():
    matrix = np.array([[[200.0, 10, 30], [0, 100, 20], [0, 0, 1]]])
    cameras = Cameras(SIZE, matrix, front().pose)
    # At depth 4 the point (0.4, -0.2) has the slopes 0.1 to the right and 0.05 down.
    pixels, _ = cameras.project(np.array([[0.4, -0.2, 0.0]]), 0)
    np.testing.assert_allclose(pixels, [[200 * 0.1 + 10 * 0.05 + 30, 100 * 0.05 + 20]], atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_every_corner_lands_where_the_columns_of_the_pose_say(model):
    cameras = cameras_of(model)
    for view in range(len(cameras)):
        pixels, depth = cameras.project(CORNERS, view)
        hand = np.array([by_hand(cameras, corner, view) for corner in CORNERS])
        np.testing.assert_allclose(np.column_stack([pixels, depth]), hand, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_the_axis_that_is_up_is_up_in_the_image_and_the_origin_in_its_middle(model):
    cameras, axis = cameras_of(model), 2 if model == "z up" else 1
    step = np.zeros((2, 3))
    step[1, axis] = 0.05
    for view in range(len(cameras)):
        pixels, _ = cameras.project(step, view)
        np.testing.assert_allclose(pixels[0], [cameras.size[1] / 2, cameras.size[0] / 2], atol=1e-9)
        assert pixels[1, 1] < pixels[0, 1]
        assert pixels[1, 0] == pytest.approx(pixels[0, 0], abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_rays_and_projection_undo_each_other(model):
    cameras, rng = cameras_of(model), np.random.default_rng(0)
    for view in range(len(cameras)):
        pixels = rng.uniform(0, cameras.size[::-1], (200, 2))
        depth = rng.uniform(0.5, 3, 200)
        origins, directions = cameras.rays(pixels, view)
        again, deep = cameras.project(origins + depth[:, None] * directions, view)
        np.testing.assert_allclose(again, pixels, atol=1e-9)
        np.testing.assert_allclose(deep, depth, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_unprojected_depth_projects_back_to_the_centres_of_its_pixels(model):
    cameras = cameras_of(model)
    depth = np.random.default_rng(1).uniform(0.5, 3, cameras.size)
    depth[::3, 1::2] = 0
    row, column = np.nonzero(depth)
    points = cameras.unproject(depth, 2)
    pixels, deep = cameras.project(points, 2)
    np.testing.assert_allclose(pixels, np.column_stack([column, row]) + 0.5, atol=1e-9)
    np.testing.assert_allclose(deep, depth[row, column], atol=1e-12)


def test_the_first_pixel_has_its_centre_at_a_half():
    centres = front().pixel_centres()
    assert centres.shape == (8000, 2)
    assert tuple(centres[0]) == (0.5, 0.5)
    assert tuple(centres[1]) == (1.5, 0.5)
    assert tuple(centres[100]) == (0.5, 1.5)
    assert tuple(centres[-1]) == (99.5, 79.5)


def marked(point, direction, size):
    """A square of this half size about a point, turned towards a direction."""
    side = np.cross(direction, [0.3, 0.5, 0.8])
    side *= size / np.linalg.norm(side)
    other = np.cross(direction, side)
    other *= size / np.linalg.norm(other)
    corners = np.array([point + side, point + other, point - side, point - other])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


@pytest.mark.parametrize("model", MODELS)
def test_a_mark_is_rendered_around_the_pixel_where_it_projects(model):
    recipe, fine = MODELS[model], 4
    for view, point in enumerate(0.5 * CORNERS[:6]):
        cameras = cameras_of(model)[[view]]
        cameras = cameras.resized(fine * cameras.size[0], fine * cameras.size[1])
        _, (toward,) = cameras.rays(cameras.project(point[None], 0)[0], 0)
        mesh = marked(point, toward / np.linalg.norm(toward), 0.06)
        found = render_views(mesh, cameras, recipe).channels
        row, column = np.nonzero(found["depth"][0])
        (where,), deep = cameras.project(point[None], 0)
        # The middle of a few hundred pixels, of which those at the edge are half a pixel off in either direction, and
        # of a square that perspective makes a twentieth of a pixel lopsided: a tenth of an original pixel and no more.
        np.testing.assert_allclose([column.mean() + 0.5, row.mean() + 0.5], where, atol=0.1 * fine)
        assert found["depth"][0][row, column].mean() == pytest.approx(float(deep[0]), abs=0.01)


@pytest.mark.parametrize("model", MODELS)
def test_corners_of_a_rendered_cube_are_found_to_a_hundredth_of_a_pixel(model):
    """The three planes that rendered depth shows meet in the corner: where, the camera then says."""
    recipe, cameras = MODELS[model], cameras_of(model)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))])
    found = render_views(Mesh(CORNERS, faces), cameras, recipe).channels
    seen = 0
    for view in range(len(cameras)):
        depth, normal = found["depth"][view].astype(np.float64), found["normal"][view]
        row, column = np.nonzero(depth)
        points = cameras.unproject(depth, view)
        planes = {}
        for axis in range(3):
            for sign in (-1, 1):
                chosen = normal[row, column, axis] * sign > 0.9
                if chosen.sum() > 50:
                    planes[axis] = sign, points[chosen, axis].mean()
        if len(planes) == 3:
            corner = np.array([planes[axis][1] for axis in range(3)])
            true = np.array([0.5 * planes[axis][0] for axis in range(3)])
            there, wanted = cameras.project(np.array([corner, true]), view)[0]
            np.testing.assert_allclose(there, wanted, atol=0.01)
            seen += 1
    assert seen >= 2


def test_another_size_of_image_sees_the_same():
    cameras = cameras_of("sphere")
    larger = cameras.resized(320, 200)
    pixels, depth = cameras.project(CORNERS, 1)
    again, same = larger.project(CORNERS, 1)
    np.testing.assert_allclose(again, pixels * [2, 4], atol=1e-9)
    np.testing.assert_array_equal(same, depth)


def test_a_camera_above_looks_down_with_the_next_axis_upwards():
    poses = look_at(np.array([[0, 2.0, 0], [0, -2.0, 0]]))
    np.testing.assert_allclose(poses[:, :3, 2], [[0, 1, 0], [0, -1, 0]], atol=1e-15)
    assert (np.abs(poses[:, 2, 1]) == 1).all()
    for pose in poses:
        np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-15)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_azimuth_turns_anticlockwise_seen_from_above():
    azimuth, elevation = np.array([0.0, 90, 0]), np.array([0.0, 0, 90])
    np.testing.assert_allclose(directions_of(azimuth, elevation, "z"), [[1, 0, 0], [0, 1, 0], [0, 0, 1]], atol=1e-15)
    np.testing.assert_allclose(directions_of(azimuth, elevation, "y"), [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-15)


def test_the_field_of_view_fills_the_image():
    focal = focal_of(90, 100)
    assert focal == pytest.approx(50)
    pixels, _ = front(focal=focal).project(np.array([[4.0, 0, 0], [-4.0, 0, 0]]), 0)
    np.testing.assert_allclose(pixels[:, 0], [100, 0], atol=1e-9)
    for wrong in (0, 180, -3, math.nan):
        with pytest.raises(ConfigError, match="field of view"):
            focal_of(wrong, 100)


def broken(change):
    pose = np.tile(np.eye(4), (3, 1, 1))
    change(pose[1])
    return pose


BAD_POSES = {
    "left-handed": lambda pose: pose.__setitem__((0, 0), -1),
    "scales or": lambda pose: pose.__setitem__((slice(3), slice(3)), 2 * np.eye(3)),
    "shears": lambda pose: pose.__setitem__((0, 1), 0.1),
    "finite": lambda pose: pose.__setitem__((0, 3), np.nan),
    "last row": lambda pose: pose.__setitem__((3, 0), 0.5),
}


@pytest.mark.parametrize("word", BAD_POSES)
def test_a_pose_that_is_no_pose_is_refused_with_its_row(word):
    with pytest.raises(ConfigError, match=f"camera 1: .*{word}"):
        Cameras(SIZE, np.tile(pinhole(100, SIZE), (3, 1, 1)), broken(BAD_POSES[word]))


@pytest.mark.parametrize(("place", "value"), [((0, 0), 0), ((1, 1), -5), ((0, 2), np.inf), ((1, 0), 1), ((2, 2), 2)])
def test_intrinsics_that_are_none_are_refused_with_their_row(place, value):
    matrices = np.tile(pinhole(100, SIZE), (3, 1, 1))
    matrices[2][place] = value
    with pytest.raises(ConfigError, match="camera 2: expected"):
        Cameras(SIZE, matrices, np.tile(np.eye(4), (3, 1, 1)))


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ConfigError, match="at least one pixel"):
        Cameras((0, 10), pinhole(100, SIZE)[None], np.eye(4)[None])
