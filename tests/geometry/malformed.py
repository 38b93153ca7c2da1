"""Mesh files that break a promise, written by hand: what is in each, and what the reason must say."""

import struct

import numpy as np

from tests.geometry.mesh_files import (
    CUBE_FACES,
    CUBE_VERTICES,
    glb_bytes,
    gltf_tree,
    obj_text,
    off_text,
    ply_bytes,
    stl_bytes,
    stl_text,
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
