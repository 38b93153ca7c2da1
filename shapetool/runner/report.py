"""The report of a data set: one line an item in the order of the manifest, put together from each shard's lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole
from shapetool.errors import DataError
from shapetool.runner.files import many_objects
from shapetool.runner.items import STATE
from shapetool.runner.manifest import Layout
from shapetool.runner.spool import read_line

NAMES = {"id", "status"}


@many_objects()
def read_report(path: Path) -> list[dict[str, Any]]:
    """The lines of a report, or of a piece of one.

    Raises:
        DataError: a line is not a report line.
    """
    texts = path.read_bytes().split(b"\n")[:-1]
    try:
        lines = json.loads(b"[" + b",".join(texts) + b"]")  # in one call, which keeps each name once
        if len(lines) == len(texts) and all(line.keys() >= NAMES and _is_named(line) for line in lines):
            return lines
    except (ValueError, AttributeError, RecursionError):
        pass
    return [_line(path, number, text) for number, text in enumerate(texts, 1)]  # finds the one that is damaged


def _line(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
        if not _is_named(line):
            raise ValueError("expected id and status as text")
        return {"id": line["id"], "status": line["status"], **line}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: line {number} is no report line ({error}). Use --overwrite to begin anew.") from error


def _is_named(line: Any) -> bool:
    return type(line["id"]) is str and type(line["status"]) is str


def combine(layout: Layout, to: Path) -> None:
    """None, once `to` holds the lines of every published shard, and of finished items whose shard is not yet published.

    Several runs may do this at once for one folder, without a lock: whoever writes last has looked at the pieces after
    every other writer had put its own there, or looks again and writes again.
    """
    before: set[str] | None = None
    while (now := _pieces(layout)) != before:
        before = now
        write_whole(to, _text(layout, now))


def _pieces(layout: Layout) -> set[str]:
    """The names of the pieces, each with what tells a rewritten one from the one before."""
    found = set()
    for path in (layout.folder / STATE).glob("report-*.jsonl"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        found.add(f"{path.name}:{state.st_mtime_ns}:{state.st_ino}")
    return found


def _text(layout: Layout, pieces: set[str]) -> Iterator[bytes]:
    """The lines, some at a time: of millions of items they are more than a driver should hold."""
    names = {piece.split(":")[0] for piece in pieces}
    waiting = {path.name for path in (layout.folder / STATE / "spool").glob("[0-9]*")}
    for shard in range(layout.shard_count):
        if layout.piece_path(shard).name in names:
            yield layout.piece_path(shard).read_bytes()
            continue
        for index in layout.span(shard):
            if layout.spool_path(index).name in waiting:
                line = read_line(layout.spool_path(index))
                if line is not None and line["id"] == layout.items[index].id:
                    yield (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8")
