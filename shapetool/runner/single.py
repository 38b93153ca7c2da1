"""OUT as one `.h5` file: what it says of the run that made it, and its dataset folder again for a retry."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole
from shapetool.errors import ConfigError, DataError
from shapetool.runner.files import to_json_line
from shapetool.runner.items import STATE, Item
from shapetool.runner.job import Job, shapes_per_shard
from shapetool.runner.manifest import Layout, compare, describe, manifest_text
from shapetool.runner.report import read_report
from shapetool.runner.spool import boot_name


def finished_lines(out: Path, report: Path, job: Job) -> list[dict[str, Any]]:
    """The report lines of a file that is complete and was made as `job` would.

    Raises:
        ConfigError: `out` is something else, has no report, or was made with other settings.
    """
    compare(out, _settings(out, job), job)
    if not report.exists():
        raise ConfigError(f"{out}: exists, but its report {report.name} does not. Use --overwrite to replace it.")
    return read_report(report)


def made_like(out: Path, job: Job) -> bool:
    """Whether `out` is a data set with the settings of `job`."""
    try:
        compare(out, _settings(out, job), job)
    except ConfigError:
        return False
    return True


def _settings(out: Path, job: Job) -> dict[str, Any]:
    from shapetool.data.shardfile import describe_shard

    try:
        found = describe_shard(out).attributes
    except DataError as error:
        reason = f"{out}: exists and is no data set of shapetool: {error} Use --overwrite to replace it."
        raise ConfigError(reason) from error
    made = {name: found[name] for name in ("kind", "seed", "shapetool_version")}
    return made | {"recipe": json.loads(found["recipe"]), "shapes_per_shard": shapes_per_shard(job)}


def report_item(line: Mapping[str, Any]) -> Item:
    """The manifest's item for a line of the report."""
    item = Item(line["id"], line["source"], Path(), Path(), line["size"], line["sha256"])
    return (
        item
        if line["sha256"] or line["status"] == "ok"
        else replace(item, problem=line["error"], status=line["status"])
    )


def reopen(folder: Path, lines: Sequence[dict[str, Any]], job: Job) -> None:
    """None, once the dataset folder of a finished file exists again, without shards, so that a retry can add to it."""
    making = folder.with_name(f".{folder.name}.bin")
    shutil.rmtree(making, ignore_errors=True)
    (making / STATE / "spool").mkdir(parents=True)
    per_shard = shapes_per_shard(job)
    write_whole(making / STATE / "settings.json", to_json_line(describe(job)))
    write_whole(making / "manifest.jsonl", manifest_text([report_item(line) for line in lines]))
    for shard in range(-(-len(lines) // per_shard)):
        text = b"".join(to_json_line(line) for line in lines[shard * per_shard : (shard + 1) * per_shard])
        write_whole(making / STATE / f"report-{shard:05d}.jsonl", text)
    os.replace(making, folder)


def drop_torn(layout: Layout) -> None:
    """None, once the shards that an earlier start of the machine left in the folder of a file to be are whole or gone.

    They are written without waiting for the disk, for until the machine stops, what is written is read. After a power
    failure each is compared with its checksums.

    Raises:
        OSError: the folder cannot be written.
    """
    from shapetool.data.verify import is_whole

    mark, here = layout.folder / STATE / "boot", boot_name().encode()
    if mark.exists() and mark.read_bytes() == here:
        return
    for shard in range(layout.shard_count):
        path, piece = layout.shard_path(shard), layout.piece_path(shard)
        # Where a finished file was opened again for a retry, there are lines without a shard.
        if not (_lines_are_whole(layout, shard, piece) and (is_whole(path) or not path.exists())):
            path.unlink(missing_ok=True)
            piece.unlink(missing_ok=True)
    write_whole(mark, here)


def _lines_are_whole(layout: Layout, shard: int, piece: Path) -> bool:
    try:
        lines = read_report(piece)
    except (DataError, FileNotFoundError):
        return False
    return [line["id"] for line in lines] == [layout.items[index].id for index in layout.span(shard)]
