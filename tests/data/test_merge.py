"""Merging: all shapes in order, the same bytes each time, there whole or not at all."""

import errno
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from shapetool.data.merge import merge
from shapetool.data.shards import open_dataset
from shapetool.data.verify import verify
from shapetool.errors import DataError


def test_the_file_holds_the_shapes_of_the_folder_in_order(folder, tmp_path):
    out = tmp_path / "all.h5"
    assert merge(folder, out) == 6
    whole, parts = open_dataset(out), open_dataset(folder)
    assert whole.shape_ids == parts.shape_ids == ("a", "b", "c", "d", "e", "f")
    assert (whole.recipe, whole.seed, whole.shapes) == (parts.recipe, parts.seed, parts.shapes)
    for index in range(6):
        one, other = whole[index], parts[index]
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert verify(out) == []


def test_the_file_stands_alone_and_has_the_chunks_of_a_shard(make_folder, tmp_path):
    folder = make_folder("long", [["a"], ["b", "c"]], count=20000)
    merge(folder, tmp_path / "all.h5")
    with h5py.File(tmp_path / "all.h5") as file:
        assert "shard_index" not in file.attrs
        assert file["points"].chunks == (1, 16384, 3)
        assert file["points"].fletcher32
    assert verify(tmp_path / "all.h5") == []
    assert open_dataset(tmp_path / "all.h5").read(2, "points").shape == (20000, 3)


def test_equal_folders_give_equal_bytes(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    merge(folder, tmp_path / "one.h5")
    merge(tmp_path / "copy", tmp_path / "two.h5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_the_file_takes_no_more_than_its_shards(folder, tmp_path):
    merge(folder, tmp_path / "all.h5")
    assert (tmp_path / "all.h5").stat().st_size < sum(path.stat().st_size for path in folder.glob("*.h5"))


@pytest.mark.parametrize("count", [10, 20000])
def test_no_reserved_room_is_left_in_the_file(make_folder, tmp_path, count):
    folder = make_folder("one", [["a", "b"]], count=count)
    merge(folder, tmp_path / "all.h5")
    shard = next(folder.glob("*.h5"))
    assert (tmp_path / "all.h5").stat().st_size < shard.stat().st_size + 8192


def test_a_folder_without_shapes_gives_a_file_without_shapes(make_folder, tmp_path):
    folder = make_folder("none", [[], []])
    assert merge(folder, tmp_path / "all.h5") == 0
    assert len(open_dataset(tmp_path / "all.h5")) == 0


def test_progress_is_told_shape_by_shape(folder, tmp_path):
    steps = []
    merge(folder, tmp_path / "all.h5", lambda done, total: steps.append((done, total)))
    assert steps == [(number, 6) for number in range(1, 7)]


@pytest.mark.parametrize(
    "packing",
    [{"chunks": (1, 600, 3), "compression": "gzip", "fletcher32": True}, {"chunks": (1, 100, 3), "fletcher32": True}],
)
def test_a_shard_that_a_tool_repacked_is_merged_by_value(folder, tmp_path, columns, packing):
    with h5py.File(folder / "shard-00002.h5", "r+") as file:
        data = file["points"][...]
        del file["points"]
        file.create_dataset("points", data=data, **packing)
    merge(folder, tmp_path / "all.h5")
    assert np.array_equal(open_dataset(tmp_path / "all.h5").read(3, "points"), columns(["d"])["points"][0])


def test_damage_in_a_shard_is_still_an_error_in_the_merged_file(folder, tmp_path):
    path = folder / "shard-00002.h5"
    with h5py.File(path) as file:
        place = file["distances"].id.get_chunk_info_by_coord((1, 0)).byte_offset
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    merge(folder, tmp_path / "all.h5")
    with pytest.raises(DataError, match=r"distances, row 3 \(d\)"):
        open_dataset(tmp_path / "all.h5")[3]
    assert [finding.shape_id for finding in verify(tmp_path / "all.h5")] == ["d"]


def test_an_incomplete_folder_and_a_single_file_are_refused(folder, shard, tmp_path):
    (folder / "shard-00002.h5").unlink()
    with pytest.raises(DataError, match="1 missing"):
        merge(folder, tmp_path / "all.h5")
    with pytest.raises(DataError, match="needs no merging"):
        merge(shard, tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(folder, tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    (place / "all.h5").write_bytes(b"old")

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(folder, place / "all.h5", stop)
    assert (place / "all.h5").read_bytes() == b"old"
    assert os.listdir(place) == ["all.h5"]


def test_on_a_full_disk_it_ends_with_one_clean_error_and_leaves_nothing(make_folder, small_disk):
    folder = make_folder("large", [["a", "b"], ["c"]], count=20000)
    with pytest.raises(OSError, match="No space left on device while writing") as caught:
        merge(folder, small_disk / "all.h5")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(small_disk) == []


def test_a_limit_on_file_size_ends_the_process_in_order(make_folder, tmp_path, repository):
    folder = make_folder("large", [["a", "b"]], count=20000)
    program = (
        "import resource, sys; from shapetool.data.merge import merge\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))\n"
        "try: merge(sys.argv[1], sys.argv[2])\n"
        "except OSError as error: print(error.errno)"
    )
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "out" / "all.h5")]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(errno.EFBIG))
    assert os.listdir(tmp_path / "out") == []
