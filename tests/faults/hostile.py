"""Meshes with a trap in their names or in an address that they hold, each in a folder of its own beside a good one."""

import json
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

from shapetool.data.formats.pictures import png_bytes
from tests.geometry.mesh_files import buffer_bytes, glb_bytes, gltf_tree, obj_text

Make = Callable[[Path, Path], object]


def secrets(folder: Path) -> Path:
    """`folder` with files that would all be taken if they were reached: mesh, buffer, material file and picture."""
    import numpy as np

    folder.mkdir()
    (folder / "secret.obj").write_text(obj_text())
    (folder / "secret.bin").write_bytes(buffer_bytes(gltf_tree()))
    (folder / "secret.mtl").write_text("newmtl m\nKd 1 0 0\n")
    (folder / "secret.png").write_bytes(png_bytes(np.full((4, 4, 3), 200, np.uint8)))
    return folder


def named(name: str | bytes) -> Make:
    """A good mesh under a name."""
    return lambda folder, outside: open(os.fsencode(folder) + b"/" + os.fsencode(name), "w").write(obj_text())


def linked(target: str, name: str = "bad.obj") -> Make:
    """A link to a place, in which `{outside}` is the folder of secrets."""
    return lambda folder, outside: (folder / name).symlink_to(target.format(outside=outside))


def gltf(uri: str, before: Make = lambda folder, outside: None) -> Make:
    """A glTF whose buffer lies at an address."""

    def make(folder: Path, outside: Path) -> None:
        before(folder, outside)
        tree = gltf_tree()
        tree["buffers"][0]["uri"] = uri.format(outside=outside)
        (folder / "bad.gltf").write_text(json.dumps(tree))

    return make


def painted_gltf(uri: str) -> Make:
    """A GLB whose texture lies at an address."""
    primitive = {"attributes": {"POSITION": 0}, "indices": 1, "material": 0}
    base = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}

    def make(folder: Path, outside: Path) -> None:
        images = [{"uri": uri.format(outside=outside)}]
        tree = gltf_tree(
            images=images, textures=[{"source": 0}], materials=[base], meshes=[{"primitives": [primitive]}]
        )
        tree["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = 2
        tree["accessors"].append({"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC2"})
        (folder / "bad.glb").write_bytes(glb_bytes(tree))

    return make


def painted(library: str = "bad.mtl", texture: str = "", before: Make = lambda folder, outside: None) -> Make:
    """An OBJ with a material file at an address, or with a texture at one."""

    def make(folder: Path, outside: Path) -> None:
        before(folder, outside)
        rows = obj_text().replace("f ", "f  ").splitlines()
        corners = [f"f {' '.join(f'{word}/1' for word in row.split()[1:])}" for row in rows[8:]]
        words = [f"mtllib {library.format(outside=outside)}", *rows[:8], "vt 0 0", "usemtl m", *corners]
        (folder / "bad.obj").write_text("\n".join(words) + "\n")
        if texture:
            (folder / "bad.mtl").write_text(f"newmtl m\nmap_Kd {texture.format(outside=outside)}\n")

    return make


def pipe(name: str) -> Make:
    """A pipe at whose other end nobody is."""
    return lambda folder, outside: os.mkfifo(folder / name)


def bound(folder: Path, outside: Path) -> None:
    """A socket under the name of a mesh."""
    here = os.getcwd()
    os.chdir(folder)  # a path to a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("bad.obj")
    finally:
        os.chdir(here)


def archived(member: str) -> Make:
    """A zip archive whose mesh has a name that leads elsewhere."""

    def make(folder: Path, outside: Path) -> None:
        with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
            archive.writestr(member.format(outside=outside), obj_text())

    return make


def entity(folder: Path, outside: Path) -> None:
    """A XAML scene that asks for the text of a file."""
    head = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{outside}/secret.obj">]>'
    (folder / "bad.xaml").write_text(
        f"{head}<Model><MeshGeometry3D Positions='0,0,0' TriangleIndices='&e;'/>&e;</Model>"
    )


OK = ("ok", "")  # a name that is odd and harms nobody
GREY = "not used|grey"
CASES: dict[str, tuple[Make, str, str]] = {
    # what it is: (how it is made, the status, what the report says of it)
    "two dots": (named("a..b.obj"), "invalid", r"'\.\.'"),
    "newline": (named("a\nb.obj"), "invalid", "newline"),
    "carriage return": (named("a\rb.obj"), "invalid", "newline"),
    "markup": (named("[red]a.obj"), "invalid", "markup"),
    "right to left": (named("a\u202egnp.obj"), "invalid", "control"),
    "escape": (named("a\x1b[31m\x1b]0;b.obj"), "invalid", "control"),
    "not utf-8": (named(b"a\xff\xfeb.obj"), "invalid", "UTF-8"),
    "255 bytes": (named("n" * 251 + ".obj"), *OK),
    "quotes and spaces": (named("a 'b\" c.obj"), *OK),
    "command": (named("$(touch harm)`touch harm`;touch harm.obj"), *OK),
    "leading dash": (named("-rf.obj"), *OK),
    "drive": (named("C:\\evil.obj"), *OK),
    "pattern": (named("[0-9]*?{x}~.obj"), *OK),
    "at sign": (named("@list.obj"), *OK),
    "link out": (linked("{outside}/secret.obj"), "invalid", "leaves the input root"),
    "folder link out": (linked("{outside}", "bad"), "invalid", "leaves the input root"),
    "relative link out": (linked("../../outside/secret.obj"), "invalid", "leaves the input root"),
    "link loop": (linked("bad.obj"), "failed", "cannot be read"),
    "dangling link": (linked("gone.obj"), "failed", "cannot be read"),
    "device": (linked("/dev/zero"), "invalid", "leaves the input root"),
    "pipe": (pipe("bad.obj"), "invalid", "plain file"),
    "socket": (bound, "invalid", "plain file"),
    "buffer above": (gltf("../../outside/secret.bin"), "invalid", "below"),
    "buffer above, encoded": (gltf("..%2f..%2Foutside%2fsecret.bin"), "invalid", "below"),
    "buffer absolute": (gltf("{outside}/secret.bin"), "invalid", "beside the mesh"),
    "buffer file:": (gltf("file://{outside}/secret.bin"), "invalid", "beside the mesh"),
    "buffer http:": (gltf("http://127.0.0.1:9/a.bin"), "invalid", "beside the mesh"),
    "buffer https:": (gltf("https://127.0.0.1/a.bin"), "invalid", "beside the mesh"),
    "buffer of a host": (gltf("//127.0.0.1/share/a.bin"), "invalid", "beside the mesh"),
    "buffer NUL": (gltf("a\0.bin"), "invalid", "beside the mesh"),
    "buffer link out": (gltf("a.bin", linked("{outside}/secret.bin", "a.bin")), "invalid", "below"),
    "buffer pipe": (gltf("a.bin", pipe("a.bin")), "invalid", "regular file"),
    "buffer device": (gltf("/dev/zero"), "invalid", "beside the mesh"),
    "texture file:": (painted_gltf("file://{outside}/secret.png"), "ok", GREY),
    "texture https:": (painted_gltf("https://127.0.0.1/a.png"), "ok", GREY),
    "material above": (painted("../../outside/secret.mtl"), "ok", GREY),
    "material absolute": (painted("{outside}/secret.mtl"), "ok", GREY),
    "material http:": (painted("http://127.0.0.1:9/a.mtl"), "ok", GREY),
    "material pipe": (painted(before=pipe("bad.mtl")), "ok", GREY),
    "map above": (painted(texture="../../outside/secret.png"), "ok", GREY),
    "map absolute": (painted(texture="{outside}/secret.png"), "ok", GREY),
    "map http:": (painted(texture="http://127.0.0.1:9/a.png"), "ok", GREY),
    "map command": (painted(texture="|touch harm"), "ok", GREY),
    "map of a drive": (painted(texture="C:\\\\secret.png"), "ok", GREY),
    "map device": (painted(texture="/dev/zero"), "ok", GREY),
    "archive member above": (archived("../../outside/new.obj"), "invalid", "exactly one mesh"),
    "archive member absolute": (archived("{outside}/new.obj"), *OK),
    "external entity": (entity, "invalid", "xaml"),
}
