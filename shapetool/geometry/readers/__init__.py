"""Readers of mesh files: one file a format, each from bytes to triangles, strict about what the header promises."""

from shapetool.geometry.readers.raw import RawMesh
from shapetool.geometry.readers.source import Source

__all__ = ["RawMesh", "Source", "read_triangles"]


def read_triangles(source: Source) -> RawMesh:
    """The vertices and triangles of a file as they stand in it, in one frame, before any repair.

    Raises:
        MeshError: when the content is not what the format says.
    """
    match source.suffix:
        case ".obj":
            from shapetool.geometry.readers.obj import read_obj

            return read_obj(source.data)
        case ".off":
            from shapetool.geometry.readers.off import read_off

            return read_off(source.data)
        case ".ply":
            from shapetool.geometry.readers.ply import read_ply

            return read_ply(source.data)
        case ".stl":
            from shapetool.geometry.readers.stl import read_stl

            return read_stl(source.data)
        case ".glb" | ".gltf":
            from shapetool.geometry.readers.gltf import read_gltf

            return read_gltf(source)
        case _:
            from shapetool.geometry.readers.foreign import read_foreign

            return read_foreign(source)
