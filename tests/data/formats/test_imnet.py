"""IM-NET's files: what its own loaders make of them, and what is refused."""

import shutil

import h5py
import numpy as np
import pytest

from shapetool.data.formats import imnet_v1, imnet_v2, load_format
from shapetool.data.formats.stacked import StackedFile
from shapetool.errors import DataError
from tests.data.formats.foreign import RADIUS, imnet_row

IDS = ["chair/a", "chair/b", "lamp/c"]
SPLITS = {"train": IDS[:2], "test": IDS[2:]}
# Which file a training script of each generation opens, told the list: v1 takes the name whole, v2 adds the list to it.
PLACES = {
    "v1": {"train": "chair_vox_train.hdf5", "test": "lamp_vox_test.hdf5"},
    "v2": {"train": "all_vox256_img_train.hdf5", "test": "all_vox256_img_test.hdf5"},
}
COUNTS = {"v1": {16: 4096, 32: 8192, 64: 32768}, "v2": {16: 4096, 32: 4096, 64: 16384}}


def written(method, root, splits=SPLITS, *, listed=True):
    """The rows that were written, by id."""
    module, rows = load_format(f"imnet-{method}"), {shape_id: imnet_row(shape_id, method) for shape_id in IDS}
    for path, ids in module.shared_files(root, splits, listed=listed).items():
        with StackedFile(path, module.SHAPES) as file:
            for shape_id in ids:
                file.add(module.arrays(rows[shape_id]))
            module.write_names(path, ids)
            file.publish()
    return rows


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("level", [16, 32, 64])
@pytest.mark.parametrize("method", COUNTS)
def test_its_training_code_reads_points_values_and_voxels(method, level, split, tmp_path):
    """By its rules: whole arrays by name; the number of points is that of the stage; cells become coordinates."""
    rows = written(method, tmp_path)
    path = tmp_path / PLACES[method][split]
    with h5py.File(path, "r") as data:
        cells, values, voxels = (data[name][:] for name in (f"points_{level}", f"values_{level}", "voxels"))
        assert data["voxels"].compression == "gzip"
    assert cells.dtype == values.dtype == voxels.dtype == np.uint8
    assert cells.shape == (len(SPLITS[split]), COUNTS[method][level], 3)
    assert values.shape == (len(SPLITS[split]), COUNTS[method][level], 1)
    if method == "v1":  # real_size is the level; a batch of 16,384 must divide the points, or they are fewer
        coordinates = (cells + 0.5) / level * 2.0 - 1.0
        assert voxels.shape[1] == 64
        assert len(cells[0]) % min(len(cells[0]), 16384) == 0
    else:
        coordinates = (cells.astype(np.float32) + 0.5) / 256 - 0.5
        voxels = np.reshape(voxels, [-1, 1, 64, 64, 64])
        assert len(cells[0]) % 4096 == 0
    radius = RADIUS * (1.0 if method == "v1" else 0.5)
    np.testing.assert_array_equal(values[..., 0] == 1, np.linalg.norm(coordinates.astype("f8"), axis=2) < radius)
    for row, shape_id in enumerate(SPLITS[split]):
        assert {tuple(p) for p in coordinates[row].tolist()} <= {tuple(p) for p in rows[shape_id]["points"].tolist()}
        np.testing.assert_array_equal(voxels[row].reshape(64, 64, 64) == 1, rows[shape_id]["voxels"])


def test_names_stand_in_the_order_of_rows(tmp_path):
    written("v1", tmp_path)
    assert (tmp_path / "chair_vox_train.txt").read_text() == "a\nb\n"
    written("v2", tmp_path)
    assert (tmp_path / "all_vox256_img_train.txt").read_text() == "chair/a\nchair/b\n"
    assert (tmp_path / "all_vox256_img_test.txt").read_text() == "lamp/c\n"


def test_without_lists_v1_has_the_name_that_its_code_looks_for_first(tmp_path):
    written("v1", tmp_path, {"train": IDS}, listed=False)
    assert sorted(path.name for path in tmp_path.glob("*.hdf5")) == ["chair_vox.hdf5", "lamp_vox.hdf5"]


@pytest.mark.parametrize("method", COUNTS)
def test_rows_come_back_in_the_order_of_the_sets(method, tmp_path):
    rows, module = written(method, tmp_path), load_format(f"imnet-{method}")
    found = dict(module.find(tmp_path))
    assert sorted(found) == IDS
    for shape_id, path in found.items():
        back = module.read(path, tmp_path, shape_id)
        place = np.argsort(rows[shape_id]["order"])
        np.testing.assert_array_equal(back["points"], rows[shape_id]["points"][place])
        np.testing.assert_array_equal(back["inside"], rows[shape_id]["inside"][place])
        np.testing.assert_array_equal(back["voxels"], rows[shape_id]["voxels"])
        np.testing.assert_array_equal(back["order"], np.arange(len(place)))


def test_files_as_the_scripts_of_the_authors_name_them_are_found(tmp_path):
    written("v1", tmp_path / "made", {"train": IDS[:2]}, listed=False)
    written("v2", tmp_path / "made", {"train": IDS[:2]})
    home = tmp_path / "03001627_chair"
    home.mkdir()
    shutil.move(tmp_path / "made" / "chair_vox.hdf5", home / "03001627_vox.hdf5")
    shutil.move(tmp_path / "made" / "chair_vox.txt", home / "obj_list.txt")
    shutil.move(tmp_path / "made" / "all_vox256_img_train.hdf5", home / "03001627_vox256.hdf5")
    (home / "03001627_vox256.txt").write_text("a\nb\n")
    for module in (imnet_v1, imnet_v2):
        assert [shape_id for shape_id, _ in module.find(tmp_path)] == ["03001627/a", "03001627/b"]


def changed(path, name, data):
    """Nothing; replaces a dataset, or removes it."""
    with h5py.File(path, "r+") as file:
        del file[name]
        if data is not None:
            file[name] = data


BAD = [
    ("points_64", None, "points_64"),
    ("values_16", np.zeros((2, 4096), "u1"), "values_16"),
    ("points_32", np.zeros((2, 4096, 3), "u1"), "points_32"),
    ("points_16", np.zeros((2, 4096, 3), "f4"), "points_16"),
    ("points_16", np.full((2, 4096, 3), 16, "u1"), "points_16.*below 16"),
    ("values_32", np.full((2, 8192, 1), 2, "u1"), "values_32.*0 and 1"),
    ("voxels", np.full((2, 64, 64, 64, 1), 255, "u1"), "voxels.*0 and 1"),
    ("voxels", np.zeros((2, 32, 32, 32, 1), "u1"), "voxels"),
    ("voxels", np.zeros((3, 64, 64, 64, 1), "u1"), "equally many rows"),
]


@pytest.mark.parametrize(("name", "data", "said"), BAD)
def test_a_wrong_dataset_is_refused_by_its_name(name, data, said, tmp_path):
    written("v1", tmp_path)
    path = tmp_path / "chair_vox_train.hdf5"
    imnet_v1.sizes(path, tmp_path)
    changed(path, name, data)
    with pytest.raises(DataError, match=said):
        (imnet_v1.sizes(path, tmp_path), imnet_v1.read(path, tmp_path, "chair/b"))


def test_the_other_generation_is_refused(tmp_path):
    written("v2", tmp_path)
    shutil.move(tmp_path / "all_vox256_img_train.hdf5", tmp_path / "all_vox_train.hdf5")
    (tmp_path / "all_vox_train.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"points_32.*8192"):
        imnet_v1.sizes(tmp_path / "all_vox_train.hdf5", tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.97])
def test_a_truncated_file_is_refused(keep, tmp_path):
    written("v2", tmp_path)
    path = tmp_path / "all_vox256_img_train.hdf5"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DataError, match=path.name):
        imnet_v2.read(path, tmp_path, "chair/b")


def test_links_are_not_followed(tmp_path):
    written("v2", tmp_path)
    path = tmp_path / "all_vox256_img_train.hdf5"
    shutil.copy(path, tmp_path / "other.h5")
    changed(path, "values_64", h5py.ExternalLink(str(tmp_path / "other.h5"), "/values_64"))
    with pytest.raises(DataError, match=r"values_64.*link"):
        imnet_v2.sizes(path, tmp_path)


def test_names_that_are_missing_too_many_or_elsewhere_are_refused(tmp_path):
    written("v2", tmp_path / "in")
    names = tmp_path / "in" / "all_vox256_img_train.txt"
    names.write_text("chair/a\nchair/b\nchair/c\n")
    with pytest.raises(DataError, match=r"expected 3 rows.*found 2"):
        imnet_v2.sizes(tmp_path / "in" / "all_vox256_img_train.hdf5", tmp_path / "in")
    shutil.move(names, tmp_path / "names.txt")
    with pytest.raises(DataError, match=r"expected the names.*all_vox256_img_train.txt"):
        imnet_v2.find(tmp_path / "in")
    names.symlink_to(tmp_path / "names.txt")
    with pytest.raises(DataError, match="leads out"):
        imnet_v2.find(tmp_path / "in")


@pytest.mark.parametrize("method", COUNTS)
def test_points_that_are_no_centres_of_its_cells_are_refused(method):
    module, row = load_format(f"imnet-{method}"), imnet_row("chair/a", method)
    module.arrays(row)
    for wrong in (row["points"] * 0.9, row["points"] + np.float32(2), row["points"] / 2 if method == "v1" else None):
        if wrong is not None:
            with pytest.raises(DataError, match="chair/a, set of 16"):
                module.arrays(row | {"points": wrong})
    with pytest.raises(DataError, match="no --count"):
        module.arrays(row | {"order": row["order"] * 0})


@pytest.mark.parametrize("method", COUNTS)
def test_equal_shapes_give_equal_files(method, tmp_path):
    for name in ("one", "two"):
        written(method, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").iterdir())
    assert len(files) == 4
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_a_file_that_is_not_published_leaves_nothing(tmp_path):
    row = imnet_v2.arrays(imnet_row("chair/a", "v2"))
    with StackedFile(tmp_path / "x.hdf5", imnet_v2.SHAPES) as file:
        for _ in range(20):
            file.add(row)
        assert [path.stat().st_size > 20_000 for path in tmp_path.iterdir()] == [True]
        assert not (tmp_path / "x.hdf5").exists()
    assert list(tmp_path.iterdir()) == []
