"""STL, binary and text."""

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.readers.raw import RawMesh, floats
from shapetool.geometry.wording import plural

_HEADER = 84
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])

# Where the words stand among the 21 of a facet.
_GRAMMAR = {
    0: b"facet", 1: b"normal", 5: b"outer", 6: b"loop", 7: b"vertex", 11: b"vertex", 15: b"vertex",
    19: b"endloop", 20: b"endfacet",
}  # fmt: skip


def read_stl(data: bytes) -> RawMesh:
    """The triangles of an STL file; stored normals and colours are passed over, the winding counts.

    Raises:
        MeshError: when a binary file is shorter than its count says, or a text file breaks the grammar; with the line.
    """
    promised = int.from_bytes(data[80:_HEADER], "little") if len(data) >= _HEADER else None
    exact = promised is not None and len(data) == _HEADER + _FACET.itemsize * promised
    if exact or promised is None or not _looks_like_text(data):
        if not exact and data.lstrip()[:5].lower() == b"solid":
            return _from_text(data)
        return _from_binary(data, promised)
    return _from_text(data)


def _looks_like_text(data: bytes) -> bool:
    """Whether it begins as a text file does and goes on as one."""
    head = data[:4096].lstrip()
    return head[:5].lower() == b"solid" and b"\0" not in head


def _from_binary(data: bytes, promised: int | None) -> RawMesh:
    """The triangles behind the 84 bytes of the header.

    Raises:
        MeshError: when there are none, or fewer than promised.
    """
    if promised is None:
        raise MeshError(
            f"expected an STL file, found {plural(len(data), 'byte')}, too few for its header of {_HEADER}."
        )
    held = (len(data) - _HEADER) // _FACET.itemsize
    if promised > held:
        raise MeshError(
            f"the header promises {promised} facets, the file holds {held}. It is cut off or no STL; copy it again."
        )
    facets = np.frombuffer(data, _FACET, count=promised, offset=_HEADER)
    warnings = []
    if spare := len(data) - _HEADER - promised * _FACET.itemsize:
        warnings.append(f"{plural(spare, 'byte')} behind the last facet left out")
    return _soup(facets["corners"].astype(np.float64).reshape(-1, 3), warnings)


def _from_text(data: bytes) -> RawMesh:
    """The triangles between `facet` and `endfacet`, in one or several solids.

    Raises:
        MeshError: for an unknown word, a facet without three vertices, a word that is no number, or a cut-off file.
    """
    quick = _from_regular_text(data)
    if quick is not None:
        return quick
    corners: list[float] = []
    warnings: list[str] = []
    open_facet = closed = False
    for number, line in enumerate(data.splitlines(), 1):
        row = line.split()
        if not row:
            continue
        key = row[0].lower()
        if key == b"vertex":
            if len(row) != 4 or not open_facet:
                raise MeshError(f"line {number}: expected three coordinates behind 'vertex', inside a facet.")
            try:
                corners += floats(row[1:])
            except ValueError as error:
                raise MeshError(f"line {number}: expected numbers behind 'vertex': {error}.") from None
        elif key in (b"facet", b"endfacet"):
            if open_facet == (key == b"facet"):
                raise MeshError(f"line {number}: expected a facet to end before the next begins.")
            if len(corners) % 9:
                raise MeshError(f"line {number}: expected facets of three vertices, this one has another number.")
            if not open_facet:
                count = len(corners)
            elif len(corners) != count + 9:
                raise MeshError(
                    f"line {number}: expected a facet of three vertices, found {(len(corners) - count) // 3}."
                )
            open_facet = key == b"facet"
        elif key in (b"solid", b"endsolid"):
            closed = key == b"endsolid"
        elif key not in (b"outer", b"endloop"):
            word = row[0][:40].decode("utf-8", "backslashreplace")
            raise MeshError(f"line {number}: expected a word of the STL grammar, found {word!r}.")
    if open_facet:
        raise MeshError("the file ends inside a facet. It is cut off; copy or export it again.")
    if not closed:
        warnings.append("no 'endsolid' at the end: the file may be cut off")
    return _soup(np.array(corners, np.float64).reshape(-1, 3), warnings)


def _from_regular_text(data: bytes) -> RawMesh | None:
    """The triangles of one solid without a flaw; None for any other file."""
    first, _, rest = data.strip().partition(b"\n")
    body, _, last = rest.rpartition(b"\n")
    words = body.split()
    regular = first[:5].lower() == b"solid" and last.strip()[:8].lower() == b"endsolid" and len(words) % 21 == 0
    if not words or not regular or b"_" in body:
        return None
    count = len(words) // 21
    for place, word in _GRAMMAR.items():
        if words[place::21].count(word) != count:
            return None
    columns = [words[place::21] for place in range(21) if place >= 7 and place not in _GRAMMAR]
    try:
        values = np.array([list(map(float, column)) for column in columns], np.float64)
    except ValueError:
        return None
    return _soup(np.ascontiguousarray(values.T).reshape(-1, 3), [])


def _soup(corners: Float[np.ndarray, "C 3"], warnings: list[str]) -> RawMesh:
    """Triangles that share no vertex."""
    return RawMesh(corners, np.arange(len(corners)).reshape(-1, 3), warnings)
