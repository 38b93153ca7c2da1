"""The bytes of a mesh file, taken only after the checks that need no parser."""

import os
import stat
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from shapetool.errors import MeshError
from shapetool.geometry.suffixes import ARCHIVE_SUFFIXES, MESH_SUFFIXES

# An archive may unpack to this many times its own size, plus a mebibyte: text meshes shrink by 3 to 30 times.
LARGEST_RATIO = 200
_SLACK = 1 << 20
_PIECE = 1 << 20

# How files of other kinds begin, and what to call them. A mesh file with such a beginning has the wrong name.
_FOREIGN_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the mesh; run `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive under another name"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF"),
    (b"<!DOCTYPE", "a web page; the download failed"),
    (b"<html", "a web page; the download failed"),
)
_BINARY_STL = ".stl"  # its first 80 bytes are free text, so they say nothing
_ZIPPED = frozenset({".3mf", ".3dxml"}) | ARCHIVE_SUFFIXES


@dataclass(frozen=True)
class Source:
    """A mesh file in memory: its bytes, what its name says it is, and where files named inside it may lie."""

    data: bytes
    suffix: str  # lower case, with the dot
    folder: Path
    root: Path
    max_bytes: int


def shown(path: str | Path) -> str:
    """The path as one line of text: control characters and undecodable bytes escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(path))


def open_source(path: Path, root: Path | None, max_bytes: int) -> Source:
    """The file's bytes, unpacked when it is an archive of one mesh.

    Raises:
        MeshError: for an unknown ending, a path that leaves the root, and whatever `read_file` refuses.
    """
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        known = " ".join(sorted(MESH_SUFFIXES))
        raise MeshError(f"expected a mesh file ({known}), found the ending '{shown(path.suffix)}'. Convert it first.")
    if root is not None:
        refuse_outside(path, root)
    data = read_file(path, max_bytes)
    if suffix in ARCHIVE_SUFFIXES:
        suffix, data = _unpack(data, max_bytes)
    elif suffix in _ZIPPED:
        refuse_bomb(data, max_bytes)
    refuse_foreign(data, suffix)
    folder = path.resolve().parent
    return Source(data, suffix, folder, folder if root is None else root.resolve(), max_bytes)


def refuse_outside(path: Path, root: Path) -> None:
    """Nothing, when the path with all its links followed lies below the root.

    Raises:
        MeshError: when it does not, or when the links run in a circle.
    """
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise MeshError(f"the file cannot be found: {reason(error)}") from error
    if not target.is_relative_to(root.resolve()):
        raise MeshError(
            f"expected a file below {shown(root)}, but the path leads to {shown(target)}. Copy it into the folder."
        )


def read_file(path: Path, max_bytes: int) -> bytes:
    """All bytes of a regular file.

    Raises:
        MeshError: when it is missing, unreadable, empty, larger than max_bytes, or a folder, pipe or device.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise MeshError(f"the file cannot be opened: {reason(error)}") from error
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise MeshError("expected a regular file, found a folder, pipe, socket or device")
    with os.fdopen(handle, "rb") as file:
        if facts.st_size > max_bytes:
            raise MeshError(f"expected at most {max_bytes} bytes, found {facts.st_size}. Split or simplify the mesh.")
        try:
            data = file.read(facts.st_size + 1)
        except OSError as error:
            raise MeshError(f"the file cannot be read: {reason(error)}") from error
    if not data:
        raise MeshError("the file is empty (0 bytes). Export or copy it again.")
    if len(data) != facts.st_size:
        raise MeshError(
            f"expected {facts.st_size} bytes, the file changed while it was read. Wait until it is written."
        )
    return data


def read_beside(source: Source, folder: Path, name: str) -> bytes:
    """The bytes of a file that a mesh names, seen from a folder and confined to the root of the mesh.

    Raises:
        MeshError: for an absolute name, one that leaves the root, and whatever `read_file` refuses.
    """
    if "\0" in name or Path(name).is_absolute():
        raise MeshError("expected a name relative to the mesh; others are not opened.")
    path = folder / name
    refuse_outside(path, source.root)
    return read_file(path, source.max_bytes)


def refuse_foreign(data: bytes, suffix: str) -> None:
    """Nothing, when the first bytes do not belong to another kind of file.

    Raises:
        MeshError: that says what the file seems to be.
    """
    for start, what in _FOREIGN_STARTS:
        binary = start[0] > 127 or start in (b"PK\x03\x04", b"\x1f\x8b")
        if data.startswith(start) and suffix not in _ZIPPED and (suffix != _BINARY_STL or not binary):
            raise MeshError(f"expected a {suffix} mesh, found {what}.")


def refuse_bomb(data: bytes, max_bytes: int) -> list[zipfile.ZipInfo]:
    """The members of an archive that unpacks to a sane size; zipfile never gives more than the size declared here.

    Raises:
        MeshError: when it is no archive, or promises more than `max_bytes` or than LARGEST_RATIO times its own size.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise MeshError(f"expected a zip archive, found a damaged one: {error}. Copy it again.") from None
    limit = min(max_bytes, LARGEST_RATIO * len(data) + _SLACK)
    total = sum(member.file_size for member in members)
    if total > limit:
        raise MeshError(
            f"the archive of {len(data)} bytes promises {total} bytes unpacked, more than the {limit} allowed "
            "(an archive bomb?). Unpack it yourself if you trust it."
        )
    return members


def _unpack(data: bytes, max_bytes: int) -> tuple[str, bytes]:
    """The ending and the bytes of the single mesh in a zip archive.

    Raises:
        MeshError: for no mesh or several, an encrypted or damaged member, or an archive bomb.
    """
    members = [m for m in refuse_bomb(data, max_bytes) if _is_mesh_member(m.filename)]
    if len(members) != 1:
        raise MeshError(f"expected an archive of exactly one mesh, found {len(members)} in it. Unpack it first.")
    member = members[0]
    limit = min(max_bytes, LARGEST_RATIO * len(data) + _SLACK)
    pieces, size = [], 0
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, archive.open(member) as stream:
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > limit:
                    raise MeshError(f"the archive unpacks to more than the {limit} bytes allowed (an archive bomb?).")
                pieces.append(piece)
    except MeshError:
        raise
    except Exception as error:  # zipfile and its decompressors raise many kinds, also for a password
        raise MeshError(f"the archive cannot be unpacked: {error}. Unpack it yourself.") from None
    if not size:
        raise MeshError("the mesh in the archive is empty (0 bytes).")
    return Path(member.filename).suffix.lower(), b"".join(pieces)


def _is_mesh_member(name: str) -> bool:
    """Whether a member of an archive is a mesh, not a folder, a hidden file or another archive."""
    path = Path(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not name.endswith("/") and not hidden and path.suffix.lower() in MESH_SUFFIXES - _ZIPPED


def reason(error: Exception) -> str:
    """What went wrong, without the path, which the message has already."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
