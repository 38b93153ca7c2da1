"""`info`, `verify` and `merge` as commands: what they print, where, and how they end."""

import json
import os
import re
import shutil
import signal

import pytest

from shapetool.cli import _progress
from shapetool.cli.app import main
from shapetool.data.shards import open_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset folder of three procedural shapes, made by the commands of shapetool itself."""
    place = tmp_path_factory.mktemp("made")
    assert main(["make-shapes", "box", str(place / "meshes"), "--count", "3"]) == 0
    assert main(["sample-sdf", str(place / "meshes"), str(place / "set"), "--count", "2000", "-j", "1", "-q"]) == 0
    return place / "set"


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "set")
    return tmp_path / "set"


def test_info_tells_what_a_data_set_holds(folder, capsys):
    assert main(["info", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["shapes"], told["complete"], told["watertight"]) == ("sdf", 3, True, 3)
    assert told["columns"]["points"] == {"type": "<f4", "shape": [2000, 3]}
    assert told["recipe"]["count"] == 2000
    assert told["report"] == {"ok": 3}
    assert sum(told["sign_methods"].values()) == 3


def test_info_prints_a_table_on_stdout(folder, capsys):
    assert main(["info", str(folder)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  points +<f4 \(2000, 3\)$", out, re.MULTILINE)
    assert re.search(r"^manifest_sha256 +[0-9a-f]{64}$", out, re.MULTILINE), (
        "nothing is folded that may be searched for"
    )
    assert main(["info", str(folder), "-q"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("out", ["set", "set.h5"])
def test_verbose_info_shows_each_failure_and_warning_of_the_report(tmp_path, capsys, out):
    meshes = tmp_path / "meshes"
    assert main(["make-shapes", "box", str(meshes)]) == 0
    text = (meshes / "box-00000.obj").read_text()
    (meshes / "box-00000.obj").write_text(text + "v 9 9 9\n")
    (meshes / "empty.obj").write_text("")
    assert main(["sample-sdf", str(meshes), str(tmp_path / out), "--count", "2000", "-j", "1", "-q"]) == 3
    capsys.readouterr()
    assert main(["info", str(tmp_path / out), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["report"] == {"invalid": 1, "ok": 1}
    assert told.err == ""
    assert main(["info", str(tmp_path / out), "-v"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line[:30] for line in lines] == ["box-00000: warning: 1 unrefere", "empty: invalid: empty.obj: the"]
    assert main(["info", str(tmp_path / out), "-v", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_info_of_a_mesh_tells_its_faces(tmp_path, capsys):
    (tmp_path / "t.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert main(["info", str(tmp_path / "t.obj"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faces"] == 1


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_path_that_is_not_there_is_one_line_and_exit_code_1(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "none.h5")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("shapetool: error: ")
    assert said.err.count("\n") == 1


def test_verify_of_good_data_ends_with_0(folder, capsys):
    assert main(["verify", str(folder)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "nothing wrong found" in said.err


def test_verify_says_in_json_too_that_nothing_is_wrong(folder, capsys):
    assert main(["verify", str(folder), "--json", "-q"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"event": "end", "path": str(folder), "shapes": 3, "findings": 0}
    assert said.err == ""


@pytest.mark.parametrize("command", ["verify", "merge"])
def test_verbose_shows_how_far_it_is_after_each_shape_and_quiet_wins(folder, tmp_path, capsys, command):
    words = [command, str(folder), *([str(tmp_path / "all.h5"), "--overwrite"] if command == "merge" else [])]
    assert main(words) == 0
    assert "1/3 shapes" not in capsys.readouterr().err
    assert main([*words, "-v"]) == 0
    assert capsys.readouterr().err.splitlines()[:3] == ["1/3 shapes", "2/3 shapes", "3/3 shapes"]
    assert main([*words, "-v", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_a_long_command_says_how_far_it_is_every_thirty_seconds(folder, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "EVERY_SECONDS", 0.0)
    assert main(["verify", str(folder)]) == 0
    assert "3/3 shapes" in capsys.readouterr().err


def test_verify_of_damaged_data_prints_each_finding_and_ends_with_1(folder, capsys):
    path = next(folder.glob("shard-*.h5"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert main(["verify", str(folder), "--json"]) == 1
    *findings, end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert findings[0] | {"problem": ""} == {
        **{"event": "finding", "path": str(path), "problem": ""},
        **{"row": findings[0]["row"], "shape_id": findings[0]["shape_id"]},
    }
    assert findings[0]["problem"]
    assert end == {"event": "end", "path": str(folder), "shapes": end["shapes"], "findings": len(findings)}
    assert main(["verify", str(folder)]) == 1
    said = capsys.readouterr()
    assert path.name in said.out
    assert said.err == f"{folder}: {len(findings)} finding{'' if len(findings) == 1 else 's'}\n"


def test_merge_makes_one_file_that_verifies(folder, tmp_path, capsys):
    out = tmp_path / "all.h5"
    assert main(["merge", str(folder), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(out), "shapes": 3}
    assert main(["verify", str(out), "-q"]) == 0
    assert open_dataset(out).shape_ids == open_dataset(folder).shape_ids


def test_merge_replaces_a_file_only_when_told_to(folder, tmp_path, capsys):
    out = tmp_path / "all.h5"
    out.write_bytes(b"mine")
    assert main(["merge", str(folder), str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert main(["merge", str(folder), str(out), "--overwrite", "-q"]) == 0
    assert len(open_dataset(out)) == 3


def test_a_dry_merge_says_what_it_would_write_and_writes_nothing(folder, tmp_path, capsys):
    out = tmp_path / "all.h5"
    assert main(["merge", str(folder), str(out), "--dry-run"]) == 0
    would = json.loads(capsys.readouterr().out)
    assert not out.exists()
    assert main(["merge", str(folder), str(out), "-q"]) == 0
    assert (would["event"], would["out"], would["shapes"]) == ("dry-run", str(out), 3)
    assert abs(would["bytes"] - out.stat().st_size) < 2 << 20  # headers and room to spare, whatever the shapes
    assert main(["merge", str(folder), str(out), "--dry-run"]) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_ends_any_command_with_75_and_one_line(folder, capsys, monkeypatch, name):
    def told_to_stop(*_: object) -> None:
        os.kill(os.getpid(), getattr(signal, name))

    before = signal.getsignal(getattr(signal, name))
    monkeypatch.setattr("shapetool.data.merge.GrowingFile.publish", told_to_stop)
    assert main(["merge", str(folder), str(folder.parent / "all.h5")]) == 75
    assert capsys.readouterr().err == f"shapetool: error: stopped by {name}; run the same command again to go on\n"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["set"]
    assert signal.getsignal(getattr(signal, name)) is before


def test_merge_into_something_that_is_no_h5_is_refused(folder, tmp_path, capsys):
    assert main(["merge", str(folder), str(tmp_path / "all.npz")]) == 1
    assert "ends in .h5" in capsys.readouterr().err
