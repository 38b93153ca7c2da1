"""`convert --to cloud|tsdf|hull`: from shards of views to files of shapes, in the frame asked for."""

import json

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.clouds import encode_cloud, read_cloud
from shapetool.data.mesh_files import encode_mesh
from shapetool.errors import ConfigError, DataError
from shapetool.geometry.distance import closest_point
from shapetool.geometry.families import build, draw_parameters
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.pipelines.convert import Conversion, plan, run
from shapetool.pipelines.from_views import Backward
from shapetool.pipelines.render_views import run as render
from shapetool.recipes.views import ViewsRecipe

SHIFT = np.array([5.0, -2.0, 1.0])
RECIPE = ViewsRecipe(cameras="hammersley", views=12, height=96, width=96, samples=1)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    root = tmp_path_factory.mktemp("meshes")
    (root / "deep").mkdir()
    for name, family in (("mug", "mug"), ("deep/chair", "chair")):
        mesh = build(family, draw_parameters(family, np.random.default_rng(0), 24))
        (root / f"{name}.ply").write_bytes(encode_mesh(Mesh(3 * mesh.vertices + SHIFT, mesh.faces), "ply"))
    return root


@pytest.fixture(scope="module")
def views(meshes, tmp_path_factory):
    out = tmp_path_factory.mktemp("views") / "views"
    assert render([meshes], out, RECIPE).exit_code == 0
    return out


def conversion(to, **settings):
    return Conversion(to, backward=Backward(to, **{"resolution": 48} | settings))


def test_a_cloud_lies_on_the_mesh_in_its_own_frame(meshes, views, tmp_path):
    assert run(views, tmp_path / "out", conversion("cloud")).exit_code == 0
    for name in ("mug", "deep/chair"):
        mesh = load_mesh(meshes / f"{name}.ply")
        points, normals = read_cloud(tmp_path / "out" / f"{name}.ply")
        assert len(points) > 5000
        size = np.ptp(mesh.bounds, axis=0).max()
        assert closest_point(mesh, points)[0].max() < 1e-6 * size
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("to", ["tsdf", "hull"])
def test_a_mesh_is_closed_and_near_the_one_that_was_drawn(meshes, views, tmp_path, to):
    assert run(views, tmp_path / "out", conversion(to)).exit_code == 0
    for name in ("mug", "deep/chair"):
        mesh, made = load_mesh(meshes / f"{name}.ply"), load_mesh(tmp_path / "out" / f"{name}.ply")
        cell = 1.1 / 47 * np.linalg.norm(mesh.vertices - mesh.bounds.mean(axis=0), axis=1).max() * 2.06
        assert np.abs(made.bounds - mesh.bounds).max() < 3 * cell
        assert closest_point(made, mesh.vertices)[0].mean() < (1 if to == "tsdf" else 3) * cell
        assert made.volume > 0
    assert main(["verify", str(tmp_path / "out"), "-q"]) == 0


def test_the_unit_frame_is_kept_when_it_is_asked_for(views, tmp_path):
    run(views, tmp_path / "out", conversion("cloud", frame="unit"))
    points, _ = read_cloud(tmp_path / "out" / "mug.ply")
    assert np.linalg.norm(points, axis=1).max() <= 1 / 1.03 + 1e-6
    assert np.linalg.norm(points, axis=1).max() > 0.9


def test_workers_parts_and_reruns_change_no_byte(views, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    options = ["--to", "tsdf", "--resolution", "24", "-q"]
    assert main(["convert", str(views), str(one), *options, "-j", "1"]) == 0
    for part in ("0/2", "1/2"):
        assert main(["convert", str(views), str(other), *options, "-j", "2", "--shard", part]) == 0
    made = {path.relative_to(one): path.read_bytes() for path in one.rglob("*.ply")}
    assert len(made) == 2
    assert made == {path.relative_to(other): path.read_bytes() for path in other.rglob("*.ply")}
    stamp = (one / "mug.ply").stat().st_mtime_ns
    assert main(["convert", str(views), str(one), *options]) == 0
    assert (one / "mug.ply").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="resolution"):
        run(views, one, conversion("tsdf", resolution=25))


def test_a_shape_whose_views_show_nothing_costs_only_itself(meshes, tmp_path):
    file = tmp_path / "cameras.json"
    away = np.eye(4)
    away[2, 3] = -5.0  # behind the shape, and looks away from it
    views = [{"intrinsics": [[50, 0, 16], [0, 50, 16], [0, 0, 1]], "pose": away.tolist()}]
    file.write_text(json.dumps({"size": [32, 32], "views": views}))
    recipe = ViewsRecipe(cameras=str(file), views=1, height=32, width=32, samples=1)
    assert render([meshes / "mug.ply"], tmp_path / "views.h5", recipe).exit_code == 0
    for to in ("cloud", "tsdf", "hull"):
        assert run(tmp_path / "views.h5", tmp_path / to, conversion(to)).exit_code == 3
        (line,) = [json.loads(row) for row in (tmp_path / to / "report.jsonl").read_text().splitlines()]
        assert line["status"] == "invalid"
        assert "expected a" in line["error"]


def test_views_without_a_frame_say_how_large_they_are_by_their_depth(meshes, tmp_path):
    recipe = ViewsRecipe(
        cameras="hammersley", views=12, height=96, width=96, samples=1, normalize="none", radius=30.0, fov=40.0
    )
    assert render([meshes / "mug.ply"], tmp_path / "views.h5", recipe).exit_code == 0
    assert run(tmp_path / "views.h5", tmp_path / "out", conversion("tsdf")).exit_code == 0
    mesh, made = load_mesh(meshes / "mug.ply"), load_mesh(tmp_path / "out" / "mug.ply")
    assert np.abs(made.bounds - mesh.bounds).max() < 0.1 * np.ptp(mesh.bounds, axis=0).max()


def test_a_dry_run_writes_nothing(views, tmp_path):
    assert plan(views, tmp_path / "out", conversion("hull")).items == 2
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_converted_is_refused_by_name(meshes, views, tmp_path):
    with pytest.raises(ConfigError, match="expected a folder"):
        run(views, tmp_path / "out.ply", conversion("cloud"))
    with pytest.raises(ConfigError, match="no such file"):
        run(tmp_path / "none", tmp_path / "out", conversion("cloud"))
    recipe = ViewsRecipe(views=2, height=16, width=16, channels=("rgb",))
    render([meshes / "mug.ply"], tmp_path / "rgb.h5", recipe)
    with pytest.raises(ConfigError, match="needs depth and normals, found none"):
        run(tmp_path / "rgb.h5", tmp_path / "out", conversion("tsdf"))
    with pytest.raises(ConfigError, match="expected one of cloud, tsdf, hull"):
        Backward("fog")
    with pytest.raises(ConfigError, match="extent"):
        Backward("tsdf", extent=0.0)


@pytest.mark.parametrize(
    ("to", "option", "value"),
    [
        ("cloud", "--resolution", "64"),
        ("hull", "--truncation", "2.5"),
        ("tsdf", "--count", "5"),
        ("onet", "--frame", "unit"),
    ],
)
def test_an_option_that_means_nothing_for_the_target_is_refused(views, tmp_path, capsys, to, option, value):
    assert main(["convert", str(views), str(tmp_path / "out"), "--to", to, option, value]) == 1
    assert f"{option} {value}: means nothing with --to {to}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_cloud_is_found_by_verify(views, tmp_path):
    run(views, tmp_path / "out", conversion("cloud"))
    file = tmp_path / "out" / "mug.ply"
    points, normals = read_cloud(file)
    file.write_bytes(encode_cloud(points[1:], normals[1:]))
    assert main(["verify", str(tmp_path / "out"), "-q"]) == 1


def test_a_cloud_reads_back_to_the_bit(tmp_path):
    rng = np.random.default_rng(0)
    points, normals = rng.normal(size=(2, 50, 3))
    colours = rng.integers(0, 256, (50, 3)).astype(np.uint8)
    (tmp_path / "a.ply").write_bytes(encode_cloud(points, normals, colours))
    found, turned = read_cloud(tmp_path / "a.ply")
    np.testing.assert_array_equal(found, points)
    np.testing.assert_array_equal(turned, normals.astype(np.float32))
    (tmp_path / "b.ply").write_bytes(encode_cloud(points))
    assert read_cloud(tmp_path / "b.ply")[1] is None
    (tmp_path / "c.ply").write_bytes(encode_cloud(points)[:-8])
    with pytest.raises(DataError):
        read_cloud(tmp_path / "c.ply")
