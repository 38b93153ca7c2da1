"""Binvox files: runs, the odd order of the axes, and what is refused. trimesh reads and writes them independently."""

import io

import numpy as np
import pytest
import trimesh.exchange.binvox

from shapetool.data.formats.binvox import Voxels, read_binvox, write_binvox
from shapetool.errors import DataError

HEAD = b"#binvox 1\ndim 2 2 2\ntranslate -0.5 -0.5 -0.5\nscale 1\ndata\n"


def random_voxels(seed, dim=32):
    rng = np.random.default_rng(seed)
    filled = rng.random((dim, dim, dim)) < rng.random() ** 4
    return Voxels(filled, np.array([-0.5, 0.25, 1 / 3]), 0.7)


@pytest.mark.parametrize("seed", range(4))
def test_voxels_come_back(seed, tmp_path):
    voxels = random_voxels(seed)
    write_binvox(tmp_path / "a.binvox", voxels)
    found = read_binvox(tmp_path / "a.binvox")
    np.testing.assert_array_equal(found.filled, voxels.filled)
    np.testing.assert_array_equal(found.translate, voxels.translate)
    assert found.scale == voxels.scale


@pytest.mark.parametrize("seed", range(4))
def test_another_library_reads_the_same_voxels(seed, tmp_path):
    voxels = random_voxels(seed, dim=16)
    write_binvox(tmp_path / "a.binvox", voxels)
    found = trimesh.exchange.binvox.load_binvox(io.BytesIO((tmp_path / "a.binvox").read_bytes()))
    np.testing.assert_array_equal(found.matrix, voxels.filled)


def test_the_axes_are_stored_as_x_z_y(tmp_path):
    (tmp_path / "a.binvox").write_bytes(HEAD + bytes([0, 1, 1, 1, 0, 6]))  # the second voxel stored: x 0, z 0, y 1
    filled = read_binvox(tmp_path / "a.binvox").filled
    assert np.argwhere(filled).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("filled", [False, True])
def test_runs_longer_than_a_byte_are_split(filled, tmp_path):
    write_binvox(tmp_path / "a.binvox", Voxels(np.full((17, 17, 17), filled)))
    assert (read_binvox(tmp_path / "a.binvox").filled == filled).all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "something else"),
        (b"#binvox 2\ndata\n", "something else"),
        (HEAD[:-5], "something else"),
        (HEAD + bytes([0, 7]), "found 7"),
        (HEAD + bytes([0, 9]), "found 9"),
        (HEAD + bytes([2, 8]), "0 and 1"),
        (HEAD + bytes([0, 8, 1]), "odd number"),
        (HEAD.replace(b"2 2 2", b"2 2 3") + bytes([0, 12]), "dim"),
        (HEAD.replace(b"2 2 2", b"99999 99999 99999"), "dim"),
        (HEAD.replace(b"2 2 2", b"two") + bytes([0, 8]), "dim"),
        (HEAD.replace(b"scale 1", b"scale nan") + bytes([0, 8]), "scale"),
    ],
)
def test_what_is_no_binvox_is_refused(data, said, tmp_path):
    (tmp_path / "a.binvox").write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_binvox(tmp_path / "a.binvox")
