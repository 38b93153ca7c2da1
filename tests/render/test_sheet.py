"""Pictures for people: each view where it belongs, the right way round, its name above it."""

import io

import numpy as np
import pytest
from PIL import Image

from shapetool.render.sheet import GAP, LABEL, contact_sheet, shown, turntable

TILE = 40
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def flag(height: int = TILE, width: int = TILE) -> np.ndarray:
    """Red at the upper left, green at the upper right, blue below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = GREEN
    image[height // 2 :] = BLUE
    return image


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_sheet_has_a_row_a_shape_and_a_column_a_view() -> None:
    rows = [("chair/a", [flag(), 255 - flag()]), ("b", [255 - flag(), flag()])]
    sheet = opened(contact_sheet(iter(rows), 2, 2, TILE))
    assert sheet.shape == (2 * (TILE + LABEL + GAP) + GAP, 2 * (TILE + GAP) + GAP, 3)
    for row in range(2):
        for column in range(2):
            top, left = GAP + row * (TILE + LABEL + GAP) + LABEL, GAP + column * (TILE + GAP)
            np.testing.assert_array_equal(sheet[top : top + TILE, left : left + TILE], rows[row][1][column])
    label = sheet[GAP : GAP + LABEL]
    assert (label < 100).any()  # a name is written


def test_large_views_shrink_in_proportion_and_keep_their_corners() -> None:
    sheet = opened(contact_sheet([("a", [flag(80, 160)])], 1, 1, TILE))
    top = GAP + LABEL + TILE // 4
    assert tuple(sheet[top + 2, GAP + 2]) == RED
    assert tuple(sheet[top + 2, GAP + TILE - 3]) == GREEN
    assert tuple(sheet[top + TILE // 2 - 3, GAP + 2]) == BLUE
    assert tuple(sheet[top - 2, GAP + 2]) == (255, 255, 255)


def test_a_name_that_is_too_long_or_strange_stays_in_its_place() -> None:
    for name in ("x" * 500, "line\nbreak\x1b[31m", "chair/椅子"):
        sheet = opened(contact_sheet([(name, [flag()])], 1, 1, TILE))
        np.testing.assert_array_equal(sheet[GAP + LABEL : GAP + LABEL + TILE, GAP : GAP + TILE], flag())


def test_a_turntable_loops_through_all_frames_of_all_shapes() -> None:
    shades = [np.full((TILE, TILE, 3), value, np.uint8) for value in (0, 60, 120, 180)]
    frames = [[shade, flag(), 255 - shade] for shade in shades]
    image = Image.open(io.BytesIO(turntable(["a", "b", "c"], iter(frames), TILE)))
    assert image.n_frames == 4
    assert image.info["loop"] == 0
    assert image.size == (2 * (TILE + GAP) + GAP, 2 * (TILE + LABEL + GAP) + GAP)
    for number, shade in enumerate(shades):
        image.seek(number)
        found = np.asarray(image.convert("RGB")).astype(int)
        middle = GAP + TILE // 2
        assert np.abs(found[middle, middle] - shade[0, 0]).max() <= 8  # a palette of 128 colours
        assert np.abs(found[GAP + 2, 2 * GAP + TILE + 2] - RED).max() <= 8
        below = 2 * GAP + LABEL + TILE + TILE // 2
        assert np.abs(found[below, middle] - (255 - shade[0, 0].astype(int))).max() <= 8


@pytest.mark.parametrize("name", ["depth", "ray_length"])
def test_depth_is_shown_darker_where_it_is_nearer_and_white_where_nothing_is(name: str) -> None:
    picture = shown({name: np.array([[0, 1, 2]], np.float32)})[0, :, 0].astype(int)
    assert picture[0] == 255
    assert picture[1] < picture[2] < 255


def test_every_channel_to_look_at_is_shown_and_nothing_is_white() -> None:
    one = np.array([[[0, 0, 0], [0, 0, 1]]], np.float32)
    for name in ("normals", "camera_normals", "coordinates"):
        np.testing.assert_array_equal(shown({name: one})[0], [[255, 255, 255], [128, 128, 255]])
    assert shown({"silhouette": np.array([[False, True]])})[0, :, 0].tolist() == [255, 64]
    assert shown({"alpha": np.array([[0, 255]], np.uint8)})[0, :, 0].tolist() == [255, 64]
    both = {"images": flag(), "depth": np.zeros((TILE, TILE), np.float32)}
    np.testing.assert_array_equal(shown(both), flag())
