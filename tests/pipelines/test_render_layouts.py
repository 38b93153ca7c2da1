"""`render-views --layout`: the files of others straight from meshes, the same as by way of a shard."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.formats import load_format
from shapetool.data.shards import open_dataset
from shapetool.pipelines.view_layouts import CHANNELS
from shapetool.render.camera_file import read_cameras
from tests.pipelines.test_convert_views import content

WORDS = {
    "nerf": ["--cameras", "sphere"],
    "nerfstudio": ["--cameras", "hammersley"],
    "r2n2": ["--recipe", "r2n2"],
    "neus": ["--cameras", "sphere", "--radius", "3"],
}
VIEWS = ["--views", "3", "--size", "48", "-q"]


@pytest.fixture
def meshes(tmp_path):
    for name, size in (("chair/a", 1.0), ("lamp", 3.0)):
        path = tmp_path / "in" / f"{name}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        corners = [(0, 0, 0), (size, 0, 0), (0, 2, 0), (0, 0, size + 1)]
        lines = [f"v {x} {y} {z}" for x, y, z in corners] + ["f 1 3 2", "f 1 2 4", "f 1 4 3", "f 2 3 4"]
        path.write_text("\n".join(lines) + "\n")
    return tmp_path / "in"


def rendered(meshes, out, *words):
    return main(["render-views", str(meshes), str(out), *VIEWS, *words])


def files_of(folder):
    """What is there but for the run's own files."""
    return {name: data for name, data in content(folder).items() if "report" not in name and name[0] != "."}


@pytest.mark.parametrize("layout", WORDS)
def test_files_are_those_of_the_shard_converted(layout, meshes, tmp_path):
    channels = ["--channels", ",".join(CHANNELS[layout])]
    if "alpha" in CHANNELS[layout]:
        channels += ["--background", "transparent"]
    assert rendered(meshes, tmp_path / "direct", "--layout", layout, *WORDS[layout]) == 0
    assert rendered(meshes, tmp_path / "s.h5", *WORDS[layout], *channels) == 0
    assert main(["convert", str(tmp_path / "s.h5"), str(tmp_path / "out"), "--to", layout, "-q"]) == 0
    direct, converted = content(tmp_path / "direct"), content(tmp_path / "out")
    files = [name for name in converted if not name.startswith(".")]
    assert len([name for name in files if name.endswith(".png")]) >= 6
    assert [name for name in files if direct.get(name) != converted[name]] == []
    cameras = read_cameras(tmp_path / "direct" / "chair" / "a.cameras.json")
    with open_dataset(tmp_path / "s.h5") as dataset:
        np.testing.assert_array_equal(cameras.pose, dataset[0]["pose"])
        np.testing.assert_array_equal(cameras.intrinsics, dataset[0]["intrinsics"])
    assert main(["convert", str(tmp_path / "direct"), str(tmp_path / "back.h5"), "--to", "shards", "-q"]) == 0
    assert main(["verify", str(tmp_path / "back.h5")]) == 0
    assert [name for name, _ in load_format(layout).find(tmp_path / "direct")] == ["chair/a", "lamp"]


def test_any_number_of_workers_or_parts_makes_the_same_files_and_a_rerun_what_is_missing(meshes, tmp_path):
    words = ["--layout", "nerf"]
    for workers in ("1", "2"):
        assert rendered(meshes, tmp_path / workers, *words, "-j", workers) == 0
    for part in ("0/2", "1/2"):
        assert rendered(meshes, tmp_path / "parts", *words, "--shard", part) == 0
    one, two, parts = (files_of(tmp_path / made) for made in ("1", "2", "parts"))
    assert one == two == parts
    picture = tmp_path / "1" / "lamp" / "train" / "r_1.png"
    kept = picture.stat().st_mtime_ns
    (tmp_path / "1" / "chair" / "a.cameras.json").unlink()
    (tmp_path / "1" / "chair" / "a" / "train" / "r_2.png").unlink()
    assert rendered(meshes, tmp_path / "1", *words) == 0
    assert files_of(tmp_path / "1") == one
    assert picture.stat().st_mtime_ns == kept


def test_what_a_killed_worker_left_of_a_picture_goes_with_the_rerun(meshes, tmp_path):
    out = tmp_path / "out"
    assert rendered(meshes, out, "--layout", "nerf") == 0
    (out / "lamp.cameras.json").unlink()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    torn = out / "lamp" / "train" / f".r_1.png.{socket.gethostname()}.{child.pid}-1.tmp"
    torn.write_bytes(b"half")
    assert rendered(meshes, out, "--layout", "nerf") == 0
    assert not torn.exists()
    assert (out / "lamp.cameras.json").exists()


def test_a_mesh_that_is_none_costs_only_itself(meshes, tmp_path):
    (meshes / "bad.obj").write_text("v 0 0 nothing\n")
    assert rendered(meshes, tmp_path / "out", "--layout", "neus") == 3
    assert (tmp_path / "out" / "lamp" / "cameras_sphere.npz").exists()
    assert not (tmp_path / "out" / "bad").exists()


@pytest.mark.parametrize("layout", WORDS)
def test_a_folder_of_a_layout_says_what_it_holds_and_what_is_wrong(layout, meshes, tmp_path, capsys):
    out = tmp_path / "out"
    assert rendered(meshes, out, "--layout", layout, *WORDS[layout]) == 0
    assert main(["info", str(out)]) == 0
    assert "view-files" in capsys.readouterr().out
    assert main(["verify", str(out)]) == 0
    cameras, main_file = out / "lamp.cameras.json", dict(load_format(layout).find(out))["chair/a"]
    cameras.write_bytes((out / "chair" / "a.cameras.json").read_bytes())
    capsys.readouterr()
    assert main(["verify", str(out)]) == 1
    assert f"from those in {main_file.name}" in capsys.readouterr().out
    cameras.unlink()
    main_file.unlink()
    assert main(["verify", str(out)]) == 1
    said = capsys.readouterr().out
    assert "chair/a" in said
    assert "lamp" in said


def test_a_dry_run_writes_nothing(meshes, tmp_path):
    assert rendered(meshes, tmp_path / "out", "--layout", "nerf", "--dry-run") == 0
    assert not (tmp_path / "out").exists()


def test_a_layout_is_a_folder(meshes, tmp_path, capsys):
    assert rendered(meshes, tmp_path / "out.h5", "--layout", "nerf") == 1
    assert "expected a folder" in capsys.readouterr().err
