"""Each format gives the same cube, and odd but valid files are read for what they say."""

import base64
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import load_mesh
from tests.geometry.mesh_files import (
    CUBE_FACES,
    CUBE_QUADS,
    CUBE_VERTICES,
    CUBES,
    buffer_bytes,
    gltf_tree,
    load,
    obj_text,
    off_text,
    stl_text,
    write,
)


@pytest.mark.parametrize("name", CUBES)
def test_a_cube_in_any_format_is_the_cube(name: str, tmp_path: Path) -> None:
    mesh = load(tmp_path, name, CUBES[name])
    assert (len(mesh.vertices), len(mesh.faces)) == (8, 12)
    assert mesh.volume == pytest.approx(1.0, rel=1e-12)
    assert mesh.bounds.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_an_obj_takes_what_real_exporters_write(tmp_path: Path) -> None:
    text = "\ufeff# made by hand\r\nmtllib x.mtl\r\no a_b\r\ng An f\r\n"
    text += "v 0 0 0 1.0\nv  .8e1\t-.7e+2 0 # here\nv 1 2. +3.0\nv 5 5 \\\n 5\nvn 0 0 1\nvt 0 0\n"
    text += "f 1/1/1 2//1 \\\n 3/1\nl 1 2\np 1\nf -4 -2 -1 # back\ncurv 0 1 1 2\nnonsense 1"
    mesh = load(tmp_path, "odd.obj", text)
    np.testing.assert_array_equal(mesh.triangles[0], [[0, 0, 0], [8, -70, 0], [1, 2, 3]])
    np.testing.assert_array_equal(mesh.triangles[1], [[0, 0, 0], [1, 2, 3], [5, 5, 5]])
    assert [w for w in mesh.warnings if "left out" in w] == [
        "2 lines of points or polylines left out",
        "1 line of free-form curves or surfaces left out",
        "1 line that no OBJ statement begins left out",
    ]


def test_an_obj_face_with_two_corners_is_left_out_and_counted(tmp_path: Path) -> None:
    mesh = load(tmp_path, "a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1// 2//\nf 1// 2// 3//\n")
    assert len(mesh.faces) == 1
    assert mesh.warnings == ("1 face with fewer than three corners left out",)


def test_an_obj_line_goes_on_over_as_many_lines_as_end_in_a_backslash(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 1 0 0\nv 2 1 0\nv 1 2 \\\r\n0\nv 0 1 0\nf 1 \\\n2 3 \\\n4 \\\n5\nf 1 2 9\n"
    with pytest.raises(MeshError, match="line 11"):
        load(tmp_path, "a.obj", text)
    mesh = load(tmp_path, "a.obj", text.replace("f 1 2 9\n", ""))
    assert (len(mesh.vertices), len(mesh.faces)) == (5, 3)
    assert mesh.area == pytest.approx(2.5)


def test_an_off_file_may_break_its_lines_anywhere(tmp_path: Path) -> None:
    words = off_text(faces=CUBE_QUADS).split("\n", 1)[1].split()
    broken = "OFF # comment\n" + "\n".join(" ".join(words[i : i + 7]) for i in range(0, len(words), 7))
    assert load(tmp_path, "broken.off", broken.replace("8 6 0 ", "8 6 0\n", 1)).volume == pytest.approx(1.0)


def test_a_text_stl_of_two_solids_is_one_mesh(tmp_path: Path) -> None:
    moved = stl_text(np.add(CUBE_VERTICES, [3.0, 0, 0]))
    mesh = load(tmp_path, "two.stl", stl_text() + moved + "solid empty\nendsolid empty\n")
    assert len(mesh.faces) == 24
    assert mesh.volume == pytest.approx(2.0)


def test_a_text_stl_without_an_end_is_read_with_a_warning(tmp_path: Path) -> None:
    mesh = load(tmp_path, "cut.stl", stl_text().replace("endsolid cube\n", ""))
    assert len(mesh.faces) == 12
    assert any("cut off" in warning for warning in mesh.warnings)


def test_a_ply_may_hold_other_elements_and_lists(tmp_path: Path) -> None:
    body = "ply\nformat ascii 1.0\nForgot the word comment\nelement tag 1\nproperty list uchar short names\n"
    body += "element vertex 3\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\n"
    body += "element face 1\nproperty list uchar float uv\nproperty list uchar uint vertex_index\nend_header\n"
    body += "2 7 8\n0 0 0 9\n1 0 0 9\n0 1 0 9\n2 0.5 0.5 3 0 1 2\n"
    mesh = load(tmp_path, "odd.ply", body)
    assert mesh.triangles.tolist() == [[[0, 0, 0], [1, 0, 0], [0, 1, 0]]]
    assert any("Forgot" in warning for warning in mesh.warnings)


def node_scene(*nodes: dict, roots: tuple[int, ...] = (0,)) -> dict:
    return gltf_tree(nodes=list(nodes), scenes=[{"nodes": list(roots)}])


def test_a_gltf_node_moves_turns_and_scales_its_mesh(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    child = {"mesh": 0, "rotation": [0, 0, half, half], "scale": [2, 1, 1]}
    mesh = load(tmp_path, "a.gltf", node_scene({"translation": [10, 0, 0], "children": [1]}, child))
    # The cube is stretched to 2 along x, turned by 90 degrees from x to y, then moved.
    np.testing.assert_allclose(mesh.bounds, [[9, 0, 0], [10, 2, 1]], atol=1e-7)
    assert mesh.volume == pytest.approx(2.0)


def test_a_mirroring_gltf_node_keeps_the_faces_outward(tmp_path: Path) -> None:
    mirror = {"mesh": 0, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, -5, 0, 0, 1]}
    mesh = load(tmp_path, "a.gltf", node_scene({"mesh": 0}, mirror, roots=(0, 1)))
    assert mesh.volume == pytest.approx(2.0)
    assert mesh.bounds[0, 0] == -6.0
    assert not any("inside out" in warning for warning in mesh.warnings)


def test_gltf_strips_and_fans_wind_as_the_standard_says(tmp_path: Path) -> None:
    square = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    for mode, order in ((5, [0, 1, 2, 3]), (6, [0, 1, 3, 2])):
        tree = gltf_tree(square, np.array(order))
        tree["meshes"][0]["primitives"][0]["mode"] = mode
        mesh = load(tmp_path, f"{mode}.gltf", tree)
        assert mesh.area == pytest.approx(1.0)
        np.testing.assert_array_equal(mesh.face_normals, [[0, 0, 1], [0, 0, 1]])


def test_gltf_parts_of_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    tree = gltf_tree()
    tree["meshes"][0]["primitives"].append({"attributes": {"POSITION": 0}, "mode": 1})
    assert "1 part of points or lines left out" in load(tmp_path, "a.gltf", tree).warnings


def test_a_gltf_reads_a_buffer_beside_it(tmp_path: Path) -> None:
    tree = gltf_tree()
    write(tmp_path, "the data.bin", buffer_bytes(tree))
    tree["buffers"][0]["uri"] = "the%20data.bin"
    assert load(tmp_path, "a.gltf", tree).volume == pytest.approx(1.0)


def test_a_sparse_gltf_accessor_replaces_rows(tmp_path: Path) -> None:
    tree = gltf_tree()
    moved = struct.pack("<fff", 1, 1, 3)
    rows = struct.pack("<H", 7)
    uri = "data:;base64," + base64.b64encode(rows + b"\0\0" + moved).decode()
    tree["buffers"].append({"byteLength": 16, "uri": uri})
    tree["bufferViews"] += [{"buffer": 1, "byteLength": 2}, {"buffer": 1, "byteOffset": 4, "byteLength": 12}]
    tree["accessors"][0]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": 2, "componentType": 5123},
        "values": {"bufferView": 3},
    }
    assert load(tmp_path, "a.gltf", tree).bounds[1].tolist() == [1, 1, 3]


def test_a_zip_of_one_mesh_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cube.obj.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/cube.obj", obj_text())
        archive.writestr("__MACOSX/._cube.obj", b"\0\1\2")
        archive.writestr("readme.txt", "hello")
    assert load_mesh(tmp_path / "cube.obj.zip").volume == pytest.approx(1.0)


def test_a_3mf_is_read_by_trimesh(tmp_path: Path) -> None:
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in CUBE_VERTICES)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in CUBE_FACES)
    model = (
        '<?xml version="1.0"?><model unit="millimeter" '
        'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">'
        f'<resources><object id="1" type="model"><mesh><vertices>{vertices}</vertices><triangles>{faces}</triangles>'
        '</mesh></object></resources><build><item objectid="1" transform="-2 0 0 0 1 0 0 0 1 0 0 0"/></build></model>'
    )
    with zipfile.ZipFile(tmp_path / "cube.3mf", "w") as archive:
        archive.writestr("3D/3dmodel.model", model)
    mesh = load_mesh(tmp_path / "cube.3mf")
    assert mesh.volume == pytest.approx(2.0)
    assert mesh.bounds.tolist() == [[-2, 0, 0], [0, 1, 1]]


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"\.glb .*\.obj"):
        load(tmp_path, "a.step", "ISO-10303-21;")
