"""glTF 2.0: the scene walked with its transforms, every triangle of it in one frame."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.readers.gltf_file import GltfFile, entry, whole
from shapetool.geometry.readers.raw import Part, RawMesh
from shapetool.geometry.readers.source import Source
from shapetool.geometry.wording import plural

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
# Required extensions that change nothing about where the surface is, or that accessors handle already.
_HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "EXT_texture_", "KHR_mesh_quantization")
_BYTES_A_CORNER = 48  # what a corner costs while it is read


def read_gltf(source: Source) -> RawMesh:
    """The triangles of the default scene of a .gltf or .glb file, mirrored parts wound outward again.

    Raises:
        MeshError: when the file breaks its own promises, uses compression, or holds no mesh.
    """
    file = GltfFile(source)
    warnings = list(file.warnings)
    for name in entry(file.tree, "extensionsRequired", list, "the file", []):
        if not str(name).startswith(_HARMLESS):
            raise MeshError(
                f"the file requires the extension {str(name)[:60]!r}, which is not read. Export without it."
            )
    if not file.items("meshes"):
        raise MeshError("expected at least one mesh, found none in the file.")
    placed = _placed_meshes(file, warnings)
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    parts: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    order: list[Part] = []
    skipped: list[str] = []
    vertices_so_far = cost = 0
    for number, transform in placed:
        if number not in parts:
            parts[number] = _mesh_parts(file, number, skipped)
        for primitive, vertices, faces in parts[number]:
            cost += _BYTES_A_CORNER * (len(vertices) + faces.size)
            if cost > source.max_bytes:
                raise MeshError(f"the scene repeats its meshes to more than {source.max_bytes} bytes. Split it.")
            if np.linalg.det(transform[:3, :3]) < 0:
                faces = faces[:, ::-1]
            with np.errstate(over="ignore", invalid="ignore"):  # the gate behind refuses what is not finite
                placed_vertices = vertices @ transform[:3, :3].T + transform[:3, 3]
            pieces.append((placed_vertices, faces + vertices_so_far))
            order.append(Part(number, primitive, len(vertices), len(faces)))
            vertices_so_far += len(vertices)
    warnings += [f"{plural(skipped.count(text), 'part')} {text} left out" for text in sorted(set(skipped))]
    if not pieces:
        raise MeshError(
            "expected at least one face, found none: " + ("; ".join(warnings) or "the scene shows no mesh") + "."
        )
    return RawMesh(np.concatenate([v for v, _ in pieces]), np.concatenate([f for _, f in pieces]), warnings, order)


def _placed_meshes(file: GltfFile, warnings: list[str]) -> list[tuple[int, Float[np.ndarray, "4 4"]]]:
    """The number of each mesh that the scene shows, with the transform to the frame of the scene.

    Raises:
        MeshError: when the scene or a node is missing, or a node has two parents or stands in a circle.
    """
    scenes = file.items("scenes")
    if not scenes:
        if "scene" in file.tree:
            raise MeshError(f"the file shows scene {str(file.tree['scene'])[:20]}, but holds no scene.")
        warnings.append("no scene: every mesh was taken as it stands")
        return [(number, np.eye(4)) for number in range(len(file.items("meshes")))]
    scene = file.item("scenes", file.tree.get("scene", 0), "the file")
    stack = [(root, np.eye(4)) for root in reversed(entry(scene, "nodes", list, "the scene", []))]
    visited: set[int] = set()
    placed = []
    skinned = instanced = 0
    while stack:
        index, above = stack.pop()
        node = file.item("nodes", index, "the scene")
        number = whole(index, "the scene")
        if number in visited:
            raise MeshError(f"nodes[{number}] is reached twice; the nodes of glTF form a tree. Export the file again.")
        visited.add(number)
        transform = above @ _local_transform(node, f"nodes[{number}]")
        if not np.isfinite(transform).all():
            raise MeshError(f"nodes[{number}] has a transform that is not finite.")
        if "mesh" in node:
            placed.append((whole(node["mesh"], f"nodes[{number}]"), transform))
            skinned += "skin" in node
            instanced += "EXT_mesh_gpu_instancing" in entry(node, "extensions", dict, f"nodes[{number}]", {})
        children = entry(node, "children", list, f"nodes[{number}]", [])
        stack += [(child, transform) for child in reversed(children)]
    if skinned:
        warnings.append(f"{plural(skinned, 'skinned mesh', 'skinned meshes')} taken as stored, without the skeleton")
    if instanced:
        warnings.append(f"{plural(instanced, 'instanced mesh', 'instanced meshes')} taken once")
    return placed


def _local_transform(node: dict[str, Any], where: str) -> Float[np.ndarray, "4 4"]:
    """The 4x4 matrix from a node to its parent.

    Raises:
        MeshError: when its numbers are not what glTF asks for.
    """
    if "matrix" in node:
        return _numbers(node["matrix"], 16, where).reshape(4, 4).T  # stored column by column
    x, y, z, w = _unit(_numbers(node.get("rotation", [0, 0, 0, 1]), 4, where), where)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * _numbers(node.get("scale", [1, 1, 1]), 3, where)
    matrix[:3, 3] = _numbers(node.get("translation", [0, 0, 0]), 3, where)
    return matrix


def _unit(quaternion: Float[np.ndarray, "4"], where: str) -> Float[np.ndarray, "4"]:
    """The quaternion at length one; files hold it rounded.

    Raises:
        MeshError: when it is far from that.
    """
    length = float(np.linalg.norm(quaternion))
    if not 0.5 < length < 2.0:
        raise MeshError(f"{where}: expected a rotation of length 1, found {length:g}.")
    return quaternion / length


def _numbers(value: object, count: int, where: str) -> Float[np.ndarray, "n"]:
    """A JSON list of finite numbers.

    Raises:
        MeshError: when it is none, or of another length.
    """
    good = isinstance(value, list) and len(value) == count and all(type(x) in (int, float) for x in value)
    try:
        numbers = np.array(value if good else [np.nan], np.float64)
    except OverflowError:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        raise MeshError(f"{where}: expected {count} finite numbers for its transform.")
    return numbers


def _mesh_parts(file: GltfFile, number: int, skipped: list[str]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """The number, vertices and triangles of each primitive of a mesh; what is no surface is noted in `skipped`.

    Raises:
        MeshError: when a primitive is malformed.
    """
    mesh = file.item("meshes", number, "the scene")
    parts = []
    for index, primitive in enumerate(entry(mesh, "primitives", list, f"meshes[{number}]")):
        where = f"meshes[{number}].primitives[{index}]"
        if not isinstance(primitive, dict):
            raise MeshError(f"{where}: expected an object.")
        mode = whole(primitive.get("mode", _TRIANGLES), where)
        attributes = entry(primitive, "attributes", dict, where)
        extensions = entry(primitive, "extensions", dict, where, {})
        if mode not in (_TRIANGLES, _STRIP, _FAN):
            skipped.append("of points or lines")
        elif "POSITION" not in attributes:
            if "KHR_draco_mesh_compression" in extensions:
                raise MeshError(f"{where} is compressed with Draco, which is not read. Export without compression.")
            skipped.append("without positions")
        else:
            part = _primitive(file, attributes["POSITION"], primitive.get("indices"), mode, where, skipped)
            parts.append((index, *part))
    return parts


def _primitive(
    file: GltfFile, position: object, indices: object, mode: int, where: str, skipped: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The vertices and triangles of one primitive.

    Raises:
        MeshError: when an index points at no vertex, or an accessor is of the wrong type.
    """
    vertices = file.accessor(position, f"{where} POSITION")
    if vertices.shape[1] != 3:
        raise MeshError(f"{where}: expected positions of three coordinates, found {vertices.shape[1]}.")
    vertices = np.ascontiguousarray(vertices, dtype=np.float64)
    if indices is None:
        order = np.arange(len(vertices))
    else:
        stored = file.accessor(indices, f"{where} indices")
        if stored.shape[1] != 1 or stored.dtype.kind != "u":
            raise MeshError(f"{where}: expected indices as unsigned scalars.")
        order = stored[:, 0].astype(np.int64)
        if len(order) and order.max() >= len(vertices):
            raise MeshError(
                f"{where} uses vertex {int(order.max())}, but there are {len(vertices)}. Export the file again."
            )
    return vertices, _triangles(order, mode, skipped)


def _triangles(order: Int[np.ndarray, "n"], mode: int, skipped: list[str]) -> Int[np.ndarray, "F 3"]:
    """The triangles of a list, a strip or a fan of corners."""
    if mode == _TRIANGLES:
        if len(order) % 3:
            skipped.append("of an incomplete last triangle")
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if len(order) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == _FAN:
        return np.stack([order[1:-1], order[2:], np.full(len(order) - 2, order[0])], axis=1)
    strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    strip[1::2] = strip[1::2, [0, 2, 1]]
    return strip
