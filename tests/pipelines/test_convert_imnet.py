"""`convert` for files that hold many shapes: there and back, lists, resumed, replaced, refused."""

import json
import shutil

import h5py
import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.formats import load_format
from shapetool.data.shards import build_shard, open_dataset, publish
from tests.data.formats.foreign import imnet_row, sphere_row
from tests.pipelines.test_convert import content

IDS = ["chair/a", "chair/b", "lamp/c"]
METHODS = ["v1", "v2"]


def shards(path, method, ids=IDS, **changes):
    """One file of spheres with sets."""
    rows = [imnet_row(shape_id, method) | changes.get(shape_id.replace("/", "_"), {}) for shape_id in ids]
    recipe = {"name": f"imnet-{method}", "backend": "native"}
    publish(path, build_shard("occupancy", recipe, 0, {name: [row[name] for row in rows] for name in rows[0]}))
    return path


def convert(*words):
    return main(["convert", *(str(word) for word in words)])


@pytest.mark.parametrize("method", METHODS)
def test_shards_come_back_with_every_point_label_and_voxel(method, tmp_path):
    source = shards(tmp_path / "in.h5", method)
    assert convert(source, tmp_path / "out", "--to", f"imnet-{method}") == 0
    assert convert(tmp_path / "out", tmp_path / "back", "--to", "shards") == 0  # the layout is what the files say
    assert main(["verify", str(tmp_path / "back")]) == 0
    with open_dataset(source) as before, open_dataset(tmp_path / "back") as after:
        assert after.shape_ids == tuple(IDS)
        assert after.recipe["name"] == f"import-imnet-{method}"
        for old, new in zip(before, after, strict=True):
            for name in ("points", "inside"):
                np.testing.assert_array_equal(old[name][np.argsort(old["order"])], new[name][np.argsort(new["order"])])
            np.testing.assert_array_equal(old["voxels"], new["voxels"])
            assert not np.array_equal(new["order"], np.sort(new["order"]))  # a slice is a fair draw of the sets


@pytest.mark.parametrize("method", METHODS)
def test_files_come_back_bit_for_bit(method, tmp_path):
    shards(tmp_path / "in.h5", method, ids=[f"chair/{number:02d}" for number in range(19)])  # more than one flush
    layout = f"imnet-{method}"
    for start, end, to in (("in.h5", "one", layout), ("one", "mid.h5", "shards"), ("mid.h5", "two", layout)):
        assert convert(tmp_path / start, tmp_path / end, "--to", to, "-q") == 0
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert {name for name in one if not name.startswith(".")} == {name for name in two if not name.startswith(".")}
    assert [name for name in one if not name.startswith(".") and one[name] != two[name]] == []


def test_lists_make_a_file_each_and_other_lists_need_overwrite(tmp_path, capsys):
    source, out = shards(tmp_path / "in.h5", "v2"), tmp_path / "out"
    assert main(["split", str(source), "--train", ".5", "--test", ".5", "--out", str(tmp_path / "one")]) == 0
    assert convert(source, out, "--to", "imnet-v2", "--split", tmp_path / "one") == 0
    for split in ("train", "test"):
        listed = (tmp_path / "one" / f"{split}.lst").read_text()
        written = out / f"all_vox256_img_{split}.txt"
        assert (written.read_text() if written.exists() else "") == (listed + "\n" if listed else "")
    before = content(out)
    assert convert(source, out, "--to", "imnet-v2") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert content(out) == before
    assert convert(source, out, "--to", "imnet-v2", "--overwrite") == 0
    assert (out / "all_vox256_img_train.txt").read_text() == "".join(f"{name}\n" for name in IDS)


def test_an_export_goes_on_with_the_files_that_are_missing(tmp_path, capsys):
    source, out = shards(tmp_path / "in.h5", "v1"), tmp_path / "out"
    assert convert(source, out, "--to", "imnet-v1", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["written"] == 3
    assert not out.exists()
    assert convert(source, out, "--to", "imnet-v1") == 0
    before = content(out)
    (out / "lamp_vox.hdf5").unlink()
    kept = (out / "chair_vox.hdf5").stat().st_mtime_ns
    assert convert(source, out, "--to", "imnet-v1", "--json") == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["written"], said["kept"]) == (1, 2)
    assert content(out) == before
    assert (out / "chair_vox.hdf5").stat().st_mtime_ns == kept


def test_a_shape_whose_points_are_no_sets_is_refused_and_not_listed_each_time(tmp_path, capsys):
    wrong = {"points": imnet_row("chair/b", "v1")["points"] * np.float32(0.9)}
    source = shards(tmp_path / "in.h5", "v1", chair_b=wrong)
    for _ in range(2):
        assert convert(source, tmp_path / "out", "--to", "imnet-v1") == 3
        assert "chair/b, set of 16: expected centres" in capsys.readouterr().err
    assert (tmp_path / "out" / "chair_vox.txt").read_text() == "a\n"
    with h5py.File(tmp_path / "out" / "chair_vox.hdf5", "r") as file:
        assert len(file["points_64"]) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plain.h5", "out", "--to", "imnet-v1"], "--recipe imnet-v1"),
        (["sdf.h5", "out", "--to", "imnet-v2"], "sample-occupancy"),
        (["v1", "out.h5", "--to", "shards", "--count", "100"], "sets of 45056 points"),
        (["twice", "out.h5", "--to", "shards"], "found chair/a again"),
        (["unnamed", "out.h5", "--to", "shards", "--from", "imnet-v1"], "expected the names"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, kind in (("plain", "occupancy"), ("sdf", "sdf")):
        columns = {column: [value] for column, value in sphere_row("chair/a", kind).items()}
        publish(tmp_path / f"{name}.h5", build_shard(kind, {"name": "x", "backend": "native"}, 0, columns))
    assert convert(shards(tmp_path / "in.h5", "v1"), "v1", "--to", "imnet-v1", "-q") == 0
    for name in ("twice", "unnamed"):
        shutil.copytree("v1", name)
    shutil.copytree("v1", "twice/chair_again")
    (tmp_path / "unnamed" / "chair_vox.txt").unlink()
    (tmp_path / "twice" / "chair_again").rename(tmp_path / "twice" / "chair")
    (tmp_path / "twice" / "chair" / "lamp_vox.hdf5").unlink()
    capsys.readouterr()
    assert convert(*words) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_row_costs_only_its_shape(tmp_path, capsys):
    assert convert(shards(tmp_path / "in.h5", "v2"), tmp_path / "v2", "--to", "imnet-v2", "-q") == 0
    with h5py.File(tmp_path / "v2" / "all_vox256_img_train.hdf5", "r+") as file:
        file["values_32"][1, 7] = 9
    assert convert(tmp_path / "v2", tmp_path / "back", "--to", "shards") == 3
    assert "chair/b: invalid" in capsys.readouterr().err
    with open_dataset(tmp_path / "back") as dataset:
        assert dataset.shape_ids == ("chair/a", "lamp/c")


def voxel_shards(path, half=0.5, ids=IDS):
    rng = np.random.default_rng(0)
    rows = [
        sphere_row(shape_id, "occupancy")
        | {"low": np.full(3, -half), "high": np.full(3, half)}
        | {name: rng.random((32, 32, 32)) < 0.3 for name in ("solid", "surface")}
        for shape_id in ids
    ]
    recipe = {"name": "onet", "backend": "native"}
    publish(path, build_shard("occupancy", recipe, 0, {name: [row[name] for row in rows] for name in rows[0]}))
    return path


def test_solid_voxels_become_onets_binvox_and_come_back(tmp_path):
    source = voxel_shards(tmp_path / "in.h5")
    assert convert(source, tmp_path / "out", "--to", "onet", "-q") == 0
    head = (tmp_path / "out" / "chair" / "a" / "model.binvox").read_bytes()[:200].split(b"data")[0].decode()
    row = sphere_row("chair/a")
    corner = (np.full(3, -0.5) / row["scale"] - row["offset"]).tolist()
    assert head.split("\n")[1] == "dim 32 32 32"
    assert [float(word) for word in head.split("\n")[2].split()[1:]] == pytest.approx(corner)
    assert float(head.split("\n")[3].split()[1]) == pytest.approx(1 / row["scale"])
    assert convert(tmp_path / "out", tmp_path / "back.h5", "--to", "shards", "-q") == 0
    assert main(["verify", str(tmp_path / "back.h5")]) == 0
    with open_dataset(source) as before, open_dataset(tmp_path / "back.h5") as after:
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old["solid"], new["solid"])
            np.testing.assert_array_equal(new["low"], np.full(3, -0.5))
        assert "surface" not in after.columns
    (tmp_path / "out" / "chair" / "b" / "model.binvox").unlink()  # not every shape has voxels any more
    assert convert(tmp_path / "out", tmp_path / "less.h5", "--to", "shards", "-q") == 0
    with open_dataset(tmp_path / "less.h5") as less:
        assert "solid" not in less.columns


def test_voxels_of_another_cube_than_onets_are_refused(tmp_path, capsys):
    assert convert(voxel_shards(tmp_path / "in.h5", half=0.55), tmp_path / "out", "--to", "onet") == 3
    assert "expected voxels of [-0.5, 0.5]^3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "layout", "said"),
    [
        ({"normalize": "box", "frame_size": 1.0}, "onet", None),
        (
            {"normalize": "sphere", "frame_size": 1 / 1.03},
            "onet",
            "frame box of size 1, and these shapes are in sphere",
        ),
        (
            {"normalize": "box", "frame_size": 1.98},
            "onet",
            "frame box of size 1, and these shapes are in box of size 1.98",
        ),
        ({"normalize": "none", "frame_size": 1.0}, "onet", "these shapes are in none."),
        ({"normalize": "box", "frame_size": 1.98}, "vecset", None),
        ({"normalize": "sphere", "frame_size": 0.5}, "vecset", None),
        ({"normalize": "diagonal", "frame_size": 1.0}, "vecset", "frame box of size 1.98 or sphere"),
        ({}, "onet", None),
    ],
)
def test_a_frame_that_the_layout_does_not_expect_is_said(recipe, layout, said, tmp_path, capsys):
    columns = {name: [value] for name, value in sphere_row("chair/a", "occupancy").items()}
    publish(tmp_path / "in.h5", build_shard("occupancy", {"name": "x", "backend": "native", **recipe}, 0, columns))
    assert convert(tmp_path / "in.h5", tmp_path / "out", "--to", layout) == 0
    err = capsys.readouterr().err
    assert ("expects the frame" in err) == (said is not None)
    assert said is None or said in err


@pytest.mark.parametrize("by", ["all", "class"])
def test_what_split_writes_is_read(by, tmp_path):
    ids = [f"{kind}/{number}" for kind in ("chair", "lamp") for number in range(6)] + ["alone"]
    columns = [sphere_row(shape_id, "occupancy", count=50) for shape_id in ids]
    recipe = {"name": "onet", "backend": "native"}
    shard = build_shard("occupancy", recipe, 0, {name: [row[name] for row in columns] for name in columns[0]})
    publish(tmp_path / "in.h5", shard)
    lists = tmp_path / "lists"
    assert main(["split", str(tmp_path / "in.h5"), "--by", by, "--out", str(lists)]) == 0
    assert convert(tmp_path / "in.h5", tmp_path / "out", "--to", "onet", "--split", lists) == 0
    made = json.loads((lists / "split.json").read_text())["lists"]
    for split, listed in made.items():
        found = [
            f"{path.parent.name}/{name}"
            for path in (tmp_path / "out").rglob(f"{split}.lst")
            for name in path.read_text().split()
        ]
        assert sorted(found) == sorted(name if "/" in name else f"shapes/{name}" for name in listed)
    assert sum(len(listed) for listed in made.values()) == len(ids)


def test_modules_of_shared_files_have_what_the_others_have():
    for method in METHODS:
        module = load_format(f"imnet-{method}")
        for name in ("find", "sizes", "read", "shared_files", "arrays", "write_names", "holds"):
            assert callable(getattr(module, name))
