"""`shapetool info` on a mesh file: what it is, how large, and what the loader had to repair."""

from pathlib import Path
from typing import Any

from shapetool.geometry.mesh import Mesh
from shapetool.geometry.topology import analyse
from shapetool.render.paint import load_painted


def describe(path: Path) -> dict[str, Any]:
    """The facts about a mesh file, as JSON-able values.

    Raises:
        MeshError: when the file is no mesh that can be read.
    """
    painted = load_painted(path)
    facts = {"path": str(path), "kind": "mesh", "bytes": Path(path).stat().st_size} | describe_mesh(painted.mesh)
    return facts | {
        "colours": {} if painted.paint is None else painted.paint.summary(),
        "warnings": list(painted.warnings),
    }


def describe_mesh(mesh: Mesh) -> dict[str, Any]:
    """The facts about a mesh after its repairs, as JSON-able values.

    Raises:
        MeshError: when the mesh has no face.
    """
    found = analyse(mesh)
    low, high = mesh.bounds.tolist()
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "components": found.components,
        "watertight": found.watertight,
        "oriented": found.oriented,
        "manifold": found.manifold,
        "self_intersecting": found.self_intersecting,
        "open_edges": found.open_edges,
        "nonmanifold_edges": found.nonmanifold_edges,
        "bounds": [low, high],
        "area": mesh.area,
        "volume": mesh.volume,
        "warnings": list(mesh.warnings),
    }
