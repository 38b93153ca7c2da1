"""Data sets whose shards are not what they were: every reader says so, and none makes a value up."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.layout import row_digest
from shapetool.data.shards import open_dataset
from shapetool.data.verify import verify
from shapetool.errors import DataError
from tests.data.conftest import write_folder
from tests.trained import words

NAMES = [["a", "b"], ["c", "d"], [], ["e", "f"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete data set of six shapes in four shards, one of which holds none."""
    return write_folder(tmp_path / "set", NAMES)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A data set of other shapes, made with the same recipe and seed."""
    return write_folder(tmp_path / "other", [["u", "v"], ["w", "x"], [], ["y", "z"]])


def shard(folder: Path, number: int = 1) -> Path:
    return folder / f"shard-{number:05d}.h5"


def swap(folder: Path, other: Path) -> None:
    shard(folder, 0).rename(folder / "kept")
    shard(folder, 1).rename(shard(folder, 0))
    (folder / "kept").rename(shard(folder, 1))


def empty_of_another(folder: Path, other: Path) -> None:
    """The shard without a shape is exchanged for the one of the other data set: no shape is missing or strange."""
    shutil.copy(shard(other, 2), shard(folder, 2))


def foreign_hdf5(folder: Path, other: Path) -> None:
    with h5py.File(shard(folder), "w") as file:
        file["points"] = np.zeros((2, 600, 3), "f4")
        file["distances"] = np.zeros((2, 600), "f4")


def cut(share: float) -> Callable[[Path, Path], None]:
    def change(folder: Path, other: Path) -> None:
        data = shard(folder).read_bytes()
        shard(folder).write_bytes(data[: int(share * len(data))])

    return change


def longer(folder: Path, other: Path) -> None:
    """The end is cut off and made up with zeros, as after a power failure."""
    data = shard(folder).read_bytes()
    shard(folder).write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


def edit_attribute(folder: Path, other: Path) -> None:
    with h5py.File(shard(folder), "r+") as file:
        file.attrs["shard_index"] = 0


def edit_name(folder: Path, other: Path) -> None:
    """A shape gets another's name, and its digest is made to fit; that of the whole does not."""
    row = open_dataset(folder)[2] | {"shape_id": "a"}
    with h5py.File(shard(folder), "r+") as file:
        file["shape_id"][0] = b"a"
        file["sha256"][0] = row_digest("sdf", row).encode()


REFUSED: dict[str, Callable[[Path, Path], object]] = {
    # What is wrong with shard 1, unless it says another, and is seen without reading a sample.
    "the first is missing": lambda folder, other: shard(folder, 0).unlink(),
    "one is missing": lambda folder, other: shard(folder).unlink(),
    "the last is missing": lambda folder, other: shard(folder, 3).unlink(),
    "all but the last are missing": lambda folder, other: [shard(folder, k).unlink() for k in range(3)],
    "empty": cut(0),
    "cut to its start": cut(0.01),
    "cut in half": cut(0.5),
    "cut by a hundredth": cut(0.99),
    "zeros for its end": longer,
    "no HDF5": lambda folder, other: shard(folder).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9000)),
    "HDF5 of somebody else": foreign_hdf5,
    "a shard of another data set": lambda folder, other: shutil.copy(shard(other), shard(folder)),
    "an empty shard of another data set": empty_of_another,
    "two exchanged": swap,
    "one of them twice": lambda folder, other: shutil.copy(shard(folder, 0), shard(folder)),
    "one beyond the last": lambda folder, other: shutil.copy(shard(folder, 1), shard(folder, 4)),
    "an attribute edited": edit_attribute,
    "a name edited": edit_name,
    "a folder in its place": lambda folder, other: (shard(folder).unlink(), shard(folder).mkdir()),
    "a manifest of another data set": lambda folder, other: shutil.copy(
        other / "manifest.jsonl", folder / "manifest.jsonl"
    ),
}


def commands(folder: Path, place: Path) -> dict[str, list[str]]:
    """The words of every command that reads a data set."""
    return {
        "merge": ["merge", str(folder), str(place / "all.h5")],
        "train": words(folder, place / "run"),
        "eval": ["eval", str(folder), str(folder), "-j", "1", "--out", str(place / "eval")],
        "convert": ["convert", str(folder), str(place / "deepsdf"), "--to", "deepsdf"],
        "split": ["split", str(folder), "--train", "0.5", "--val", "0.5", "--out", str(place / "lists")],
        "info": ["info", str(folder)],
        "verify": ["verify", str(folder)],
    }


@pytest.mark.parametrize("fault", REFUSED)
def test_a_data_set_with_a_wrong_shard_is_refused_by_every_reader(fault, folder, other, tmp_path, capsys, record):
    REFUSED[fault](folder, other)
    with pytest.raises(DataError, match=r"shard-0000|manifest") as caught:
        open_dataset(folder)
    assert str(folder) in str(caught.value)
    named = [str(finding) for finding in verify(folder)]
    assert any("shard-0000" in text or "manifest" in text for text in named), named
    (tmp_path / "out").mkdir()
    for name, line in commands(folder, tmp_path / "out").items():
        capsys.readouterr()
        code = main(line)
        out, error = capsys.readouterr()
        said = out + error
        assert "Traceback" not in said
        assert "defect" not in said, (name, said)
        if name == "info" and "missing" in fault:
            assert code == 0  # an unfinished folder may be looked at
            assert "complete" in said
            continue
        assert code == 1, (name, said)
        assert "shard-0000" in said or "manifest" in said, (name, said)
    assert not list((tmp_path / "out").rglob("*.h5"))
    assert not (tmp_path / "out/run").exists()
    record(7, fault=fault, refused_by=[*commands(folder, tmp_path), "open_dataset"])


def digest_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.h5"))}


@pytest.mark.parametrize("column", ["points", "distances", "surface_points", "scale", "watertight", "sha256"])
def test_a_value_edited_by_a_tool_is_named_by_verify_with_its_row(column, folder, tmp_path, record):
    with h5py.File(shard(folder), "r+") as file:
        values = file[column][1]
        changed = b"0" * 64 if column == "sha256" else ~values if column == "watertight" else values * 0.5
        file[column][1] = changed
    if column == "sha256":
        with pytest.raises(DataError, match="do not match their digest"):
            open_dataset(folder)
        assert "shard-00001.h5" in str(verify(folder)[0])
    else:
        findings = [finding for finding in verify(folder) if finding.row is not None]
        assert [(Path(f.path).name, f.row, f.shape_id) for f in findings] == [("shard-00001.h5", 1, "d")]
        # The checksum of the block was made anew by the tool, so only the digest tells: it goes along when merged.
        assert main(["merge", str(folder), str(tmp_path / "all.h5"), "-q"]) == 0
        assert [(f.row, f.shape_id) for f in verify(tmp_path / "all.h5")] == [(3, "d")]
    record(7, fault=f"{column} edited by a tool", named=1)


def test_a_flipped_bit_in_a_sample_is_met_by_whoever_reads_it(folder, tmp_path, capsys, record):
    with h5py.File(shard(folder)) as file:
        chunk = file["distances"].id.get_chunk_info_by_coord((1, 0))
    data = bytearray(shard(folder).read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    shard(folder).write_bytes(data)
    with open_dataset(folder) as dataset, pytest.raises(DataError, match=r"shard-00001\.h5, distances, row 1 \(d\)"):
        dataset[3]
    lines = commands(folder, tmp_path)
    for name in ("train", "convert", "verify"):
        code = main(lines[name])
        said = "".join(capsys.readouterr())
        assert code != 0, name
        assert "shard-00001.h5" in said or "d" in said, (name, said)
        assert "damaged" in said, (name, said)
    # A merged file keeps the checksum of the block, and so the damage, which no reader of it takes for a value.
    code = main([*lines["merge"], "-q"])
    if code == 0:
        assert [(f.row, f.shape_id) for f in verify(tmp_path / "all.h5")] == [(3, "d")]
    record(7, fault="a flipped bit", refused_by=["open_dataset", "train", "convert", "verify"])


@pytest.mark.parametrize("change", ["gone", "exchanged", "truncated"])
def test_a_shard_that_changes_under_an_open_data_set_gives_true_values_or_an_error(change, folder, other, record):
    dataset = open_dataset(folder, max_open=1)
    truth = [dataset[index] for index in range(len(dataset))]
    if change == "gone":
        shard(folder).unlink()
    elif change == "exchanged":
        os.replace(shard(other), shard(folder))
    else:
        data = shard(folder).read_bytes()
        shard(folder).unlink()
        shard(folder).write_bytes(data[:3000])
    refused = 0
    for index in (0, 2, 5, 3, 1):
        if index in (2, 3):  # not read before this, or closed since
            with pytest.raises(DataError, match=r"shard-00001\.h5"):
                dataset[index]
            refused += 1
            continue
        assert all(np.array_equal(value, truth[index][name]) for name, value in dataset[index].items())
    record(7, fault=f"{change} while open", refused=refused)
