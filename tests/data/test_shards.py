"""Writing shards: the file of the contract, the same bytes each time, published whole or not at all."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from shapetool import __version__
from shapetool.data.shards import ShardBuilder, build_shard, publish
from shapetool.errors import DataError

RECIPE = {"name": "uniform", "count": 600, "stds": [0.1, 0.2]}


def test_plain_h5py_reads_every_column_of_the_contract(tmp_path, columns):
    given = columns(["a/one", "b/zwölf"])
    publish(tmp_path / "s.h5", build_shard("sdf", RECIPE, 3, given))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["shape_id"].asstr()[...].tolist() == ["a/one", "b/zwölf"]
        assert [name.decode() for name in file["source"][...]] == ["a/one.obj", "b/zwölf.obj"]
        assert file["sign_method"].asstr()[...].tolist() == ["pseudonormal"] * 2
        for name, shape, stored in [
            ("scale", (2,), "f8"),
            ("offset", (2, 3), "f8"),
            ("watertight", (2,), bool),
            ("points", (2, 600, 3), "f4"),
            ("distances", (2, 600), "f4"),
            ("surface_points", (2, 200, 3), "f4"),
            ("surface_normals", (2, 200, 3), "f4"),
        ]:
            assert file[name].shape == shape
            assert file[name].dtype == np.dtype(stored)
            assert np.array_equal(file[name][...], np.stack(given[name]))


def test_root_attributes_are_those_of_the_contract(tmp_path, columns):
    publish(tmp_path / "s.h5", build_shard("sdf", RECIPE, 3, columns(["a"]), {"shard_index": 4, "shard_count": 9}))
    with h5py.File(tmp_path / "s.h5") as file:
        attributes = dict(file.attrs)
    assert (attributes["format"], attributes["layout"], attributes["kind"]) == ("shapetool", 1, "sdf")
    assert json.loads(attributes["recipe"]) == RECIPE
    assert (attributes["seed"], attributes["shapetool_version"]) == (3, __version__)
    assert (attributes["shard_index"], attributes["shard_count"]) == (4, 9)


def test_half_precision_is_stored_as_given(tmp_path, columns):
    given = columns(["a"], dtype="f2")
    publish(tmp_path / "s.h5", build_shard("sdf", RECIPE, 0, given))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["points"].dtype == file["distances"].dtype == np.float16
        assert np.array_equal(file["points"][0], given["points"][0])


def test_a_chunk_is_a_slice_of_one_shape_and_carries_a_checksum(tmp_path, columns):
    publish(tmp_path / "s.h5", build_shard("sdf", RECIPE, 0, columns(["a", "b"], count=40000)))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["points"].chunks == (1, 16384, 3)
        assert file["distances"].chunks == (1, 16384)
        assert file["surface_points"].chunks == (1, 200, 3)
        assert all(file[name].fletcher32 and file[name].compression is None for name in file)


def test_equal_arguments_give_equal_bytes_also_in_another_process(columns):
    given = columns(["a", "b", "c"])
    image = build_shard("sdf", RECIPE, 3, given)
    assert build_shard("sdf", dict(reversed(RECIPE.items())), 3, dict(reversed(given.items()))) == image
    program = (
        "import hashlib, sys; sys.path.insert(0, 'tests/data'); from conftest import sphere_columns\n"
        "from shapetool.data.shards import build_shard\n"
        f"image = build_shard('sdf', {RECIPE!r}, 3, sphere_columns(['a', 'b', 'c']))\n"
        "print(hashlib.sha256(image).hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == hashlib.sha256(image).hexdigest()


def test_other_content_gives_another_digest(tmp_path, columns):
    digests = set()
    given = columns(["a"])
    for number, (seed, recipe) in enumerate([(0, RECIPE), (1, RECIPE), (0, {**RECIPE, "count": 1})]):
        publish(tmp_path / f"{number}.h5", build_shard("sdf", recipe, seed, given))
        digests.add(h5py.File(tmp_path / f"{number}.h5").attrs["digest"])
    given["distances"][0] = -given["distances"][0]
    publish(tmp_path / "3.h5", build_shard("sdf", RECIPE, 0, given))
    digests.add(h5py.File(tmp_path / "3.h5").attrs["digest"])
    assert len(digests) == 4


def test_stacked_arrays_lists_and_single_rows_give_the_same_file(columns):
    given = columns(["a", "b"])
    stacked = {name: values if isinstance(values[0], str) else np.stack(values) for name, values in given.items()}
    builder = ShardBuilder("sdf", RECIPE, 0, 2)
    for row in range(2):
        builder.put(row, {name: values[row] for name, values in given.items()})
    image = builder.image()
    assert build_shard("sdf", RECIPE, 0, given) == image
    assert build_shard("sdf", RECIPE, 0, stacked) == image


def test_a_shard_whose_items_all_failed_is_empty_but_whole(tmp_path):
    publish(tmp_path / "s.h5", ShardBuilder("sdf", RECIPE, 0, 0).image())
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["points"].shape == (0, 0, 3)
        assert file["shape_id"].shape == (0,)


def with_value(columns, name, value):
    given = columns(["a", "b"])
    given[name][1] = value
    return given


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("distances", np.full(600, np.nan, "f4"), "finite"),
        ("surface_points", np.full((200, 3), np.inf, "f4"), "finite"),
        ("distances", np.zeros(600, "f8"), "came float64"),
        ("distances", np.zeros(600, "f2"), "in the rows before"),
        ("distances", np.zeros(599, "f4"), "came \\(599,\\)"),
        ("points", np.zeros((600, 2), "f4"), "came \\(600, 2\\)"),
        ("offset", np.zeros(2), "came \\(2,\\)"),
        ("scale", np.nan, "finite"),
        ("shape_id", "a\0b", "NUL"),
        ("source", "a\udcff", "utf-8"),
    ],
)
def test_a_value_that_the_layout_does_not_hold_is_refused(columns, name, value, reason):
    with pytest.raises(DataError, match=reason):
        build_shard("sdf", RECIPE, 0, with_value(columns, name, value))


def test_more_samples_than_in_the_rows_before_are_refused(columns):
    builder = ShardBuilder("sdf", RECIPE, 0, 2)
    builder.put(0, {name: values[0] for name, values in columns(["a"]).items()})
    with pytest.raises(DataError, match="equally many samples"):
        builder.put(1, {name: values[0] for name, values in columns(["b"], count=601).items()})


def test_rows_come_in_order_and_all_of_them(columns):
    row = {name: values[0] for name, values in columns(["a"]).items()}
    builder = ShardBuilder("sdf", RECIPE, 0, 2)
    with pytest.raises(DataError, match="expected row 0"):
        builder.put(1, row)
    builder.put(0, row)
    with pytest.raises(DataError, match="expected 2 rows, came 1"):
        builder.image()


def test_missing_unknown_and_uneven_columns_are_named(columns):
    given = columns(["a", "b"])
    with pytest.raises(DataError, match=r"missing \['distances'\], unknown \['values'\]"):
        build_shard("sdf", RECIPE, 0, {"values" if name == "distances" else name: v for name, v in given.items()})
    with pytest.raises(DataError, match="one length"):
        build_shard("sdf", RECIPE, 0, {**given, "scale": [1.0]})


def test_an_unknown_kind_and_a_taken_attribute_are_refused(columns):
    with pytest.raises(DataError, match="did you mean 'sdf'"):
        build_shard("sdff", RECIPE, 0, {})
    with pytest.raises(DataError, match="extra attribute 'seed'"):
        build_shard("sdf", RECIPE, 0, columns(["a"]), {"seed": 2})


def test_publish_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "with space [red].h5"
    publish(path, b"old")
    publish(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "s.h5"
    publish(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=r"(?s)No space left on device while writing 3 bytes.*s\.h5") as caught:
        publish(path, b"new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["s.h5"]


def test_a_file_larger_than_the_system_takes_is_one_clean_error(tmp_path):
    program = (
        "import resource, sys, pathlib; from shapetool.data.shards import publish\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); path = pathlib.Path(sys.argv[1])\n"
        "publish(path, b'x' * 4000)\n"
        "try: publish(path, b'y' * 9000)\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s.h5")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(errno.EFBIG), str(tmp_path / "s.h5")]
    assert (tmp_path / "s.h5").read_bytes() == b"x" * 4000
    assert os.listdir(tmp_path) == ["s.h5"]


def test_on_a_full_disk_nothing_is_left_and_a_second_try_with_room_succeeds(small_disk, columns):
    image = build_shard("sdf", RECIPE, 0, columns(["a"], count=20000))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(800_000))
    with pytest.raises(OSError, match="No space left") as caught:
        publish(small_disk / "s.h5", image)
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(small_disk) == ["filler"]
    filler.unlink()
    publish(small_disk / "s.h5", image)
    assert (small_disk / "s.h5").read_bytes() == image
