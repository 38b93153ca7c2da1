"""What a run would do, for `--dry-run`: nothing is written."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapetool.runner.estimate import Estimate, estimate
from shapetool.runner.items import STATE, Item
from shapetool.runner.job import Job, Options, shapes_per_shard
from shapetool.runner.manifest import compare, read_settings
from shapetool.runner.run import check_options, is_file, report_path
from shapetool.runner.single import finished_lines


@dataclass(frozen=True)
class Preview:
    """The size of a run: items (of them `refused` by their names or links), shards, bytes to write, bytes free.

    `estimate` is what the shards that are not done yet would take, where some of their items could be tried.
    """

    out: Path
    items: int
    refused: int
    input_bytes: int
    shards: int
    shards_done: int
    bytes: int
    free: int
    estimate: Estimate | None = None


def preview(job: Job, found: Sequence[Item], out: Path, options: Options) -> Preview:
    """What `run_job` with the same arguments would do.

    Raises:
        ConfigError: it would be refused.
    """
    check_options(out, options)
    folder = out.with_name(out.name + ".partial") if is_file(out) else out
    per_shard = shapes_per_shard(job)
    shards = range(-(-len(found) // per_shard))
    part, parts = options.shard or (0, 1)
    mine = shards[part::parts]
    done = 0
    if not options.overwrite:
        if (folder / STATE).is_dir():
            compare(folder, read_settings(folder), job)
            done = sum((folder / STATE / f"report-{shard:05d}.jsonl").exists() for shard in mine)
        elif is_file(out) and out.exists():
            finished_lines(out, report_path(out), job)
            done = len(mine)
    todo = [shard for shard in mine if options.overwrite or not (folder / STATE / f"report-{shard:05d}.jsonl").exists()]
    left = [item for shard in todo for item in found[shard * per_shard : (shard + 1) * per_shard]]
    refused = sum(item.problem is not None for item in found)
    shapes = sum(len(found[shard * per_shard : (shard + 1) * per_shard]) for shard in mine)
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return Preview(
        out=out,
        items=shapes,
        refused=refused,
        input_bytes=sum(item.size for item in found),
        shards=len(mine),
        shards_done=done,
        bytes=max(0, shapes - refused) * job.bytes_per_shape,
        free=shutil.disk_usage(existing).free,
        estimate=estimate(job, left, out, options) if done < len(mine) else None,
    )
