"""Files that break a promise: each is refused with the reason, quickly and without a large allocation."""

import os
import resource
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import load_mesh
from tests.geometry.mesh_files import (
    CUBE_FACES,
    CUBE_VERTICES,
    CUBES,
    buffer_bytes,
    glb_bytes,
    gltf_tree,
    obj_text,
    off_text,
    ply_bytes,
    stl_bytes,
    stl_text,
    write,
)

NAN = np.where(np.arange(24).reshape(8, 3) == 4, np.nan, CUBE_VERTICES)
LINE = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])


def changed(tree: dict, *path: object, to: object) -> dict:
    """The tree with one entry replaced."""
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = to
    return tree


BAD = {
    # name: (content, what the reason says)
    "empty.obj": ("", "empty"),
    "empty.stl": (b"", "empty"),
    "comment.obj": ("# nothing\n", "at least one face"),
    "points.obj": ("v 0 0 0\nv 1 0 0\n", "2 points only"),
    "index0.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "line 4.*found 0"),
    "index99.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999\n", "line 4.*there are 3 vertices"),
    "back.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -4\n", "line 4"),
    "huge.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999\n", "line 4"),
    "float.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 2.5\n", "line 4"),
    "word.obj": ("v 0 0 0\nv 1 0 0\nv 0 x 0\nf 1 2 3\n", "line 3.*'v 0 x 0'"),
    "number.obj": ("v 0 0 0\nv 1 0 0\nv 0 3.1+e2 0\nf 1 2 3\n", "line 3"),
    "underscore.obj": ("v 0 0 0\nv 1 0 0\nv 0 1_0 0\nf 1 2 3\n", "line 3"),
    "flat.obj": ("v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "three coordinates, found 2"),
    "nan.obj": (obj_text(NAN), "finite"),
    "inf.obj": (obj_text(CUBE_VERTICES).replace("1.0", "inf"), "finite"),
    "1e308.obj": (obj_text(CUBE_VERTICES * 1e308), "finite coordinates"),
    "line.obj": (obj_text(LINE, [[0, 1, 2]]), "zero area"),
    "point.obj": (obj_text(np.zeros((3, 3)), [[0, 1, 2]]), "area"),
    "dust.obj": ("v 0 0 0\nv 1 0 0\nv .5 0 0\nv 1e-310 0 0\nv 0 1e-310 0\nf 1 2 3\nf 1 4 5\n", "zero area"),
    "png.obj": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "lfs.ply": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "page.glb": ("<!DOCTYPE html><html>", "web page"),
    "nooff.off": ("3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "OFF"),
    "4d.off": ("4OFF\n3 1 0\n", "dimension"),
    "binary.off": ("OFF BINARY\n\0\0", "binary"),
    "index99.off": (off_text().replace("3 0 2 3", "3 0 2 99"), "vertex 99"),
    "negative.off": (off_text().replace("3 0 2 3", "3 0 2 -3"), "vertex -3"),
    "4e9.off": ("OFF\n4000000000 4000000000 0\n0 0 0\n", "cannot hold"),
    "cut.off": (off_text()[:-30], "promises|expected"),
    "joined.off": (off_text().replace("1.0 0.0 1.0\n0.0 1.0 1.0", "1.0 0.0 1.00 1.0"), "19 lines follow"),
    "split.off": (off_text().replace("3 4 5 7", "3 1\n3 4 5 7"), "face 2: expected 3 indices, found 1"),
    "nocounts.off": ("OFF\nhello there\n", "numbers of vertices"),
    "promise.stl": (stl_bytes(promised=13), "promises 13 facets, the file holds 12"),
    "2**32.stl": (stl_bytes(promised=2**32 - 1), "promises 4294967295"),
    "cut.stl": (stl_bytes()[:-1], "promises 12 facets, the file holds 11"),
    "none.stl": (bytes(84), "at least one face"),
    "short.stl": (bytes(26), "too few"),
    "nan.stl": (stl_bytes(np.full((8, 3), np.nan)), "finite"),
    "cut_text.stl": (stl_text().rpartition("endloop")[0], "cut off"),
    "four.stl": (stl_text().replace("endloop", "vertex 0 0 0\nendloop", 1), "three vertices"),
    "two.stl": (stl_text().replace("vertex 0.0 0.0 0.0\n", "", 1), "three vertices"),
    "word.stl": (stl_text().replace("vertex 0.0 0.0 0.0", "vertex 0.0 0.0 blah", 1), "line 4"),
    "garbage.stl": (stl_text().replace("outer loop", "louder loop", 1), "'louder'"),
    "noend.ply": ("ply\nformat ascii 1.0\nelement vertex 3\n", "end_header"),
    "noformat.ply": ("ply\nelement vertex 3\nend_header\n", "format"),
    "type.ply": (ply_bytes().replace(b"property double z", b"property complex z"), "complex"),
    "4e9.ply": (ply_bytes(counts=(4_000_000_000, 12)), "promises"),
    "4e9_binary.ply": (ply_bytes("binary_little_endian", counts=(4_000_000_000, 12)), "promises"),
    "4e9_faces.ply": (ply_bytes("binary_little_endian", counts=(8, 4_000_000_000)), "promises"),
    "count.ply": (ply_bytes(counts=(9, 12)), "row|promises|vertex"),
    "list.ply": (
        ply_bytes("binary_little_endian").replace(b"list uchar", b"list uint") + b"\xff" * 200,
        "promises|cut off|damaged",
    ),
    "cut.ply": (ply_bytes("binary_little_endian")[:-1], "cut off|promises"),
    "cut_text.ply": (ply_bytes()[:-9], "promises 12 rows of face, the file holds 11|row"),
    "index.ply": (ply_bytes().replace(b"3 0 2 3", b"3 0 2 8"), "vertex 8"),
    "xyz.ply": (ply_bytes().replace(b"double z", b"double w"), "x, y and z"),
    "strips.ply": (ply_bytes().replace(b"element face", b"element tristrips"), "strips"),
    "version.gltf": (gltf_tree(asset={"version": "1.0"}), "version 2"),
    "list.gltf": ("[1]", "JSON object|GLB"),
    "deep.gltf": ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "JSON"),
    "json.gltf": ('{"asset": ', "JSON"),
    "nomesh.gltf": ({"asset": {"version": "2.0"}}, "mesh"),
    "noscene.gltf": (gltf_tree(scenes=[]), "no scene"),
    "draco.gltf": (gltf_tree(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco"),
    "primitives.gltf": (gltf_tree(meshes=[{"primitives": {}}]), "primitives as list"),
    "attributes.gltf": (gltf_tree(meshes=[{"primitives": [{"attributes": []}]}]), "attributes as dict"),
    "noaccessor.gltf": (gltf_tree(accessors=[]), "there are 0 accessors"),
    "noview.gltf": (
        gltf_tree(accessors=[{"componentType": 5126, "count": 2**31, "type": "VEC3"}] * 2),
        "2147483648 elements without",
    ),
    "noview40.gltf": (
        gltf_tree(accessors=[{"componentType": 5126, "count": 2**40, "type": "VEC3", "sparse": {}}] * 2),
        "elements without",
    ),
    "count.gltf": (changed(gltf_tree(), "accessors", 0, "count", to=9), "needs 108 bytes of a view of 96"),
    "view.gltf": (changed(gltf_tree(), "bufferViews", 1, "byteLength", to=10_000), "ends at byte"),
    "buffer.gltf": (changed(gltf_tree(), "buffers", 0, "byteLength", to=10_000), "promises 10000 bytes"),
    "negative.gltf": (changed(gltf_tree(), "bufferViews", 1, "byteOffset", to=-4), "whole number"),
    "base64.gltf": (changed(gltf_tree(), "buffers", 0, "uri", to="data:;base64,@@@"), "decoded"),
    "oob.glb": (glb_bytes(gltf_tree(faces=np.where(CUBE_FACES == 7, 4_000_000_000, CUBE_FACES))), "4000000000"),
    "cut.glb": (glb_bytes()[:-1], "promises"),
    "chunk.glb": (glb_bytes()[:12] + struct.pack("<I", 10**9) + glb_bytes()[16:], "chunk 0 promises 1000000000"),
    "v1.glb": (b"glTF" + struct.pack("<II", 1, 12), "version 1"),
    "cycle.gltf": (gltf_tree(nodes=[{"children": [1]}, {"children": [0], "mesh": 0}]), "reached twice"),
    "rotation.gltf": (gltf_tree(nodes=[{"mesh": 0, "rotation": [0, 0, 0, 0]}]), "rotation"),
    "matrix.gltf": (gltf_tree(nodes=[{"mesh": 0, "matrix": [1, 2, 3]}]), "16 finite numbers"),
    "fake.zip": (b"PK\x03\x04nothing", "zip"),
    "fake.3mf": (b"no archive", "zip"),
}


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails the test when Python's objects and arrays ever grow beyond 64 MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("little_memory")
def test_a_broken_file_is_refused_with_its_name_and_the_reason(name: str, tmp_path: Path) -> None:
    content, reason = BAD[name]
    with pytest.raises(MeshError, match=f"(?s){reason}") as caught:
        load_mesh(write(tmp_path, name, content))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / name}: ")
    assert "\n" not in text
    assert len(text) < 700


@pytest.mark.usefixtures("little_memory")
def test_a_graph_that_doubles_forty_times_is_refused(tmp_path: Path) -> None:
    nodes: list[dict] = [{"children": [k + 1, k + 1]} for k in range(40)]
    with pytest.raises(MeshError, match="reached twice"):
        load_mesh(write(tmp_path, "a.gltf", gltf_tree(nodes=[*nodes, {"mesh": 0}])))


def test_a_scene_that_repeats_its_mesh_beyond_the_cap_is_refused(tmp_path: Path) -> None:
    tree = gltf_tree(nodes=[{"mesh": 0}] * 1000, scenes=[{"nodes": list(range(1000))}])
    path = write(tmp_path, "a.gltf", tree)
    with pytest.raises(MeshError, match="repeats its meshes"):
        load_mesh(path, max_bytes=path.stat().st_size + 1000)
    assert load_mesh(path).volume == pytest.approx(1.0)


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "../secret.bin", "http://example.org/a.bin", "/dev/zero", "a\0b", "//host/x"]
)
def test_a_gltf_may_not_name_a_file_outside_its_root(uri: str, tmp_path: Path) -> None:
    write(tmp_path, "secret.bin", bytes(1000))
    tree = changed(gltf_tree(), "buffers", 0, "uri", to=uri)
    with pytest.raises(MeshError, match=r"beside the mesh|below"):
        load_mesh(write(tmp_path, "in/a.gltf", tree), root=tmp_path / "in")


def test_a_gltf_may_name_a_file_in_another_folder_below_the_root(tmp_path: Path) -> None:
    tree = gltf_tree()
    write(tmp_path, "buffers/a.bin", buffer_bytes(tree))
    path = write(tmp_path, "scenes/a.gltf", changed(tree, "buffers", 0, "uri", to="../buffers/a.bin"))
    assert load_mesh(path, root=tmp_path).volume == pytest.approx(1.0)
    with pytest.raises(MeshError, match="below"):
        load_mesh(path)


def test_a_missing_buffer_file_is_named(tmp_path: Path) -> None:
    tree = changed(gltf_tree(), "buffers", 0, "uri", to="lost.bin")
    with pytest.raises(MeshError, match=r"lost\.bin.*No such file"):
        load_mesh(write(tmp_path, "a.gltf", tree))


def test_a_link_that_leaves_the_root_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside/cube.obj", obj_text())
    write(tmp_path, "in/real.obj", obj_text())
    (tmp_path / "in/leaves.obj").symlink_to(tmp_path / "outside/cube.obj")
    (tmp_path / "in/stays.obj").symlink_to("real.obj")
    (tmp_path / "in/circle.obj").symlink_to("circle.obj")
    with pytest.raises(MeshError, match="expected a file below"):
        load_mesh(tmp_path / "in/leaves.obj", root=tmp_path / "in")
    with pytest.raises(MeshError, match="cannot be found"):
        load_mesh(tmp_path / "in/circle.obj", root=tmp_path / "in")
    assert load_mesh(tmp_path / "in/stays.obj", root=tmp_path / "in").volume == pytest.approx(1.0)


def test_a_path_with_dots_that_leaves_the_root_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "cube.obj", obj_text())
    (tmp_path / "in").mkdir()
    with pytest.raises(MeshError, match="expected a file below"):
        load_mesh(tmp_path / "in/../cube.obj", root=tmp_path / "in")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.obj")
    (tmp_path / "folder.obj").mkdir()
    (tmp_path / "zero.obj").symlink_to("/dev/zero")
    for name in ("pipe.obj", "folder.obj", "zero.obj"):
        with pytest.raises(MeshError, match=r"regular file|Is a directory"):
            load_mesh(tmp_path / name)


def test_a_missing_file_and_one_that_may_not_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="No such file"):
        load_mesh(tmp_path / "lost.obj")
    path = write(tmp_path, "locked.obj", obj_text())
    path.chmod(0)
    if os.geteuid():
        with pytest.raises(MeshError, match="Permission denied"):
            load_mesh(path)


def test_a_name_with_a_newline_or_markup_stays_on_one_line_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(MeshError) as caught:
        load_mesh(write(tmp_path, "a\nb[red].obj", ""))
    assert "\n" not in str(caught.value)
    assert r"a\nb[red].obj" in str(caught.value)


def test_a_file_above_the_size_cap_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.stl"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(MeshError, match="at most 2147483648 bytes, found 17179869184"):
        load_mesh(path)


def bomb(path: Path, member: str, mebibytes: int) -> Path:
    """The path of a new zip archive that unpacks to so many zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
        for _ in range(mebibytes):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.usefixtures("little_memory")
def test_an_archive_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="bomb"):
        load_mesh(bomb(tmp_path / "bomb.zip", "a.stl", 100))


def test_a_3mf_that_unpacks_to_too_much_is_refused_before_trimesh_sees_it(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="promises 20971520 bytes unpacked"):
        load_mesh(bomb(tmp_path / "bomb.3mf", "3D/a.model", 20))


@pytest.mark.usefixtures("little_memory")
def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = bomb(tmp_path / "lie.zip", "a.stl", 100)
    data = path.read_bytes().replace(struct.pack("<I", 100 << 20), struct.pack("<I", 1000))
    path.write_bytes(data)
    with pytest.raises(MeshError):
        load_mesh(path)


def test_an_archive_of_several_meshes_or_none_is_refused(tmp_path: Path) -> None:
    for count in (0, 2):
        with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
            archive.writestr("readme.txt", "hello")
            for k in range(count):
                archive.writestr(f"{k}.obj", obj_text())
        with pytest.raises(MeshError, match=f"exactly one mesh, found {count}"):
            load_mesh(tmp_path / "many.zip")


def test_an_own_format_is_read_without_importing_trimesh(tmp_path: Path) -> None:
    paths = [write(tmp_path, name, CUBES[name]) for name in ("a.obj", "a.off", "a.stl", "a.ply", "a.gltf", "a.glb")]
    code = (
        "import sys; from shapetool.geometry.mesh import load_mesh\n"
        f"for path in {[str(path) for path in paths]!r}: load_mesh(path)\n"
        "assert 'trimesh' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_the_memory_of_this_process_was_never_asked_for_gigabytes() -> None:
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20
