import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from shapetool.data.laws import lattice_problems
from shapetool.data.shards import open_dataset
from tests.pipelines.test_sample_sdf import box_distance, shapetool, write_box


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for number in range(3):
        write_box(tmp_path / f"in/chair/box{number}.obj", size=1.0 + number)
    return tmp_path / "in"


def nodes(row: dict, count: int) -> np.ndarray:
    axes = [
        low + np.arange(count) * (high - low) / (count - 1) for low, high in zip(row["low"], row["high"], strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def test_a_grid_holds_the_closed_form_at_its_nodes(meshes: Path, tmp_path: Path) -> None:
    shapetool("sample-sdf", "in", "out.h5", "--grid", 17, "--set", "lattice_box=1.2", expect=0, cwd=tmp_path)
    with h5py.File(tmp_path / "out.h5", "r") as file:
        assert file.attrs["kind"] == "lattice"
        assert json.loads(file.attrs["recipe"])["lattice"] == 17
        assert "points" not in file
        assert file["lattice"].shape == (3, 17, 17, 17)
        assert file["lattice"].dtype == np.float32
    for row, number in zip(open_dataset(tmp_path / "out.h5"), range(3), strict=True):
        assert row["low"].tolist() == [-1.2] * 3
        assert row["high"].tolist() == [1.2] * 3
        truth = box_distance(nodes(row, 17), 0.5 * (1 + number) * row["scale"]).reshape(17, 17, 17)
        np.testing.assert_allclose(row["lattice"], truth, rtol=0, atol=1.2e-7)
    shapetool("verify", "out.h5", expect=0, cwd=tmp_path)


def test_truncation_and_half_floats_reach_the_file(meshes: Path, tmp_path: Path) -> None:
    grid = ("--grid", 9, "--dtype", "f16")
    shapetool("sample-sdf", "in", "whole.h5", *grid, expect=0, cwd=tmp_path)
    shapetool("sample-sdf", "in", "cut.h5", *grid, "--truncate", 0.25, expect=0, cwd=tmp_path)
    whole, cut = open_dataset(tmp_path / "whole.h5")[0]["lattice"], open_dataset(tmp_path / "cut.h5")[0]["lattice"]
    assert whole.dtype == cut.dtype == np.float16
    assert np.array_equal(cut, np.clip(whole, -0.25, 0.25))
    assert (np.abs(whole) > 0.25).any()


def test_workers_and_folders_change_no_byte_of_a_grid(meshes: Path, tmp_path: Path) -> None:
    grid = ("sample-sdf", "in", "--grid", 8)
    shapetool(*grid, "one.h5", "-j", 1, expect=0, cwd=tmp_path)
    shapetool(*grid, "two.h5", "-j", 2, expect=0, cwd=tmp_path)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    done = shapetool(*grid, "one.h5", expect=0, cwd=tmp_path)
    assert "nothing left to do" in done.stderr


def test_a_dry_run_tells_the_bytes_of_a_grid(meshes: Path, tmp_path: Path) -> None:
    done = shapetool("sample-sdf", "in", "out.h5", "--grid", 16, "--dry-run", expect=0, cwd=tmp_path)
    assert 3 * 4 * 16**3 <= json.loads(done.stdout)["bytes"] < 3 * 4 * 16**3 + 1000
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grid", "5000"], "2328 GiB"),
        (["--set", "lattice=1"], "expected 2 to 1024"),
        (["--truncate", "0.1"], "give --grid N as well"),
        (["--grid", "8", "--backend", "pysdf"], "leave --backend pysdf out"),
        (["--grid", "8", "--set", "lattice_box=0"], "lattice_box"),
        (["--grid", "8", "--set", "truncate=-1"], "above 0"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(meshes: Path, tmp_path: Path, options: list[str], words: str) -> None:
    assert words in shapetool("sample-sdf", "in", "out.h5", *options, expect=1, cwd=tmp_path).stderr


def test_a_wrong_sign_in_a_lattice_is_found() -> None:
    row = {"scale": 1.0, "watertight": True, "sign_method": "pseudonormal", "low": np.full(3, -1.0), "high": np.ones(3)}
    values = box_distance(nodes(row, 9), 0.5).reshape(9, 9, 9).astype(np.float32)
    assert lattice_problems({**row, "lattice": values}) == []
    values[0, 0, 0] *= -1
    assert "3 pairs" in lattice_problems({**row, "lattice": values})[0]
