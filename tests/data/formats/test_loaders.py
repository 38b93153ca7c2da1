"""Golden tests: the files are read by the rules of each author's own loader, written anew here."""

import json
import os

import h5py
import numpy as np
import pytest
import trimesh

from shapetool.data.formats import FORMATS, load_format
from tests.data.formats.foreign import RADIUS, sphere_row

IDS = ["chair/a", "chair/b", "lamp/c"]
SPLITS = {"train": IDS[:2], "test": IDS[2:]}


def written(layout, root, kind, **more):
    """The rows that were written, by id."""
    module = load_format(layout)
    rows = {shape_id: sphere_row(shape_id, kind, **more) for shape_id in IDS}
    for row in rows.values():
        module.write(root, row)
    module.finish(root, SPLITS, root / "shards")
    return rows


def original(row, points):
    """Points of the unit frame in the frame of the mesh, as the conventions of shards say."""
    return points.astype("f8") / row["scale"] - row["offset"]


def test_deepsdf_draws_half_of_a_batch_from_each_side(tmp_path):
    rows = written("deepsdf", tmp_path, "sdf")
    split = json.loads((tmp_path / "splits" / "train.json").read_text())
    names = [
        os.path.join(dataset, class_name, instance + ".npz")
        for dataset in split
        for class_name in split[dataset]
        for instance in split[dataset][class_name]
    ]
    assert len(names) == 2
    for name in names:
        with np.load(tmp_path / "SdfSamples" / name) as found:
            assert sorted(found.files) == ["neg", "pos"]
            positive, negative = found["pos"], found["neg"]
        assert positive.dtype == negative.dtype == np.float32
        assert positive.shape[1] == negative.shape[1] == 4
        assert (positive[:, 3] > 0).all()
        assert (negative[:, 3] <= 0).all()
        for side in (positive, negative):
            rng = np.random.default_rng(0)
            batch = side[(rng.random(64) * len(side)).astype(int)]
            np.testing.assert_allclose(np.linalg.norm(batch[:, :3], axis=1) - RADIUS, batch[:, 3], atol=1e-6)
    sources = json.loads((tmp_path / ".datasources.json").read_text())
    assert list(sources) == list(split)
    assert os.path.isabs(sources[next(iter(split))])
    assert rows


def test_deepsdf_evaluates_against_the_surface_in_the_original_frame(tmp_path):
    rows = written("deepsdf", tmp_path, "sdf")
    row = rows["chair/a"]
    place = ("shapetool", "chair", "a")
    mesh = trimesh.load(tmp_path.joinpath("SurfaceSamples", *place[:2], "a.ply"), process=False)
    assert isinstance(mesh, trimesh.Trimesh)  # its chamfer takes .vertices of a mesh, not of a cloud
    np.testing.assert_allclose(mesh.vertices, original(row, row["surface_points"]), rtol=1e-6, atol=1e-6)
    frame = np.load(tmp_path.joinpath("NormalizationParameters", *place[:2], "a.npz"))
    assert frame["offset"].shape == (3,)
    assert frame["scale"].shape == (1,)
    assert frame["offset"].dtype == frame["scale"].dtype == np.float32
    reconstructed = row["surface_points"] / frame["scale"] - frame["offset"]  # what it does to a generated mesh
    np.testing.assert_allclose(reconstructed, mesh.vertices, atol=1e-5)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_onet_reads_points_bits_lists_and_frame(tmp_path, dtype):
    rows = written("onet", tmp_path, "occupancy", count=901, dtype=dtype)  # 901: the last byte of bits is not full
    metadata = json.loads((tmp_path / "metadata.yaml").read_text())
    assert metadata == {name: {"id": name, "name": name} for name in ("chair", "lamp")}
    models = (tmp_path / "chair" / "train.lst").read_text().split("\n")
    assert models == ["a", "b"]
    assert (tmp_path / "lamp" / "test.lst").read_text().split("\n") == ["c"]
    assert not (tmp_path / "lamp" / "train.lst").exists()
    for model in models:
        row, folder = rows[f"chair/{model}"], tmp_path / "chair" / model
        found = np.load(folder / "points.npz")
        assert found["points"].dtype == np.dtype(dtype)
        assert found["occupancies"].dtype == np.uint8
        inside = np.unpackbits(found["occupancies"])[: len(found["points"])]
        np.testing.assert_array_equal(inside, np.linalg.norm(found["points"].astype("f8"), axis=1) < RADIUS)
        assert found["loc"].shape == (3,)
        assert found["scale"].shape == ()
        unit = found["points"].astype("f8")
        np.testing.assert_allclose(unit * found["scale"] + found["loc"], original(row, found["points"]), atol=1e-12)
        cloud = np.load(folder / "pointcloud.npz")
        assert set(cloud.files) == {"points", "normals", "loc", "scale"}
        np.testing.assert_allclose(cloud["points"].astype("f4"), RADIUS * cloud["normals"].astype("f4"), atol=2e-3)
        np.testing.assert_array_equal(cloud["loc"], found["loc"])


def test_disn_reads_samples_and_the_frame_of_centre_and_radius(tmp_path):
    rows = written("disn", tmp_path, "sdf")
    names = (tmp_path / "filelists" / "chair_train.lst").read_text().split()
    assert names == ["a", "b"]
    for name in names:
        with h5py.File(tmp_path / "SDF_v1" / "chair" / name / "ori_sample.h5") as file:
            samples, frame, box = file["pc_sdf_sample"][:], file["norm_params"][:], file["sdf_params"][:]
            assert file["pc_sdf_original"].shape == (1, 3)
            assert file["pc_sdf_sample"].compression == "gzip"
        assert samples.dtype == frame.dtype == box.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(samples[:, :3], axis=1) - RADIUS, samples[:, 3], atol=1e-6)
        np.testing.assert_allclose(box, [-1.2, -1.2, -1.2, 1.2, 1.2, 1.2], rtol=1e-6)
        row = rows[f"chair/{name}"]
        mesh_points = original(row, row["points"])
        np.testing.assert_allclose((mesh_points - frame[:3]) / frame[3], samples[:, :3], atol=1e-5)


@pytest.mark.parametrize("kind", ["sdf", "occupancy"])
def test_vecset_reads_volume_near_and_cloud(tmp_path, kind):
    rows = written("vecset", tmp_path, kind)
    models = (tmp_path / "ShapeNetV2_point" / "chair" / "train.lst").read_text().split("\n")
    assert models == ["a.npz", "b.npz"]
    for model in (name.replace(".npz", "") for name in models):
        path = str(tmp_path / "ShapeNetV2_point" / "chair" / f"{model}.npz")
        found = np.load(path)
        for group in ("vol", "near"):
            radii = np.linalg.norm(found[f"{group}_points"].astype("f8"), axis=1)
            np.testing.assert_array_equal(found[f"{group}_label"] == 1, radii < RADIUS)
            assert found[f"{group}_points"].dtype == np.float32
            if kind == "sdf":
                np.testing.assert_allclose(found[f"{group}_sdf"], radii - RADIUS, atol=1e-6)
        with open(path.replace(".npz", ".npy"), "rb") as file:
            scale = np.load(file).item()
        cloud = np.load(tmp_path / "ShapeNetV2_watertight" / "chair" / "4_pointcloud" / f"{model}.npz")
        surface = cloud["points"].astype(np.float32) * scale
        np.testing.assert_allclose(np.linalg.norm(surface, axis=1), RADIUS, atol=1e-6)
        row = rows[f"chair/{model}"]
        moved = (original(row, row["points"]) - found["shifts"]) * found["scale"]
        np.testing.assert_allclose(moved, row["points"], atol=1e-6)
        away = np.abs(np.linalg.norm(found["vol_points"].astype("f8"), axis=1) - RADIUS)
        assert (away > (0.1 if kind == "sdf" else 0.05) - 1e-6).all()


@pytest.mark.parametrize("layout", [name for name in FORMATS if not load_format(name).SHARED])
def test_equal_shapes_give_equal_files(layout, tmp_path):
    kind = load_format(layout).KINDS[0]
    for name in ("one", "two"):
        written(layout, tmp_path / name, kind)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files
    for path in files:
        if path.name != ".datasources.json":
            assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
