"""`convert` through its command: there and back for each layout, resumed, replaced, and refused."""

import json
import os
import shutil

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.atomic import beside
from shapetool.data.formats import FORMATS, load_format
from shapetool.data.shards import build_shard, open_dataset, publish
from tests.data.formats.foreign import by_point, sphere_row

IDS = ["chair/a", "chair/b", "lamp/c"]
# The others: test_convert_imnet.py and test_convert_views.py.
ALONE = [name for name in FORMATS if not load_format(name).SHARED and load_format(name).KINDS != ("views",)]
KINDS = [(layout, kind) for layout in ALONE for kind in load_format(layout).KINDS]


def shards(path, kind, ids=IDS, dtype="f4"):
    """One file of spheres."""
    rows = [sphere_row(shape_id, kind, dtype=dtype) for shape_id in ids]
    recipe = {"name": "onet" if kind == "occupancy" else "uniform", "backend": "native"}
    publish(path, build_shard(kind, recipe, 0, {name: [row[name] for row in rows] for name in rows[0]}))
    return path


def content(folder):
    """Every file below a folder but the name of the source, which holds a path of this machine."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".datasources.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize(("layout", "kind"), KINDS)
@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_shards_come_back_with_every_point_and_value(layout, kind, dtype, tmp_path):
    source = shards(tmp_path / "in.h5", kind, dtype=dtype)
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", layout]) == 0
    assert main(["convert", str(tmp_path / "out"), str(tmp_path / "back"), "--to", "shards", "--from", layout]) == 0
    assert main(["verify", str(tmp_path / "back")]) == 0
    value = "distances" if kind == "sdf" else "inside"
    with open_dataset(source) as before, open_dataset(tmp_path / "back") as after:
        assert after.shape_ids == tuple(IDS)
        assert after.kind == kind
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(by_point(old["points"], old[value]), by_point(new["points"], new[value]))
            np.testing.assert_allclose(new["scale"], old["scale"], rtol=1e-6)
            np.testing.assert_allclose(new["offset"], old["offset"], rtol=1e-6)
            if layout in ("onet", "convonet"):
                np.testing.assert_array_equal(new["points"], old["points"])  # in their order too
                assert new["points"].dtype == old["points"].dtype
            if layout == "vecset" or (layout in ("onet", "convonet") and dtype == "f4"):
                np.testing.assert_array_equal(new["surface_points"], old["surface_points"])
                np.testing.assert_array_equal(new["surface_normals"], old["surface_normals"])


@pytest.mark.parametrize(("layout", "kind"), KINDS)
def test_foreign_files_come_back_bit_for_bit_but_for_the_order(layout, kind, tmp_path):
    source = shards(tmp_path / "in.h5", kind, dtype="f4")
    for start, end, to in (("in.h5", "one", layout), ("one", "mid.h5", "shards"), ("mid.h5", "two", layout)):
        assert main(["convert", str(tmp_path / start), str(tmp_path / end), "--to", to, "-q"]) == 0
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert set(one) == set(two)
    lists = [name for name in one if name.endswith((".lst", ".json", ".yaml")) and not name.startswith(".")]
    assert lists
    assert [name for name in lists if one[name] != two[name]] == []
    if layout in ("onet", "convonet"):
        name = "chair/a/points.npz"
        first, second = (np.load(tmp_path / folder / name) for folder in ("one", "two"))
        for key in ("points", "occupancies", "loc"):
            np.testing.assert_array_equal(first[key], second[key])
    if layout == "deepsdf":
        name = "SdfSamples/shapetool/chair/a.npz"
        first, second = (np.load(tmp_path / folder / name) for folder in ("one", "two"))
        for key in ("pos", "neg"):
            np.testing.assert_array_equal(by_point(first[key]), by_point(second[key]))
        frame = "NormalizationParameters/shapetool/chair/a.npz"
        assert one[frame] == two[frame]
    assert source.exists()


def test_an_import_is_the_same_for_any_workers_and_another_for_another_seed(tmp_path):
    source = shards(tmp_path / "in.h5", "sdf")
    out = tmp_path / "deep"
    assert main(["convert", str(source), str(out), "--to", "deepsdf", "-q"]) == 0
    for name, more in (("a", ["-j", "1"]), ("b", ["-j", "2"]), ("c", ["--seed", "1"])):
        assert main(["convert", str(out), str(tmp_path / f"{name}.h5"), "--to", "shards", "-q", *more]) == 0
    a, b, c = ((tmp_path / f"{name}.h5").read_bytes() for name in "abc")
    assert a == b != c


def test_a_shape_with_more_points_is_cut_and_one_with_fewer_is_named(tmp_path, capsys):
    module, out = load_format("deepsdf"), tmp_path / "deep"
    for shape_id, count in (("chair/a", 900), ("chair/b", 700)):
        module.write(out, sphere_row(shape_id, count=count))
    assert main(["convert", str(out), str(tmp_path / "least.h5"), "--to", "shards"]) == 0
    with open_dataset(tmp_path / "least.h5") as least:
        assert least.shapes["points"] == ("<f4", [700, 3])
        whole = {tuple(point) for point in sphere_row("chair/a")["points"].tolist()}
        assert {tuple(point) for point in least[0]["points"].tolist()} < whole
    capsys.readouterr()
    assert main(["convert", str(out), str(tmp_path / "more.h5"), "--to", "shards", "--count", "800"]) == 3
    assert "chair/b: invalid" in capsys.readouterr().err


def test_an_export_goes_on_where_it_stopped_and_is_replaced_only_when_asked(tmp_path, capsys):
    source, out = shards(tmp_path / "in.h5", "occupancy"), tmp_path / "out"
    words = ["convert", str(source), str(out), "--to", "onet"]
    assert main([*words, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 3
    assert not out.exists()
    assert main(words) == 0
    before = content(out)
    (out / "chair" / "b" / "points.npz").unlink()
    kept = (out / "chair" / "a" / "points.npz").stat().st_mtime_ns
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["written"], said["kept"]) == (1, 2)
    assert content(out) == before
    assert (out / "chair" / "a" / "points.npz").stat().st_mtime_ns == kept
    other = shards(tmp_path / "other.h5", "occupancy", ids=["chair/a"], dtype="f2")
    assert main(["convert", str(other), str(out), "--to", "onet"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert content(out) == before
    assert main(["convert", str(other), str(out), "--to", "onet", "--overwrite"]) == 0
    assert content(out)["chair/a/points.npz"] != before["chair/a/points.npz"]


def test_a_killed_export_leaves_nothing_when_it_is_run_again(tmp_path):
    source, out = shards(tmp_path / "in.h5", "sdf"), tmp_path / "out"
    assert main(["convert", str(source), str(out), "--to", "disn"]) == 0
    before, place = content(out), out / "SDF_v1" / "chair" / "a" / "ori_sample.h5"
    child = os.fork()
    if not child:
        beside(place).write_bytes(b"half")
        os._exit(0)
    os.waitpid(child, 0)
    place.unlink()
    assert content(out) != before
    assert main(["convert", str(source), str(out), "--to", "disn"]) == 0
    assert content(out) == before


def test_a_folder_of_something_else_is_not_written_to(tmp_path, capsys):
    source, out = shards(tmp_path / "in.h5", "sdf"), tmp_path / "home"
    out.mkdir()
    (out / "letter.txt").write_text("dear")
    assert main(["convert", str(source), str(out), "--to", "deepsdf"]) == 1
    assert "something else" in capsys.readouterr().err
    assert content(out) == {"letter.txt": b"dear"}
    assert main(["convert", str(source), str(out / "letter.txt"), "--to", "deepsdf", "--overwrite"]) == 1


def test_one_broken_file_costs_only_its_shape(tmp_path, capsys):
    source, out = shards(tmp_path / "in.h5", "sdf"), tmp_path / "deep"
    assert main(["convert", str(source), str(out), "--to", "deepsdf", "-q"]) == 0
    (out / "SdfSamples" / "shapetool" / "chair" / "b.npz").write_bytes(b"no zip")
    assert main(["convert", str(out), str(tmp_path / "back"), "--to", "shards"]) == 3
    assert "chair/b: invalid" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "back")]) == 0
    with open_dataset(tmp_path / "back") as dataset:
        assert dataset.shape_ids == ("chair/a", "lamp/c")


def test_a_shape_that_a_loader_cannot_take_is_refused_and_not_listed(tmp_path, capsys):
    rows = [sphere_row(shape_id) for shape_id in IDS]
    rows[1]["distances"] = np.abs(rows[1]["distances"])
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    publish(tmp_path / "in.h5", build_shard("sdf", {"name": "uniform", "backend": "native"}, 0, columns))
    assert main(["convert", str(tmp_path / "in.h5"), str(tmp_path / "out"), "--to", "deepsdf"]) == 3
    assert "chair/b: expected samples on both sides" in capsys.readouterr().err
    listed = json.loads((tmp_path / "out" / "splits" / "train.json").read_text())
    assert listed == {"shapetool": {"chair": ["a"], "lamp": ["c"]}}


def test_the_layout_can_stand_in_a_file_or_a_variable(tmp_path, monkeypatch):
    for layout in ("deepsdf", "disn"):
        load_format(layout).write(tmp_path / "both", sphere_row("chair/a"))
    (tmp_path / "options.toml").write_text('[convert]\nfrom = "disn"\n')
    words = ["convert", str(tmp_path / "both"), "--to", "shards", "-q"]
    assert main([*words, str(tmp_path / "one.h5"), "--config", str(tmp_path / "options.toml")]) == 0
    monkeypatch.setenv("SHAPETOOL_CONVERT_FROM", "deepsdf")
    assert main([*words, str(tmp_path / "two.h5")]) == 0
    for name, layout in (("one", "disn"), ("two", "deepsdf")):
        with open_dataset(tmp_path / f"{name}.h5") as dataset:
            assert dataset.recipe["name"] == f"import-{layout}"


def test_lists_are_taken_from_a_folder(tmp_path):
    source = shards(tmp_path / "in.h5", "occupancy")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.lst").write_text("chair/a\nlamp/c\n")
    (tmp_path / "lists" / "test.lst").write_text("chair/b\n")
    words = ["convert", str(source), str(tmp_path / "out"), "--to", "convonet", "--split", str(tmp_path / "lists")]
    assert main(words) == 0
    found = {name: data for name, data in content(tmp_path / "out").items() if name.endswith(".lst")}
    assert found == {"chair/train.lst": b"a", "chair/test.lst": b"b", "lamp/train.lst": b"c"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["in.h5", "out", "--to", "onet"], "sample-occupancy"),
        (["in.h5", "out", "--to", "shards"], "is made of shards already"),
        (["nothing", "out", "--to", "onet"], "no such file or folder"),
        (["empty", "out", "--to", "shards"], "files of none of them"),
        (["both", "out", "--to", "shards"], "files of deepsdf and disn"),
        (["both", "out", "--to", "onet", "--from", "disn"], "--to shards first"),
        (["both", "out", "--to", "shards", "--from", "onet"], "expected files of onet, found none"),
        (["in.h5", "out", "--to", "deepsfd"], "did you mean 'deepsdf'"),
        (["in.h5", "out", "--to", "disn", "--split", "empty"], "train.lst"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shards(tmp_path / "in.h5", "sdf")
    (tmp_path / "empty").mkdir()
    for layout in ("deepsdf", "disn"):
        load_format(layout).write(tmp_path / "both", sphere_row("chair/a"))
    assert main(["convert", *words]) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ids_that_lead_out_of_the_folder_write_nothing(tmp_path, capsys):
    source = shards(tmp_path / "in.h5", "sdf", ids=["chair/a", "../../evil"])
    assert main(["convert", str(source), str(tmp_path / "deep" / "out"), "--to", "deepsdf"]) == 1
    assert "plain path" in capsys.readouterr().err
    assert not (tmp_path / "deep" / "out").exists()
    source = shards(tmp_path / "two.h5", "sdf", ids=["a", "shapes/a"])
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", "deepsdf"]) == 1
    assert "lead to one file" in capsys.readouterr().err


def test_a_link_out_of_the_source_is_not_followed(tmp_path, capsys):
    for shape_id in IDS:
        load_format("onet").write(tmp_path / "in", sphere_row(shape_id, "occupancy"))
    secret = tmp_path / "secret.npz"
    place = tmp_path / "in" / "chair" / "b" / "points.npz"
    shutil.move(place, secret)
    os.symlink(secret, place)
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.h5"), "--to", "shards"]) == 3
    assert "leaves the input root" in capsys.readouterr().err
