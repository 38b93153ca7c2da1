"""`shapetool repair` from the outside."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from shapetool.cli.app import main
from shapetool.data.mesh_files import encode_mesh
from shapetool.geometry.mesh import Mesh
from tests import analytic


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An open box, two overlapping shells, a sound box, and a file that is no mesh."""
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    box = analytic.box_mesh((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    for name, (vertices, faces) in {
        "open": (analytic.open_box().vertices, analytic.open_box().faces),
        "deep/two": (analytic.overlapping_shells().vertices, analytic.overlapping_shells().faces),
        "sound": box,
    }.items():
        (root / f"{name}.obj").write_bytes(encode_mesh(Mesh(vertices, faces), "obj"))
    (root / "broken.obj").write_text("v 0 0 0\nf 1 2 3\n")
    return root


def test_a_folder_becomes_closed_meshes_and_a_report(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["repair", str(folder), str(out), "--resolution", "24", "--format", "off", "--json"]) == 3
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines = {line["id"]: line for line in events if line["event"] == "item"}
    assert events[-1]["event"] == "end"
    assert {name: line["status"] for name, line in lines.items()} == {
        "broken": "invalid",
        "deep/two": "ok",
        "open": "ok",
        "sound": "ok",
    }
    for name in ("open", "deep/two", "sound"):
        assert trimesh.load(out / f"{name}.off", process=False).is_watertight
    assert lines["sound"]["method"] == "kept"
    assert [json.loads(line)["id"] for line in (out / "report.jsonl").read_text().splitlines()] == sorted(lines)


def test_a_rerun_does_what_is_missing_and_refuses_other_settings(folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["repair", str(folder), str(out), "--resolution", "24"]
    assert main(words) == 3
    first = (out / "open.ply").read_bytes()
    before = (out / "sound.ply").stat().st_mtime_ns
    (out / "open.ply").unlink()
    assert main(words) == 3
    assert (out / "open.ply").read_bytes() == first
    assert (out / "sound.ply").stat().st_mtime_ns == before
    assert main([*words[:-1], "25"]) == 1
    assert "other settings" in capsys.readouterr().err


def test_one_input_becomes_one_file(folder, tmp_path):
    out = tmp_path / "x.ply"
    assert main(["repair", str(folder / "open.obj"), str(out), "--resolution", "24", "-q"]) == 0
    assert np.isclose(trimesh.load(out).bounds, trimesh.load(folder / "open.obj").bounds, atol=0.05).all()
    assert json.loads((tmp_path / "x.ply.report.jsonl").read_text())["status"] == "ok"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in",
        "x.ply",
        "x.ply.recipe.json",
        "x.ply.report.jsonl",
    ]
    assert main(["repair", str(folder), str(out)]) == 1


def test_a_file_is_made_once_and_refused_for_another_input_or_settings(folder, tmp_path, capsys):
    out = tmp_path / "x.ply"
    words = ["repair", str(folder / "open.obj"), str(out), "--resolution", "24"]
    assert main(words) == 0
    before = out.stat().st_mtime_ns
    assert main(words) == 0
    assert "nothing left to do" in capsys.readouterr().err
    assert out.stat().st_mtime_ns == before
    assert main([*words[:-1], "25"]) == 1
    assert "resolution 24 -> 25" in capsys.readouterr().err
    assert main(["repair", str(folder / "sound.obj"), *words[2:]]) == 1
    assert "was made of open.obj" in capsys.readouterr().err
    assert main([*words[:-1], "25", "--overwrite"]) == 0
    (tmp_path / "y.ply").write_text("mine")
    assert main(["repair", str(folder / "open.obj"), str(tmp_path / "y.ply")]) == 1
    assert "did not write it" in capsys.readouterr().err


def test_a_file_that_cannot_be_made_leaves_its_report(folder, tmp_path):
    out = tmp_path / "x.ply"
    assert main(["repair", str(folder / "broken.obj"), str(out), "-q"]) == 3
    assert json.loads((tmp_path / "x.ply.report.jsonl").read_text())["status"] == "invalid"
    assert not out.exists()
    assert not (tmp_path / "x.ply.partial").exists()


def test_a_file_that_cannot_be_made_again_does_not_stay_beside_the_report_of_its_failure(folder, tmp_path, capsys):
    out = tmp_path / "x.ply"
    assert main(["repair", str(folder / "open.obj"), str(out), "--resolution", "24", "--json"]) == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (end["out"], end["report"]) == (str(out), f"{out}.report.jsonl")
    assert main(["repair", str(folder / "open.obj"), str(out), "--resolution", "24", "--solid", "--overwrite"]) == 3
    assert "outside reaches everywhere" in json.loads((tmp_path / "x.ply.report.jsonl").read_text())["error"]
    assert not out.exists()


def test_a_dry_run_writes_nothing_and_the_input_is_never_replaced(folder, tmp_path, capsys):
    assert main(["repair", str(folder), str(tmp_path / "out"), "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 4
    assert not (tmp_path / "out").exists()
    assert main(["repair", str(folder / "open.obj"), str(folder / "open.obj"), "--overwrite"]) == 1
    assert "input itself" in capsys.readouterr().err


def test_verify_and_info_know_a_folder_of_repaired_meshes(folder, tmp_path, capsys):
    out = tmp_path / "out"
    main(["repair", str(folder), str(out), "--resolution", "24", "-q"])
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["kind"], about["shapes"], about["complete"]) == ("mesh", 3, True)
    assert about["methods"] == {"cut": 1, "kept": 1, "rebuilt": 1}
    assert about["report"] == {"invalid": 1, "ok": 3}
    text = (folder / "open.obj").read_bytes()
    good = trimesh.load(out / "open.ply", process=False)
    (out / "open.ply").write_bytes(encode_mesh(Mesh(good.vertices, good.faces[1:].astype(np.int64)), "ply"))
    (out / "sound.ply").write_bytes(text)
    (out / "deep/two.ply").unlink()
    assert main(["verify", str(out)]) == 1
    said = {Path(line.split(": ")[0]).name: line for line in capsys.readouterr().out.splitlines()[::-1]}
    assert set(said) == {"open.ply", "sound.ply", "two.ply"}
    assert "faces as in the report" in said["open.ply"]
    assert "is not" in said["two.ply"]


def test_small_holes_are_filled_on_request(tmp_path, capsys):
    vertices, faces = analytic.box_mesh((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    path = tmp_path / "holed.obj"
    path.write_bytes(encode_mesh(Mesh(vertices, faces[1:]), "obj"))
    assert main(["repair", str(path), str(tmp_path / "out"), "--fill-holes", "1.5", "-v"]) == 0
    assert "holed: filled 1 hole, Euler number 2" in capsys.readouterr().err
    assert len(trimesh.load(tmp_path / "out/holed.ply", process=False).faces) == 12
    assert main(["repair", str(path), str(tmp_path / "other"), "--fill-holes", "3"]) == 1
