"""Reading shards: the same shapes from a file, a folder and any worker, or an error; never an invented value."""

import os
import pickle
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from shapetool.data.shards import build_shard, open_dataset, publish
from shapetool.errors import DataError


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def expected_row(columns, name):
    return {column: values[0] for column, values in columns([name]).items()}


def test_a_shape_comes_back_as_it_was_given(shard, columns):
    with open_dataset(shard) as dataset:
        assert len(dataset) == 3
        assert dataset.shape_ids == ("a/one", "a/two", "größe/drei")
        assert (dataset.kind, dataset.seed, dataset.recipe["name"]) == ("sdf", 7, "uniform")
        for index, name in enumerate(dataset.shape_ids):
            assert same(dataset[index], expected_row(columns, name))
        assert isinstance(dataset[0]["scale"], float)
        assert dataset[0]["watertight"] is True


def test_a_folder_is_one_sequence_of_shapes_over_its_shards(folder, columns):
    dataset = open_dataset(folder)
    assert dataset.shape_ids == ("a", "b", "c", "d", "e", "f")
    assert [row["shape_id"] for row in dataset] == list("abcdef")
    assert dataset[-1]["shape_id"] == "f"
    assert same(dataset[4], expected_row(columns, "e"))
    for index in (6, -7):
        with pytest.raises(IndexError):
            dataset[index]


def test_a_part_of_a_column_is_that_part(shard, columns):
    dataset = open_dataset(shard)
    whole = expected_row(columns, "a/two")
    assert np.array_equal(dataset.read(1, "points", slice(100, 164)), whole["points"][100:164])
    assert np.array_equal(dataset.read(1, "distances", slice(590, None)), whole["distances"][590:])
    with pytest.raises(DataError, match="no column 'sdf'"):
        dataset.read(1, "sdf")


def test_a_step_touches_only_the_chunk_that_it_reads(tmp_path, columns):
    publish(tmp_path / "s.h5", build_shard("sdf", {}, 0, columns(["a"], count=40000)))
    with h5py.File(tmp_path / "s.h5") as file:
        place = file["points"].id.get_chunk_info_by_coord((0, 16384, 0)).byte_offset
    flip(tmp_path / "s.h5", place, 0)
    dataset = open_dataset(tmp_path / "s.h5")
    assert dataset.read(0, "points", slice(0, 16384)).shape == (16384, 3)
    assert dataset.read(0, "points", slice(32768, None)).shape == (7232, 3)
    with pytest.raises(DataError, match=r"s\.h5, points, row 0 \(a\)"):
        dataset.read(0, "points", slice(16384, 16400))


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_of_a_dataloader_read_the_same_however_they_start(folder, start):
    from torch.utils.data import DataLoader

    dataset = open_dataset(folder, max_open=2)
    truth = [dataset[index] for index in range(6)]  # opens files in the parent, which a fork then inherits
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=list, multiprocessing_context=start)
    assert all(same(got, want) for got, want in zip((row for batch in loader for row in batch), truth, strict=True))
    assert same(dataset[0], truth[0])


def test_a_forked_child_opens_files_of_its_own(folder):
    dataset = open_dataset(folder)
    want = dataset.read(0, "points").sum()
    inherited = list(dataset._open.values())
    child = os.fork()
    if child == 0:
        good = dataset.read(0, "points").sum() == want and not any(inherited) and any(dataset._open.values())
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert all(inherited), "the parent's files are still open"


def test_a_dataset_with_open_files_pickles(folder):
    dataset = open_dataset(folder)
    row = dataset[3]
    assert same(pickle.loads(pickle.dumps(dataset))[3], row)


MANY = """
import resource, sys
import numpy as np
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from shapetool.data.shards import open_dataset
dataset = open_dataset(sys.argv[1])
rng = np.random.default_rng(0)
for index in rng.integers(len(dataset), size=int(sys.argv[2])):
    assert dataset.read(index, "scale") == index + 1.0, index
print(len(dataset))
"""


def many_shards(make_folder, count):
    folder = make_folder("many", [["x"]])
    shutil.rmtree(folder)
    folder.mkdir()
    row = {
        "source": ["x.obj"],
        "offset": [np.zeros(3)],
        "watertight": [True],
        "sign_method": ["winding"],
        "points": [np.ones((4, 3), "f4")],
        "distances": [np.ones(4, "f4")],
        "surface_points": [np.ones((2, 3), "f4")],
        "surface_normals": [np.ones((2, 3), "f4")],
    }
    for number in range(count):
        given = {**row, "shape_id": [f"x/{number}"], "scale": [number + 1.0]}
        image = build_shard("sdf", {}, 0, given, {"shard_index": number, "shard_count": count})
        (folder / f"shard-{number:05d}.h5").write_bytes(image)
    return folder


@pytest.mark.parametrize(("count", "reads"), [(100, 500), pytest.param(1500, 10_000, marks=pytest.mark.slow)])
def test_many_shards_are_read_with_few_open_files(make_folder, repository, count, reads):
    folder = many_shards(make_folder, count)
    command = [sys.executable, "-c", MANY, str(folder), str(reads)]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(count), done.stderr


def test_a_missing_shard_is_an_error_unless_a_part_is_asked_for(folder):
    (folder / "shard-00002.h5").unlink()
    with pytest.raises(DataError, match=r"expected 4 shards, 1 missing \(shard-00002\.h5\)"):
        open_dataset(folder)
    assert open_dataset(folder, partial=True).shape_ids == ("a", "b", "f")
    (folder / "shard-00003.h5").unlink()
    with pytest.raises(DataError, match="2 missing"):
        open_dataset(folder)


def test_swapped_shards_are_an_error(folder):
    os.rename(folder / "shard-00000.h5", folder / "kept")
    os.rename(folder / "shard-00002.h5", folder / "shard-00000.h5")
    os.rename(folder / "kept", folder / "shard-00002.h5")
    with pytest.raises(DataError, match=r"expected shard 0, found shard 2"):
        open_dataset(folder)


@pytest.mark.parametrize("other", [{"seed": 1}, {"shards": [["a", "b"], [], ["c", "d"], ["f"]]}])
def test_a_shard_of_another_run_is_an_error(folder, make_folder, other):
    shards = other.pop("shards", [["a", "b"], [], ["c", "d", "e"], ["f"]])
    foreign = make_folder("foreign", shards, **other)
    shutil.copy(foreign / "shard-00002.h5", folder / "shard-00002.h5")
    with pytest.raises(DataError, match=r"shard-00002\.h5: expected a shard of the run of shard-00000"):
        open_dataset(folder)


def test_a_foreign_manifest_and_a_shard_beyond_the_last_are_errors(folder):
    shutil.copy(folder / "shard-00003.h5", folder / "shard-00004.h5")
    with pytest.raises(DataError, match="found shard 3 under its name"):
        open_dataset(folder)
    (folder / "shard-00004.h5").unlink()
    (folder / "manifest.jsonl").write_text('{"id": "other"}\n')
    with pytest.raises(DataError, match="found another"):
        open_dataset(folder)


def test_a_file_exchanged_after_opening_is_noticed(folder, make_folder):
    dataset = open_dataset(folder, max_open=1)
    assert dataset[0]["shape_id"] == "a"
    assert dataset[5]["shape_id"] == "f"
    shutil.copy(make_folder("foreign", [["a", "b"]], seed=9) / "shard-00000.h5", folder / "shard-00000.h5")
    with pytest.raises(DataError, match="exchanged"):
        dataset[0]


@pytest.mark.parametrize("keep", [0, 4, 100, 2000, -1])
def test_a_truncated_shard_is_an_error(shard, keep):
    data = shard.read_bytes()
    shard.write_bytes(data[:keep])
    with pytest.raises(DataError, match=r"three\.h5: expected"):
        open_dataset(shard)


def test_what_is_no_data_set_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        open_dataset(tmp_path / "none.h5")
    with pytest.raises(DataError, match=r"expected shard-00000\.h5"):
        open_dataset(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["points"] = np.zeros((2, 3))
    with pytest.raises(DataError, match="no attribute 'format'"):
        open_dataset(tmp_path / "other.h5")


def rewritten(shard, name, change):
    """Replaces one dataset of a shard by hand, without digests, as a stranger would."""
    with h5py.File(shard, "r+") as file:
        del file.attrs["digest"]
        data, dtype = file[name][...], file[name].dtype
        del file[name]
        change(file, name, data, dtype)


def test_bytes_from_other_files_are_refused(shard, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 100_000)

    def external(file, name, data, dtype):
        file.create_dataset(name, data.shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])

    rewritten(shard, "distances", external)
    assert h5py.File(shard)["distances"][0, 0] != 0, "plain h5py does read it"
    with pytest.raises(DataError, match="its bytes lie in another file"):
        open_dataset(shard)


def test_virtual_data_sets_are_refused(shard, tmp_path):
    def virtual(file, name, data, dtype):
        layout = h5py.VirtualLayout(data.shape, dtype)
        layout[...] = h5py.VirtualSource(str(tmp_path / "gone.h5"), "x", data.shape)
        file.create_virtual_dataset(name, layout)

    rewritten(shard, "distances", virtual)
    assert not h5py.File(shard)["distances"][...].any(), "plain h5py invents zeros"
    with pytest.raises(DataError, match="its bytes lie in another file"):
        open_dataset(shard)


@pytest.mark.parametrize("link", [h5py.ExternalLink("/etc/hosts", "/x"), h5py.SoftLink("/points")])
def test_links_are_refused(shard, link):
    def put(file, name, data, dtype):
        file[name] = link

    rewritten(shard, "distances", put)
    with pytest.raises(DataError, match="it is a link to somewhere else"):
        open_dataset(shard)


def test_a_chunk_that_was_never_written_is_an_error_and_not_a_fill_value(shard):
    def partial(file, name, data, dtype):
        file.create_dataset(name, data.shape, dtype, chunks=(1, 600))[0] = data[0]

    rewritten(shard, "distances", partial)
    with pytest.raises(DataError, match="parts of the data are missing"):
        open_dataset(shard)


def test_a_column_of_another_type_or_shape_is_an_error(shard):
    rewritten(shard, "distances", lambda file, name, data, dtype: file.create_dataset(name, data=data.astype("f8")))
    with pytest.raises(DataError, match="expected f4 or f2, found float64"):
        open_dataset(shard)
    rewritten_again = shard.with_name("again.h5")
    publish(rewritten_again, shard.read_bytes())
    with h5py.File(rewritten_again, "r+") as file:
        data = file["distances"][...].astype("f4")
        del file["distances"]
        file["distances"] = data[:, :5]
    with pytest.raises(DataError, match="expected P = 600"):
        open_dataset(rewritten_again)


def test_a_shard_repacked_without_digests_is_still_read(shard, columns):
    def zipped(file, name, data, dtype):
        file.create_dataset(name, data=data, chunks=(1, 600), compression="gzip")

    rewritten(shard, "distances", zipped)
    assert same(open_dataset(shard)[1], expected_row(columns, "a/two"))


def flip(path, byte, bit):
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def test_no_bit_flip_anywhere_in_the_file_ever_reads_as_another_value(shard):
    whole = shard.read_bytes()
    with open_dataset(shard) as dataset:
        truth = (dataset.shape_ids, dataset.recipe, dataset.seed, [dataset[index] for index in range(3)])
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        shard.write_bytes(whole)
        flip(shard, int(rng.integers(len(whole))), int(rng.integers(8)))
        try:
            with open_dataset(shard) as dataset:
                assert (dataset.shape_ids, dataset.recipe, dataset.seed) == truth[:3]
                assert all(same(dataset[index], row) for index, row in enumerate(truth[3]))
        except DataError:
            refused += 1
    assert refused > 150  # the rest hit room between the parts of the file


def test_a_small_column_is_read_whole_and_a_large_one_is_not(folder):
    dataset = open_dataset(folder)
    assert dataset.column("shape_id") == list(dataset.shape_ids)
    assert dataset.column("offset") == [dataset.read(row, "offset").tolist() for row in range(len(dataset))]
    for name in ("points", "nothing"):
        with pytest.raises(DataError, match=f"no small column '{name}'"):
            dataset.column(name)
