"""Files from elsewhere: what is not of the layout is refused with its key named, and nothing in it is run."""

import os
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from shapetool.data.formats import FORMATS, load_format
from shapetool.data.formats.places import below, class_and_name
from shapetool.data.formats.splits import read_splits
from shapetool.errors import ConfigError, DataError
from tests.data.formats.foreign import sphere_row


class Bomb:
    """Does harm when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def one_shape(layout, root):
    """The main file of one shape of a layout."""
    module = load_format(layout)
    module.write(root, sphere_row("chair/a", module.KINDS[0]))
    return module, module.find(root)[0][1]


def change(path, **arrays):
    """Nothing; replaces arrays of an .npz, or removes those that are None."""
    with np.load(path) as found:
        kept = {name: found[name] for name in found.files}
    kept = {name: value for name, value in (kept | arrays).items() if value is not None}
    with open(path, "wb") as file:
        np.savez(file, **kept)


BAD = [
    ("deepsdf", "pos", None),
    ("deepsdf", "pos", np.zeros((5, 3), "f4")),
    ("deepsdf", "neg", np.full((5, 4), 0.5, "f4")),
    ("deepsdf", "neg", np.zeros((5, 4), "i4")),
    ("onet", "occupancies", None),
    ("onet", "occupancies", np.zeros(3, "u1")),
    ("onet", "points", np.zeros((5, 4), "f4")),
    ("onet", "scale", np.float64(0)),
    ("onet", "scale", np.ones(2)),
    ("onet", "loc", np.ones(3)),  # another than the cloud's
    ("vecset", "vol_points", None),
    ("vecset", "near_sdf", np.zeros(7, "f4")),
    ("vecset", "scale", np.float64(np.nan)),
]


@pytest.mark.parametrize(("layout", "key", "value"), BAD)
def test_a_wrong_array_is_refused_by_its_key(layout, key, value, tmp_path):
    module, path = one_shape(layout, tmp_path)
    module.read(path, tmp_path)
    change(path, **{key: value})
    with pytest.raises(DataError, match=key):
        module.read(path, tmp_path)


@pytest.mark.parametrize("layout", ["deepsdf", "onet", "vecset"])
def test_pickles_are_not_opened(layout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module, path = one_shape(layout, tmp_path)
    key = {"deepsdf": "pos", "onet": "points", "vecset": "vol_points"}[layout]
    change(path, **{key: np.array([Bomb()], dtype=object)})
    with pytest.raises(DataError, match=f"{key}.*pickle"):
        module.read(path, tmp_path)
    with pytest.raises(DataError, match=f"{key}.*pickle"):
        module.sizes(path, tmp_path)
    assert not os.path.exists("harm")


@pytest.mark.parametrize("layout", [name for name in FORMATS if not load_format(name).SHARED])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.97])
def test_a_truncated_file_is_refused(layout, keep, tmp_path):
    module, path = one_shape(layout, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DataError, match=path.name):
        module.read(path, tmp_path)


def test_a_head_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    module, path = one_shape("deepsdf", tmp_path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["pos.npy"] = parts["pos.npy"][:-16]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match="pos"):
        module.sizes(path, tmp_path)


def test_links_in_an_hdf5_file_are_not_followed(tmp_path):
    module, path = one_shape("disn", tmp_path)
    shutil.copy(path, tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        del file["pc_sdf_sample"]
        file["pc_sdf_sample"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/pc_sdf_sample")
    with pytest.raises(DataError, match=r"pc_sdf_sample.*link"):
        module.read(path, tmp_path)


@pytest.mark.parametrize("key", ["pc_sdf_sample", "norm_params"])
def test_a_missing_or_misshapen_dataset_is_refused(key, tmp_path):
    module, path = one_shape("disn", tmp_path)
    with h5py.File(path, "r+") as file:
        del file[key]
    with pytest.raises(DataError, match=key):
        module.read(path, tmp_path)
    with h5py.File(path, "r+") as file:
        file[key] = np.zeros((2, 2, 2), "f4")
    with pytest.raises(DataError, match=key):
        module.read(path, tmp_path)


@pytest.mark.parametrize("shape_id", ["../a", "a/../b", "/etc/a", "a//b", "", ".", "a\\b", "a\nb", "a\0b"])
def test_an_id_that_leaves_the_folder_is_refused(shape_id):
    with pytest.raises(DataError, match="plain path"):
        class_and_name(shape_id)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "chair").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leads out"):
        below(tmp_path / "out", "chair", "a.npz")


def test_rows_without_a_distance_are_dropped_as_its_loader_does(tmp_path):
    module, path = one_shape("deepsdf", tmp_path)
    before = len(module.read(path, tmp_path)["points"])
    with np.load(path) as found:
        rows = found["pos"].copy()
    rows[:3, 3] = np.nan
    change(path, pos=rows)
    assert len(module.read(path, tmp_path)["points"]) == before - 3


def test_bytes_for_truth_values_are_read_as_well_as_bits(tmp_path):
    module, path = one_shape("onet", tmp_path)
    before = module.read(path, tmp_path)["inside"]
    change(path, occupancies=before)
    np.testing.assert_array_equal(module.read(path, tmp_path)["inside"], before)


def test_lists_must_fit_the_shapes(tmp_path):
    assert read_splits(None, ["a", "b"]) == {"train": ["a", "b"]}
    with pytest.raises(DataError, match="found none"):
        read_splits(tmp_path, ["a"])
    (tmp_path / "train.lst").write_text("b\na")
    assert read_splits(tmp_path, ["a", "b", "c"]) == {"train": ["a", "b"]}
    (tmp_path / "val.lst").write_text("a\n")
    with pytest.raises(DataError, match=r"train\.lst too"):
        read_splits(tmp_path, ["a", "b"])
    (tmp_path / "val.lst").write_text("z\n")
    with pytest.raises(DataError, match="'z'"):
        read_splits(tmp_path, ["a", "b"])


def test_an_unknown_layout_is_named_with_its_neighbour():
    with pytest.raises(ConfigError, match="did you mean 'deepsdf'"):
        load_format("deepsfd")
