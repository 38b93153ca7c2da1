"""Small mesh files written by hand, for the tests of the readers."""

import base64
import json
import struct
from pathlib import Path

import numpy as np

from shapetool.geometry.mesh import Mesh, load_mesh

CUBE_VERTICES = np.array([[x, y, z] for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)])
CUBE_QUADS = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
CUBE_FACES = np.array([t for a, b, c, d in CUBE_QUADS for t in ([a, b, c], [a, c, d])])
CUBE_MIXED = [*CUBE_QUADS[:5], *CUBE_FACES[10:]]


def obj_text(vertices: np.ndarray = CUBE_VERTICES, faces: object = CUBE_FACES) -> str:
    """An OBJ of the vertices and faces."""
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in np.asarray(vertices, float).tolist()]
    return "\n".join(lines + ["f " + " ".join(str(int(i) + 1) for i in face) for face in faces]) + "\n"


def off_text(vertices: np.ndarray = CUBE_VERTICES, faces: object = CUBE_FACES, header: str = "OFF\n") -> str:
    """An OFF of the vertices and faces."""
    faces = [[int(i) for i in face] for face in faces]
    lines = [f"{header}{len(vertices)} {len(faces)} 0"]
    lines += [f"{x!r} {y!r} {z!r}" for x, y, z in np.asarray(vertices, float).tolist()]
    return "\n".join(lines + [" ".join(map(str, [len(face), *face])) for face in faces]) + "\n"


def stl_bytes(
    vertices: np.ndarray = CUBE_VERTICES, faces: np.ndarray = CUBE_FACES, promised: int | None = None
) -> bytes:
    """A binary STL, whose header may promise another number of facets."""
    corners = np.asarray(vertices, "<f4")[faces]
    facets = b"".join(bytes(12) + triangle.tobytes() + bytes(2) for triangle in corners)
    return bytes(80) + struct.pack("<I", len(faces) if promised is None else promised) + facets


def stl_text(vertices: np.ndarray = CUBE_VERTICES, faces: np.ndarray = CUBE_FACES) -> str:
    """A text STL."""
    lines = ["solid cube"]
    for triangle in vertices[faces].tolist():
        lines += ["facet normal 0 0 0", "outer loop"]
        lines += [f"vertex {x!r} {y!r} {z!r}" for x, y, z in triangle]
        lines += ["endloop", "endfacet"]
    return "\n".join([*lines, "endsolid cube"]) + "\n"


def ply_bytes(
    kind: str = "ascii",
    vertices: np.ndarray = CUBE_VERTICES,
    faces: object = CUBE_FACES,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A PLY of the vertices and faces, whose header may promise other counts."""
    faces = [[int(i) for i in face] for face in faces]
    n_vertices, n_faces = counts or (len(vertices), len(faces))
    header = (
        f"ply\nformat {kind} 1.0\nelement vertex {n_vertices}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {n_faces}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if kind == "ascii":
        rows = [" ".join(map(repr, row)) for row in np.asarray(vertices, float).tolist()]
        rows += [" ".join(map(str, [len(face), *face])) for face in faces]
        return header + "\n".join(rows).encode() + b"\n"
    order = "<" if kind == "binary_little_endian" else ">"
    body = np.asarray(vertices, order + "f8").tobytes()
    return header + body + b"".join(struct.pack(f"{order}B{len(face)}i", len(face), *face) for face in faces)


def gltf_tree(vertices: np.ndarray = CUBE_VERTICES, faces: np.ndarray = CUBE_FACES, **changes: object) -> dict:
    """The JSON of a glTF of one mesh, its buffer inside; `changes` replace top-level entries."""
    points, indices = np.asarray(vertices, "<f4").tobytes(), np.asarray(faces, "<u4").tobytes()
    uri = "data:application/octet-stream;base64," + base64.b64encode(points + indices).decode()
    tree: dict = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": int(np.size(faces)), "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(points)},
            {"buffer": 0, "byteOffset": len(points), "byteLength": len(indices)},
        ],
        "buffers": [{"byteLength": len(points) + len(indices), "uri": uri}],
    }
    return tree | changes


def buffer_bytes(tree: dict) -> bytes:
    """What the first buffer of the tree holds inside."""
    return base64.b64decode(tree["buffers"][0]["uri"].partition(",")[2])


def glb_bytes(tree: dict | None = None) -> bytes:
    """A GLB of the tree, its first buffer moved to the binary chunk."""
    tree = json.loads(json.dumps(gltf_tree() if tree is None else tree))
    binary = buffer_bytes(tree)
    del tree["buffers"][0]["uri"]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def write(folder: Path, name: str, content: str | bytes | dict) -> Path:
    """The path of a new file of that content; a dict is written as JSON."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(folder: Path, name: str, content: str | bytes | dict) -> Mesh:
    """The mesh in a new file of that content."""
    return load_mesh(write(folder, name, content))


CUBES = {
    "a.obj": obj_text(),
    "quads.obj": obj_text(faces=CUBE_QUADS),
    "mixed.obj": obj_text(faces=CUBE_MIXED),
    "a.off": off_text(),
    "quads.off": off_text(faces=CUBE_QUADS),
    "mixed.off": off_text(faces=CUBE_MIXED),
    "glued.off": off_text(header="OFF"),
    "coloured.off": off_text(header="COFF\n").replace("\n3 0 ", " 0.1 0.2 0.3 1\n3 0 ", 1),
    "a.stl": stl_bytes(),
    "solid.stl": b"solid" + stl_bytes()[5:],
    "text.stl": stl_text(),
    "text.STL": stl_text().replace("\n", "\r\n").upper(),
    "a.ply": ply_bytes(),
    "quads.ply": ply_bytes(faces=CUBE_QUADS),
    "mixed.ply": ply_bytes(faces=CUBE_MIXED),
    "little.ply": ply_bytes("binary_little_endian"),
    "big.ply": ply_bytes("binary_big_endian", faces=CUBE_QUADS),
    "mixed_binary.ply": ply_bytes("binary_little_endian", faces=CUBE_MIXED),
    "a.gltf": gltf_tree(),
    "a.glb": glb_bytes(),
}
"""The cube in every format that is read here, and in several ways of writing it."""
