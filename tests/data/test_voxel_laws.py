"""The laws of voxels and of progressive sets: true ones break none, and each kind of wrong ones is named."""

import numpy as np
import pytest

from shapetool.data.layout import row_digest
from shapetool.data.merge import merge
from shapetool.data.shards import ShardBuilder, build_shard, open_dataset, publish
from shapetool.data.verify import verify
from shapetool.data.voxel_laws import voxel_problems
from shapetool.errors import DataError
from shapetool.recipes import occupancy_recipe

COUNT = 16
RADIUS = 0.4


def ball(**more: object) -> dict[str, object]:
    """A ball in the cube [-0.5, 0.5]^3 with its voxels: a cell meets the sphere if it has nearer and farther points."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.55, 0.55, (20_000, 3)).astype("f4")
    normals = rng.standard_normal((500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    middles = (np.arange(COUNT) + 0.5) / COUNT - 0.5
    cells = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), axis=-1)
    nearest = np.linalg.norm(np.maximum(np.abs(cells) - 0.5 / COUNT, 0), axis=-1)
    farthest = np.linalg.norm(np.abs(cells) + 0.5 / COUNT, axis=-1)
    return {
        "shape_id": "ball",
        "source": "ball.obj",
        "scale": 1.0,
        "offset": np.zeros(3),
        "watertight": True,
        "sign_method": "pseudonormal",
        "points": points,
        "inside": np.linalg.norm(points.astype("f8"), axis=1) < RADIUS,
        "surface_points": (normals * RADIUS).astype("f4"),
        "surface_normals": normals.astype("f4"),
        "low": np.full(3, -0.5),
        "high": np.full(3, 0.5),
        "solid": np.linalg.norm(cells, axis=-1) < RADIUS,
        "surface": (nearest <= RADIUS) & (farthest >= RADIUS),
        **more,
    }


def plain() -> dict[str, object]:
    return {name: value for name, value in ball().items() if name not in ("low", "high", "solid", "surface")}


def sets(method: str) -> tuple[dict[str, object], dict[str, object]]:
    """The ball with progressive sets as the recipe wants them, and the recipe: cells of a set in a random order."""
    recipe = occupancy_recipe(f"imnet-{method}")
    rng, half, parts = np.random.default_rng(1), recipe.box_size / 2, []
    for level, count in recipe.set_counts().items():
        cells = np.stack(np.unravel_index(rng.permutation(level**3)[:count], (level,) * 3), axis=1)
        across = level if method == "v1" else 256
        cells = cells * (across // level) + rng.integers(across // level, size=cells.shape)
        parts.append((cells + 0.5) / across * 2 * half - half)
    order = rng.permutation(recipe.count).astype("i4")
    points = np.concatenate(parts)[order].astype("f4")
    inside = np.linalg.norm(points, axis=1) < RADIUS
    voxels = np.zeros((64, 64, 64), dtype=bool)
    last = order >= recipe.count - recipe.set_counts()[64]
    cells = ((points[last & inside] + half) / (2 * half) * 64).astype(int)
    voxels[tuple(cells.T)] = True
    return {**plain(), "points": points, "inside": inside, "order": order, "voxels": voxels}, recipe.to_dict()


def test_true_voxels_break_no_law_alone_and_in_a_shard(tmp_path):
    assert voxel_problems(ball(), recipe={}) == []
    columns = {name: [value] for name, value in ball().items()}
    publish(tmp_path / "s.h5", build_shard("occupancy", {"name": "onet"}, 0, columns))
    assert verify(tmp_path / "s.h5") == []


@pytest.mark.parametrize("method", ["v1", "v2"])
def test_true_sets_break_no_law_alone_and_in_a_shard(method, tmp_path):
    row, recipe = sets(method)
    assert voxel_problems(row, recipe=recipe) == []
    columns = {name: [value] for name, value in row.items()}
    publish(tmp_path / "s.h5", build_shard("occupancy", recipe, 0, columns))
    assert [finding for finding in verify(tmp_path / "s.h5") if "frame" not in finding.problem] == []


def flipped(array: np.ndarray, *place: int) -> np.ndarray:
    array = array.copy()
    array[place] = ~array[place]
    return array


def test_a_wrong_voxel_is_found_by_its_neighbours_and_by_its_points():
    row = ball()
    found = voxel_problems({**row, "solid": flipped(row["solid"], 8, 8, 8)}, recipe={})
    assert found[0].startswith("6 pairs of neighbouring voxels")
    assert found[1].endswith("points are not on the side of their voxel, which no surface meets")
    assert voxel_problems({**row, "solid": flipped(row["solid"], 8, 8, 8), "watertight": False}, recipe={}) == []


def test_missing_surface_voxels_shifted_solids_and_turned_axes_are_found():
    row = ball()
    row["solid"] = row["solid"] & (np.arange(COUNT) > 5)[:, None, None]  # cut off: no surface voxels where it was cut
    assert "pairs of neighbouring voxels" in voxel_problems(row, recipe={})[0]
    assert voxel_problems({**ball(), "surface": np.zeros((COUNT,) * 3, dtype=bool)}, recipe={})
    lopsided = ball()
    lopsided["points"] = lopsided["points"] + np.float32([0.2, 0, 0])
    assert "not on the side" in voxel_problems(lopsided, recipe={})[0]


def test_voxels_without_their_cube_and_sets_without_their_voxels_are_found():
    row = ball()
    del row["low"]
    assert voxel_problems(row, recipe={}) == ["it has solid voxels and no cube that they fill"]
    row, recipe = sets("v1")
    del row["voxels"]
    assert "without their voxels" in voxel_problems(row, recipe=recipe)[0]


def test_wrong_sets_are_found():
    row, recipe = sets("v2")
    twice = {**row, "order": np.where(row["order"] == 5, 6, row["order"])}
    assert "is no order of" in voxel_problems(twice, recipe=recipe)[0]
    moved = {**row, "points": row["points"] * np.float32(0.999)}
    assert len(voxel_problems(moved, recipe=recipe)) == 3
    first = int(np.argmax(row["order"] == 24_575))
    wrong = {**row, "inside": flipped(row["inside"], first)}
    assert voxel_problems(wrong, recipe=recipe) == ["1 points of the set of 64 are not as their voxel is"]
    one, other = (int(np.argmax(row["order"] == place)) for place in (3, 4))
    shared = {**row, "points": row["points"].copy()}
    shared["points"][one] = shared["points"][other]
    assert voxel_problems(shared, recipe=recipe) == ["points of the set of 16 share cells"]


def test_sets_in_a_cube_where_their_centres_are_rounded_are_no_finding():
    row, recipe = sets("v1")
    wide = {**row, "points": (row["points"] * 1.1).astype("f2")}
    assert voxel_problems(wide, recipe=recipe | {"box_size": 2.2}) == []
    assert len(voxel_problems(wide, recipe=recipe)) == 3


def test_all_shapes_of_a_shard_have_an_optional_column_or_none_has():
    builder = ShardBuilder("occupancy", {"name": "onet"}, 0, 2)
    builder.put(0, ball())
    with pytest.raises(DataError, match="as in the rows before"):
        builder.put(1, plain())
    builder.put(1, ball(shape_id="other"))
    assert builder.image()


def test_optional_columns_count_in_the_digest_and_are_read_back(tmp_path):
    row = ball()
    assert row_digest("occupancy", row) != row_digest("occupancy", plain())
    publish(tmp_path / "s.h5", build_shard("occupancy", {"name": "onet"}, 0, {k: [v] for k, v in row.items()}))
    publish(tmp_path / "p.h5", build_shard("occupancy", {"name": "onet"}, 0, {k: [v] for k, v in plain().items()}))
    found = open_dataset(tmp_path / "s.h5")[0]
    for name in ("low", "high", "solid", "surface"):
        np.testing.assert_array_equal(found[name], row[name])
    assert "solid" not in open_dataset(tmp_path / "p.h5")[0]


def test_a_folder_with_voxels_and_an_empty_shard_is_merged(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("")
    rows = [[], [ball()], [ball(shape_id="two"), ball(shape_id="three")]]
    for number, some in enumerate(rows):
        columns = {name: [row[name] for row in some] for name in (ball() if some else plain())}
        extra = {"shard_index": number, "shard_count": 3}
        publish(folder / f"shard-{number:05d}.h5", build_shard("occupancy", {"name": "onet"}, 0, columns, extra))
    assert merge(folder, tmp_path / "all.h5") == 3
    with open_dataset(tmp_path / "all.h5") as merged:
        assert merged.shape_ids == ("ball", "two", "three")
        np.testing.assert_array_equal(merged[2]["solid"], ball()["solid"])
        np.testing.assert_array_equal(merged[2]["low"], np.full(3, -0.5))
    assert verify(tmp_path / "all.h5") == []
