"""Publishing one shard from the spools of its items: in a worker, so that the parent only ever waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole
from shapetool.errors import DataError
from shapetool.runner.files import to_json_line
from shapetool.runner.manifest import Layout
from shapetool.runner.spool import Ticket, read_columns, read_line


@dataclass(frozen=True)
class ShardTask:
    """One shard as it travels to a worker: what to write where, and what each item's record is found under.

    `kept` holds report lines of an earlier run, by row of the manifest; the columns of those that are ok come from
    `earlier`, a shard or a data set that is already published. A shard that is not `durable` has its name before it is
    on the disk. With `is_file` the one record is the file itself.
    """

    path: Path
    piece: Path
    kind: str
    settings: Mapping[str, Any]
    seed: int
    attributes: Mapping[str, Any]
    spools: Mapping[int, tuple[Path, Ticket]]
    kept: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    earlier: Path | None = None
    durable: bool = True
    is_file: bool = False


class _SpoolGone(Exception):  # noqa: N818 - never leaves this file
    """A spool was taken away after its line was read: another run published the shard."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def shard_attributes(layout: Layout, shard: int) -> dict[str, Any]:
    """What ties a shard to its data set and its place in it; a file that stands alone has no place."""
    if layout.stands_alone and layout.shard_count == 1:
        return {"manifest_sha256": layout.manifest_sha256}
    return {"shard_index": shard, "shard_count": layout.shard_count, "manifest_sha256": layout.manifest_sha256}


def publish_shard(task: ShardTask) -> dict[str, Any]:
    """`{"shapes": n}` once the shard, and after it its report lines, are under their final names.

    `{"missing": [rows]}` instead if spools are gone or cannot be trusted, `{"io": ...}` if the disk refuses, and
    `{"data": text}` if the shard format refuses the records.
    """
    lines: dict[int, Mapping[str, Any]] = dict(task.kept)
    missing = []
    for index, (path, ticket) in task.spools.items():
        line = read_line(path, ticket)
        if line is None:
            missing.append(index)
        else:
            lines[index] = line
    if missing:
        return {"missing": missing}
    try:
        shapes = (_write_file if task.is_file else _write)(task, lines)
        text = b"".join(to_json_line(dict(lines[index])) for index in sorted(lines))
        write_whole(task.piece, text, durable=task.durable)
    except _SpoolGone as gone:
        return {"missing": [gone.index]}
    except (DataError, OSError) as error:
        return refusal(error)
    for path, _ in task.spools.values():
        path.unlink(missing_ok=True)
    return {"shapes": shapes}


def refusal(error: DataError | OSError | RuntimeError) -> dict[str, Any]:
    """An error as it travels from a worker: `{"io": ...}` where the system refused something, else `{"data": text}`."""
    if isinstance(error, OSError) and error.errno:
        return {"io": (error.errno, error.strerror, str(error.filename))}
    return {"data": str(error)}


def _write_file(task: ShardTask, lines: Mapping[int, Mapping[str, Any]]) -> int:
    """How many files were written: one, or none for an item that became nothing."""
    ((index, line),) = lines.items()
    if line["status"] != "ok":
        return 0
    columns = read_columns(*task.spools[index])
    if columns is None:
        raise _SpoolGone(index)
    task.path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(task.path, columns["content"].tobytes(), durable=task.durable)
    return 1


def _write(task: ShardTask, lines: Mapping[int, Mapping[str, Any]]) -> int:
    from shapetool.data.shards import ShardBuilder, open_dataset, publish

    rows = [index for index in sorted(lines) if lines[index]["status"] == "ok"]
    builder = ShardBuilder(task.kind, task.settings, task.seed, len(rows), dict(task.attributes))
    earlier, places = None, {}
    if task.earlier is not None and any(index in task.kept for index in rows):
        earlier = open_dataset(task.earlier)
        places = {name: place for place, name in enumerate(earlier.shape_ids)}
    for row, index in enumerate(rows):
        if index in task.spools:
            columns = read_columns(*task.spools[index])
            if columns is None:
                raise _SpoolGone(index)
        elif earlier is not None and lines[index]["id"] in places:
            columns = earlier[places[lines[index]["id"]]]
        else:
            columns = None
        if columns is None:
            raise DataError(f"{task.path}: the record of {lines[index]['id']} is gone. Use --overwrite to begin anew.")
        builder.put(row, columns)
        columns = None
    publish(task.path, builder.image(), durable=task.durable)
    return len(rows)
