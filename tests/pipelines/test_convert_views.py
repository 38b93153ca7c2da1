"""`convert` for views: there and back for each layout, with what is lost, and files that are refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from shapetool.cli.app import main
from shapetool.data.formats import load_format
from shapetool.data.formats.pictures import over, straight
from shapetool.data.shards import build_shard, open_dataset, publish
from shapetool.errors import DataError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import COLUMNS, ViewsRecipe
from shapetool.render.placing import placed
from shapetool.render.views import render_views
from tests import analytic
from tests.data.formats.foreign import VIEWS_RECIPE, view_row

LAYOUTS = ["nerf", "nerfstudio", "r2n2", "neus"]
IDS = ["chair/a", "chair/deep/b", "lamp"]
KEPT = {
    "nerf": ("images", "alpha"),
    "nerfstudio": ("images", "alpha", "depth", "silhouette"),
    "r2n2": ("images", "alpha"),
    "neus": ("images", "silhouette"),
}


def shards(path, leave=(), recipe=VIEWS_RECIPE, ids=IDS, size=(40, 40)):
    """One file of three balls a shape."""
    rows = [view_row(shape_id, size=size) for shape_id in ids]
    names = [name for name in rows[0] if name not in ("recipe", *leave)]
    publish(path, build_shard("views", recipe, 0, {name: [row[name] for row in rows] for name in names}))
    return path


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_come_back_with_cameras_colours_and_depth(layout, tmp_path, capsys):
    source = shards(tmp_path / "in.h5")
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", layout]) == 0
    assert "--split" not in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "out"), str(tmp_path / "back"), "--to", "shards"]) == 0
    assert main(["verify", str(tmp_path / "back")]) == 0
    with open_dataset(source) as before, open_dataset(tmp_path / "back") as after:
        assert after.kind == "views"
        assert after.shape_ids == tuple(IDS)
        pixels = {"images", "alpha", "depth", "silhouette"} & set(after.columns)
        assert pixels == set(KEPT[layout])
        for old, new in zip(before, after, strict=True):
            np.testing.assert_allclose(new["intrinsics"], old["intrinsics"], rtol=1e-12, atol=1e-10)
            np.testing.assert_allclose(new["pose"], old["pose"], atol=1e-9)
            for name in ("images", "alpha", "silhouette"):
                if name in pixels:
                    np.testing.assert_array_equal(new[name], old[name])
            if "depth" in pixels:
                np.testing.assert_array_equal(new["depth"] > 0, old["depth"] > 0)
                np.testing.assert_allclose(new["depth"], old["depth"], atol=0.00051)
            if layout != "r2n2":  # whose files do not say the frame
                np.testing.assert_allclose(new["scale"], old["scale"], rtol=1e-12)
                np.testing.assert_allclose(new["offset"], old["offset"], rtol=1e-12)
        recipe = ViewsRecipe.from_dict(after.recipe)
        assert (recipe.views, recipe.height, recipe.width, recipe.projection) == (3, 40, 40, "perspective")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_come_back_bit_for_bit(layout, tmp_path):
    shards(tmp_path / "in.h5")
    for start, end, to in (("in.h5", "one", layout), ("one", "mid.h5", "shards"), ("mid.h5", "two", layout)):
        assert main(["convert", str(tmp_path / start), str(tmp_path / end), "--to", to, "-q"]) == 0
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert set(one) == set(two)
    pictures = [name for name in one if name.endswith(".png")]
    assert len(pictures) >= 9
    assert [name for name in pictures if one[name] != two[name]] == []


def test_colours_over_black_come_back_over_white(tmp_path):
    row = view_row("a", size=(40, 40))
    share = row["alpha"][..., None] / 255
    dark = np.rint(row["images"] - 255 * (1 - share)).clip(0, 255).astype("u1")
    values = {name: [value] for name, value in (row | {"images": dark}).items() if name != "recipe"}
    publish(tmp_path / "in.h5", build_shard("views", VIEWS_RECIPE | {"background": "black"}, 0, values))
    for start, end, to in (("in.h5", "out", "nerf"), ("out", "back.h5", "shards")):
        assert main(["convert", str(tmp_path / start), str(tmp_path / end), "--to", to, "-q"]) == 0
    with open_dataset(tmp_path / "back.h5") as after:
        assert after.recipe["background"] == "white"
        difference = np.abs(after[0]["images"].astype(int) - row["images"])
        assert difference.max() <= 2  # colour and opacity are both in 255 steps


def test_an_import_is_the_same_for_any_workers(tmp_path):
    source, out = shards(tmp_path / "in.h5"), tmp_path / "out"
    assert main(["convert", str(source), str(out), "--to", "nerfstudio", "-q"]) == 0
    for workers in ("1", "2"):
        words = ["convert", str(out), str(tmp_path / f"{workers}.h5"), "--to", "shards", "-q", "-j", workers]
        assert main(words) == 0
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_goes_on_where_it_stopped_and_leaves_no_view_of_another(layout, tmp_path):
    source, out = shards(tmp_path / "in.h5"), tmp_path / "out"
    words = ["convert", str(source), str(out), "--to", layout, "-q"]
    assert main(words) == 0
    before = content(out)
    main_file = load_format(layout).files(out, IDS[0])[-1]
    stray = next(path for path in sorted(out.rglob("*.png")) if "chair/a/" in path.as_posix())
    main_file.unlink()
    more = stray.with_name("r_17.png" if layout == "nerf" else "17.png")
    shutil.copy(stray, more)
    assert main(words) == 0
    assert content(out) == before
    assert not more.exists()


def test_a_missing_channel_is_named(tmp_path, capsys):
    source = shards(tmp_path / "in.h5", leave=("alpha",))
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", "nerf"]) == 1
    assert "nerf needs alpha" in capsys.readouterr().err
    assert main(["convert", str(source), str(tmp_path / "flat"), "--to", "nerfstudio", "-q"]) == 0
    with Image.open(tmp_path / "flat" / "lamp" / "images" / "00000.png") as image:
        assert image.mode == "RGB"


def test_layouts_without_lists_refuse_a_split_and_points(tmp_path, capsys):
    source, out = shards(tmp_path / "in.h5"), tmp_path / "out"
    (tmp_path / "train.lst").write_text("lamp\n")
    assert main(["convert", str(source), str(out), "--to", "nerf", "--split", str(tmp_path)]) == 1
    assert "has no lists" in capsys.readouterr().err
    assert main(["convert", str(source), str(out), "--to", "nerf", "-q"]) == 0
    assert main(["convert", str(out), str(tmp_path / "b.h5"), "--to", "shards", "--count", "9"]) == 1
    assert "views, not points" in capsys.readouterr().err


def test_a_shape_with_other_images_is_named_and_the_rest_is_read(tmp_path, capsys):
    module, out = load_format("r2n2"), tmp_path / "out"
    for shape_id, size in (("chair/a", (40, 40)), ("chair/b", (50, 50)), ("chair/c", (40, 40))):
        module.write(out, view_row(shape_id, size=size))
    assert main(["convert", str(out), str(tmp_path / "back.h5"), "--to", "shards"]) == 3
    assert "chair/b: invalid" in capsys.readouterr().err
    with open_dataset(tmp_path / "back.h5") as after:
        assert after.shape_ids == ("chair/a", "chair/c")


def change(path, **words):
    document = json.loads(path.read_text())
    frames = words.pop("frame", {})
    document.update(words)
    document["frames"][1].update(frames)
    path.write_text(json.dumps(document))


BAD = [
    ("nerf", {"camera_angle_x": 4}, "camera_angle_x"),
    ("nerf", {"camera_angle_x": "wide"}, "camera_angle_x"),
    ("nerf", {"frames": [{}, {}]}, "file_path"),
    ("nerf", {"frame": {"file_path": "../../../../secret"}}, "leads out"),
    ("nerf", {"frame": {"file_path": "./train/r_9"}}, "no such file"),
    ("nerf", {"frame": {"transform_matrix": [[1, 0], [0, 1]]}}, "frame 1"),
    ("nerf", {"unit_scale": -1}, "unit_scale"),
    ("nerfstudio", {"k1": 0.1}, "k1"),
    ("nerfstudio", {"camera_model": "FISHEYE"}, "FISHEYE"),
    ("nerfstudio", {"fl_x": None}, "fl_x"),
    ("nerfstudio", {"w": 41}, "41"),
    ("nerfstudio", {"frame": {"depth_file_path": 3}}, "depth_file_path"),
    ("nerfstudio", {"frame": {"mask_path": "images/00001.png"}}, "grey"),
]


@pytest.mark.parametrize(("layout", "words", "said"), BAD)
def test_a_wrong_list_is_refused_with_what_is_wrong(layout, words, said, tmp_path):
    module = load_format(layout)
    module.write(tmp_path, view_row("a", size=(40, 40)))
    path = module.find(tmp_path)[0][1]
    module.read(path, tmp_path)
    change(path, **json.loads(json.dumps(words)))
    with pytest.raises(DataError, match=said):
        module.read(path, tmp_path)


@pytest.mark.parametrize("line", ["1 2 3", "1 2 0 x 25", "1 2 5 0.8 25", "1 2 0 -0.8 25", "nan 2 0 0.8 25"])
def test_wrong_metadata_are_refused_with_their_line(line, tmp_path):
    module = load_format("r2n2")
    module.write(tmp_path, view_row("c/a", size=(40, 40)))
    path = module.find(tmp_path)[0][1]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, lines[2]]))
    with pytest.raises(DataError, match="line 2"):
        module.read(path, tmp_path)
    path.write_text(lines[0])
    with pytest.raises(DataError, match="expected 3 lines"):
        module.read(path, tmp_path)


def test_a_left_handed_pose_costs_its_shape_and_names_the_camera(tmp_path, capsys):
    module = load_format("nerf")
    for shape_id in ("a", "b"):
        module.write(tmp_path / "in", view_row(shape_id, size=(40, 40)))
    pose = view_row("b")["pose"][1] @ np.diag([-1.0, 1, 1, 1])
    change(tmp_path / "in" / "b" / "transforms_train.json", frame={"transform_matrix": pose.tolist()})
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.h5"), "--to", "shards"]) == 3
    said = capsys.readouterr().err
    assert "b: invalid" in said
    assert "camera 1" in said
    assert "left-handed" in said


def test_scale_matrices_that_differ_and_missing_pictures_are_refused(tmp_path):
    module = load_format("neus")
    module.write(tmp_path, view_row("a", size=(40, 40)))
    path = module.find(tmp_path)[0][1]
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    np.savez(path, **(found | {"scale_mat_1": 2 * found["scale_mat_1"]}))
    with pytest.raises(DataError, match="scale_mat"):
        module.read(path, tmp_path)
    np.savez(path, **found)
    (tmp_path / "a" / "mask" / "001.png").unlink()
    with pytest.raises(DataError, match="mask: expected 3 PNG files"):
        module.read(path, tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_picture_that_is_none_is_refused(layout, tmp_path):
    module = load_format(layout)
    module.write(tmp_path, view_row("a", size=(40, 40)))
    path = module.find(tmp_path)[0][1]
    picture = sorted(tmp_path.rglob("*1.png"))[0]
    for data in (picture.read_bytes()[:200], b"GIF89a", b""):
        picture.write_bytes(data)
        with pytest.raises(DataError, match=picture.name):
            module.read(path, tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_rendered_is_written_and_read_back(layout, tmp_path):
    recipe = ViewsRecipe(
        cameras="r2n2", views=4, height=64, width=64, channels=("rgb", "alpha", "depth", "silhouette", "normal")
    )
    mesh = Mesh(*analytic.box_mesh((-0.3, -0.2, -0.1), (0.3, 0.2, 0.1)))
    views = render_views(mesh, placed(recipe, np.random.default_rng(0)), recipe)
    row = {COLUMNS.get(name, name): values for name, values in views.channels.items()}
    row |= {"shape_id": "chair/a", "scale": 0.25, "offset": np.array([1.0, -2, 3]), "recipe": recipe.to_dict()}
    module = load_format(layout)
    module.write(tmp_path, row | {"intrinsics": views.cameras.intrinsics, "pose": views.cameras.pose})
    ((shape_id, path),) = module.find(tmp_path)
    assert shape_id == "chair/a"
    again = module.read(path, tmp_path)
    np.testing.assert_allclose(again["intrinsics"], views.cameras.intrinsics, atol=1e-9)
    np.testing.assert_allclose(again["pose"], views.cameras.pose, atol=1e-9)
    np.testing.assert_array_equal(again["images"], views.channels["rgb"])
    for name in KEPT[layout][1:]:
        atol = 0.00051 if name == "depth" else 0
        np.testing.assert_allclose(again[name].astype(float), views.channels[name].astype(float), atol=atol)


def test_a_scene_in_the_folder_itself_has_its_name(tmp_path):
    for layout in ("nerf", "nerfstudio", "neus"):
        module = load_format(layout)
        module.write(tmp_path / layout, view_row("lego", size=(40, 40)))
        assert [name for name, _ in module.find(tmp_path / layout / "lego")] == ["lego"]


@pytest.mark.parametrize("layout", ["nerf", "nerfstudio", "r2n2"])
def test_straight_colours_are_written_as_they_are(layout, tmp_path):
    row = view_row("c/a", size=(40, 40)) | {"recipe": {"background": "transparent"}}
    row["images"] = np.random.default_rng(0).integers(0, 256, row["images"].shape).astype("u1")
    load_format(layout).write(tmp_path, row)
    first = sorted(tmp_path.rglob({"nerf": "r_0.png", "nerfstudio": "images/00000.png", "r2n2": "00.png"}[layout]))[0]
    with Image.open(first) as image:
        pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels, np.concatenate([row["images"][0], row["alpha"][0][..., None]], axis=-1))


def test_what_has_no_background_gets_white_where_there_is_no_opacity(tmp_path):
    row, module = view_row("a", size=(40, 40)), load_format("neus")
    module.write(tmp_path / "white", row)
    bare = straight(row["images"], row["alpha"], "white")[..., :3]
    module.write(tmp_path / "none", row | {"images": bare, "recipe": {"background": "transparent"}})
    assert content(tmp_path / "none") == content(tmp_path / "white")


@pytest.mark.parametrize("background", ["white", "black"])
def test_colours_taken_off_their_background_and_put_back_are_within_one_level(background):
    behind = {"white": 255.0, "black": 0.0}[background]
    share, colour = np.meshgrid(np.arange(26) / 25, np.arange(0, 255.5, 0.5), indexing="ij")
    mixed = np.rint(share * colour + (1 - share) * behind).astype("u1")
    images, alpha = np.repeat(mixed[..., None], 3, axis=-1), np.rint(255 * share).astype("u1")
    again, opacity = over(straight(images, alpha, background), background)
    np.testing.assert_array_equal(opacity, alpha)
    assert np.abs(again.astype(int) - images).max() <= 1
    for other in ("white", "black"):
        wanted = share * colour + (1 - share) * {"white": 255.0, "black": 0.0}[other]
        shown, _ = over(straight(images, alpha, background), other)
        assert np.abs(shown[..., 0] - wanted).max() <= 2
