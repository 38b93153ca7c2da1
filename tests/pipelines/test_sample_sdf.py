"""The sample-sdf command from words to shards: what a user types, what comes out, how it ends."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shapetool.data.shards import open_dataset
from shapetool.errors import MeshError
from shapetool.pipelines.sample_sdf import SdfJob, run, sample_one
from shapetool.recipes import sdf_recipe
from shapetool.runner.job import Options

REPOSITORY = Path(__file__).resolve().parents[2]
MAIN = "import sys; from shapetool.cli.app import main; sys.exit(main())"
FEW = ("--count", "600", "--surface-count", "40")
BOX_FACES = ["1 3 2", "1 4 3", "5 6 7", "5 7 8", "1 2 6", "1 6 5", "3 4 8", "3 8 7", "2 3 7", "2 7 6", "4 1 5", "4 5 8"]


def write_box(path: Path, size: float = 1.0, extra: str = "") -> None:
    """A box from the origin to (size, size, size), outward, as text written here."""
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    lines = [f"v {x * size} {y * size} {z * size}" for x, y, z in corners]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, *(f"f {face}" for face in BOX_FACES), extra]) + "\n")


def box_distance(points: np.ndarray, half: float) -> np.ndarray:
    """The signed distance to a cube about the origin, by its closed form."""
    over = np.abs(points) - half
    return np.linalg.norm(np.maximum(over, 0), axis=1) + np.minimum(over.max(axis=1), 0)


def shapetool(*words: object, expect: int, cwd: Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | more.pop("env", {})
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, **more
    )
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def report(path: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return {line["id"]: line for line in lines}


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for number in range(5):
        write_box(tmp_path / f"in/chair/box{number}.obj", size=1.0 + number)
    return tmp_path / "in"


def test_a_folder_becomes_one_file_that_holds_what_the_contract_says(meshes: Path, tmp_path: Path) -> None:
    shapetool("sample-sdf", "in", "out.h5", *FEW, "--seed", 3, expect=0, cwd=tmp_path)
    with h5py.File(tmp_path / "out.h5", "r") as file:
        assert dict(file.attrs)["format"] == "shapetool"
        assert file.attrs["layout"] == 1
        assert file.attrs["kind"] == "sdf"
        assert file.attrs["seed"] == 3
        assert json.loads(file.attrs["recipe"])["count"] == 600
        assert list(file["shape_id"].asstr()) == [f"chair/box{number}" for number in range(5)]
        assert file["source"].asstr()[0] == "chair/box0.obj"
        assert file["points"].shape == (5, 600, 3)
        assert file["points"].dtype == file["distances"].dtype == np.float32
        assert file["surface_points"].shape == file["surface_normals"].shape == (5, 40, 3)
        assert file["watertight"][...].all()
        for row in range(5):
            half = 0.5 * (1 + row) * file["scale"][row]
            assert half == pytest.approx(1 / 1.03 / np.sqrt(3))
            np.testing.assert_allclose(file["offset"][row], -0.5 * (1 + row))
            points = file["points"][row].astype(np.float64)
            np.testing.assert_allclose(file["distances"][row], box_distance(points, half), atol=1.5e-7)
    lines = report(tmp_path / "out.h5.report.jsonl")
    assert {line["status"] for line in lines.values()} == {"ok"}
    assert lines["chair/box0"]["n_vertices"] == 8
    assert lines["chair/box0"]["n_faces"] == 12
    assert lines["chair/box0"]["watertight"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.h5", "out.h5.report.jsonl"]


def test_the_same_bytes_come_out_whatever_the_workers_and_parts(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_box(meshes / "broken.obj", extra="f 1 2 99")
    recipe = sdf_recipe("deepsdf-code").replace(count=600, surface_count=40)
    monkeypatch.setattr("shapetool.runner.job.SHARD_BYTES", 2 * SdfJob(recipe).bytes_per_shape)
    run([meshes], tmp_path / "one", recipe, options=Options(workers=1))
    run([meshes], tmp_path / "two", recipe, options=Options(workers=2))
    for part in (1, 2, 0):
        run([meshes], tmp_path / "parts", recipe, options=Options(shard=(part, 3)))
    found = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / out).glob("shard-*.h5")}
        for out in ("one", "two", "parts")
    ]
    assert len(found[0]) == 3
    assert found[0] == found[1] == found[2]
    assert len(report(tmp_path / "parts/report.jsonl")) == 6


def test_a_record_depends_on_seed_and_id_and_nothing_else(meshes: Path) -> None:
    recipe = sdf_recipe("deepsdf-code").replace(count=300, surface_count=10)
    path = meshes / "chair/box0.obj"
    first, again, other_id, other_seed = (
        sample_one(path, recipe, seed, name, threads=threads).columns["points"]
        for seed, name, threads in ((0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other_id)
    assert not np.array_equal(first, other_seed)


def test_the_size_of_a_record_is_foreseen() -> None:
    recipe = sdf_recipe("deepsdf-code").replace(count=1000, surface_count=100)
    assert SdfJob(recipe).bytes_per_shape == 1000 * 16 + 100 * 24
    assert SdfJob(recipe.replace(dtype="f16")).bytes_per_shape == 1000 * 8 + 100 * 24


def test_half_precision_is_stored_when_asked_for(meshes: Path, tmp_path: Path) -> None:
    shapetool("sample-sdf", "in", "out", *FEW, "--dtype", "f16", expect=0, cwd=tmp_path)
    row = open_dataset(tmp_path / "out")[0]
    assert row["points"].dtype == row["distances"].dtype == np.float16


def test_a_mesh_that_encloses_nothing_is_invalid_with_a_way_out(tmp_path: Path) -> None:
    corners = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
    (tmp_path / "sheet.obj").write_text(corners + "f 1 2 3\nf 1 3 4\n")
    write_box(tmp_path / "twice.obj", extra="\n".join(f"f {' '.join(face.split()[::-1])}" for face in BOX_FACES))
    for name in ("sheet.obj", "twice.obj"):
        with pytest.raises(MeshError, match=r"--sign|[Rr]epair|[Cc]lose"):
            sample_one(tmp_path / name, sdf_recipe("uniform").replace(count=2000, surface_count=5), 0, "x")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(meshes: Path, tmp_path: Path) -> None:
    done = shapetool("sample-sdf", "in", "out.h5", *FEW, "--dry-run", expect=0, cwd=tmp_path)
    would = json.loads(done.stdout)
    assert would["items"] == 5
    assert would["shards"] == 1
    assert would["bytes"] == 5 * (600 * 16 + 40 * 24)
    assert would["free"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_json_is_one_object_a_line_and_quiet_is_silent(meshes: Path, tmp_path: Path) -> None:
    (meshes / "empty.obj").write_text("")
    done = shapetool("sample-sdf", "in", "out", *FEW, "--json", "-q", expect=3, cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events][-1] == "end"
    assert sum(event["event"] == "item" for event in events) == 6
    assert done.stderr == ""
    done = shapetool("sample-sdf", "in", "out2", *FEW, "-q", expect=3, cwd=tmp_path)
    assert done.stdout == done.stderr == ""


def test_a_rerun_says_that_nothing_is_left(meshes: Path, tmp_path: Path) -> None:
    shapetool("sample-sdf", "in", "out.h5", *FEW, expect=0, cwd=tmp_path)
    done = shapetool("sample-sdf", "in", "out.h5", *FEW, expect=0, cwd=tmp_path)
    assert "nothing left to do" in done.stderr


def test_slurm_variables_choose_the_part(meshes: Path, tmp_path: Path) -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
    shapetool("sample-sdf", "in", "out", *FEW, expect=0, cwd=tmp_path, env=slurm)
    done = shapetool("sample-sdf", "in", "out.h5", *FEW, expect=1, cwd=tmp_path, env=slurm)
    assert "folder" in done.stderr
