"""Colours that cannot be had are grey and warned of in one sentence; they never fail, and nothing outside is opened."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from shapetool.render.colours import texture
from shapetool.render.colours.raw import NEUTRAL
from shapetool.render.paint import Painted, load_painted
from tests.geometry.mesh_files import write
from tests.render.painted_files import UPWARDS, add_attribute, gltf_square, letter, obj_square, png, with_texture


def colours_of(painted: Painted) -> np.ndarray:
    """The colour in the middle of each face."""
    count = len(painted.mesh.faces)
    assert painted.paint is not None
    return painted.paint.colours(np.arange(count), np.full((count, 3), 1 / 3))


def is_grey(painted: Painted, *words: str) -> bool:
    """Whether all is grey, and one warning says so with these words."""
    assert len(painted.warnings) == 1, painted.warnings
    assert all(word in painted.warnings[0] for word in (*words, "grey")), painted.warnings[0]
    return painted.paint is None or bool(np.allclose(colours_of(painted), NEUTRAL, atol=1e-12))


def huge_png(width: int, height: int) -> bytes:
    """The head of a PNG of that size, and next to no data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BROKEN_IMAGES = {
    "no image": (b"not an image", "cannot be decoded"),
    "cut off": (png(letter(40, 40))[:300], "cannot be decoded"),
    "empty": (b"", "empty"),
    "too many pixels": (huge_png(9000, 9000), "9000 x 9000"),
    "far too many pixels": (huge_png(60000, 60000), "pixels"),
    "a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "cannot be decoded"),
}


@pytest.mark.parametrize("case", BROKEN_IMAGES)
def test_a_broken_image_beside_an_obj_is_grey(tmp_path, case):
    data, words = BROKEN_IMAGES[case]
    assert is_grey(load_painted(with_texture(tmp_path, "square.obj", data)), "'image one.png'", words)


@pytest.mark.parametrize("case", [case for case in BROKEN_IMAGES if case != "empty"])
def test_a_broken_image_in_a_glb_is_grey(tmp_path, case):
    data, words = BROKEN_IMAGES[case]
    assert is_grey(load_painted(with_texture(tmp_path, "square.glb", data)), "images[0]", words)


def test_textures_of_one_file_share_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(texture, "MOST_PIXELS", 8 * 12 * 3 // 2)
    lines = obj_square().splitlines()
    lines[-1:] = ["f 1/1 2/2 3/3", "usemtl other", "f 1/1 3/3 4/4"]
    path = write(tmp_path, "square.obj", "\n".join(lines) + "\n")
    text = "newmtl skin\nmap_Kd {0}\nnewmtl other\nmap_Kd {1}\n"
    write(tmp_path, "a.png", png(letter()))
    write(tmp_path, "b.png", png(letter()))
    write(tmp_path, "square.mtl", text.format("a.png", "a.png"))
    assert load_painted(path).warnings == ()  # the same image counts once
    write(tmp_path, "square.mtl", text.format("a.png", "b.png"))
    (warning,) = load_painted(path).warnings
    assert "grey" in warning
    assert "8 x 12" in warning or "12 x 8" in warning


@pytest.mark.parametrize("name", ["../secret.png", "{absolute}", "..\\secret.png", "in/../../secret.png", "link.png"])
def test_a_texture_outside_the_root_is_not_opened(tmp_path, name):
    write(tmp_path, "secret.png", png(letter()))
    folder = tmp_path / "in"
    path = with_texture(folder, "square.obj", png(letter()))
    (folder / "in").mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    file = name.replace("{absolute}", str(tmp_path / "secret.png"))
    write(folder, "square.mtl", f"newmtl skin\nmap_Kd {file}\n")
    assert is_grey(load_painted(path), "texture")
    assert is_grey(load_painted(path, root=folder), "texture")
    if not Path(file).is_absolute():
        inside = load_painted(path, root=tmp_path)  # the root decides, not the folder of the mesh
        assert inside.warnings == ()
        assert not np.allclose(colours_of(inside), NEUTRAL)


def test_a_material_file_outside_the_root_is_not_opened(tmp_path):
    write(tmp_path, "square.mtl", "newmtl skin\nKd 1 0 0\n")
    path = write(tmp_path / "in", "square.obj", obj_square(library="../square.mtl"))
    first, second = load_painted(path).warnings
    assert "'../square.mtl'" in first
    assert "'skin'" in second
    assert load_painted(path).paint is None
    assert np.allclose(colours_of(load_painted(path, root=tmp_path)), [1, 0, 0])


@pytest.mark.parametrize("uri", ["https://example.org/a.png", "file:///etc/passwd", "//example.org/a.png", "../a.png"])
def test_an_address_in_a_gltf_is_not_opened(tmp_path, uri):
    write(tmp_path, "a.png", png(letter()))
    tree = gltf_square()
    tree["images"] = [{"uri": uri}]
    assert is_grey(load_painted(write(tmp_path / "in", "a.gltf", tree)), "images[0]")


def test_an_address_in_a_material_file_is_the_name_of_a_missing_file(tmp_path):
    path = with_texture(tmp_path, "square.obj", b"")
    write(tmp_path, "square.mtl", "newmtl skin\nmap_Kd https://example.org/a.png\n")
    assert is_grey(load_painted(path), "cannot be found")


def test_a_missing_texture_leaves_the_other_materials_their_colours(tmp_path):
    lines = obj_square().splitlines()
    lines[-1:] = ["f 1/1 2/2 3/3", "usemtl red", "f 1/1 3/3 4/4"]
    path = write(tmp_path, "square.obj", "\n".join(lines) + "\n")
    write(tmp_path, "square.mtl", "newmtl skin\nKd 0 1 0\nmap_Kd gone.png\nnewmtl red\nKd 1 0 0\n")
    painted = load_painted(path)
    np.testing.assert_allclose(colours_of(painted), [[NEUTRAL] * 3, [1, 0, 0]])
    assert len(painted.warnings) == 1
    assert "gone.png" in painted.warnings[0]


def test_a_face_without_texture_coordinates_is_grey(tmp_path):
    path = with_texture(tmp_path, "square.obj", png(letter()))
    path.write_text(obj_square().replace("f 1/1 2/2 3/3 4/4", "f 1 2 3\nf 1/1 3/3 4/4"))
    painted = load_painted(path)
    assert "1 textured triangle without texture coordinates" in painted.warnings[0]
    np.testing.assert_allclose(colours_of(painted)[0], NEUTRAL)
    assert not np.allclose(colours_of(painted)[1], NEUTRAL)


@pytest.mark.parametrize(
    ("text", "words"),
    [("f 1/1 2/2 3/3 4/9", "not among the 4"), ("f 1/1 2/2 3/3 4/x", "numbers"), ("f 1/-9 2/2 3/3 4/4", "not among")],
)
def test_texture_coordinates_that_are_not_there_leave_the_mesh_grey(tmp_path, text, words):
    path = with_texture(tmp_path, "square.obj", png(letter()))
    path.write_text(obj_square().replace("f 1/1 2/2 3/3 4/4", text))
    assert is_grey(load_painted(path), words)


def test_a_transparent_texture_is_drawn_opaque_and_warned_of_where_it_matters(tmp_path):
    rgba = np.concatenate([letter(), np.full((8, 12, 1), 9, np.uint8)], axis=2)
    (warning,) = load_painted(with_texture(tmp_path, "square.obj", png(rgba))).warnings
    assert "transparent" in warning
    assert load_painted(with_texture(tmp_path, "square.glb", png(rgba))).warnings == ()  # alphaMode OPAQUE
    tree = gltf_square(UPWARDS, png(rgba))
    tree["materials"][0]["alphaMode"] = "BLEND"
    painted = load_painted(write(tmp_path, "blend.gltf", tree))
    assert any("transparent" in warning for warning in painted.warnings)
    # An opaque fourth channel is nothing to warn of.
    rgba[..., 3] = 255
    assert load_painted(with_texture(tmp_path, "square.obj", png(rgba))).warnings == ()


@pytest.mark.parametrize(
    "change",
    [
        {"materials": []},
        {"materials": [{"pbrMetallicRoughness": []}]},
        {"materials": [{"pbrMetallicRoughness": {"baseColorFactor": ["red", 0, 0]}}]},
        {"textures": []},
        {"samplers": 3},
        {"images": [{}]},
    ],
)
def test_a_damaged_material_of_a_gltf_is_grey(tmp_path, change):
    tree = gltf_square(UPWARDS, png(letter())) | change
    assert is_grey(load_painted(write(tmp_path, "a.gltf", tree)))


def test_a_gltf_whose_attribute_does_not_fit_its_positions_is_grey(tmp_path):
    tree = gltf_square(UPWARDS, png(letter()))
    add_attribute(tree, "TEXCOORD_0", np.zeros((3, 2), np.float32))
    assert is_grey(load_painted(write(tmp_path, "a.gltf", tree)), "expected 4 rows")


def test_moving_options_of_a_texture_are_warned_of(tmp_path):
    path = with_texture(tmp_path, "square.obj", png(letter()))
    write(tmp_path, "square.mtl", "newmtl skin\nmap_Kd -s 2 2 -clamp on -o 0.5 image one.png\n")
    (warning,) = load_painted(path).warnings
    assert "-s -o" in warning
    assert load_painted(path).paint.materials[0].texture.wrap == ("clamp", "clamp")


def test_a_ply_with_texnumber_beyond_its_textures_is_grey_there(tmp_path):
    path = with_texture(tmp_path, "ply corners", png(letter()))
    text = path.read_text().replace("float texcoord\n", "float texcoord\nproperty int texnumber\n")
    head, _, body = text.partition("end_header\n")
    rows = body.splitlines()
    path.write_text(head + "end_header\n" + "\n".join([*rows[:4], rows[4] + " 0", rows[5] + " 7"]) + "\n")
    found = colours_of(load_painted(path))
    assert not np.allclose(found[0], NEUTRAL)
    np.testing.assert_allclose(found[1], NEUTRAL)


@pytest.mark.parametrize("number", ["1e308", "-1e300", "1e30"])
def test_texture_coordinates_of_any_size_have_a_colour(tmp_path, number):
    path = with_texture(tmp_path, "square.obj", png(letter()))
    path.write_text(path.read_text().replace("vt 1.0 0.0", f"vt {number} {number}"))
    painted = load_painted(path)
    with np.errstate(all="raise"):
        found = painted.paint.filtered(0.1).colours(np.array([0, 1]), np.full((2, 3), 1 / 3))
    assert ((found >= 0) & (found <= 1)).all()
