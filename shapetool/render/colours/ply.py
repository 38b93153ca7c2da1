"""The colours of a PLY: of vertices, of faces, or the textures that MeshLab and Blender write."""

from functools import partial

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.readers.ply import ply_tables
from shapetool.geometry.readers.ply_body import Values
from shapetool.geometry.readers.source import Source, read_beside, shown
from shapetool.render.colours.raw import Material, RawPaint, cut, in_unit
from shapetool.render.colours.texture import Textures

_COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_TEXTURES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_REPEAT = ("repeat", "repeat")


def ply_paint(source: Source, warnings: list[str]) -> RawPaint | None:
    """The colours of a PLY file, None when it has none; a texture holds before vertices, they before faces.

    Raises:
        MeshError: as reading the file does.
    """
    tables, comments = ply_tables(source.data)
    if "vertex" not in tables or "face" not in tables:
        return None
    values, _ = tables["vertex"]
    face_values, lists = tables["face"]
    index = next((lists[name] for name in ("vertex_indices", "vertex_index") if name in lists), None)
    if index is None:
        return None
    corners, sizes = index[0].astype(np.int64), index[1].astype(np.int64)
    points = np.stack([values[axis].astype(np.float64) for axis in "xyz"], axis=1)
    faces, polygon = cut(points[corners], sizes)
    positions = points[corners][faces]
    files = [text.partition(" ")[2].strip() for text in comments if text.startswith("TextureFile")]
    uv = _texture_coordinates(values, lists.get("texcoord"), corners, sizes) if files else None
    if uv is not None:
        textures = Textures(warnings.append)
        found = [
            textures.get(name, repr(shown(name)[:200]), partial(read_beside, source, source.folder, name), _REPEAT)
            for name in files
        ]
        materials = [Material() if each is None else Material((1.0, 1.0, 1.0), each) for each in found]
        number = face_values.get("texnumber", np.zeros(len(sizes), np.int64)).astype(np.int64)[polygon]
        lost = (number < 0) | (number >= len(materials)) | ~np.isfinite(uv[faces]).all(axis=(1, 2))
        number[lost] = len(materials)
        return RawPaint(positions, [*materials, Material()], number, np.nan_to_num(uv[faces]))
    if files:
        warnings.append("a texture is named without texture coordinates, it is not drawn")
    white = [Material((1.0, 1.0, 1.0), corner_colours=True)]
    number = np.zeros(len(faces), np.int64)
    colours = _colours(values)
    if colours is not None:
        return RawPaint(positions, white, number, None, colours[corners][faces])
    colours = _colours(face_values)
    if colours is not None:
        return RawPaint(positions, white, number, None, np.repeat(colours[polygon][:, None], 3, axis=1))
    return None


def _colours(values: Values) -> Float[np.ndarray, "N 3"] | None:
    """The colour of each row, if it has one."""
    for names in _COLOURS:
        if set(names) <= values.keys():
            return in_unit(np.stack([values[name] for name in names], axis=1))
    return None


def _texture_coordinates(
    values: Values,
    texcoord: tuple[np.ndarray, np.ndarray] | None,
    corners: Int[np.ndarray, " C"],
    sizes: Int[np.ndarray, " faces"],
) -> Float[np.ndarray, "C 2"] | None:
    """(u, v) of each corner, v downwards as in an image, from the faces or else the vertices.

    Raises:
        MeshError: when faces do not have two numbers a corner.
    """
    if texcoord is not None and len(texcoord[0]):
        if not np.array_equal(texcoord[1], 2 * sizes):
            raise MeshError("expected two numbers of texcoord for each corner of a face.")
        return texcoord[0].astype(np.float64).reshape(-1, 2) * [1, -1] + [0, 1]
    for u, v in _TEXTURES:
        if {u, v} <= values.keys():
            found: np.ndarray = np.stack([values[u], 1 - values[v].astype(np.float64)], axis=1)[corners]
            return found
    return None
