"""The formats that trimesh reads for us, after the size checks and before ours."""

import json
import logging
import struct
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.readers.raw import RawMesh
from shapetool.geometry.readers.source import Source

_PARSER_ERRORS = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, ZeroDivisionError, OverflowError, RecursionError,
    EOFError, NotImplementedError, AssertionError, SyntaxError, OSError, BadZipFile, struct.error, json.JSONDecodeError,
)  # fmt: skip


def read_foreign(source: Source) -> RawMesh:
    """The triangles of every part of a file that trimesh can parse, in the frame of the scene.

    Nothing that the file names outside itself is opened.

    Raises:
        MeshError: when trimesh cannot parse it, or lacks the library for it.
    """
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    kind = source.suffix[1:]
    if kind not in trimesh.available_formats():
        needs = {"dae": "pip install pycollada"}.get(kind, "convert it to PLY")
        raise MeshError(f"trimesh cannot read .{kind} on this machine; {needs}.")
    try:
        scene = trimesh.load_scene(BytesIO(source.data), file_type=kind, process=False, skip_materials=True)
        return _flatten(scene)
    except MeshError:
        raise
    except ImportError as error:
        raise MeshError(f"reading .{kind} needs a package that is missing: {error}.") from None
    except _PARSER_ERRORS as error:
        raise MeshError(f"trimesh cannot parse it ({type(error).__name__}: {str(error)[:200]}).") from None


def _flatten(scene: Any) -> RawMesh:
    """All triangles of a trimesh scene in one frame, mirrored parts wound outward again.

    Raises:
        MeshError: when a face points at no vertex.
    """
    vertices: list[Float[np.ndarray, "v 3"]] = []
    faces: list[Int[np.ndarray, "f 3"]] = []
    left_out = count = 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        if not hasattr(part, "faces"):
            left_out += 1
            continue
        transform = np.asarray(transform, np.float64)
        turned = np.asarray(part.faces, np.int64).reshape(-1, 3)
        if np.linalg.det(transform[:3, :3]) < 0:
            turned = turned[:, ::-1]
        points = np.asarray(part.vertices, np.float64).reshape(-1, 3)
        if turned.size and (turned.min() < 0 or turned.max() >= len(points)):
            raise MeshError(f"a face uses vertex {int(turned.max())}, but its part has {len(points)} vertices.")
        vertices.append(points @ transform[:3, :3].T + transform[:3, 3])
        faces.append(turned + count)
        count += len(points)
    warnings = [f"{left_out} parts of points or lines left out"] if left_out else []
    if not faces:
        return RawMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64), warnings)
    return RawMesh(np.concatenate(vertices), np.concatenate(faces), warnings)
