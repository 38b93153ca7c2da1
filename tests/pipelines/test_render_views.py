"""The render-views command from words to shards: what a user types, what comes out, how it ends."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from shapetool.cli.app import main
from shapetool.data.reading import open_dataset
from shapetool.data.verify import verify
from shapetool.errors import ConfigError
from shapetool.pipelines.render_views import ViewsJob, check_memory, prepared, render_one, run
from shapetool.recipes import ViewsRecipe, views_recipe
from shapetool.recipes.views import CHANNELS
from shapetool.render.camera_file import cameras_text
from shapetool.render.cameras import Cameras, look_at, pinhole
from shapetool.runner.job import Options

REPOSITORY = Path(__file__).resolve().parents[2]
MAIN = "import sys; from shapetool.cli.app import main; sys.exit(main())"
FEW = ["--views", "3", "--size", "24x32", "-j", "1"]
SMALL = ViewsRecipe(views=2, height=16, width=20)
BOX_FACES = ["1 3 2", "1 4 3", "5 6 7", "5 7 8", "1 2 6", "1 6 5", "3 4 8", "3 8 7", "2 3 7", "2 7 6", "4 1 5", "4 5 8"]


def write_box(path: Path, size: float = 1.0) -> None:
    """A box from the origin to (size, size, size), outward, as text written here."""
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    lines = [f"v {x * size} {y * size} {z * size}" for x, y, z in corners]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, *(f"f {face}" for face in BOX_FACES)]) + "\n")


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for number in range(4):
        write_box(tmp_path / f"in/chair/box{number}.obj", size=1.0 + number)
    return tmp_path / "in"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("shard-*.h5")}


def front(*places: float, size: tuple[int, int] = (32, 32), flat: bool = False) -> Cameras:
    """Cameras on the z axis that look along -z, with a focal length of as many pixels as the image has."""
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, 2, 3] = places
    return Cameras(size, np.tile(pinhole(size[1], size), (len(places), 1, 1)), poses, flat)


def test_a_folder_becomes_one_file_that_holds_what_the_contract_says(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    assert main(["render-views", str(meshes), str(out), *FEW, "--seed", "3"]) == 0
    with h5py.File(out, "r", locking=False) as file:
        assert (file.attrs["kind"], file.attrs["layout"], file.attrs["seed"]) == ("views", 1, 3)
        assert json.loads(file.attrs["recipe"])["views"] == 3
        assert list(file["shape_id"].asstr()) == [f"chair/box{number}" for number in range(4)]
        assert (file["images"].shape, file["images"].dtype) == ((4, 3, 24, 32, 3), np.uint8)
        assert (file["depth"].shape, file["depth"].dtype) == ((4, 3, 24, 32), np.float32)
        assert (file["normals"].shape, file["normals"].dtype) == ((4, 3, 24, 32, 3), np.float32)
        assert (file["silhouette"].shape, file["silhouette"].dtype) == ((4, 3, 24, 32), np.bool_)
        assert (file["intrinsics"].shape, file["pose"].shape) == ((4, 3, 3, 3), (4, 3, 4, 4))
        assert file["images"].chunks == (1, 1, 24, 32, 3)
        assert set(file["sign_method"].asstr()) == {"none"}
        assert file["watertight"][...].all()
        for row in range(4):
            assert file["scale"][row] * (1 + row) == pytest.approx(2 / np.sqrt(3) / 1.03)
            np.testing.assert_allclose(file["offset"][row], -0.5 * (1 + row))
    assert verify(out) == []
    found = lines(tmp_path / "out.h5.report.jsonl")
    assert {line["status"] for line in found} == {"ok"}
    assert {(line["n_vertices"], line["n_faces"], line["watertight"]) for line in found} == {(8, 12, True)}


def test_all_channels_of_a_box_from_the_front_are_known_by_hand(tmp_path: Path) -> None:
    write_box(tmp_path / "box.obj", size=2.0)
    recipe = ViewsRecipe(channels=CHANNELS, normalize="box", frame_size=1.0)
    cameras = tmp_path / "cameras.json"
    cameras.write_text(cameras_text(front(2.5)))
    job = prepared(recipe.replace(cameras=str(cameras)), 0)
    columns = render_one(job, tmp_path / "box.obj", "box").columns
    # The near face, at z = 0.5, is 2 away: its 1 x 1 fills the inner 16 x 16 of 32 x 32 pixels.
    inner = np.zeros((32, 32), bool)
    inner[8:24, 8:24] = True
    np.testing.assert_array_equal(columns["depth"][0] > 0, inner)
    np.testing.assert_allclose(columns["depth"][0][inner], 2, rtol=1e-6)
    np.testing.assert_array_equal(columns["silhouette"][0], inner)
    np.testing.assert_array_equal(columns["alpha"][0], 255 * inner)
    np.testing.assert_allclose(columns["normals"][0][inner], np.tile([0, 0, 1], (256, 1)), atol=1e-7)
    np.testing.assert_allclose(columns["camera_normals"][0][inner], np.tile([0, 0, 1], (256, 1)), atol=1e-7)
    np.testing.assert_allclose(columns["coordinates"][0][8, 8], [-0.5 + 1 / 32, 0.5 - 1 / 32, 0.5], atol=1e-6)
    np.testing.assert_allclose(columns["ray_length"][0][8, 8], 2 * np.linalg.norm([7.5 / 32, 7.5 / 32, 1]), rtol=1e-6)
    assert set(columns["face"][0][inner]) <= {2, 3}
    assert (columns["images"][0][~inner] == 255).all()
    assert (columns["images"][0][inner] < 250).all()


def test_the_same_bytes_come_out_whatever_the_workers_and_parts(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (meshes / "broken.obj").write_text("v 0 0 0\nf 1 2 99\n")
    monkeypatch.setattr("shapetool.runner.job.SHARD_BYTES", 2 * ViewsJob(SMALL).bytes_per_shape)
    for name, workers in (("one", 1), ("two", 2)):
        assert run([meshes], tmp_path / name, SMALL, options=Options(workers=workers)).exit_code == 3
    for part in (1, 2, 0):
        run([meshes], tmp_path / "parts", SMALL, options=Options(workers=1, shard=(part, 3)))
    assert len(digests(tmp_path / "one")) == 3
    assert digests(tmp_path / "one") == digests(tmp_path / "two") == digests(tmp_path / "parts")
    assert verify(tmp_path / "two") == []
    assert main(["merge", str(tmp_path / "two"), str(tmp_path / "all.h5"), "-q"]) == 0
    assert verify(tmp_path / "all.h5") == []
    assert open_dataset(tmp_path / "all.h5").shape_ids == open_dataset(tmp_path / "one").shape_ids


def test_a_record_depends_on_seed_and_id_and_nothing_else(meshes: Path) -> None:
    path = meshes / "chair/box0.obj"
    made = [
        render_one(ViewsJob(SMALL, seed), path, name, threads=threads).columns
        for seed, name, threads in ((0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1))
    ]
    for name in ("pose", "images", "depth"):
        np.testing.assert_array_equal(made[0][name], made[1][name])
        assert not np.array_equal(made[0][name], made[2][name])
        assert not np.array_equal(made[0][name], made[3][name])


def test_a_bad_mesh_costs_itself_alone_and_says_why(meshes: Path, tmp_path: Path) -> None:
    (meshes / "empty.obj").write_text("")
    (meshes / "nothing.obj").write_text("v 0 0 0\nv 1 0 0\n")
    assert main(["render-views", str(meshes), str(tmp_path / "out.h5"), *FEW, "-q"]) == 3
    found = {line["id"]: line for line in lines(tmp_path / "out.h5.report.jsonl")}
    assert {name for name, line in found.items() if line["status"] == "invalid"} == {"empty", "nothing"}
    assert all(found[name]["error"] for name in ("empty", "nothing"))
    assert len(open_dataset(tmp_path / "out.h5")) == 4


def test_a_killed_run_goes_on_to_the_same_bytes(meshes: Path, tmp_path: Path) -> None:
    words = ["--views", "60", "--size", "96", "-j", "1"]
    for number in range(4, 16):
        write_box(meshes / f"chair/box{number}.obj")
    out = tmp_path / "out"
    command = [sys.executable, "-c", MAIN, "render-views", str(meshes), str(out), *words]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    deadline = time.monotonic() + 60
    while not digests(out):  # the first of three shards
        assert process.poll() is None
        assert time.monotonic() < deadline, "the run does not get anywhere"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    kept = digests(out)
    assert 0 < len(kept) < 3
    again = run([meshes], out, ViewsRecipe(views=60, height=96, width=96), options=Options(workers=1))
    assert again.exit_code == 0
    assert again.done_now == 16 - 6 * len(kept)
    whole = run([meshes], tmp_path / "whole", ViewsRecipe(views=60, height=96, width=96), options=Options(workers=2))
    assert whole.done_now == 16
    assert kept.items() <= digests(out).items()
    assert digests(out) == digests(tmp_path / "whole")


def test_the_size_of_a_record_is_foreseen(meshes: Path) -> None:
    for channels in (*((name,) for name in CHANNELS), CHANNELS):
        job = ViewsJob(SMALL.replace(channels=channels))
        columns = render_one(job, meshes / "chair/box0.obj", "a").columns
        names = set(columns) - {"shape_id", "source", "scale", "offset", "watertight", "sign_method"}
        assert len(names) == len(channels) + 2
        assert job.bytes_per_shape == sum(columns[name].nbytes for name in names)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(meshes: Path, tmp_path: Path, capsys) -> None:
    words = [str(meshes), str(tmp_path / "out"), *FEW, "--dry-run", "--contact-sheet", str(tmp_path / "s.png")]
    assert main(["render-views", *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["items"], said["shards"]) == (4, 1)
    assert said["bytes"] == 4 * 3 * (24 * 32 * 20 + 200)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_rerun_says_that_nothing_is_left_and_other_settings_are_refused(meshes: Path, tmp_path: Path, capsys) -> None:
    words = ["render-views", str(meshes), str(tmp_path / "out.h5"), *FEW]
    assert main(words) == 0
    assert main(words) == 0
    assert "nothing left to do" in capsys.readouterr().err
    assert main([*words, "--fov", "50"]) == 1
    assert main([*words, "--fov", "50", "--overwrite"]) == 0
    assert open_dataset(tmp_path / "out.h5").recipe["fov"] == 50


def test_options_come_from_a_file_and_settings_from_words(meshes: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('seed = 5\n[render-views]\nviews = 2\nsize = 12\nchannels = "depth,face"\nup = "z"\n')
    out = tmp_path / "out.h5"
    words = ["--config", str(config), "--set", "crease=45", "--set", "smooth=false", "--size", "10", "-j", "1"]
    assert main(["render-views", str(meshes), str(out), *words]) == 0
    dataset = open_dataset(out)
    assert dataset.seed == 5
    assert set(dataset.columns) & {"images", "depth", "face", "normals"} == {"depth", "face"}
    assert dataset[0]["depth"].shape == (2, 10, 10)
    wanted = {"crease": 45.0, "smooth": False, "up": "z", "channels": ["depth", "face"]}
    assert {name: dataset.recipe[name] for name in wanted} == wanted
    np.testing.assert_array_less(0, dataset[0]["pose"][:, 2, 1])  # z is up in every image
    assert ViewsRecipe.from_dict(dataset.recipe).to_dict() == dataset.recipe


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "0"], "height"),
        (["--size", "12by12"], "--size 12by12"),
        (["--size", "16385"], "16384"),
        (["--channels", "rgb,dpeth"], "did you mean 'depth'"),
        (["--channels", "rgb,rgb"], "each once"),
        (["--channels", ","], "channels"),
        (["--cameras", "spheer"], "expected r2n2, sphere, hammersley"),
        (["--cameras", "r2n2", "--fov", "30"], "fov: the cameras of r2n2 have their own"),
        (["--cameras", "r2n2", "--projection", "orthographic"], "perspective"),
        (["--recipe", "r2n3"], "did you mean 'r2n2'"),
        (["--projection", "fish"], "projection"),
        (["--fov", "180"], "fov"),
        (["--radius", "nan"], "radius"),
        (["--ambient", "1.5"], "ambient"),
        (["--up", "x"], "up"),
        (["--layout", "blender"], "--layout blender"),
        (["--set", "views=2.5"], "whole number"),
        (["--set", "smooth=perhaps"], "true or false"),
        (["--set", "vews=2"], "did you mean 'views'"),
        (["--layout", "nerf", "--channels", "rgb"], "has its own channels"),
        (["--layout", "r2n2", "--background", "white"], "has its own background"),
        (["--layout", "nerf", "--projection", "orthographic"], "pinholes only"),
        (["--layout", "nerf", "--contact-sheet", "sheet.png"], "drawn of shards"),
        (["--layout", "r2n2", "--up", "z"], "--up y"),
        (["--layout", "r2n2", "--cameras", "sphere"], "a lens of its own"),
        (["--background", "transparent"], "beside alpha alone"),
        (["--contact-sheet", "sheet.jpg"], "ends in .png"),
        (["--turntable", "nowhere/at/all.gif"], "a folder that exists"),
        (["--contact-sheet", "s.png", "--channels", "face"], "nothing to look at"),
        (["--size", "16000", "--views", "100"], "GiB of memory a shape"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_before_work_begins(
    meshes: Path, tmp_path: Path, capsys, words: list[str], said: str
) -> None:
    assert main(["render-views", str(meshes), str(tmp_path / "out"), *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--views", "0"], ["--samples", "0"], ["--views", "x"]])
def test_a_number_that_is_none_is_a_matter_of_usage(meshes: Path, tmp_path: Path, words: list[str]) -> None:
    assert main(["render-views", str(meshes), str(tmp_path / "out"), *words]) == 2


def test_images_over_the_memory_of_a_worker_are_refused_with_how_much() -> None:
    recipe = ViewsRecipe(views=100, height=1000, width=1000)
    check_memory(recipe, Options(workers=1, item_memory=8 << 30))
    with pytest.raises(ConfigError, match=r"need about 5\.96 GiB .* may take 4\.00 GiB"):
        check_memory(recipe, Options(workers=1, item_memory=4 << 30))


def test_cameras_of_a_file_are_those_of_every_shape_and_decide_the_rest(meshes: Path, tmp_path: Path, capsys) -> None:
    places = np.array([[2.0, 1, 0], [0, 2, 2], [-3, 0.5, 0]])
    cameras = Cameras((20, 30), np.tile(pinhole(25, (20, 30)), (3, 1, 1)), look_at(places))
    out = tmp_path / "out.h5"
    bytes_of = []
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(cameras_text(cameras))
        words = ["render-views", str(meshes), str(out), "--cameras", str(tmp_path / name), "-j", "1"]
        assert main([*words, "--overwrite"]) == 0
        bytes_of.append(out.read_bytes())
    assert bytes_of[0] == bytes_of[1]  # whatever the file is called
    dataset = open_dataset(out)
    assert (dataset.recipe["cameras"], dataset.recipe["views"]) == ("file", 3)
    assert not {"fov", "radius"} & set(dataset.recipe)
    for row in dataset:
        np.testing.assert_array_equal(row["pose"], cameras.pose)
        np.testing.assert_array_equal(row["intrinsics"], cameras.intrinsics)
        assert row["depth"].shape == (3, 20, 30)
    assert main([*words, "--views", "2"]) == 1
    assert "have their own" in capsys.readouterr().err
    (tmp_path / "b.json").write_text(cameras_text(cameras[1:]))
    assert main(words) == 1  # another file is another setting


def test_a_camera_inside_the_shape_or_beside_it_is_a_warning(tmp_path: Path) -> None:
    write_box(tmp_path / "box.obj")
    (tmp_path / "c.json").write_text(cameras_text(front(3.0, 0.1, -3.0)))
    job = prepared(ViewsRecipe(cameras=str(tmp_path / "c.json")), 0)
    made = render_one(job, tmp_path / "box.obj", "box")
    said = made.facts["warnings"]
    assert len(said) == 2
    assert "1 camera of 3 is inside the shape, the first is camera 1" in said[0]
    assert "1 view of 3 show" in said[1]  # the last one looks away
    assert (made.columns["depth"][1] > 0).all()


def test_r2n2_and_orthographic_views_are_lawful(meshes: Path, tmp_path: Path) -> None:
    every = ",".join(CHANNELS)
    for name, words in {
        "r2n2": ["--recipe", "r2n2"],
        "flat": ["--projection", "orthographic", "--size", "40x56"],
        "even": ["--cameras", "hammersley", "--samples", "1", "--background", "black", "--size", "33"],
    }.items():
        out = tmp_path / f"{name}.h5"
        assert main(["render-views", str(meshes), str(out), *words, "--channels", every, "-j", "2", "-q"]) == 0
        assert verify(out) == []
    r2n2 = open_dataset(tmp_path / "r2n2.h5")
    assert r2n2[0]["images"].shape == (24, 137, 137, 3)
    np.testing.assert_allclose(r2n2[0]["intrinsics"][:, 0, 0], 149.84375)
    assert views_recipe("r2n2").frame_size == 1


def test_a_contact_sheet_and_a_turntable_show_what_was_rendered(meshes: Path, tmp_path: Path, capsys) -> None:
    sheet, spin = tmp_path / "sheet.png", tmp_path / "spin.gif"
    out = tmp_path / "out"
    words = ["render-views", str(meshes), str(out), "--views", "10", "--size", "64", "-j", "2"]
    words += ["--contact-sheet", str(sheet), "--turntable", str(spin)]
    assert main(words) == 0
    drawn = np.asarray(Image.open(sheet).convert("RGB"))
    assert drawn.shape == (4 * (128 + 16 + 4) + 4, 8 * (128 + 4) + 4, 3)
    dataset = open_dataset(out)
    for row in range(4):
        for view in range(8):
            top, left = 4 + row * 148 + 16 + 32, 4 + view * 132 + 32
            np.testing.assert_array_equal(drawn[top : top + 64, left : left + 64], dataset[row]["images"][view])
    with Image.open(spin) as image:
        assert (image.n_frames, image.info["loop"]) == (36, 0)
        frames = []
        for number in range(36):
            image.seek(number)
            frames.append(np.asarray(image.convert("L")).astype(int))
    assert all((frame < 230).mean() > 0.1 for frame in frames)
    # A cube looks the same after a quarter of a turn, and otherwise after an eighth.
    assert np.abs(frames[0] - frames[9]).mean() < 2 < np.abs(frames[0] - frames[4]).mean()
    before = sheet.read_bytes(), spin.read_bytes()
    sheet.unlink()
    assert main(words) == 0  # nothing to render, but the pictures are made
    assert (sheet.read_bytes(), spin.read_bytes()) == before
    assert main([*words[:-3], str(out / "s.png")]) == 1
    assert "lies in" in capsys.readouterr().err


def test_no_picture_is_drawn_of_nothing(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty.obj").write_text("")
    words = [str(tmp_path / "empty.obj"), str(tmp_path / "out"), *FEW, "--contact-sheet", str(tmp_path / "s.png")]
    assert main(["render-views", *words]) == 3
    assert not (tmp_path / "s.png").exists()
    assert "no picture is drawn" in capsys.readouterr().err


def test_info_draws_a_mesh_and_a_shard_of_views_and_nothing_else(meshes: Path, tmp_path: Path, capsys) -> None:
    mesh, picture = str(meshes / "chair/box0.obj"), tmp_path / "p.png"
    assert main(["info", mesh, "--picture", str(picture)]) == 0
    drawn = np.asarray(Image.open(picture).convert("L")).astype(int)
    assert drawn.shape == (256 + 16 + 8, 4 * 260 + 4)
    tiles = [drawn[20 : 20 + 256, 4 + 260 * number : 260 * (number + 1)] for number in range(4)]
    for tile in tiles[1:]:  # the four sides of a cube
        assert np.abs(tile - tiles[0]).mean() < 1
    assert (tiles[0] < 230).mean() > 0.1
    assert main(["render-views", mesh, str(tmp_path / "v.h5"), *FEW]) == 0
    assert main(["info", str(tmp_path / "v.h5"), "--picture", str(picture)]) == 0
    assert Image.open(picture).size == (3 * 132 + 4, 128 + 16 + 8)
    assert main(["sample-sdf", mesh, str(tmp_path / "s.h5"), "--count", "50", "-j", "1"]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "s.h5"), "--picture", str(picture)]) == 1
    assert "expected a mesh or views" in capsys.readouterr().err


def test_transparent_colours_are_those_of_the_shape_alone(tmp_path: Path) -> None:
    """A box of one colour seen from the front: over white or black its edges mix, but straight ones do not."""
    write_box(tmp_path / "box.obj")
    cameras = tmp_path / "c.json"
    cameras.write_text(cameras_text(front(2.53)))
    recipe = ViewsRecipe(cameras=str(cameras), channels=("rgb", "alpha"), samples=5, ambient=1.0, normalize="box")
    seen = {
        ground: render_one(prepared(recipe.replace(background=ground), 0), tmp_path / "box.obj", "box").columns
        for ground in ("white", "black", "transparent")
    }
    alpha = seen["transparent"]["alpha"][0].astype(float)[..., None] / 255
    assert ((alpha > 0.1) & (alpha < 0.9)).any()
    straight = seen["transparent"]["images"][0].astype(float)
    assert (np.abs(straight - np.where(alpha > 0, 0.7 * 255, 0)) <= 0.5).all()  # which is 178.5, to either side
    for ground, level in (("white", 255), ("black", 0)):
        mixed = alpha * straight + (1 - alpha) * level
        np.testing.assert_allclose(seen[ground]["images"][0], mixed, atol=1.01)  # each is rounded once


def test_the_cameras_of_r2n2_bring_their_size_and_frame(meshes: Path, tmp_path: Path) -> None:
    assert main(["render-views", str(meshes), str(tmp_path / "a.h5"), "--cameras", "r2n2", "-q"]) == 0
    dataset = open_dataset(tmp_path / "a.h5")
    assert dataset.recipe["normalize"] == "diagonal"
    for row in dataset:
        border = np.ones((137, 137), bool)
        border[1:-1, 1:-1] = False
        assert row["silhouette"].shape == (24, 137, 137)
        assert row["silhouette"][:, border].mean() < 0.05  # the nearest cameras just lose a corner of a box
    assert main(["render-views", str(meshes), str(tmp_path / "b.h5"), "--cameras", "r2n2", "--size", "64", "-q"]) == 0
    assert open_dataset(tmp_path / "b.h5")[0]["depth"].shape == (24, 64, 64)


def test_the_colours_of_a_file_are_drawn(tmp_path: Path) -> None:
    corners = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]
    lines = [f"v {x} {y} {z} 1 0 0" for x, y, z in corners] + ["f 1 2 3", "f 1 3 4"]
    (tmp_path / "sheet.obj").write_text("\n".join(lines) + "\n")
    (tmp_path / "c.json").write_text(cameras_text(front(3.0)))
    job = prepared(ViewsRecipe(cameras=str(tmp_path / "c.json"), ambient=1.0), 0)
    images = render_one(job, tmp_path / "sheet.obj", "s").columns["images"]
    np.testing.assert_array_equal(images[0, 16, 16], [255, 0, 0])
    assert (images[0, 0, 0] == 255).all()
