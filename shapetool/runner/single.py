"""OUT as one `.h5` file: made from a dataset folder beside it, and opened again for a retry."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapetool.data.atomic import sync_folder, write_whole
from shapetool.errors import ConfigError, DataError
from shapetool.runner.files import to_json_line
from shapetool.runner.items import Item
from shapetool.runner.job import Job, shapes_per_shard
from shapetool.runner.manifest import STATE, Layout, compare, describe, manifest_text
from shapetool.runner.report import read_report


class Joining:
    """One file that shards go into as they are published, in a thread of its own, while workers make the next ones.

    A single shard is that file already and is moved.
    """

    def __init__(self, layout: Layout, out: Path, kind: str) -> None:
        self._layout, self._out, self._kind = layout, out, kind
        self._published: set[int] = set()
        self._taken: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1)
        self._joiner: Any = None

    def __enter__(self) -> "Joining":
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._joiner is not None:
            self._joiner.discard()

    def published(self, shard: int) -> None:
        """None; the shard is taken into the file after all those before it.

        Raises:
            OSError: the disk refused one of the shards before.
            DataError: one of them is damaged.
        """
        self._published.add(shard)
        while self._layout.shard_count > 1 and len(self._taken) in self._published:
            self._taken.append(self._thread.submit(self._take, len(self._taken)))
        for future in self._taken:
            if future.done():
                future.result()

    def finish(self) -> None:
        """None, once the file is whole and under its name; every shard was published before.

        Raises:
            OSError: the disk refuses.
            DataError: a shard is damaged.
        """
        if self._layout.shard_count == 1:
            os.replace(self._layout.shard_path(0), self._out)
            sync_folder(self._out.parent)
            return
        for future in self._taken:
            future.result()
        self._joiner.publish()

    def _take(self, shard: int) -> None:
        from shapetool.data.merge import Joiner

        if self._joiner is None:
            self._joiner = Joiner(self._out, self._kind)
        self._joiner.add(self._layout.shard_path(shard))
        self._joiner.sync()


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
