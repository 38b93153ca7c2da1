"""Meshes as the bytes of a file."""

from typing import Any

import numpy as np

from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh


def encode_mesh(mesh: Mesh, suffix: str) -> bytes:
    """The whole file of this format: ``obj``, ``off`` or ``ply`` keep every bit of the vertices, ``stl`` float32.

    Raises:
        ConfigError: the format is none of these.
    """
    if suffix == "obj":
        return (_rows("v ", mesh.vertices.tolist()) + _rows("f ", (mesh.faces + 1).tolist())).encode()
    if suffix == "off":
        head = f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n"
        return (head + _rows("", mesh.vertices.tolist()) + _rows("3 ", mesh.faces.tolist())).encode()
    if suffix == "ply":
        return _ply(mesh)
    if suffix == "stl":
        return _stl(mesh)
    raise ConfigError(f"unknown mesh format {suffix!r}; known: {', '.join(WRITTEN_FORMATS)}")


WRITTEN_FORMATS = ("obj", "off", "ply", "stl")


def _rows(prefix: str, rows: list[list[Any]]) -> str:
    """One line a row; Python writes the shortest digits that read back as the same number."""
    return "".join(f"{prefix}{a!r} {b!r} {c!r}\n" for a, b, c in rows)


def _ply(mesh: Mesh) -> bytes:
    head = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(mesh.vertices)}\nproperty double x\nproperty double y\nproperty double z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    return head.encode() + mesh.vertices.astype("<f8").tobytes() + faces.tobytes()


def _stl(mesh: Mesh) -> bytes:
    facets = np.zeros(len(mesh.faces), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    facets["normal"], facets["corners"] = mesh.face_normals, mesh.triangles
    return b"shapetool".ljust(80) + len(mesh.faces).to_bytes(4, "little") + facets.tobytes()
