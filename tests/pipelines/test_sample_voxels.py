"""`sample-occupancy --grid N` and the recipes of IM-NET through the command: what is stored, foreseen and refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.shards import open_dataset
from shapetool.pipelines.sample_occupancy import OccupancyJob, sample_one
from shapetool.recipes import occupancy_recipe
from tests.pipelines.test_sample_occupancy import shown, write_box
from tests.pipelines.test_sample_sdf import shapetool

FEW = ["--count", "500", "--surface-count", "40"]


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for number in range(2):
        write_box(tmp_path / f"in/chair/box{number}.obj", size=1.0 + number)
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("words", "edge", "half"),
    [
        (["--recipe", "onet"], 1.0, 0.5),
        (["--recipe", "vecset"], 1.98, 1.0),
        (["--recipe", "onet", "--padding", "0.5"], 1.0, 0.5),  # padding is for points
    ],
)
def test_voxels_of_a_box_are_those_of_the_closed_form(meshes, tmp_path, words, edge, half) -> None:
    count, out = 20, tmp_path / "out.h5"
    assert main(["sample-occupancy", str(meshes), str(out), "--grid", str(count), *words, *FEW, "-q"]) == 0
    assert main(["verify", str(out)]) == 0
    with h5py.File(out, "r") as file:
        assert file.attrs["kind"] == "occupancy"
        assert json.loads(file.attrs["recipe"])["voxels"] == count
    axis = -half + (np.arange(count) + 0.5) * 2 * half / count
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    cell, sides = half / count, edge * np.array([0.5, 0.5, 0.25])
    for row in open_dataset(out):
        assert row["low"].tolist() == [-half] * 3
        assert row["high"].tolist() == [half] * 3
        inside, clear = shown(centres, edge)
        assert np.array_equal(row["solid"].reshape(-1)[clear], inside[clear])
        nearest = np.maximum(np.abs(centres) - cell, 0)
        reaches = (nearest <= sides + 1e-9).all(axis=1) & (np.abs(centres) + cell >= sides - 1e-9).any(axis=1)
        assert np.array_equal(row["surface"].reshape(-1), reaches)


def test_without_the_option_there_are_no_voxels_and_the_recipe_says_nothing_of_them(meshes, tmp_path) -> None:
    assert main(["sample-occupancy", str(meshes), str(tmp_path / "out.h5"), *FEW, "-q"]) == 0
    dataset = open_dataset(tmp_path / "out.h5")
    assert not {"solid", "surface", "low", "high", "order", "voxels"} & set(dataset.columns)
    assert not {"voxels", "progressive", "centre_weight", "centre_cells"} & set(dataset.recipe)


def test_workers_folders_and_merging_change_no_byte_of_voxels(meshes, tmp_path) -> None:
    words = ["sample-occupancy", str(meshes), "--grid", "16", "--recipe", "imnet-v2", "--surface-count", "10", "-q"]
    for name, more in (("one.h5", ["-j", "1"]), ("two.h5", ["-j", "2"]), ("set", [])):
        assert main([*words, str(tmp_path / name), *more]) == 0
    assert main(["merge", str(tmp_path / "set"), str(tmp_path / "three.h5"), "-q"]) == 0
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert main(["verify", str(tmp_path / "set")]) == main(["verify", str(tmp_path / "three.h5")]) == 0
    for one, three in zip(open_dataset(tmp_path / "one.h5"), open_dataset(tmp_path / "three.h5"), strict=True):
        assert set(one) == set(three)
        assert all(np.array_equal(one[name], three[name]) for name in one)


@pytest.mark.parametrize("name", ["onet", "imnet-v1"])
def test_the_size_of_a_record_with_voxels_is_foreseen(meshes, tmp_path, name) -> None:
    recipe = occupancy_recipe(name).replace(count=1_000, surface_count=10, voxels=12)
    columns = sample_one(meshes / "chair/box0.obj", recipe, 0, "a").columns
    large = (
        "points",
        "inside",
        "surface_points",
        "surface_normals",
        "order",
        "voxels",
        "solid",
        "surface",
        "low",
        "high",
    )
    assert OccupancyJob(recipe).bytes_per_shape == sum(columns[name].nbytes for name in large if name in columns)


@pytest.mark.parametrize("number", ["v1", "v2"])
def test_imnet_from_meshes_to_its_files_in_two_commands(meshes, tmp_path, number) -> None:
    name = f"imnet-{number}"
    assert main(["sample-occupancy", str(meshes), str(tmp_path / "set"), "--recipe", name, "-q"]) == 0
    assert main(["verify", str(tmp_path / "set")]) == 0
    assert main(["convert", str(tmp_path / "set"), str(tmp_path / "out"), "--to", name, "-q"]) == 0
    place = {"v1": "chair_vox.hdf5", "v2": "all_vox256_img_train.hdf5"}[number]
    with h5py.File(tmp_path / "out" / place, "r") as file:
        cells, values, voxels = (file[key][0] for key in ("points_64", "values_64", "voxels"))
    diagonal = np.sqrt(1 + 1 + 0.25)  # of the box; its unit frame has a diagonal of half of v1's cube, of all of v2's
    half, across, size = (1.0, 64, 2.0) if number == "v1" else (0.5, 256, 1.0)
    inside, clear = shown((cells + 0.5) / across * 2 * half - half, size / diagonal)
    assert np.array_equal(values[clear, 0] == 1, inside[clear])
    # Half of the box is 32 / 1.5 = 21.3 and 10.7 cells long: a part of the next one is filled as well.
    assert voxels[..., 0].sum() == 44 * 44 * 22
    assert values.mean() > 1.05 * 44 * 44 * 22 / 64**3 if number == "v2" else values.any()  # more near the boundary


def test_centres_of_cells_are_a_part_like_any_other(meshes, tmp_path) -> None:
    words = ["--set", "centre_weight=1", "--set", "uniform_weight=0", "--set", "centre_cells=8", "--dtype", "f32"]
    assert main(["sample-occupancy", str(meshes), str(tmp_path / "o.h5"), "--count", "612", *words, "-q"]) == 0
    assert main(["verify", str(tmp_path / "o.h5")]) == 0
    row = open_dataset(tmp_path / "o.h5")[0]
    cells = (row["points"].astype("f8") + 0.55) / 1.1 * 8 - 0.5
    assert np.abs(cells - np.rint(cells)).max() < 1e-5
    times = np.unique(np.rint(cells).astype(int), axis=0, return_counts=True)[1]
    assert (len(times), times.min(), times.max()) == (512, 1, 2)  # 612: each cell once, a hundred of them twice
    inside, clear = shown(row["points"], 1.0)
    assert np.array_equal(row["inside"][clear], inside[clear])


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--grid", "1"], "--grid", 2),
        (["--grid", "5000"], "2 to 512 cells", 1),
        (["--recipe", "imnet-v3"], "did you mean 'imnet-v2'", 1),
        (["--set", "progressive=v9"], "unknown progressive", 1),
        (["--set", "centre_cells=0"], "centre_cells is 0", 1),
    ],
)
def test_what_makes_no_sense_is_refused(meshes, tmp_path, options, words, code) -> None:
    assert words in shapetool("sample-occupancy", "in", "out.h5", *options, expect=code, cwd=tmp_path).stderr
    assert not (tmp_path / "out.h5").exists()
