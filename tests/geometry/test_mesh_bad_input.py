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

import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import load_mesh
from tests.geometry.malformed import BAD, changed
from tests.geometry.mesh_files import (
    CUBES,
    buffer_bytes,
    gltf_tree,
    obj_text,
    write,
)


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
