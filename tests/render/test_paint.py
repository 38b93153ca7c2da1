"""The colour of a point of a surface is what its file says, in closed form, for every format that has colours."""

from pathlib import Path

import numpy as np
import pytest

from shapetool.geometry.mesh import load_mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras, look_at
from shapetool.render.colours.raw import NEUTRAL
from shapetool.render.colours.texture import from_linear, to_linear
from shapetool.render.paint import Painted, find_again, load_painted, sample_width
from shapetool.render.views import render_views
from tests.geometry.mesh_files import CUBE_FACES, CUBE_QUADS, CUBE_VERTICES, glb_bytes, obj_text, write
from tests.render.painted_files import (
    SQUARE,
    TWO,
    UPWARDS,
    add_attribute,
    gltf_square,
    letter,
    ply_square,
    png,
    rainbow,
    with_texture,
)  # fmt: skip

TEXTURED = ("square.obj", "ply corners", "ply vertices", "square.glb", "square.gltf")
RAINBOWS = ("rainbow.obj", "rainbow.off", "rainbow.ply", "rainbow.glb")
# float32 in the file, and light to colour and back; half a step of an image of 8 bits is 2e-3.
CLOSE = 1e-6


def colours_at(painted: Painted, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random points of random faces, the colours there, and the faces."""
    rng = np.random.default_rng(3)
    faces = rng.integers(0, len(painted.mesh.faces), count)
    weights = rng.dirichlet(np.ones(3), count)
    assert painted.paint is not None
    return (
        np.einsum("kc,kcd->kd", weights, painted.mesh.triangles[faces]),
        painted.paint.colours(faces, weights),
        faces,
    )


def photograph(painted: Painted, height: int, width: int) -> np.ndarray:
    """The unit square from straight above, its upper left corner in the first pixel, without light or shade."""
    pose = look_at(np.array([[0.5, 0.5, 3.0]]), (0.5, 0.5, 0))
    camera = np.array([[[width, 0, width / 2], [0, height, height / 2], [0, 0, 1]]], np.float64)
    recipe = ViewsRecipe(height=height, width=width, channels=("rgb",), samples=1, ambient=1.0)
    views = render_views(painted.mesh, Cameras((height, width), camera, pose, True), recipe, painted.paint)
    return views.channels["rgb"][0]


@pytest.mark.parametrize("kind", TEXTURED)
def test_an_image_on_a_square_is_seen_the_right_way_round(tmp_path, kind):
    # A pixel a texel, centre on centre: the picture of the square is the image itself.
    painted = load_painted(with_texture(tmp_path, kind, png(letter())))
    assert np.array_equal(photograph(painted, 8, 12), letter())


@pytest.mark.parametrize("kind", TEXTURED)
def test_half_way_between_texels_is_the_mean_of_their_light(tmp_path, kind):
    image = np.array([[[200, 10, 60], [20, 250, 60]]], np.uint8)
    painted = load_painted(with_texture(tmp_path, kind, png(image)))
    found = painted.paint.colours(np.array([0]), np.array([[0.5, 0.0, 0.5]]))  # the middle of the square
    expected = from_linear(to_linear(image / 255.0).mean(axis=(0, 1)))
    np.testing.assert_allclose(found[0], expected, atol=CLOSE)


@pytest.mark.parametrize("kind", RAINBOWS)
def test_colours_of_vertices_are_interpolated(tmp_path, kind):
    points, found, _ = colours_at(load_painted(rainbow(tmp_path, kind)))
    # In a glTF they are light; in the other formats they stand as in an image.
    np.testing.assert_allclose(found, from_linear(points) if kind.endswith("glb") else points, atol=CLOSE)


@pytest.mark.parametrize("kind", RAINBOWS)
def test_colours_follow_their_faces_when_the_loader_turns_and_drops_some(tmp_path, kind):
    # Inside out, with a face twice and one of two equal corners in front of the others.
    faces = np.concatenate([[[0, 0, 1]], CUBE_FACES[3:4], CUBE_FACES])[:, ::-1]
    painted = load_painted(rainbow(tmp_path, kind, faces))
    assert len(painted.mesh.faces) == 12
    assert painted.mesh.volume == pytest.approx(1)
    points, found, _ = colours_at(painted)
    np.testing.assert_allclose(found, from_linear(points) if kind.endswith("glb") else points, atol=CLOSE)


@pytest.mark.parametrize("kind", [*TEXTURED, *RAINBOWS])
def test_the_mesh_is_the_one_that_load_mesh_gives(tmp_path, kind):
    make = with_texture if kind in TEXTURED else rainbow
    path = make(tmp_path, kind, png(letter())) if kind in TEXTURED else make(tmp_path, kind)
    mesh, painted = load_mesh(path), load_painted(path)
    assert np.array_equal(mesh.vertices, painted.mesh.vertices)
    assert np.array_equal(mesh.faces, painted.mesh.faces)
    assert painted.warnings == mesh.warnings


def test_polygons_keep_their_texture_coordinates_corner_by_corner(tmp_path):
    # A concave polygon whose texture coordinates are its position: the colours are those of a ramp.
    ramp = np.zeros((2, 256, 3), np.uint8)
    ramp[..., 0] = np.arange(256)
    write(tmp_path, "ramp.png", png(ramp))
    write(tmp_path, "a.mtl", "newmtl skin\nmap_Kd ramp.png\n")
    outline = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.3), (0.1, 0.9)]
    lines = ["mtllib a.mtl", "usemtl skin", *[f"v {x} {y} 0\nvt {x} {y}" for x, y in outline]]
    # Counted backwards, and with normals that are not there to be read.
    path = write(tmp_path, "a.obj", "\n".join([*lines, "f -5/-5 -4/-4/1 -3/-3 -2/-2 -1/-1"]) + "\n")
    points, found, _ = colours_at(load_painted(path))
    light = np.interp(points[:, 0] * 256 - 0.5, np.arange(256), to_linear(np.arange(256) / 255))
    np.testing.assert_allclose(found[:, 0], from_linear(light), atol=CLOSE)


def test_each_group_of_an_obj_has_its_material(tmp_path):
    write(tmp_path, "one.mtl", "newmtl red one\nKd 1 0.25 0\nnewmtl grey\nKd .5\n")
    write(tmp_path, "two.mtl", "newmtl blue\nKd 0 0 2\n")  # beyond 1, which is cut
    lines = obj_text(faces=CUBE_QUADS).splitlines()
    lines[8:8] = ["mtllib one.mtl two.mtl", "usemtl red one"]
    lines[12:12] = ["usemtl blue"]
    lines[15:15] = ["usemtl grey"]
    painted = load_painted(write(tmp_path, "a.obj", "\n".join(lines) + "\n"))
    points, found, _ = colours_at(painted)
    expected = np.full((len(points), 3), 0.5)
    expected[points[:, 1] < 1e-9] = [0, 0, 1]  # the third and fourth face
    expected[points[:, 1] > 1 - 1e-9] = [0, 0, 1]
    expected[(points[:, 2] < 1e-9) | (points[:, 2] > 1 - 1e-9)] = [1, 0.25, 0]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert painted.warnings == ()


def test_a_factor_multiplies_a_texture_and_black_beside_one_is_passed_over(tmp_path):
    image = np.full((2, 2, 3), 100, np.uint8)
    write(tmp_path, "image one.png", png(image))
    path = with_texture(tmp_path, "square.obj", png(image))
    for kd, factor in (("0.5 1 0.25", [0.5, 1, 0.25]), ("0 0 0", [1, 1, 1])):
        write(tmp_path, "square.mtl", f"newmtl skin\nKd {kd}\nmap_Kd image one.png\n")
        _, found, _ = colours_at(load_painted(path), 20)
        np.testing.assert_allclose(found, np.tile(np.array(factor) * 100 / 255, (20, 1)), atol=CLOSE)


def test_factor_texture_and_vertex_colour_of_a_gltf_multiply_as_light(tmp_path):
    image = np.full((2, 2, 3), 100, np.uint8)
    tree = gltf_square(UPWARDS, png(image))
    tree["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.5, 0.25, 1, 1]
    add_attribute(tree, "COLOR_0", np.full((4, 4), 51, np.uint8))  # a fifth
    _, found, _ = colours_at(load_painted(write(tmp_path, "a.gltf", tree)), 20)
    light = to_linear(np.full(3, 100 / 255)) * [0.5, 0.25, 1] / 5
    np.testing.assert_allclose(found, np.tile(from_linear(light), (20, 1)), atol=CLOSE)


def test_parts_of_a_gltf_without_a_colour_are_grey_beside_those_with_one(tmp_path):
    tree = gltf_square()
    del tree["textures"], tree["images"]
    tree["materials"] = [{"pbrMetallicRoughness": {"baseColorFactor": [0, 1, 0, 1]}}]
    other = {"attributes": {"POSITION": 0}, "indices": 1}
    tree["meshes"].append({"primitives": [other]})
    tree["nodes"] = [{"mesh": 1, "translation": [0, 0, 5], "scale": [-1, 1, 1]}, {"mesh": 0}]
    tree["scenes"] = [{"nodes": [0, 1]}]
    painted = load_painted(write(tmp_path, "a.gltf", tree))
    points, found, _ = colours_at(painted)
    assert painted.mesh.bounds.tolist() == [[-1, 0, 0], [1, 1, 5]]
    np.testing.assert_allclose(found[points[:, 2] < 1], [[0, 1, 0]] * int((points[:, 2] < 1).sum()), atol=CLOSE)
    np.testing.assert_allclose(found[points[:, 2] > 4], NEUTRAL, atol=CLOSE)


def test_a_texture_transform_scales_then_turns_then_shifts(tmp_path):
    # Half the image, turned by a quarter: (u, v) -> (v / 2 + 0.25, -u + 1), in coordinates with v downwards.
    tree = gltf_square(UPWARDS, png(letter()))
    info = tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    moved = {"scale": [1, 0.5], "rotation": np.pi / 2, "offset": [0.25, 1]}
    info["extensions"] = {"KHR_texture_transform": moved}
    painted = load_painted(write(tmp_path, "a.gltf", tree))
    assert painted.paint is not None
    points, found, _ = colours_at(painted)
    plain = load_painted(write(tmp_path, "b.gltf", gltf_square(UPWARDS, png(letter()))))
    texture = plain.paint.materials[0].texture
    u, v = points[:, 0], 1 - points[:, 1]
    expected = from_linear(texture.light(np.stack([v / 2 + 0.25, 1 - u], axis=1)))
    np.testing.assert_allclose(found, expected, atol=1e-5)  # texture coordinates are float32


def test_colours_of_faces_do_not_mix(tmp_path):
    for name, text in {
        "a.ply": ply_square(
            "", [""] * 4, "property uchar red\nproperty uchar green\nproperty uchar blue\n",
            ["3 0 1 2 255 51 0", "3 0 2 3 0 0 102"], "by hand",
        ),
        "a.off": "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 255 51 0\n3 0 2 3 0 0 102\n",
        "b.off": "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 1.0 0.2 0.0 1\n3 0 2 3 0 0 0.4 1\n",
    }.items():  # fmt: skip
        _, found, faces = colours_at(load_painted(write(tmp_path, name, text)), 50)
        np.testing.assert_allclose(found, np.where(faces[:, None] == 0, [1, 0.2, 0], [0, 0, 0.4]), atol=1e-12)


def test_bytes_behind_the_vertices_of_an_obj_are_bytes(tmp_path):
    path = rainbow(tmp_path, "rainbow.obj", colours=CUBE_VERTICES * 255)
    points, found, _ = colours_at(load_painted(path))
    np.testing.assert_allclose(found, points, atol=1e-12)


@pytest.mark.parametrize("end", ["\r\n", "\r", " # said\n"])
def test_colours_behind_vertices_are_seen_whatever_ends_a_line(tmp_path, end):
    path = rainbow(tmp_path, "rainbow.obj")
    path.write_bytes(("# by hand\n" + path.read_text()).replace("\n", end).encode())
    points, found, _ = colours_at(load_painted(path))
    np.testing.assert_allclose(found, points, atol=1e-12)


def test_a_texture_coordinate_without_numbers_is_the_origin(tmp_path):
    # As one that lacks only v has 0 there; the others keep their places.
    path = with_texture(tmp_path, "square.obj", png(letter()))
    path.write_text(path.read_text().replace("vt 0.0 0.0\n", "vt\n").replace("vt 1.0 0.0\n", "vt 1.0\n"))
    painted = load_painted(path)
    assert painted.warnings == ()
    assert np.array_equal(photograph(painted, 8, 12), letter())


def test_a_file_without_colours_has_no_paint(tmp_path):
    write(tmp_path, "a.obj", obj_text())
    write(tmp_path, "a.glb", glb_bytes())
    for name in ("a.obj", "a.glb"):
        assert load_painted(tmp_path / name).paint is None


def test_the_working_directory_does_not_matter(tmp_path, monkeypatch):
    path = with_texture(tmp_path / "in", "square.obj", png(letter()))
    write(tmp_path / "elsewhere", "square.mtl", "newmtl skin\nKd 0 0 0\n")
    for folder, name in ((tmp_path / "in", "square.obj"), (tmp_path / "elsewhere", "../in/square.obj")):
        monkeypatch.chdir(folder)
        assert np.array_equal(photograph(load_painted(Path(name)), 8, 12), letter())
    assert np.array_equal(photograph(load_painted(path, root=tmp_path), 8, 12), letter())


def test_from_afar_a_texture_is_its_mean_light(tmp_path):
    # Single texels, black and white in turn: half the light, wherever one looks.
    board = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.full(3, 255, np.uint8)
    painted = load_painted(with_texture(tmp_path, "square.obj", png(board.astype(np.uint8))))
    rng = np.random.default_rng(1)
    faces, weights = rng.integers(0, 2, 500), rng.dirichlet(np.ones(3), 500)
    far = painted.paint.filtered(2.1 / 64).colours(faces, weights)
    # Each level is rounded to 8 bits.
    np.testing.assert_allclose(far, float(from_linear(np.array(0.5))), atol=0.5 / 255)
    near = painted.paint.filtered(0.9 / 64)
    assert np.array_equal(near.colours(faces, weights), painted.paint.colours(faces, weights))
    assert np.ptp(near.colours(faces, weights)) > 0.5


@pytest.mark.parametrize("orthographic", [False, True])
def test_samples_are_as_far_apart_as_their_rays_at_the_origin(orthographic):
    # The second camera is nearer; neighbours among two samples a pixel and axis are half a pixel apart.
    pose = look_at(np.array([[0, 0, 5.0], [3.0, 0, 0]]))
    cameras = Cameras((40, 60), np.tile([[80.0, 0, 30], [0, 80, 20], [0, 0, 1]], (2, 1, 1)), pose, orthographic)
    origins, directions = cameras.rays(np.array([[30.0, 20], [30.5, 20]]), 1)
    ends = origins + 3 * directions
    assert sample_width(cameras, 2) == pytest.approx(np.linalg.norm(ends[1] - ends[0]))


def test_faces_are_found_again_in_any_order_and_winding():
    rng = np.random.default_rng(2)
    mesh = load_mesh_of(rng)
    shuffle = rng.permutation(len(mesh.faces))
    rolled = np.stack(
        [np.roll(face, int(turn)) for face, turn in zip(mesh.faces[shuffle], rng.integers(0, 3, 200), strict=True)]
    )
    for corners in (mesh.vertices[rolled], mesh.vertices[rolled[:, ::-1]]):
        triangle, order = find_again(mesh, corners)
        assert np.array_equal(triangle, np.argsort(shuffle))
        assert np.array_equal(corners[triangle[:, None], order], mesh.triangles)
    triangle, _ = find_again(mesh, mesh.vertices[rolled[:150]])
    assert np.array_equal(triangle < 0, np.argsort(shuffle) >= 150)


def load_mesh_of(rng: np.random.Generator):
    """A mesh of 200 faces among few vertices, no two with the same corners."""
    from itertools import combinations

    from shapetool.geometry.mesh import Mesh

    every = np.array(list(combinations(range(12), 3)))
    return Mesh(rng.normal(size=(12, 3)), every[rng.permutation(len(every))[:200]])


def test_the_square_is_drawn_as_two_triangles(tmp_path):
    mesh = load_painted(with_texture(tmp_path, "square.obj", png(letter()))).mesh
    assert np.array_equal(mesh.vertices, SQUARE)
    assert len(mesh.faces) == len(TWO)
