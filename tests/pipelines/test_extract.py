"""Runs to meshes, on a run whose shapes are octahedra known in closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from shapetool.cli.app import main
from shapetool.data.clouds import encode_cloud
from shapetool.errors import ConfigError, DataError
from shapetool.geometry.mesh import load_mesh
from shapetool.geometry.topology import analyse
from shapetool.models import model_class
from shapetool.models.base import Facts
from shapetool.pipelines.extract import Extracting, check_truths, run
from shapetool.pipelines.extract_sources import wanted_shapes
from shapetool.runner.report import read_report
from shapetool.training.checkpoint import State, save
from shapetool.training.runs import RunRecipe, built, open_run, write_recipe
from tests.octahedra import octahedron_text, write_run

UNIT = {"frame": "unit", "resolution": 33}
IDS = ["eight/small", "eight/large"]


@pytest.fixture(scope="module")
def solids(tmp_path_factory) -> Path:
    """Two octahedra of radius 2 and 6, off the origin: in the frame of their boxes both have the radius one half."""
    folder = tmp_path_factory.mktemp("solids")
    (folder / "meshes/eight").mkdir(parents=True)
    (folder / "meshes/eight/small.obj").write_text(octahedron_text(2.0, (1.0, 2.0, 3.0)))
    (folder / "meshes/eight/large.obj").write_text(octahedron_text(6.0, (-5.0, 0.0, 1.0)))
    words = ["sample-sdf", str(folder / "meshes"), str(folder / "sdf.h5"), "--normalize", "box", "--count", "4000"]
    assert main([*words, "--surface-count", "100", "-j", "1", "-q"]) == 0
    return folder


@pytest.fixture
def known(solids, tmp_path) -> Path:
    """A run that was trained on both, as `sample-sdf` orders them: large, small."""
    return write_run(tmp_path / "run", [0.0, 0.0], sorted(IDS), solids / "sdf.h5")


@pytest.fixture
def three(tmp_path) -> Path:
    """A run whose data are gone, of octahedra of radius 0.4, 0.5 and 0.7."""
    return write_run(tmp_path / "three", [-1.0, 0.0, 2.0], ["a", "b", "c"], tmp_path / "gone.h5")


def volumes(folder: Path, suffix: str = "ply") -> dict[str, float]:
    return {p.relative_to(folder).with_suffix("").as_posix(): load_mesh(p).volume for p in folder.rglob(f"*.{suffix}")}


def radius(volume: float) -> float:
    return (volume * 3 / 4) ** (1 / 3)


def test_each_shape_comes_back_where_its_mesh_was(known, solids, tmp_path):
    extracted = run(Extracting(known, resolution=65), tmp_path / "out")
    assert extracted.summary.exit_code == 0
    for name, size, centre in (("small", 2.0, (1, 2, 3)), ("large", 6.0, (-5, 0, 1))):
        mesh = load_mesh(tmp_path / f"out/eight/{name}.ply")
        assert analyse(mesh).sound
        # Corners and edges are cut within a cell, a sixteenth of the radius.
        assert radius(mesh.volume) == pytest.approx(size, rel=0.01)
        np.testing.assert_allclose(mesh.bounds.mean(axis=0), centre, atol=0.02 * size)


def test_the_methods_make_the_same_files(three, tmp_path):
    for method in ("mise", "dense"):
        run(Extracting(three, method=method, frame="unit", resolution=97), tmp_path / method)
    for name in "abc":
        assert (tmp_path / f"mise/{name}.ply").read_bytes() == (tmp_path / f"dense/{name}.ply").read_bytes()
    asked = {
        m: sum(line["evaluations"] for line in read_report(tmp_path / m / "report.jsonl")) for m in ("mise", "dense")
    }
    assert asked["mise"] < asked["dense"] / 3


def test_an_auto_decoder_remembers_shapes_whose_data_are_gone_and_says_that_their_frame_is_lost(three, tmp_path):
    run(Extracting(three, **UNIT), tmp_path / "out")
    found = {name: radius(volume) for name, volume in volumes(tmp_path / "out").items()}
    assert found == pytest.approx({"a": 0.4, "b": 0.5, "c": 0.7}, rel=0.02)
    assert "unit frame" in read_report(tmp_path / "out/report.jsonl")[0]["warnings"][0]


def test_a_shape_without_a_surface_costs_only_itself(tmp_path):
    folder = write_run(tmp_path / "run", [0.0, -6.0, 30.0], ["a", "nothing", "everything"], tmp_path / "gone.h5")
    words = ["extract", str(folder), str(tmp_path / "out"), "--resolution", "33", "-q"]
    assert main(words) == 3
    lines = {line["id"]: line for line in read_report(tmp_path / "out/report.jsonl")}
    assert lines["a"]["status"] == "ok"
    assert lines["nothing"]["status"] == "failed"
    assert "outside" in lines["nothing"]["error"]
    assert sorted(volumes(tmp_path / "out")) == ["a", "everything"] or lines["everything"]["status"] == "failed"


def test_steps_between_two_shapes_grow_from_one_to_the_other(three, tmp_path):
    run(Extracting(three, between=("a", "c"), steps=4, **UNIT), tmp_path / "out")
    found = [radius(volume) for _, volume in sorted(volumes(tmp_path / "out").items())]
    assert found == pytest.approx([0.4, 0.5, 0.6, 0.7], rel=0.02)


def test_an_unseen_shape_is_found_by_its_distances(three, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new/other.obj").write_text(octahedron_text(0.6))
    words = ["sample-sdf", str(tmp_path / "new"), str(tmp_path / "new.h5"), "--normalize", "none", "--count", "4000"]
    assert main([*words, "--surface-count", "100", "-j", "1", "-q"]) == 0
    with pytest.raises(DataError, match="frame of the run, normalize box, found none"):
        run(Extracting(three, data=tmp_path / "new.h5", **UNIT), tmp_path / "out")
    folder = write_run(tmp_path / "none", [-1.0, 0.0], ["a", "b"], tmp_path / "gone.h5", {"normalize": "none"})
    run(Extracting(folder, data=tmp_path / "new.h5", resolution=33), tmp_path / "out")
    # The field is steeper than a distance, so the least error is not quite at the true radius.
    assert radius(volumes(tmp_path / "out")["other"]) == pytest.approx(0.6, abs=0.03)


def half_cloud(size: float, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Points with normals on the faces of an octahedron that look up."""
    rng = np.random.default_rng(0)
    points = rng.dirichlet(np.ones(3), count) * size
    signs = np.where(rng.random((count, 2)) < 0.5, -1.0, 1.0)
    points[:, :2] *= signs
    normals = np.column_stack([signs, np.ones(count)]) / np.sqrt(3)
    return points, normals


def test_a_whole_shape_is_found_by_a_part_of_its_surface(three, tmp_path):
    points, normals = half_cloud(0.62)
    (tmp_path / "part.ply").write_bytes(encode_cloud(points, normals))
    words = ["extract", str(three), str(tmp_path / "out"), "--complete", str(tmp_path / "part.ply"), "-q"]
    assert main([*words, "--camera", "0,0,3", "--resolution", "33"]) == 0
    assert radius(volumes(tmp_path / "out")["part"]) == pytest.approx(0.62, abs=0.02)


def test_an_encoder_of_clouds_takes_a_part_without_normals(tmp_path):
    config = model_class("onet").configs["default"].replace(width=8, encoder_width=8, code_size=4)
    facts = Facts(("a",), "occupancy", 0.55, {}, {"points": (100, 3), "surface_points": (100, 3)})
    made = RunRecipe("onet", config, facts, (str(tmp_path / "gone.h5"),))
    model = built(made).eval()
    write_recipe(tmp_path, made)
    save(tmp_path / "best", State(step=1, weights=model.state_dict()), {"model": "OccupancyNetwork"})
    points, _ = half_cloud(0.4, 300)
    (tmp_path / "part.ply").write_bytes(encode_cloud(points, None))
    (wanted,) = wanted_shapes(Extracting(tmp_path, complete=tmp_path / "part.ply"), open_run(tmp_path))
    with torch.no_grad():
        expected = model.codes_of({"cloud": torch.from_numpy(points.astype(np.float32))[None]})[0]
    torch.testing.assert_close(wanted.code, expected)


@pytest.mark.parametrize(
    ("scale", "with_normals", "message"),
    [(1.0, False, "expected a normal for each point"), (500.0, True, "expected points in the unit frame")],
)
def test_a_part_that_cannot_be_completed_says_why(three, tmp_path, scale, with_normals, message):
    points, normals = half_cloud(0.6, 100)
    (tmp_path / "part.ply").write_bytes(encode_cloud(scale * points, normals if with_normals else None))
    with pytest.raises(DataError, match=message):
        run(Extracting(three, complete=tmp_path / "part.ply", **UNIT), tmp_path / "out")


def test_a_rerun_makes_what_is_missing_and_nothing_else(three, tmp_path):
    out = tmp_path / "out"
    seen: list[str] = []
    stopped = run(Extracting(three, **UNIT), out, stop=lambda: "SIGTERM" if len(seen) == 1 else None,
                  on_event=lambda event: seen.append(event["event"]) if event["event"] == "item" else None)  # fmt: skip
    assert stopped.summary.exit_code == 75
    assert sorted(volumes(out)) == ["a"]
    before = (out / "a.ply").stat().st_mtime_ns
    assert run(Extracting(three, **UNIT), out).summary.done_now == 2
    assert (out / "a.ply").stat().st_mtime_ns == before
    assert [line["id"] for line in read_report(out / "report.jsonl")] == ["a", "b", "c"]
    assert run(Extracting(three, **UNIT), out).summary.done_now == 0


def test_a_folder_of_another_extraction_is_left_alone(three, tmp_path):
    run(Extracting(three, **UNIT), tmp_path / "out")
    other = Extracting(three, frame="unit", resolution=17)
    with pytest.raises(ConfigError, match="another resolution"):
        run(other, tmp_path / "out")
    run(other, tmp_path / "out", overwrite=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="expected an empty folder"):
            run(other, tmp_path / "full", overwrite=overwrite)


def test_shapes_are_scored_by_the_code_of_eval(known, solids, tmp_path, capsys):
    words = ["extract", str(known), str(tmp_path / "out"), "--resolution", "49", "--against", str(solids / "meshes")]
    assert main([*words, "--scores", str(tmp_path / "scores"), "--json"]) == 0
    summary = next(e for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["event"] == "summary")
    assert summary["counts"]["ok"] == 2
    assert (tmp_path / "scores/per_shape.csv").exists()
    assert summary["metrics"]["iou"]["excluded"]["mean"] > 0.95


def test_truths_of_shapes_that_were_not_asked_for_do_not_count(known, solids, tmp_path, capsys):
    words = ["extract", str(known), str(tmp_path / "out"), "--resolution", "49", "--against", str(solids / "meshes")]
    assert main([*words, "--only", "eight/large", "--json"]) == 0
    summary = next(e for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["event"] == "summary")
    assert summary["counts"] == {"total": 1, "ok": 1}
    assert summary["unpaired"] == {"predictions": [], "truths": []}


def test_shapes_of_one_list_and_by_name(known, solids, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.lst").write_text("eight/small\n")
    (tmp_path / "lists/test.lst").write_text("eight/large\n")
    run(Extracting(known, split=tmp_path / "lists", **UNIT), tmp_path / "held-out")
    assert sorted(volumes(tmp_path / "held-out")) == ["eight/large"]
    run(Extracting(known, only=("eight/small",), **UNIT), tmp_path / "one")
    assert sorted(volumes(tmp_path / "one")) == ["eight/small"]
    with pytest.raises(ConfigError, match="did you mean 'eight/small'"):
        run(Extracting(known, only=("eight/smal",), **UNIT), tmp_path / "none")


def test_what_cannot_be_done_is_refused_with_a_reason(three, known, tmp_path):
    with pytest.raises(ConfigError, match="cannot make up codes"):
        run(Extracting(three, sample=2, **UNIT), tmp_path / "out")
    with pytest.raises(ConfigError, match="--interpolate d: the run knows no such shape"):
        run(Extracting(three, between=("a", "d"), **UNIT), tmp_path / "out")
    with pytest.raises(ConfigError, match="expected one of them"):
        Extracting(three, sample=2, data=tmp_path)
    with pytest.raises(ConfigError, match="have no truth"):
        check_truths(tmp_path, Extracting(three, sample=2))
    with pytest.raises(ConfigError, match="in their own frame"):
        check_truths(tmp_path, Extracting(three, frame="unit"))
    with pytest.raises(ConfigError, match="--camera"):
        Extracting(three, camera=(0.0, 0.0, 1.0))


def test_the_files_have_the_format_that_is_asked_for(three, tmp_path):
    run(Extracting(three, only=("b",), format="obj", **UNIT), tmp_path / "out")
    assert radius(volumes(tmp_path / "out", "obj")["b"]) == pytest.approx(0.5, rel=0.02)


def test_pictures_show_meshes_and_fields(three, tmp_path):
    words = ["extract", str(three), str(tmp_path / "out"), "--only", "b", "--resolution", "33", "-q"]
    assert main([*words, "--contact-sheet", str(tmp_path / "sheet.png"), "--render", str(tmp_path / "views")]) == 0
    from PIL import Image

    for path in (tmp_path / "sheet.png", tmp_path / "views/b.png"):
        image = np.asarray(Image.open(path).convert("L"))
        # The octahedron is grey before white, on a tenth of the picture or more.
        assert 0.05 < (image < 250).mean() < 0.6
