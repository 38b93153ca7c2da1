"""OUT as one `.h5` file: made from a dataset folder beside it, and opened again for a retry."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapetool.errors import ConfigError, DataError
from shapetool.runner.files import sync_folder, to_json_line, write_whole
from shapetool.runner.items import Item
from shapetool.runner.job import Job, shapes_per_shard
from shapetool.runner.manifest import STATE, Layout, compare, describe, manifest_text
from shapetool.runner.report import read_report


def join(layout: Layout, out: Path) -> None:
    """None, once the shards are one file named `out`; a single shard is that file already and is moved."""
    if layout.shard_count == 1:
        os.replace(layout.shard_path(0), out)
        sync_folder(out.parent)
        return
    from shapetool.data.merge import merge

    merge(layout.folder, out)


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
    return made | {"recipe": json.loads(found["recipe"]), "shapes_per_shard": shapes_per_shard(job.bytes_per_shape)}


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
    per_shard = shapes_per_shard(job.bytes_per_shape)
    write_whole(making / STATE / "settings.json", to_json_line(describe(job)))
    write_whole(making / "manifest.jsonl", manifest_text([report_item(line) for line in lines]))
    for shard in range(-(-len(lines) // per_shard)):
        text = b"".join(to_json_line(line) for line in lines[shard * per_shard : (shard + 1) * per_shard])
        write_whole(making / STATE / f"report-{shard:05d}.jsonl", text)
    os.replace(making, folder)
