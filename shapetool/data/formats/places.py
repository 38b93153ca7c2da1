"""Where the files of a shape lie below a folder: ids as paths that cannot leave it, and lists of ids."""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from shapetool.data.atomic import write_whole
from shapetool.data.outside import stays_below
from shapetool.errors import DataError

LONE_CLASS = "shapes"  # the class of a shape whose id has no folder
SPLITS = ("train", "val", "test")


def class_and_name(shape_id: str) -> tuple[str, str]:
    """The class and the name that an id says: its folders and its last part.

    Raises:
        DataError: the id is no plain path below a folder.
    """
    parts = shape_id.split("/")
    odd = not stays_below(shape_id) or any(
        character == "\\" or unicodedata.category(character) in ("Cc", "Cs") for character in shape_id
    )
    if odd:
        raise DataError(f"shape id {shape_id!r}: expected a plain path such as chair/1a2b, without dots. Rename it.")
    return "/".join(parts[:-1]) or LONE_CLASS, parts[-1]


def below(root: Path, *parts: str) -> Path:
    """The path of these parts below `root`, which no symbolic link on the way leads elsewhere.

    Raises:
        DataError: one does.
    """
    path = root.joinpath(*parts)
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{str(path)[:200]!r}: expected the path of a file, but: {error}. Rename it.") from error
    if not inside:
        raise DataError(f"{path}: refused, for a symbolic link on the way leads out of {root}. Copy the files.")
    return path


def shapes_below(root: Path, pattern: str) -> list[tuple[str, Path]]:
    """The files below `root` that match, each with its path without suffix as id; sorted by id."""
    found = [path for path in root.rglob(pattern) if path.is_file() and not path.name.startswith(".")]
    return sorted((path.relative_to(root).with_suffix("").as_posix(), path) for path in found)


def put(path: Path, data: bytes) -> None:
    """None, once `path` holds `data`, its folders made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data, durable=False)


def by_class(ids: Iterable[str]) -> dict[str, list[str]]:
    """The names of each class, in the order of the ids."""
    classes: dict[str, list[str]] = {}
    for shape_id in ids:
        class_name, name = class_and_name(shape_id)
        classes.setdefault(class_name, []).append(name)
    return classes


def write_lists(root: Path, splits: Mapping[str, Iterable[str]], suffix: str = "") -> None:
    """None, once each class has `train.lst` and so on: one name a line, none after the last, which ONet would read as
    a shape without a name. A list with no names is not written, for the same reason.
    """
    for split, ids in splits.items():
        for class_name, names in by_class(ids).items():
            text = "\n".join(name + suffix for name in names)
            put(below(root, class_name, f"{split}.lst"), text.encode())


def json_bytes(value: object) -> bytes:
    """A value as JSON for people: two spaces a level."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
