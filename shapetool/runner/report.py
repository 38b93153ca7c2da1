"""The report of a data set: one line an item in the order of the manifest, put together from each shard's lines."""

import json
import sys
from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole
from shapetool.errors import DataError
from shapetool.runner.items import STATE
from shapetool.runner.manifest import Layout
from shapetool.runner.spool import read_line


def read_report(path: Path) -> list[dict[str, Any]]:
    """The lines of a report, or of a piece of one.

    Raises:
        DataError: a line is not a report line.
    """
    lines = []
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            line = json.loads(text, object_pairs_hook=_with_shared_names)
            if not isinstance(line["id"], str) or not isinstance(line["status"], str):
                raise ValueError("expected id and status as text")
            lines.append({"id": line["id"], "status": line["status"], **line})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"{path}: line {number} is no report line ({error}). Use --overwrite to begin anew."
            ) from error
    return lines


def _with_shared_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; thousands of lines have the same names, which are kept once."""
    return {sys.intern(name): value for name, value in pairs}


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


def _text(layout: Layout, pieces: set[str]) -> bytes:
    names = {piece.split(":")[0] for piece in pieces}
    waiting = {path.name for path in (layout.folder / STATE / "spool").glob("[0-9]*")}
    text = []
    for shard in range(layout.shard_count):
        if layout.piece_path(shard).name in names:
            text.append(layout.piece_path(shard).read_bytes())
            continue
        for index in layout.span(shard):
            if layout.spool_path(index).name in waiting:
                line = read_line(layout.spool_path(index))
                if line is not None and line["id"] == layout.items[index].id:
                    text.append((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8"))
    return b"".join(text)
