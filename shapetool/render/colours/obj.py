"""The colours of a Wavefront OBJ: its material files, their textures, and colours behind the vertices."""

import re
from collections import deque
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from shapetool.errors import MeshError
from shapetool.geometry.readers.obj import corners_of, positions, statement_lines
from shapetool.geometry.readers.raw import floats
from shapetool.geometry.readers.source import Source, read_beside, shown
from shapetool.geometry.wording import plural
from shapetool.render.colours.raw import Material, RawPaint, cut, in_unit
from shapetool.render.colours.texture import Textures

_LARGEST_MTL = 1 << 26
_GREY = Material()
_FIRST_VERTEX = re.compile(rb"^[ \t]*v[ \t]+([^\r\n]*)", re.MULTILINE)
# How many words each option of a texture takes; -o, -s and -t take one to three numbers.
_OPTION_WORDS = {
    "-blendu": 1, "-blendv": 1, "-boost": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-clamp": 1, "-bm": 1,
    "-imfchan": 1, "-type": 1, "-cc": 1, "-colorspace": 1,
}  # fmt: skip


def obj_paint(source: Source, warnings: list[str]) -> RawPaint | None:
    """The colours of an OBJ file, None when it has none.

    Raises:
        MeshError: when a texture coordinate or a colour is not what it must be.
    """
    if not _may_have_colours(source.data):
        return None
    rows = _Rows.of(statement_lines(source.data))
    coloured = bool(rows.vertices) and all(len(row) == 7 for row in rows.vertices)
    if not coloured and not rows.used:
        return None
    points = positions(rows.vertices, rows.vertex_lines)
    corners, sizes = corners_of(rows.faces, rows.face_lines, rows.vertices_above)
    faces, polygon = cut(points[corners], sizes)
    colours = None
    if coloured:
        try:
            numbers = floats(chain.from_iterable(row[4:] for row in rows.vertices))
            colours = in_unit(np.array(numbers).reshape(-1, 3))[corners][faces]
        except ValueError:
            raise MeshError("expected numbers as the colours of the vertices.") from None
    materials = _materials(rows, source, coloured, warnings)
    names = sorted(set(rows.material_of))
    chosen = [materials[name] for name in names]
    if all(entry is _GREY for entry in chosen):
        return None
    lookup = {name: at for at, name in enumerate(names)}
    number = np.array([lookup[name] for name in rows.material_of], np.int64)[polygon]
    uv = None
    if any(entry.texture for entry in chosen):
        uv = _texture_coordinates(rows)[faces]
        lost = ~np.isfinite(uv).all(axis=(1, 2)) & np.array([entry.texture is not None for entry in chosen])[number]
        if lost.any():
            warnings.append(f"{plural(int(lost.sum()), 'textured triangle')} without texture coordinates, drawn grey")
            number[lost] = len(chosen)
            chosen.append(_GREY)
            uv[lost] = 0
    return RawPaint(points[corners][faces], chosen, number, uv, colours)


def _may_have_colours(data: bytes) -> bool:
    """False only for files without, most of them: no material, and a first vertex of fewer than six numbers."""
    if b"usemtl" in data or b"\\" in data or b"\n" not in data:
        return True
    first = _FIRST_VERTEX.search(data)
    return first is not None and len(first[1].partition(b"#")[0].split()) == 6


@dataclass(frozen=True, eq=False)
class _Rows:
    """The statements of an OBJ file by kind, and for each face what stood above it."""

    vertices: list[list[bytes]]
    vertex_lines: list[int]
    textures: list[list[bytes]]
    faces: list[list[bytes]]
    face_lines: list[int]
    vertices_above: list[int]
    textures_above: list[int]
    material_of: list[str]
    libraries: list[str]
    used: bool

    @staticmethod
    def of(lines: list[bytes]) -> "_Rows":
        """The statements of these lines."""
        rows = _Rows([], [], [], [], [], [], [], [], [], any(line.lstrip().startswith(b"usemtl") for line in lines))
        material = ""
        for number, line in enumerate(lines, 1):
            row = line.split()
            match row[0] if row else b"":
                case b"v":
                    rows.vertices.append(row)
                    rows.vertex_lines.append(number)
                case b"vt":
                    rows.textures.append(row)
                case b"f" | b"fo":
                    rows.faces.append(row)
                    rows.face_lines.append(number)
                    rows.vertices_above.append(len(rows.vertices))
                    rows.textures_above.append(len(rows.textures))
                    rows.material_of.append(material)
                case b"usemtl":
                    material = _rest(line)
                case b"mtllib":
                    rows.libraries.append(_rest(line))
        return rows


def _rest(line: bytes) -> str:
    """What stands behind the first word: names may hold spaces."""
    return line.strip().partition(line.split()[0])[2].strip().decode("utf-8", "surrogateescape")


def _texture_coordinates(rows: _Rows) -> Float[np.ndarray, "C 2"]:
    """(u, v) of each corner, v downwards as in an image; NaN for a corner without.

    Raises:
        MeshError: for an index of no texture coordinate, or one that is no number.
    """
    try:
        # One number alone is a texture coordinate too; its v is 0.
        table = np.array(floats(chain.from_iterable([*row, b"0", b"0"][1:3] for row in rows.textures))).reshape(-1, 2)
        words = [word.split(b"/") for row in rows.faces for word in row[1:]]
        index = np.array([int(word[1]) if len(word) > 1 and word[1] else 0 for word in words], np.int64)
    except (ValueError, OverflowError):
        raise MeshError("expected numbers as texture coordinates.") from None
    above = np.repeat(np.array(rows.textures_above, np.int64), [len(row) - 1 for row in rows.faces])
    row = np.where(index < 0, above + index, index - 1)
    if ((row < 0) & (index != 0)).any() or (row >= len(table)).any():
        raise MeshError(f"a face uses a texture coordinate that is not among the {len(table)} of the file.")
    found = np.full((len(row), 2), np.nan)
    found[index != 0] = table[row[index != 0]] * [1, -1] + [0, 1]
    return found


def _materials(rows: _Rows, source: Source, coloured: bool, warnings: list[str]) -> dict[str, Material]:
    """The material of each name that a face uses."""
    textures = Textures(warnings.append)
    known: dict[str, Material] = {}
    wanted = set(rows.material_of)
    for library in dict.fromkeys(rows.libraries):
        for name in _library_names(library, source):
            try:
                data = read_beside(source, source.folder, name)
                if len(data) > _LARGEST_MTL:
                    raise MeshError(f"expected at most {_LARGEST_MTL} bytes, found {len(data)}.")
            except MeshError as error:
                warnings.append(f"material file {shown(name)[:200]!r} is not used: {error}")
                continue
            folder = (source.folder / name).parent
            for entry, words in _blocks(data).items():
                if entry in wanted and entry not in known:
                    known[entry] = _material(entry, words, _Place(source, folder, textures), coloured, warnings)
    plain = Material((1.0, 1.0, 1.0), corner_colours=True) if coloured else _GREY
    missing = sorted(wanted - known.keys() - {"", "None"})  # Blender names a face without a material None
    if missing and not coloured:
        names = ", ".join(repr(shown(name)[:60]) for name in missing[:3]) + (" ..." if len(missing) > 3 else "")
        warnings.append(f"{plural(len(missing), 'material')} in no material file, drawn grey: {names}")
    return known | dict.fromkeys(wanted - known.keys(), plain)


def _library_names(text: str, source: Source) -> list[str]:
    """The files of an mtllib line: one whose name may hold spaces, or several without."""
    text = text.replace("\\", "/")
    if " " not in text or text.lower().count(".mtl") < 2:
        return [text]
    try:
        return [text] if (source.folder / text).is_file() else text.split()
    except OSError:  # longer than a name may be
        return text.split()


def _blocks(data: bytes) -> dict[str, dict[str, str]]:
    """The statements of each material by keyword; the last of a kind holds."""
    blocks: dict[str, dict[str, str]] = {}
    block: dict[str, str] = {}
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines():
        row = line.split()
        if not row or row[0].startswith(b"#"):
            continue
        if row[0].lower() == b"newmtl":
            block = blocks.setdefault(_rest(line.partition(b"#")[0]), {})
        else:
            block[row[0].decode("latin-1").lower()] = _rest(line)
    return blocks


@dataclass(frozen=True, eq=False)
class _Place:
    """From where a material file names its textures."""

    source: Source
    folder: Path
    textures: Textures


def _material(name: str, words: dict[str, str], place: _Place, coloured: bool, warnings: list[str]) -> Material:
    """What a block of a material file says; colours of vertices hold before Kd, a texture before both."""
    label = repr(shown(name)[:60])
    factor = _colour(words.get("kd"))
    if "kd" in words and factor is None:
        warnings.append(f"material {label}: its Kd is no colour of three numbers, drawn grey")
        return _GREY
    if "map_kd" in words:
        file, wrap, options = _map(words["map_kd"])
        if options:
            warnings.append(f"material {label}: the options {options} of its texture are not used")
        path = (place.folder / file).as_posix()
        texture = place.textures.get(
            path, repr(shown(file)[:200]), lambda: read_beside(place.source, place.folder, file), (wrap, wrap)
        )
        if texture is None:
            return _GREY
        # Exporters write a black Kd beside a texture; multiplied, as the format says, nothing would be seen of it.
        return Material(factor if factor and max(factor) > 0 else (1.0, 1.0, 1.0), texture)
    if _number(words.get("d"), 1.0) < 1 or _number(words.get("tr"), 0.0) > 0:
        warnings.append(f"material {label} is transparent; it is drawn opaque")
    if coloured:
        return Material((1.0, 1.0, 1.0), corner_colours=True)
    return Material(factor) if factor else _GREY


def _number(text: str | None, default: float) -> float:
    """The first number of a statement; the default where there is none."""
    try:
        return float((text or "").split()[0])
    except (ValueError, IndexError):
        return default


def _colour(text: str | None) -> tuple[float, float, float] | None:
    """Three numbers of 0 to 1, or one for all three; None for anything else."""
    try:
        numbers = [float(word) for word in (text or "").split()[:3]]
    except ValueError:
        return None
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        return None
    red, green, blue = (min(max(number, 0.0), 1.0) for number in numbers)
    return red, green, blue


def _map(text: str) -> tuple[str, str, str]:
    """The file that a texture statement names, how it goes on outside 0 to 1, and options that move it."""
    words = deque(text.split(" "))
    wrap, moving = "repeat", dict[str, None]()
    while words and (not words[0] or words[0].lower() in _OPTION_WORDS):
        option = words.popleft().lower()
        moving |= {option: None} if option in ("-o", "-s", "-t") else {}
        for count in range(_OPTION_WORDS.get(option, 0)):
            if not words or (option in ("-o", "-s", "-t") and count and not _is_number(words[0])):
                break
            value = words.popleft()
            if option == "-clamp" and value.lower() == "on":
                wrap = "clamp"
    return str(PurePosixPath(" ".join(words).strip().replace("\\", "/"))), wrap, " ".join(moving)


def _is_number(word: str) -> bool:
    """Whether a word is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
