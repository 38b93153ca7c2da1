"""The numbers of each recipe, as the methods give them."""

import math

import pytest

from shapetool.errors import ConfigError
from shapetool.recipes import (
    OCCUPANCY_RECIPES,
    SDF_RECIPES,
    OccupancyRecipe,
    SdfRecipe,
    occupancy_recipe,
    parse_settings,
    sdf_recipe,
    share_out,
)

EXPECTED_PARTS = {
    "deepsdf-code": {"near": (235_000, 235_000), "uniform": (30_000,), "sharp": (), "band": ()},
    "deepsdf-paper": {"near": (235_000, 235_000), "uniform": (30_000,), "sharp": (), "band": ()},
    "deepsdf-test": {"near": (117_500, 117_500), "uniform": (15_000,), "sharp": (), "band": ()},
    "mesh-to-sdf": {"near": (235_000, 235_000), "uniform": (30_000,), "sharp": (), "band": ()},
    "disn": {"near": (), "uniform": (0,), "sharp": (), "band": (8_192, 8_192, 8_192, 8_192)},
    "vecset": {"near": (125_000, 125_000), "uniform": (250_000,), "sharp": (), "band": ()},
    "dora": {"near": (200_000, 200_000), "uniform": (200_000,), "sharp": (32_768,) * 4, "band": ()},
    "uniform": {"near": (), "uniform": (500_000,), "sharp": (), "band": ()},
}
EXPECTED_STDS = {
    "deepsdf-code": (0.0707107, 0.0223607),
    "deepsdf-paper": (0.05, 0.0158114),
    "deepsdf-test": (0.2236068, 0.0223607),
    "mesh-to-sdf": (0.0025, 0.00025),
    "disn": (),
    "vecset": (0.005, 0.05),
    "dora": (0.001, 0.005),
    "uniform": (),
}
EXPECTED_FRAMES = {
    "deepsdf-code": ("sphere", 1 / 1.03),
    "deepsdf-paper": ("sphere", 1 / 1.03),
    "deepsdf-test": ("sphere", 1 / 1.03),
    "mesh-to-sdf": ("sphere", 1.0),
    "disn": ("centroid", 1.0),
    "vecset": ("box", 1.98),
    "dora": ("box", 2.0),
    "uniform": ("sphere", 1 / 1.03),
}


def test_every_recipe_has_its_expected_numbers_written_down() -> None:
    assert set(SDF_RECIPES) == set(EXPECTED_PARTS) == set(EXPECTED_STDS) == set(EXPECTED_FRAMES)


@pytest.mark.parametrize("name", SDF_RECIPES)
def test_a_recipe_has_the_counts_spreads_and_frame_of_its_method(name: str) -> None:
    recipe = sdf_recipe(name)
    assert recipe.part_counts() == EXPECTED_PARTS[name]
    assert recipe.near_stds == pytest.approx(EXPECTED_STDS[name], rel=1e-6)
    assert (recipe.normalize, recipe.frame_size) == EXPECTED_FRAMES[name]


def test_the_special_numbers_of_dora_disn_and_mesh_to_sdf() -> None:
    dora, disn, sphere = sdf_recipe("dora"), sdf_recipe("disn"), sdf_recipe("mesh-to-sdf")
    assert dora.sharp_stds == (0.001, 0.005, 0.007, 0.01)
    assert (dora.sharp_angle, dora.uniform_size) == (15, 1.05)
    assert (disn.band_edges, disn.band_iso, disn.band_box) == ((-0.1, -0.03, 0.0, 0.03, 0.1), 0.003, 1.2)
    assert (sphere.uniform_region, sphere.uniform_size) == ("ball", 1.0)
    assert (sdf_recipe("deepsdf-code").uniform_region, sdf_recipe("deepsdf-code").uniform_size) == ("box", 1.0)


@pytest.mark.parametrize("name", SDF_RECIPES)
@pytest.mark.parametrize("count", [1, 2, 7, 1000, 99_999, 500_001])
def test_parts_add_up_to_any_count_and_stay_within_one_of_their_share(name: str, count: int) -> None:
    recipe = sdf_recipe(name).replace(count=count)
    parts = [n for part in recipe.part_counts().values() for n in part]
    assert sum(parts) == count
    whole = sum(recipe.weights)
    assert all(abs(n - count * w / whole) < 1 for n, w in zip(parts, recipe.weights, strict=True))


def test_the_largest_remainders_are_rounded_up() -> None:
    assert share_out(10, (1.0, 1.0, 1.0)) == (4, 3, 3)
    assert share_out(100, (0.335, 0.335, 0.33)) == (34, 33, 33)
    assert share_out(5, (0.0, 1.0, 0.0)) == (0, 5, 0)


@pytest.mark.parametrize("name", SDF_RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    import json

    recipe = sdf_recipe(name).replace(count=12_345, dtype="f16")
    assert SdfRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.to_dict() == SdfRecipe.from_dict(recipe.to_dict()).to_dict()


def test_every_number_can_be_overridden_by_words() -> None:
    words = ["near_stds=0.1,0.2", "near_weights=3,1", "uniform_weight=0", "count=400", "uniform_region=ball"]
    recipe = sdf_recipe("deepsdf-code").replace(**parse_settings(words))
    assert recipe.near_stds == (0.1, 0.2)
    assert recipe.part_counts()["near"] == (300, 100)
    assert recipe.uniform_region == "ball"


def test_another_frame_brings_its_own_size_unless_one_is_given() -> None:
    assert sdf_recipe("vecset").replace(normalize="sphere").frame_size == 1 / 1.03
    assert sdf_recipe("vecset").replace(normalize="box").frame_size == 1.98
    assert sdf_recipe("vecset").replace(normalize="sphere", frame_size=0.5).frame_size == 0.5
    assert sdf_recipe("deepsdf-code").replace(normalize=None, count=None) == sdf_recipe("deepsdf-code")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 1.5}, "whole number"),
        ({"count": math.nan}, "whole number"),
        ({"count": "many"}, "expected a number"),
        ({"surface_count": -1}, "surface_count is -1"),
        ({"near_stds": (0.1,)}, "one weight each"),
        ({"near_stds": (0.1, -1)}, "0 or more"),
        ({"near_stds": (0.1, math.nan)}, "0 or more"),
        ({"near_weights": (0, 0), "uniform_weight": 0}, "not all 0"),
        ({"near_weights": (1, math.inf)}, "0 or more each"),
        ({"uniform_size": 0}, "uniform_size is 0"),
        ({"frame_size": math.inf}, "frame_size is inf"),
        ({"sharp_angle": 180}, "sharp_angle"),
        ({"band_edges": (0, 1)}, "band_edges"),
        ({"band_edges": (1, 0), "band_weights": (1,)}, "that rise"),
        ({"normalize": "spher"}, "did you mean 'sphere'"),
        ({"dtype": "f64"}, "known: f32, f16"),
        ({"sign": "flood", "flood_gap": 0.6}, "flood_gap is 0.6"),
        ({"sign": "flood", "flood_resolution": 4}, "flood_resolution is 4"),
        ({"flood_gap": 0.1}, "settings of --sign flood"),
        ({"sign": "wnding"}, "did you mean 'winding'"),
        ({"backend": "warp"}, "comes with the gpu extra"),
        ({"near_std": (0.1,)}, "did you mean 'near_stds'"),
        ({"name": "mine"}, "unknown setting 'name'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(overrides: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match="recipe deepsdf-code") as caught:
        sdf_recipe("deepsdf-code").replace(**overrides)
    assert said in str(caught.value)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown recipe 'deepsfd'; did you mean 'deepsdf-\w+'\? known: deepsdf-code"
    ):
        sdf_recipe("deepsfd")


@pytest.mark.parametrize("word", ["count", "=3", "count="])
def test_a_word_that_is_no_setting_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        parse_settings([word])


def test_missing_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="no count"):
        SdfRecipe.from_dict({"name": "x"})


OCCUPANCY = {
    # count, surface points, uniform, near, stds, frame, half of the box, stored as
    "onet": (100_000, 100_000, 100_000, (), (), ("box", 1.0), 0.55, "f16"),
    "convonet": (100_000, 100_000, 100_000, (), (), ("box", 1.0), 0.55, "f16"),
    "imnet-v1": (45_056, 30_000, 45_056, (), (), ("diagonal", 2.0), 1.0, "f32"),
    "imnet-v2": (24_576, 30_000, 24_576, (), (), ("diagonal", 1.0), 0.5, "f32"),
    "vecset": (500_000, 125_000, 250_000, (125_000, 125_000), (0.005, 0.05), ("box", 1.98), 1.0, "f32"),
}


def test_every_recipe_of_occupancy_has_its_expected_numbers_written_down() -> None:
    assert set(OCCUPANCY_RECIPES) == set(OCCUPANCY)


@pytest.mark.parametrize("name", OCCUPANCY)
def test_a_recipe_of_occupancy_has_the_counts_box_and_frame_of_its_method(name: str) -> None:
    recipe = occupancy_recipe(name)
    parts = recipe.part_counts()
    found = (recipe.count, recipe.surface_count, parts["uniform"][0], parts["near"], recipe.near_stds)
    frame = ((recipe.normalize, recipe.frame_size), pytest.approx(recipe.uniform_size), recipe.dtype)
    assert (*found, *frame) == OCCUPANCY[name]


@pytest.mark.parametrize("name", OCCUPANCY)
def test_a_recipe_of_occupancy_survives_json(name: str) -> None:
    recipe = occupancy_recipe(name).replace(count=12_345, padding=0.25)
    assert OccupancyRecipe.from_dict(recipe.to_dict()) == recipe


def test_another_frame_brings_the_box_that_holds_it() -> None:
    sphere = occupancy_recipe("onet").replace(normalize="sphere")
    assert (sphere.frame_size, sphere.uniform_size) == (1 / 1.03, pytest.approx(1.1))
    assert occupancy_recipe("onet").replace(normalize="sphere", box_size=3).box_size == 3


def test_the_sets_of_imnet_have_the_sizes_of_its_code() -> None:
    assert occupancy_recipe("imnet-v1").set_counts() == {16: 4096, 32: 8192, 64: 32768}
    assert occupancy_recipe("imnet-v2").set_counts() == {16: 4096, 32: 4096, 64: 16384}
    assert sum(occupancy_recipe("imnet-v1").replace(count=1001).set_counts().values()) == 1001


@pytest.mark.parametrize(("name", "edge"), [("imnet-v1", 2.0), ("imnet-v2", 1.0)])
def test_another_frame_leaves_imnet_its_cube_and_fills_it(name: str, edge: float) -> None:
    for kind, size in (("box", edge), ("sphere", edge / 2 / 1.03), ("centroid", edge / 2)):
        recipe = occupancy_recipe(name).replace(normalize=kind)
        assert (recipe.box_size, recipe.frame_size) == (edge, pytest.approx(size))


BAD_SETTINGS = [{"padding": -0.1}, {"padding": math.nan}, {"box_size": 0}, {"band_iso": 1}, {"voxels": 1}]
BAD_SETTINGS += [
    {"voxels": 513},
    {"centre_cells": 0},
    {"centre_weight": -1, "uniform_weight": 2},
    {"progressive": "v3"},
]


@pytest.mark.parametrize("overrides", BAD_SETTINGS)
def test_a_setting_of_occupancy_that_makes_no_sense_is_refused(overrides: dict[str, object]) -> None:
    said = "weights" if "centre_weight" in overrides else next(iter(overrides))
    with pytest.raises(ConfigError, match=f"recipe onet.*{said}"):
        occupancy_recipe("onet").replace(**overrides)


def test_an_unknown_recipe_of_occupancy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'onet'"):
        occupancy_recipe("onett")
