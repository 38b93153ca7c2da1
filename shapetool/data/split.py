"""Which list a shape is on: by a hash of its name, which no other shape can change, or by lists that exist."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapetool.errors import ConfigError, DataError, suggestion

PARTS = ("train", "val", "test")
BY = ("all", "class")
GROUP_BY = ("none", "similarity", "prefix")
ROUNDING = 1e-9  # 0.7 + 0.2 + 0.1 is meant to be 1


@dataclass(frozen=True)
class SplitRecipe:
    """How shapes are put on lists: the share of each list, the seed, and what stays together.

    Raises:
        ConfigError: a share is below 0, or they add up to more than 1, or a word is unknown.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    seed: int = 0
    by: str = "all"
    group_by: str = "none"
    separator: str = "_"

    def __post_init__(self) -> None:
        for part, share in zip(PARTS, self.shares, strict=True):
            if not 0 <= share <= 1:
                raise ConfigError(f"--{part} {share:g}: expected a share from 0 to 1.")
        if sum(self.shares) > 1 + ROUNDING:
            raise ConfigError(f"--train, --val and --test: expected shares of at most 1, found {sum(self.shares):g}.")
        for option, word, known in (("--by", self.by, BY), ("--group-by", self.group_by, GROUP_BY)):
            if word not in known:
                raise ConfigError(f"{option}: unknown word {word!r}{suggestion(word, known)}")
        if not self.separator:
            raise ConfigError("--separator: expected at least one character, found none.")

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares in the order of `PARTS`."""
        return self.train, self.val, self.test


def position(seed: int, key: str) -> float:
    """A number in [0, 1) that is a function of the seed and the key alone, uniform over keys.

    Source: BLAKE2b, RFC 7693; the first 53 bits of its 8-byte digest of ``"{seed}:{key}"``.
    """
    digest = hashlib.blake2b(f"{seed}:{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def assign(keys: Mapping[str, str], recipe: SplitRecipe) -> dict[str, str | None]:
    """The list of each id, None for one that is left out; `keys` names what decides, so equal keys stay together."""
    return {shape_id: part_at(position(recipe.seed, key), recipe) for shape_id, key in keys.items()}


def part_at(number: float, recipe: SplitRecipe) -> str | None:
    """The list to which a number in [0, 1) belongs: train from 0, then val, then test; None beyond the last."""
    for part, end in zip(PARTS, (math.fsum(recipe.shares[: count + 1]) for count in range(3)), strict=True):
        if number < end or end > 1 - ROUNDING:
            return part
    return None


def prefix_of(shape_id: str, separator: str) -> str:
    """The id up to the first `separator` in its name, folders kept; with "/" the folder of the shape.

    An id without one, or that begins with it, is its own prefix.
    """
    folder, slash, name = shape_id.rpartition("/")
    if separator == "/":
        return folder or shape_id
    return folder + slash + (name.partition(separator)[0] or name)


def read_lists(paths: Sequence[Path]) -> dict[str, str]:
    """The list of each name in list files: a split.json, or one list a file whose name holds train, val or test.

    A `.lst` or `.txt` has one name a line; a JSON list may be nested in objects as in DeepSDF's splits, whose keys
    stand before the names, joined by `/`.

    Raises:
        DataError: a file is missing, is not such a list, or a name is on two lists.
    """
    found: dict[str, str] = {}
    for path in paths:
        for part, name in _entries(Path(path)):
            if found.setdefault(name, part) != part:
                raise DataError(f"{path}: {name!r} is on two lists, {found[name]} and {part}. Take it off one.")
    return found


def _entries(path: Path) -> Iterable[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else text.splitlines()
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: expected a list of ids (.lst, .txt or .json), but: {reason}.") from error
    lists = content.get("lists", content) if isinstance(content, dict) else content
    if isinstance(lists, dict) and lists and set(lists) <= set(PARTS):
        return [(part, name) for part in lists for name in _names(lists[part], path)]
    parts = [part for part in PARTS if part in path.stem.lower()]
    if len(parts) != 1:
        raise DataError(f"{path}: expected one of train, val and test in its name, found {len(parts)}. Rename it.")
    return [(parts[0], name) for name in _names(lists, path)]


def _names(value: Any, path: Path, above: str = "") -> list[str]:
    if isinstance(value, dict):
        return [name for key, inner in value.items() for name in _names(inner, path, f"{above}{key}/")]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(f"{path}: expected lists of names, found {type(value).__name__} {str(value)[:40]!r}.")
    return [above + name for name in (name.strip() for name in value) if name]


def match(shape_ids: Iterable[str], lists: Mapping[str, str]) -> tuple[dict[str, str | None], list[str]]:
    """The list of each id, None where it is on none, and the names on the lists that no id answers to.

    A name answers to an id that it equals, or that it ends in after a `/`: DeepSDF's begin with the data set. An
    ending such as `.npz` or `.obj` may follow it.

    Raises:
        DataError: two names of different lists answer to one id.
    """
    known = set(shape_ids)
    depth = max((shape_id.count("/") for shape_id in known), default=0) + 1
    found: dict[str, str | None] = dict.fromkeys(sorted(known))
    missing = []
    for name, part in lists.items():
        shape_id = next((tried for tried in _spellings(name, depth) if tried in known), None)
        if shape_id is None:
            missing.append(name)
        elif found[shape_id] not in (None, part):
            raise DataError(f"{shape_id}: expected one list, found {found[shape_id]} and {part}. Take it off one.")
        else:
            found[shape_id] = part
    return found, missing


def _spellings(name: str, depth: int) -> Iterable[str]:
    """The name, and what it ends in, down from as many pieces as an id may have."""
    pieces = name.rsplit("/", depth)
    for start in range(len(pieces)):
        rest = "/".join(pieces[start:])
        yield rest
        if "." in pieces[-1]:
            yield rest.rpartition(".")[0]


def class_of(shape_id: str) -> str:
    """The first folder of an id, "" where it has none."""
    return shape_id.partition("/")[0] if "/" in shape_id else ""


def list_files(parts: Mapping[str, str | None], by: str) -> dict[str, bytes]:
    """The content of each list file by its name below OUT; with `by` class one set a class, ids below the class.

    No newline ends a file: the loader of occupancy networks takes it for one more, empty id.

    Raises:
        DataError: an id cannot stand on a line, or its class is no name of a folder.
    """
    lists: dict[str, list[str]] = {}
    for shape_id in sorted(parts):
        kind = class_of(shape_id) if by == "class" else ""
        if len(shape_id.splitlines()) != 1 or kind in (".", ".."):
            raise DataError(f"{shape_id!r}: expected an id on one line, below a folder. Sample the shape again.")
        for part in PARTS:
            lists.setdefault(f"{kind}/{part}.lst" if kind else f"{part}.lst", [])
        if (part_found := parts[shape_id]) is not None:
            name = shape_id.removeprefix(f"{kind}/") if kind else shape_id
            lists[f"{kind}/{part_found}.lst" if kind else f"{part_found}.lst"].append(name)
    return {name: "\n".join(ids).encode("utf-8") for name, ids in lists.items()}
