"""The colours of a glTF: base colour factors and textures, and the colours of vertices. All are light, not sRGB."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.readers.gltf import read_gltf
from shapetool.geometry.readers.gltf_file import GltfFile, entry, whole
from shapetool.geometry.readers.raw import Part
from shapetool.geometry.readers.source import Source
from shapetool.render.colours.raw import NEUTRAL, Material, RawPaint
from shapetool.render.colours.texture import Textures, to_linear

_WRAPS = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
_GREY = (float(to_linear(np.array(NEUTRAL))),) * 3
_WHITE = (1.0, 1.0, 1.0)


def gltf_paint(source: Source, warnings: list[str]) -> RawPaint | None:
    """The colours of a .gltf or .glb file, None when no part of it has any.

    Raises:
        MeshError: when a material or an attribute is not what glTF asks for.
    """
    raw = read_gltf(source)
    reader = _Reader(GltfFile(source), warnings)
    parts = [reader.part(part) for part in raw.parts]
    if all(part.plain for part in parts):
        return None
    uv = np.concatenate([part.uv for part in parts]) if any(part.material.texture for part in parts) else None
    coloured = any(part.material.corner_colours for part in parts)
    colours = np.concatenate([part.colours for part in parts]) if coloured else None
    number = np.repeat(np.arange(len(parts)), [part.faces for part in raw.parts])
    return RawPaint(
        raw.vertices[raw.faces],
        [part.material for part in parts],
        number,
        None if uv is None else uv[raw.faces],
        None if colours is None else colours[raw.faces],
        linear=True,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """The colours of one primitive, vertex by vertex; `plain` when it has none of its own."""

    material: Material
    uv: Float[np.ndarray, "V 2"]
    colours: Float[np.ndarray, "V 3"]
    plain: bool


@dataclass(frozen=True, eq=False)
class _Base:
    """What a material says about its colour; the transform acts on texture coordinates of the set."""

    factor: tuple[float, float, float]
    texture: Any = None
    uv_set: int = 0
    transform: Float[np.ndarray, "2 3"] | None = None
    grey: bool = False


class _Reader:
    """Materials and attributes of one file, each material read once."""

    def __init__(self, file: GltfFile, warnings: list[str]) -> None:
        self._file = file
        self._warnings = warnings
        self._textures = Textures(warnings.append)
        self._bases: dict[int, _Base] = {}

    def part(self, part: Part) -> _Part:
        """The colours of a primitive.

        Raises:
            MeshError: when an attribute does not fit its positions.
        """
        where = f"meshes[{part.mesh}].primitives[{part.primitive}]"
        mesh = self._file.item("meshes", part.mesh, "the scene")
        primitive = entry(mesh, "primitives", list, where)[part.primitive]
        attributes = entry(primitive, "attributes", dict, where)
        uv, colours = np.zeros((part.vertices, 2)), np.ones((part.vertices, 3))
        coloured = "COLOR_0" in attributes
        if coloured:
            colours = np.clip(self._attribute(attributes["COLOR_0"], part, 3, f"{where} COLOR_0"), 0, 1)
        if "material" not in primitive:
            return _Part(Material(_WHITE if coloured else _GREY, None, coloured), uv, colours, not coloured)
        base = self._base(primitive["material"], where)
        if base.grey:
            return _Part(Material(_GREY), uv, colours, False)
        if base.texture is None:
            return _Part(Material(base.factor, None, coloured), uv, colours, False)
        name = f"TEXCOORD_{base.uv_set}"
        if name not in attributes:
            self._warnings.append(f"{where} has a texture and no {name}, drawn grey")
            return _Part(Material(_GREY), uv, colours, False)
        uv = self._attribute(attributes[name], part, 2, f"{where} {name}")
        if base.transform is not None:
            uv = uv @ base.transform[:, :2].T + base.transform[:, 2]
        return _Part(Material(base.factor, base.texture, coloured), uv, colours, False)

    def _attribute(self, index: object, part: Part, width: int, where: str) -> Float[np.ndarray, "V width"]:
        """The first numbers of each vertex.

        Raises:
            MeshError: when they are too few, or not finite.
        """
        values = self._file.accessor(index, where)
        if len(values) != part.vertices or values.shape[1] < width:
            raise MeshError(
                f"{where}: expected {part.vertices} rows of {width} numbers, found {len(values)} of {values.shape[1]}."
            )
        top = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
        found: np.ndarray = values[:, :width].astype(np.float64) / top
        if not np.isfinite(found).all():
            raise MeshError(f"{where}: expected finite numbers.")
        return found

    def _base(self, index: object, where: str) -> _Base:
        """The colour of a material.

        Raises:
            MeshError: when it is malformed.
        """
        number = whole(index, where)
        if number not in self._bases:
            self._bases[number] = self._read_base(number, where)
        return self._bases[number]

    def _read_base(self, number: int, where: str) -> _Base:
        material = self._file.item("materials", number, where)
        place = f"materials[{number}]"
        old = entry(material, "extensions", dict, place, {}).get("KHR_materials_pbrSpecularGlossiness")
        if isinstance(old, dict):
            values, names = old, ("diffuseFactor", "diffuseTexture")
        else:
            values = entry(material, "pbrMetallicRoughness", dict, place, {})
            names = ("baseColorFactor", "baseColorTexture")
        factor = _factor(entry(values, names[0], list, place, [1, 1, 1, 1]), place)
        mode = material.get("alphaMode", "OPAQUE")
        if mode != "OPAQUE" and factor[3] < 1:
            self._warnings.append(f"{place} is transparent; it is drawn opaque")
        if names[1] not in values:
            return _Base(factor[:3])
        info = entry(values, names[1], dict, place)
        texture = self._texture(info, place, mode == "OPAQUE")
        if texture is None:
            return _Base(factor[:3], grey=True)
        moved = entry(info, "extensions", dict, place, {}).get("KHR_texture_transform")
        uv_set = whole(info.get("texCoord", 0), place)
        if not isinstance(moved, dict):
            return _Base(factor[:3], texture, uv_set)
        return _Base(factor[:3], texture, whole(moved.get("texCoord", uv_set), place), _transform(moved, place))

    def _texture(self, info: dict[str, Any], place: str, opaque: bool) -> Any:
        """The texture that a material points at; None, with a warning, where it cannot be drawn.

        Raises:
            MeshError: when it is malformed.
        """
        texture = self._file.item("textures", entry(info, "index", None, place), place)
        wrap = ("repeat", "repeat")
        if "sampler" in texture:
            sampler = self._file.item("samplers", texture["sampler"], place)
            found = [_WRAPS.get(sampler.get(name, 10497), "repeat") for name in ("wrapS", "wrapT")]
            wrap = (found[0], found[1])
        webp = entry(texture, "extensions", dict, place, {}).get("EXT_texture_webp")
        image = webp.get("source") if isinstance(webp, dict) else texture.get("source")
        if image is None:
            self._warnings.append(f"the texture of {place} is in a format that is not read; its surface is grey")
            return None
        label = f"images[{whole(image, place)}]"
        return self._textures.get(label, label, lambda: self._file.image(image, place), wrap, opaque)


def _factor(values: list[Any], place: str) -> tuple[float, float, float, float]:
    """Red, green, blue and alpha.

    Raises:
        MeshError: when they are no three or four numbers.
    """
    if len(values) not in (3, 4) or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise MeshError(f"{place}: expected a colour of four numbers, found {str(values)[:60]}.")
    red, green, blue, alpha = (min(max(float(value), 0.0), 1.0) for value in [*values, 1.0][:4])
    return red, green, blue, alpha


def _transform(moved: dict[str, Any], place: str) -> Float[np.ndarray, "2 3"]:
    """Scale, then rotation, then shift of texture coordinates.

    Source: the extension KHR_texture_transform.

    Raises:
        MeshError: when a number is missing or not finite.
    """
    offset = entry(moved, "offset", list, place, [0, 0])
    scale = entry(moved, "scale", list, place, [1, 1])
    numbers = [*offset, *scale, moved.get("rotation", 0)]
    if len(numbers) != 5 or not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
        raise MeshError(f"{place}: expected the numbers of KHR_texture_transform, found {str(moved)[:60]}.")
    sine, cosine = math.sin(numbers[4]), math.cos(numbers[4])
    turn = np.array([[cosine, sine], [-sine, cosine]]) * np.array(scale, np.float64)
    return np.column_stack([turn, np.array(offset, np.float64)])
