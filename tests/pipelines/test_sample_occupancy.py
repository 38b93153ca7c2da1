"""The sample-occupancy command from words to shards: what a user types, what comes out, how it ends."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.shards import open_dataset
from shapetool.data.verify import verify
from shapetool.pipelines.sample_occupancy import OccupancyJob, run, sample_one
from shapetool.recipes import OCCUPANCY_RECIPES, occupancy_recipe
from shapetool.runner.job import Options

FEW = ["--count", "3000", "--surface-count", "40"]
BOX_FACES = ["1 3 2", "1 4 3", "5 6 7", "5 7 8", "1 2 6", "1 6 5", "3 4 8", "3 8 7", "2 3 7", "2 7 6", "4 1 5", "4 5 8"]


def write_box(path: Path, size: float = 1.0) -> None:
    """A box from the origin to (size, size, size / 2), outward, as text written here."""
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 0.5), (1, 0, 0.5), (1, 1, 0.5), (0, 1, 0.5)]
    lines = [f"v {x * size} {y * size} {z * size}" for x, y, z in corners]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, *(f"f {face}" for face in BOX_FACES)]) + "\n")


def shown(points: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether points are inside of such a box in the box frame of this edge, and which are clear of its surface."""
    over = np.abs(points.astype(np.float64)) - edge * np.array([0.5, 0.5, 0.25])
    return over.max(axis=1) < 0, np.abs(over).min(axis=1) > 1e-6


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for number in range(4):
        write_box(tmp_path / f"in/chair/box{number}.obj", size=1.0 + number)
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("name", "stored", "edge"), [("onet", "f2", 1.0), ("convonet", "f2", 1.0), ("vecset", "f4", 1.98)]
)
def test_a_folder_becomes_one_file_that_holds_what_the_contract_says(
    meshes: Path, tmp_path: Path, name: str, stored: str, edge: float
) -> None:
    out = tmp_path / "out.h5"
    assert main(["sample-occupancy", str(meshes), str(out), "--recipe", name, *FEW, "--seed", "3", "-j", "1"]) == 0
    with h5py.File(out, "r") as file:
        assert (file.attrs["kind"], file.attrs["layout"], file.attrs["seed"]) == ("occupancy", 1, 3)
        assert json.loads(file.attrs["recipe"])["count"] == 3000
        assert list(file["shape_id"].asstr()) == [f"chair/box{number}" for number in range(4)]
        assert (file["points"].shape, file["points"].dtype) == ((4, 3000, 3), np.dtype(stored))
        assert file["inside"].shape == (4, 3000)
        assert file["surface_points"].shape == file["surface_normals"].shape == (4, 40, 3)
        assert file["watertight"][...].all()
        for row in range(4):
            np.testing.assert_allclose(file["scale"][row], edge / (1 + row))
            np.testing.assert_allclose(file["offset"][row], -(1 + row) * np.array([0.5, 0.5, 0.25]))
            inside, clear = shown(file["points"][row], edge)
            assert np.array_equal(file["inside"][row][clear], inside[clear])
            assert clear.sum() > 2_900
    assert verify(out) == []
    lines = [json.loads(line) for line in (tmp_path / "out.h5.report.jsonl").read_text().splitlines()]
    assert {line["status"] for line in lines} == {"ok"}


def test_the_padding_count_and_type_of_the_words_win_over_the_recipe(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    words = ["--padding", "1", "--dtype", "f32", "--sign", "winding", *FEW, "-j", "1", "--quiet"]
    assert main(["sample-occupancy", str(meshes), str(out), *words]) == 0
    row = open_dataset(out)[0]
    assert row["points"].dtype == np.float32
    assert 0.95 < np.abs(row["points"]).max() <= 1
    assert row["sign_method"] == "winding"


def test_the_same_bytes_come_out_whatever_the_workers_and_parts(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = occupancy_recipe("onet").replace(count=600, surface_count=40)
    monkeypatch.setattr("shapetool.runner.job.SHARD_BYTES", 2 * OccupancyJob(recipe).bytes_per_shape)
    run([meshes], tmp_path / "one", recipe, options=Options(workers=1))
    run([meshes], tmp_path / "two", recipe, options=Options(workers=2))
    for part in (1, 0):
        run([meshes], tmp_path / "parts", recipe, options=Options(shard=(part, 2)))
    found = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / out).glob("shard-*.h5")}
        for out in ("one", "two", "parts")
    ]
    assert len(found[0]) == 2
    assert found[0] == found[1] == found[2]


def test_threads_change_nothing(meshes: Path) -> None:
    recipe = occupancy_recipe("vecset").replace(count=5_000, surface_count=10)
    made = [sample_one(meshes / "chair/box0.obj", recipe, 0, "a", threads=threads).columns for threads in (1, 2)]
    assert made[0]["points"].tobytes() == made[1]["points"].tobytes()
    assert made[0]["inside"].tobytes() == made[1]["inside"].tobytes()


@pytest.mark.parametrize("name", OCCUPANCY_RECIPES)
def test_the_size_of_a_record_is_foreseen(meshes: Path, name: str) -> None:
    recipe = occupancy_recipe(name).replace(count=1_000, surface_count=10)
    columns = sample_one(meshes / "chair/box0.obj", recipe, 0, "a").columns
    arrays = ("points", "inside", "surface_points", "surface_normals", "order", "voxels")
    assert OccupancyJob(recipe).bytes_per_shape == sum(columns[name].nbytes for name in arrays if name in columns)


def test_a_mesh_that_encloses_nothing_is_invalid_with_a_way_out(tmp_path: Path, capsys) -> None:
    (tmp_path / "sheet.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert main(["sample-occupancy", str(tmp_path / "sheet.obj"), str(tmp_path / "o.h5"), *FEW, "-j", "1"]) != 0
    line = json.loads((tmp_path / "o.h5.report.jsonl").read_text())
    assert line["status"] == "invalid"
    assert "found none (winding sign)" in line["error"]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(meshes: Path, tmp_path: Path, capsys) -> None:
    assert main(["sample-occupancy", str(meshes), str(tmp_path / "out"), "--dry-run"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["event"] == "dry-run"
    assert not (tmp_path / "out").exists()


def test_a_rerun_says_that_nothing_is_left_and_another_command_is_refused(meshes: Path, tmp_path: Path, capsys) -> None:
    words = [str(meshes), str(tmp_path / "out"), *FEW, "-j", "1"]
    assert main(["sample-occupancy", *words]) == 0
    assert main(["sample-occupancy", *words]) == 0
    assert "nothing left to do" in capsys.readouterr().err
    assert main(["sample-sdf", *words]) == 1


def test_negative_padding_is_a_matter_of_usage(meshes: Path, tmp_path: Path) -> None:
    assert main(["sample-occupancy", str(meshes), str(tmp_path / "out"), "--padding", "-0.1"]) == 2
