"""`split` as a command: what it writes and prints, what it refuses, and that copies stay together."""

import json
import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.geometry.mesh import load_mesh


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    path.write_text("\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist())]) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Six chairs, and of each a mirrored, turned and resized copy whose id has nothing in common with its own."""
    place = tmp_path_factory.mktemp("made")
    assert main(["make-shapes", "chair", str(place / "meshes" / "chair"), "--count", "6"]) == 0
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn[:, 0] *= -np.sign(np.linalg.det(turn))
    for number, path in enumerate(sorted((place / "meshes" / "chair").glob("*.obj"))):
        mesh = load_mesh(path)
        write_obj(place / "meshes" / "copy" / f"{'abcdef'[number]}.obj", mesh.vertices @ turn * 9, mesh.faces[:, ::-1])
    return place


def lists_of(out: Path) -> dict[str, list[str]]:
    return {part: (out / f"{part}.lst").read_text().split() for part in ("train", "val", "test")}


def test_every_shape_is_on_one_list_and_the_summary_says_the_same(made, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["split", str(made / "meshes"), "--out", str(out), "--train", ".5", "--test", ".25", "--json"]) == 0
    said = capsys.readouterr()
    told, about, lists = json.loads(said.out), json.loads((out / "split.json").read_text()), lists_of(out)
    ids = [f"chair/chair-0000{number}" for number in range(6)] + [f"copy/{letter}" for letter in "abcdef"]
    assert sorted(chain(*about["lists"].values())) == ids
    assert {part: about["lists"][part] for part in lists} == lists
    assert {part: told[part] for part in lists} == {part: len(names) for part, names in lists.items()}
    assert told["val"] == 0
    assert told["left_out"] == 12 - sum(map(len, lists.values()))
    assert f"{told['left_out']} left out" in said.err
    assert about["settings"] | {"train": 0.5, "val": 0.0, "test": 0.25, "seed": 0} == about["settings"]
    assert sorted(path.name for path in out.iterdir()) == ["split.json", "test.lst", "train.lst", "val.lst"]


def test_a_folder_its_shard_and_its_dataset_folder_have_the_same_lists(made, tmp_path):
    meshes = made / "meshes" / "chair"
    words = ["--count", "1000", "--surface-count", "100", "-j", "1", "-q"]
    assert main(["sample-sdf", str(meshes), str(tmp_path / "one.h5"), *words]) == 0
    assert main(["sample-sdf", str(meshes), str(tmp_path / "set"), *words]) == 0
    found = []
    for data in (meshes, tmp_path / "one.h5", tmp_path / "set"):
        assert main(["split", str(data), "--out", str(tmp_path / f"of {data.name}"), "-q"]) == 0
        found.append(lists_of(tmp_path / f"of {data.name}"))
    assert found[0] == found[1] == found[2]
    assert main(["split", str(tmp_path / "one.h5"), "-q"]) == 0
    assert lists_of(tmp_path / "one.split") == found[0]


def test_copies_of_meshes_stay_together_for_every_seed(made, tmp_path):
    for seed in range(3):
        out = tmp_path / str(seed)
        words = ["--group-by", "similarity", "--seed", str(seed), "--train", ".4", "--val", ".3", "--test", ".3", "-q"]
        assert main(["split", str(made / "meshes"), "--out", str(out), "-j", "2", *words]) == 0
        lists = lists_of(out)
        side = {name: part for part, names in lists.items() for name in names}
        assert all(side[f"chair/chair-0000{number}"] == side[f"copy/{'abcdef'[number]}"] for number in range(6))
        about = json.loads((out / "split.json").read_text())
        assert about["groups"]["chair/chair-00000"] == ["chair/chair-00000", "copy/a"]
        assert about["counts"]["groups_apart"] == 0


def test_copies_in_a_shard_stay_together_and_few_points_are_said(made, tmp_path, capsys):
    words = ["--count", "1000", "-j", "2", "-q", "--surface-count"]
    assert main(["sample-sdf", str(made / "meshes"), str(tmp_path / "many.h5"), *words, "16384"]) == 0
    assert main(["split", str(tmp_path / "many.h5"), "--group-by", "similarity"]) == 0
    groups = json.loads((tmp_path / "many.split" / "split.json").read_text())["groups"]
    assert {name for name in groups if name.startswith("chair/")} == set(groups)
    assert all({f"chair/chair-0000{n}", f"copy/{'abcdef'[n]}"} <= set(chain(*groups.values())) for n in range(6))
    assert "few" not in capsys.readouterr().err
    assert main(["sample-sdf", str(made / "meshes"), str(tmp_path / "few.h5"), *words, "500"]) == 0
    assert main(["split", str(tmp_path / "few.h5"), "--group-by", "similarity"]) == 0
    assert "500 surface points a shape are few" in capsys.readouterr().err


def test_a_prefix_stays_together_and_classes_have_lists_of_their_own(tmp_path):
    source = Path(tmp_path / "meshes")
    for number in range(8):
        for view in range(3):
            write_obj(source / f"c{number % 2}" / f"s{number}_{view}.obj", np.eye(3), np.array([[0, 1, 2]]))
    words = ["--group-by", "prefix", "--by", "class", "--train", ".5", "--val", ".5", "-q"]
    assert main(["split", str(source), "--out", str(tmp_path / "out"), *words]) == 0
    sides: dict[str, set[str]] = {}
    for path in (tmp_path / "out").rglob("*.lst"):
        for name in path.read_text().split():
            sides.setdefault(name[:2], set()).add(path.relative_to(tmp_path / "out").as_posix())
    assert len(sides) == 8
    assert all(len(files) == 1 for files in sides.values())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["c0", "c1", "split.json"]


def test_lists_that_exist_are_followed_and_copies_they_part_are_counted(made, tmp_path, capsys):
    (tmp_path / "train.lst").write_text("\n".join(f"chair/chair-0000{number}" for number in range(6)))
    (tmp_path / "my_test.json").write_text(json.dumps({"copy": ["a", "b", "gone"]}))
    words = ["--from", str(tmp_path / "train.lst"), "--from", str(tmp_path / "my_test.json")]
    out = tmp_path / "out"
    assert main(["split", str(made / "meshes"), "--out", str(out), *words, "--group-by", "similarity", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["train"], told["test"], told["left_out"], told["missing"], told["groups_apart"]) == (6, 2, 4, 1, 6)
    assert "copy/gone" in said.err
    assert main(["split", str(made / "meshes"), "--out", str(tmp_path / "x"), *words, "--train", "1"]) == 1
    capsys.readouterr()
    (tmp_path / "options.toml").write_text(f"[split]\nfrom = [{str(tmp_path / 'train.lst')!r}]\n")
    assert main(["split", str(made / "meshes"), "--dry-run", "--config", str(tmp_path / "options.toml")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["train"], told["left_out"]) == (6, 6)


def test_a_dry_run_writes_nothing_and_a_finished_split_is_replaced_only_when_told_to(made, tmp_path, capsys):
    out, data = tmp_path / "out", str(made / "meshes")
    assert main(["split", data, "--out", str(out), "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["out"], told["shapes"], out.exists()) == ("dry-run", str(out), 12, False)
    assert main(["split", data, "--out", str(out), "-q"]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for words in ([], ["--dry-run"], ["--seed", "1"]):
        assert main(["split", data, "--out", str(out), *words]) == 1
        assert "--overwrite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "split.json").unlink()  # as if it had been killed before the last file
    assert main(["split", data, "--out", str(out), "-q"]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "split.json").unlink()
    assert main(["split", data, "--out", str(out), "--seed", "1"]) == 1
    assert main(["split", data, "--out", str(out), "--seed", "1", "--overwrite", "-q"]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} != before


def test_a_mesh_that_cannot_be_read_costs_only_itself(made, tmp_path, capsys):
    shutil.copytree(made / "meshes", tmp_path / "meshes")
    (tmp_path / "meshes" / "empty.obj").write_text("")
    words = ["split", str(tmp_path / "meshes"), "--out", str(tmp_path / "out")]
    assert main([*words, "--group-by", "similarity"]) == 3
    assert "empty: empty.obj:" in capsys.readouterr().err
    about = json.loads((tmp_path / "out" / "split.json").read_text())
    assert list(about["problems"]) == ["empty"]
    assert len(list(chain(*about["lists"].values()))) == 13
    assert len(about["groups"]) >= 5


def test_what_makes_no_sense_is_one_line_and_exit_code_1(made, tmp_path, capsys):
    (tmp_path / "bad.h5").write_bytes(b"no shard")
    data = str(made / "meshes")
    for words in (
        [str(tmp_path / "none")],
        [str(tmp_path / "bad.h5")],
        [data, "--train", ".9", "--val", ".2"],
        [data, "--by", "colour"],
        [data, "--out", str(tmp_path / "bad.h5")],
        [data, "--from", str(tmp_path / "none.lst")],
    ):
        assert main(["split", *words]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
    assert not (made / "meshes.split").exists()
