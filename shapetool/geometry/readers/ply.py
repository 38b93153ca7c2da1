"""PLY, text and binary, either byte order: the vertex and face elements, after the header was held against the size."""

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.readers.ply_body import BinaryBody, Element, Lists, Property, TextBody, Values
from shapetool.geometry.readers.raw import RawMesh, raw_from_polygons
from shapetool.geometry.wording import plural

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 20
_MOST_PROPERTIES = 4096
_INDEX_NAMES = ("vertex_indices", "vertex_index")


def read_ply(data: bytes) -> RawMesh:
    """The faces of a PLY file as triangles; colours, normals and other elements are passed over.

    Raises:
        MeshError: when the header is not understood or promises more than the file holds, or a row is wrong.
    """
    elements, order, start, warnings = _header(data)
    promised = sum(element.least_bytes(order == "") for element in elements)
    if promised > len(data) - start + 1:
        raise MeshError(
            f"the header promises at least {promised} bytes of data, the file holds {len(data) - start}. "
            "It is damaged or cut off; copy or export it again."
        )
    body = TextBody(data[start:]) if order == "" else BinaryBody(data, start, order)
    vertices = np.zeros((0, 3))
    corners, sizes = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for element in elements:
        values, lists = body.take(element)
        if element.name == "vertex":
            if not {"x", "y", "z"} <= values.keys():
                raise MeshError("expected vertices with the properties x, y and z.")
            vertices = np.stack([values[axis].astype(np.float64) for axis in "xyz"], axis=1)
        elif element.name == "face":
            name = next((name for name in _INDEX_NAMES if name in lists), None)
            if name is None:
                raise MeshError("expected faces with a list vertex_indices.")
            corners, sizes = lists[name]
        elif element.name == "tristrips":
            raise MeshError("expected faces, found triangle strips. Convert the file to faces.")
    if spare := body.left():
        warnings.append(f"{plural(spare, 'byte')} behind the last element left out")
    if corners.dtype.kind == "f":
        raise MeshError(f"expected vertex_indices of an integer type, found {corners.dtype.name}.")
    return raw_from_polygons(vertices, corners.astype(np.int64), sizes.astype(np.int64), warnings)


def read_ply_points(data: bytes) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3"] | None]:
    """The vertices of a PLY file and, where it has them, their normals; whatever else it holds is passed over.

    Raises:
        MeshError: as `read_ply` does.
    """
    elements, order, start, _ = _header(data)
    body = TextBody(data[start:]) if order == "" else BinaryBody(data, start, order)
    for element in elements:
        if element.least_bytes(order == "") > len(data) - start + 1:
            raise MeshError(f"the header promises {element.count} rows of {element.name}, and the file is cut off.")
        values, _ = body.take(element)
        if element.name == "vertex":
            if not {"x", "y", "z"} <= values.keys():
                raise MeshError("expected vertices with the properties x, y and z.")
            points = np.stack([values[axis].astype(np.float64) for axis in "xyz"], axis=1)
            if not {"nx", "ny", "nz"} <= values.keys():
                return points, None
            return points, np.stack([values[f"n{axis}"].astype(np.float64) for axis in "xyz"], axis=1)
    return np.zeros((0, 3)), None


def ply_tables(data: bytes) -> tuple[dict[str, tuple[Values, Lists]], list[str]]:
    """The single values and the lists of every element by its name, and the comments of the header.

    Raises:
        MeshError: as `read_ply` does.
    """
    elements, order, start, _ = _header(data)
    body = TextBody(data[start:]) if order == "" else BinaryBody(data, start, order)
    head = data[:start].decode("latin-1").splitlines()
    comments = [line.partition("comment")[2].strip() for line in head if line.startswith("comment")]
    return {element.name: body.take(element) for element in elements}, comments


def face_count(data: bytes) -> int:
    """How many faces the header of a PLY file promises.

    Raises:
        MeshError: the header is not understood.
    """
    return sum(element.count for element in _header(data)[0] if element.name in ("face", "tristrips"))


def _header(data: bytes) -> tuple[list[Element], str, int, list[str]]:
    """The elements, the byte order ('' for text), where the data begins, and warnings.

    Raises:
        MeshError: when the header has no end, or a line of it is not understood.
    """
    if not data.startswith(b"ply"):
        raise MeshError("expected the word ply at the beginning, found something else. Is it another format?")
    found = data.find(b"end_header", 0, _LONGEST_HEADER)
    if found < 0:
        raise MeshError("expected a header that ends with end_header, found no such line.")
    start = found + len(b"end_header")
    start += 2 if data[start : start + 2] == b"\r\n" else 1
    order: str | None = None
    elements: list[Element] = []
    warnings: list[str] = []
    for line in data[:found].decode("latin-1").splitlines()[1:]:
        words = line.split()
        try:
            match words:
                case [] | ["comment", *_] | ["obj_info", *_]:
                    pass
                case ["format", name, _]:
                    order = _ORDERS[name]
                case ["element", name, count] if count.isdecimal() and count.isascii():
                    elements.append(Element(name, int(count), ()))
                case ["property", "list", count_type, kind, name] if _TYPES[count_type][0] != "f":
                    _add(elements, Property(name, _TYPES[kind], _TYPES[count_type]))
                case ["property", kind, name]:
                    _add(elements, Property(name, _TYPES[kind], None))
                case ["format" | "element" | "property", *_]:
                    raise ValueError
                case _:  # Blender 2.4 forgot the word `comment`
                    warnings.append(f"header line {line[:60]!r} left out")
        except (KeyError, ValueError, IndexError):
            raise MeshError(f"expected a line of a PLY header, found {line[:80]!r}.") from None
    if order is None:
        raise MeshError("expected a line `format ascii|binary_little_endian|binary_big_endian 1.0`, found none.")
    return elements, order, start, warnings


def _add(elements: list[Element], new: Property) -> None:
    """Nothing; the property joins the last element.

    Raises:
        MeshError: when the element has more properties than any file needs.
        ValueError: when the element has one of that name.
    """
    last = elements[-1]
    if len(last.properties) == _MOST_PROPERTIES:
        raise MeshError(f"expected at most {_MOST_PROPERTIES} properties of an element, {last.name} has more.")
    if any(p.name == new.name for p in last.properties):
        raise ValueError
    elements[-1] = Element(last.name, last.count, (*last.properties, new))
