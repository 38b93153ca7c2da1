"""The container of glTF 2.0: the chunks of a GLB, the buffers, and the accessors held against their sizes."""

import base64
import binascii
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from jaxtyping import Num

from shapetool.errors import MeshError
from shapetool.geometry.readers.source import Source, read_beside, shown
from shapetool.geometry.wording import plural

_GLB_MAGIC, _JSON_CHUNK, _BIN_CHUNK = b"glTF", 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
# A sparse accessor without a base is zeros up to its count, which no byte of the file backs.
_MOST_ZEROS = 1_000_000


class GltfFile:
    """The JSON of a glTF file, with buffers read when an accessor needs them and each size checked before.

    Raises:
        MeshError: when it is no glTF, or of another version than 2.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        text, self._binary, self.warnings = _chunks(source.data)
        self.tree = _parse(text)
        self._buffers: dict[int, bytes] = {}
        asset = entry(self.tree, "asset", dict, "the file", {})
        version = str(asset.get("version", "2.0"))
        if not version.startswith("2."):
            raise MeshError(f"expected glTF of version 2, found {version[:20]!r}. Export it as glTF 2.0.")

    def items(self, name: str) -> list[Any]:
        """The top-level list of that name, empty when there is none."""
        found: list[Any] = entry(self.tree, name, list, "the file", [])
        return found

    def item(self, name: str, index: object, where: str) -> dict[str, Any]:
        """The object at an index of a top-level list.

        Raises:
            MeshError: when there is no such object.
        """
        items = self.items(name)
        number = whole(index, where)
        if number >= len(items) or not isinstance(items[number], dict):
            raise MeshError(f"{where} points at {name}[{number}], but there are {len(items)} {name}.")
        found: dict[str, Any] = items[number]
        return found

    def accessor(self, index: object, where: str) -> Num[np.ndarray, "N width"]:
        """The values of an accessor, one row an element, in their stored type or as float64 when they are normalized.

        Raises:
            MeshError: when it is malformed or reaches beyond its buffer.
        """
        place = f"{where}: accessors[{index}]"
        accessor = self.item("accessors", index, where)
        width = _WIDTHS.get(entry(accessor, "type", str, place))
        if width is None:
            raise MeshError(f"{place}: expected scalars or vectors.")
        kind = _component(accessor, place)
        count = whole(entry(accessor, "count", None, place), place)
        if "bufferView" in accessor:
            offset = whole(accessor.get("byteOffset", 0), place)
            values = self._elements(accessor["bufferView"], offset, kind, width, count, place)
        elif "sparse" in accessor and count <= _MOST_ZEROS:
            values = np.zeros((count, width), kind)
        else:
            raise MeshError(f"{place}: {count} elements without a bufferView to hold them.")
        if "sparse" in accessor:
            values = self._sparse(entry(accessor, "sparse", dict, place), values, kind, place)
        if accessor.get("normalized") and kind.kind in "iu":
            return np.maximum(values.astype(np.float64) / np.iinfo(kind).max, -1.0)
        return values

    def image(self, index: object, where: str) -> bytes:
        """The encoded bytes of an image, from a view of a buffer, data in the text, or a file below the root.

        Raises:
            MeshError: when there is none, or it lies elsewhere.
        """
        place = f"{where}: images[{index}]"
        image = self.item("images", index, where)
        if "uri" in image:
            return self._resource(image["uri"], place)
        view = self.item("bufferViews", entry(image, "bufferView", None, place), place)
        length = whole(entry(view, "byteLength", None, place), place)
        return self._elements(image["bufferView"], 0, np.dtype("u1"), 1, length, place).tobytes()

    def _sparse(self, sparse: dict[str, Any], base: np.ndarray, kind: np.dtype, place: str) -> np.ndarray:
        """The base values with some rows replaced.

        Raises:
            MeshError: when the rows are malformed, or there is no such row.
        """
        count = whole(entry(sparse, "count", None, place), place)
        where = entry(sparse, "indices", dict, place)
        what = entry(sparse, "values", dict, place)
        index_kind = _component(where, place)
        if index_kind.kind != "u":
            raise MeshError(f"{place}: expected sparse indices of an unsigned type.")
        rows = self._elements(
            entry(where, "bufferView", None, place),
            whole(where.get("byteOffset", 0), place),
            index_kind,
            1,
            count,
            place,
        )
        new = self._elements(
            entry(what, "bufferView", None, place),
            whole(what.get("byteOffset", 0), place),
            kind,
            base.shape[1],
            count,
            place,
        )
        if count and rows.max() >= len(base):
            raise MeshError(f"{place}: sparse index {int(rows.max())} of {len(base)} elements.")
        values = base.copy()
        values[rows[:, 0]] = new
        return values

    def _elements(
        self, view_index: object, offset: int, kind: np.dtype, width: int, count: int, place: str
    ) -> np.ndarray:
        """Rows of a buffer view, without a copy.

        Raises:
            MeshError: when they reach beyond the view, or the view beyond its buffer.
        """
        view = self.item("bufferViews", view_index, place)
        view_place = f"{place}: bufferViews[{view_index}]"
        extensions = entry(view, "extensions", dict, view_place, {})
        if any("meshopt" in name for name in extensions):
            raise MeshError(f"{view_place} is compressed with meshopt, which is not read. Export without compression.")
        buffer = self._buffer(entry(view, "buffer", None, view_place), view_place)
        start = whole(view.get("byteOffset", 0), view_place)
        length = whole(entry(view, "byteLength", None, view_place), view_place)
        if start + length > len(buffer):
            raise MeshError(f"{view_place} ends at byte {start + length} of a buffer of {plural(len(buffer), 'byte')}.")
        size = kind.itemsize * width
        stride = whole(view.get("byteStride", 0), view_place) or size
        if stride < size:
            raise MeshError(f"{view_place} has a stride of {stride} for elements of {plural(size, 'byte')}.")
        if count and offset + stride * (count - 1) + size > length:
            raise MeshError(f"{place} needs {offset + stride * (count - 1) + size} bytes of a view of {length}.")
        if not count:
            return np.zeros((0, width), kind)
        return np.ndarray((count, width), kind, buffer, start + offset, (stride, kind.itemsize))

    def _buffer(self, index: object, where: str) -> bytes:
        """The bytes of a buffer.

        Raises:
            MeshError: when it is missing, shorter than it says, or lies outside the root.
        """
        buffer = self.item("buffers", index, where)
        number = whole(index, where)
        if number not in self._buffers:
            place = f"buffers[{number}]"
            length = whole(entry(buffer, "byteLength", None, place), place)
            data = self._fetch(buffer.get("uri"), number, place)
            if length > len(data):
                raise MeshError(
                    f"{place} promises {length} bytes and holds {len(data)}. The file is cut off; copy it again."
                )
            self._buffers[number] = data[:length]
        return self._buffers[number]

    def _fetch(self, uri: object, number: int, place: str) -> bytes:
        """The bytes that a buffer names: the chunk of the GLB, data in the text, or a file below the root.

        Raises:
            MeshError: when there is no such chunk or file, it lies elsewhere, or the data cannot be decoded.
        """
        if uri is None:
            if number or self._binary is None:
                raise MeshError(f"{place} names no file, and there is no binary chunk for it.")
            return self._binary
        return self._resource(uri, place)

    def _resource(self, uri: object, place: str) -> bytes:
        """The bytes that a URI names: data in the text, or a file below the root.

        Raises:
            MeshError: when there is no such file, it lies elsewhere, or the data cannot be decoded.
        """
        if not isinstance(uri, str):
            raise MeshError(f"{place}: expected a text as uri.")
        if uri.startswith("data:"):
            head, _, text = uri.partition(",")
            try:
                return (
                    base64.b64decode(text, validate=True)
                    if head.endswith(";base64")
                    else unquote(text).encode("latin-1")
                )
            except (binascii.Error, ValueError) as error:
                raise MeshError(f"{place}: its data cannot be decoded: {error}.") from None
        try:
            foreign = bool(urlsplit(uri).scheme or urlsplit(uri).netloc)
        except ValueError:
            foreign = True
        name = unquote(uri)
        if foreign or "\0" in name or Path(name).is_absolute():
            raise MeshError(
                f"{place}: expected a file beside the mesh, found {shown(name)[:200]!r}, which is not opened."
            )
        try:
            return read_beside(self._source, self._source.folder, name)
        except MeshError as error:
            raise MeshError(f"{place} names {shown(name)[:200]!r}: {error}") from None


def entry(node: dict[str, Any], key: str, kind: type | None, where: str, default: object = None) -> Any:
    """What a JSON object holds under a key.

    Raises:
        MeshError: when it is missing without a default, or of another type.
    """
    value = node.get(key, default)
    if value is None or (kind is not None and not isinstance(value, kind)):
        found = "nothing" if value is None else type(value).__name__
        raise MeshError(f"{where}: expected {key} as {kind.__name__ if kind else 'a value'}, found {found}.")
    return value


def whole(value: object, where: str) -> int:
    """The value as a whole number from 0; JSON's 3.0 is one.

    Raises:
        MeshError: when it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53 or value != int(value):
        raise MeshError(f"{where}: expected a whole number from 0, found {str(value)[:40]!r}.")
    return int(value)


def _component(node: dict[str, Any], place: str) -> np.dtype:
    """The stored type of a component.

    Raises:
        MeshError: when glTF has no such type.
    """
    code = whole(entry(node, "componentType", None, place), place)
    if code not in _COMPONENTS:
        raise MeshError(f"{place}: unknown componentType {code}.")
    return np.dtype(_COMPONENTS[code])


def _chunks(data: bytes) -> tuple[bytes, bytes | None, list[str]]:
    """The JSON text, the binary chunk if any, and warnings; a .gltf is JSON alone.

    Raises:
        MeshError: when a length of the GLB does not fit the file.
    """
    if not data.startswith(_GLB_MAGIC):
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return data.removeprefix(b"\xef\xbb\xbf"), None, []
        raise MeshError("expected a GLB (beginning with glTF) or a JSON object, found something else.")
    version, length = int.from_bytes(data[4:8], "little"), int.from_bytes(data[8:12], "little")
    if len(data) < 12 or version != 2:
        raise MeshError(f"expected a GLB of version 2 with a header of 12 bytes, found version {version}.")
    if length > len(data):
        raise MeshError(
            f"the header promises {length} bytes, the file holds {len(data)}. It is cut off; copy it again."
        )
    warnings = (
        [f"{plural(len(data) - length, 'byte')} behind the end of the GLB left out"] if length < len(data) else []
    )
    chunks: list[tuple[int, bytes]] = []
    at = 12
    while at < length:
        size, kind = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 > length:
            raise MeshError(f"the header of chunk {len(chunks)} is cut off; copy the file again.")
        if at + 8 + size > length:
            raise MeshError(f"chunk {len(chunks)} promises {size} bytes, {length - at - 8} are left. It is cut off.")
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if not chunks or chunks[0][0] != _JSON_CHUNK:
        raise MeshError("expected a JSON chunk first in the GLB, found another or none.")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == _BIN_CHUNK else None
    return chunks[0][1], binary, warnings


def _parse(text: bytes) -> dict[str, Any]:
    """The JSON object.

    Raises:
        MeshError: when it is none.
    """
    try:
        tree = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MeshError(f"expected JSON, found something else: {str(error)[:120]}.") from None
    if not isinstance(tree, dict):
        raise MeshError(f"expected a JSON object, found {type(tree).__name__}.")
    return tree
