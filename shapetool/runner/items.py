"""From the words of the command line to the items of a run. Knows paths and names, not what the files hold."""

import glob
import os
import re
import stat
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shapetool.errors import ConfigError
from shapetool.runner.files import many_objects

STATE = ".shapetool"  # the folder in which a run keeps its own files
CONTROL = frozenset({"Cc", "Zl", "Zp"})
BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))  # they turn the order of a printed line
MARKUP = re.compile(r"\[/?[a-z#@][^\[\]]*\]|\[/\]")


@dataclass(frozen=True, slots=True)
class Item:
    """One input file: `id` names it for ever, `source` is its path below the input root.

    One with a `problem` is not run: it gets `status` and that reason.
    """

    id: str
    source: str
    path: Path
    root: Path
    size: int = 0
    sha256: str | None = None
    problem: str | None = None
    status: str = "invalid"


@dataclass(frozen=True)
class Collection:
    """The items that a list of inputs stands for, sorted by id, and how many files in the folders were passed over."""

    items: tuple[Item, ...]
    ignored: int


class _Ignored:
    """Counts files that a folder scan passed over."""

    count = 0


@many_objects()
def collect(inputs: Sequence[str], suffixes: Iterable[str], what: str = "mesh file") -> Collection:
    """The items that `inputs` stand for: files, folders (recursive), globs, `@list.txt`, or `-` for paths on stdin.

    The id of an item is its path below the input root without suffix; where two share one, both keep their suffix.
    In a folder only files with one of `suffixes` count. A name that is not safe to use or print makes an item with a
    `problem`, never an error of the run. `what` is how a file is called where there is none.

    Raises:
        ConfigError: an input does not exist, nothing was found, or two different inputs hold the same path.
    """
    known = tuple(sorted((suffix.lower() for suffix in suffixes), key=len, reverse=True))
    ignored = _Ignored()
    met = (item for word in inputs for item in _from_word(word, known, ignored))
    found = list(met) if len(inputs) == 1 and os.path.isdir(inputs[0]) else _each_once(met)
    if not found:
        passed = f" ({ignored.count} files with other suffixes passed over)" if ignored.count else ""
        raise ConfigError(f"{' '.join(inputs) or 'no input'}: expected at least one {what}, found none{passed}.")
    items = [_checked_name(item) for item in _with_ids(found, known)]
    return Collection(tuple(sorted(items, key=lambda item: item.id)), ignored.count)


def _each_once(items: Iterable[Item]) -> list[Item]:
    """The items without those whose file came before, by another word."""
    found: dict[str, Item] = {}
    for item in items:
        place = str(item.path)
        found.setdefault(os.path.abspath(place) if ".." in place or place[0] != os.sep else place, item)
    return list(found.values())


def _from_word(word: str, known: tuple[str, ...], ignored: _Ignored) -> Iterator[Item]:
    path = Path(word)
    if word == "-":
        yield from _from_lines(sys.stdin, Path.cwd(), known, ignored)
    elif word.startswith("@") and not path.exists():
        yield from _from_list(Path(word[1:]), known, ignored)
    elif path.is_dir():
        yield from _scan(path, path, known, ignored)
    elif os.path.lexists(path):
        yield _named(path, path.parent)
    elif glob.has_magic(word):
        yield from _from_glob(word, known, ignored)
    else:
        raise ConfigError(f"{word}: no such file or folder. An input is a mesh, a folder, a glob, @list.txt or -.")


def _from_list(path: Path, known: tuple[str, ...], ignored: _Ignored) -> Iterator[Item]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"@{path}: expected a file with one path a line, but: {error.strerror}.") from error
    yield from _from_lines(text.splitlines(), path.parent, known, ignored)


def _from_lines(lines: Iterable[str], folder: Path, known: tuple[str, ...], ignored: _Ignored) -> Iterator[Item]:
    """Items for the paths in a list. A relative one is looked up from the working directory, then beside the list."""
    words = [word for word in (line.strip("\r\n") for line in lines) if word.strip()]
    absolute = [word for word in words if os.path.isabs(word)]
    root = (
        Path(os.path.commonpath([os.path.dirname(os.path.normpath(word)) for word in absolute])) if absolute else None
    )
    for word in words:
        base = Path.cwd()
        if not os.path.isabs(word) and not os.path.lexists(base / word) and os.path.lexists(folder / word):
            base = folder.absolute()
        path = Path(word) if os.path.isabs(word) else base / word
        top = root if root is not None and os.path.isabs(word) else base
        if path.is_dir() and ".." not in Path(word).parts:
            yield from _scan(path, top, known, ignored)
        else:
            yield replace(_named(path, top), source=os.path.relpath(path, top) if ".." not in path.parts else word)


def _from_glob(pattern: str, known: tuple[str, ...], ignored: _Ignored) -> Iterator[Item]:
    fixed = list(_before_magic(Path(pattern).parts))
    root = Path(*fixed) if fixed else Path()
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise ConfigError(f"{pattern}: no file matches this pattern.")
    for match in map(Path, matches):
        if match.is_dir() and not match.is_symlink():
            if "**" not in pattern:
                yield from _scan(match, root, known, ignored)
        else:
            yield _linked(match, os.path.relpath(match, root), root, Path(os.path.realpath(root)))


def _before_magic(parts: Sequence[str]) -> Iterator[str]:
    for part in parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _scan(folder: Path, root: Path, known: tuple[str, ...], ignored: _Ignored) -> Iterator[Item]:
    """Items for the files below `folder`. A link to a folder inside is passed over: the scan meets that anyway.

    A folder of millions is read with one look at each file, so only what the system says of an entry is asked.
    """
    real_root = Path(os.path.realpath(root))
    below = os.path.relpath(folder, root)
    places = [(folder.absolute(), "" if below == os.curdir else below + os.sep)]
    while places:
        here, prefix = places.pop()
        try:
            with os.scandir(here) as found:
                entries = list(found)
        except OSError as error:
            item = Item("", prefix.rstrip(os.sep) or os.curdir, here, real_root)
            yield replace(item, problem=f"the folder cannot be read: {error.strerror}", status="failed")
            continue
        for entry in entries:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if name != STATE:
                    places.append((here / name, f"{prefix}{name}{os.sep}"))
            elif entry.is_symlink() and os.path.isdir(entry.path):  # which a link in a circle is not
                if _leaves(here / name, root):
                    yield _linked(here / name, prefix + name, root, real_root)
            elif (name[0] == "." and name[:2] != "..") or not name.lower().endswith(known):
                ignored.count += 1
            elif entry.is_symlink():
                yield _linked(here / name, prefix + name, root, real_root)
            else:
                yield Item("", prefix + name, here / name, real_root, _plain_size(entry))


def _plain_size(entry: "os.DirEntry[str]") -> int:
    """The size of a plain file; 0 for what is none, or has gone, which is looked at again."""
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
    except OSError:
        return 0


def _named(path: Path, root: Path) -> Item:
    """The item of a file that was named one by one: a link is followed wherever it leads, since it was asked for."""
    real = Path(os.path.realpath(path))
    top = real.parent if path.is_symlink() else Path(os.path.realpath(root))
    return Item("", os.path.relpath(path, root), real, top)


def _linked(path: Path, source: str, root: Path, real_root: Path) -> Item:
    """The item of a file that a scan met: a link must stay below the root."""
    item = Item("", source, path.absolute(), real_root)
    if _leaves(path, root):
        return replace(
            item, problem="symbolic link leaves the input root; copy the file or name its folder as an input"
        )
    return item


def _leaves(path: Path, root: Path) -> bool:
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _with_ids(items: list[Item], known: tuple[str, ...]) -> list[Item]:
    taken = {item.source for item in items}
    if len(taken) < len(items):
        items = _told_apart(items)
        taken = {item.source for item in items}
    shorts = [_without_suffix(item.source, known) for item in items]
    times = Counter(shorts)
    return [
        _named_so(item, short if times[short] == 1 and short not in taken else item.source)
        for item, short in zip(items, shorts, strict=True)
    ]


def _named_so(item: Item, name: str) -> Item:
    """`item` with this id; of many, `replace` would take twice as long."""
    return Item(name, item.source, item.path, item.root, item.size, item.sha256, item.problem, item.status)


def _told_apart(items: list[Item]) -> list[Item]:
    """The items; those with a source that another has as well get the name of their root in front of it.

    Raises:
        ConfigError: two are still one.
    """
    sources: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        sources[item.source].append(item)
    items = [
        item if len(group) == 1 else replace(item, source=f"{item.root.name}/{item.source}")
        for group in sources.values()
        for item in group
    ]
    if len({item.source for item in items}) < len(items):
        twice = next(item for item in items if sum(other.source == item.source for other in items) > 1)
        raise ConfigError(f"{twice.source}: two inputs hold this path. Give the folder above both as one input.")
    return items


def _without_suffix(source: str, known: tuple[str, ...]) -> str:
    lower = source.lower()
    for suffix in known:
        if lower.endswith(suffix):
            return source[: len(source) - len(suffix)]
    return os.path.splitext(source)[0]


def _checked_name(item: Item) -> Item:
    """`item`, with a problem if its name is not safe in a file or on a terminal, or it is no plain file."""
    if item.size and item.problem is None and item.source.isascii() and _bad_name(item.source) is None:
        return item  # a plain file, by the scan that met it
    try:
        item.source.encode("utf-8")
    except UnicodeEncodeError:
        shown = replace(item, id=_printable(item.id), source=_printable(item.source))
        return replace(shown, problem="the name is not UTF-8; rename the file")
    if item.problem is not None:
        return item
    reason = _bad_name(item.source)
    if reason is not None:
        return replace(item, problem=f"{reason}; rename the file")
    try:
        found = os.stat(item.path)
    except OSError as error:
        return replace(item, problem=f"the file cannot be read: {error.strerror}", status="failed")
    if not stat.S_ISREG(found.st_mode):
        return replace(item, problem="expected a plain file, found a folder, device, pipe or socket")
    return replace(item, size=found.st_size)


def _bad_name(source: str) -> str | None:
    if ".." in source:
        return "the name holds '..'"
    if not source.isprintable() and any(
        unicodedata.category(character) in CONTROL or character in BIDI for character in source
    ):
        return "the name holds a newline or another control character"
    if "[" in source and MARKUP.search(source):
        return "the name holds terminal markup such as [red]"
    return None


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
