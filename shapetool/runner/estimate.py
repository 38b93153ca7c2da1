"""How long a run would take and what it would meet first, from a few of its items done for trial: nothing is kept."""

import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapetool.runner.items import Item
from shapetool.runner.job import FileJob, Job, Options, cores, shapes_per_shard
from shapetool.runner.manifest import file_digest

PROBES = 5
PROBE_SECONDS = 60.0
# Measured by benchmarks/runner.py on one machine; the page docs/on-a-cluster.md says how.
DRIVER_BYTES = 3000  # that the process which hands out the work holds for an item
ITEM_SECONDS = 0.0005  # of that process for an item, whatever the number of workers
MESSAGES = 10  # through a scheduler of Dask for a lot of shards
LOT_SECONDS = 60.0  # of work in a lot, where there is that much


@dataclass(frozen=True)
class Estimate:
    """What a run would take. Seconds and bytes are those of the whole run that was asked for.

    `breaks_first` names what is nearest to its limit, or beyond it, and `share` how much of the limit is needed.
    """

    probes: int
    probes_failed: int
    seconds_per_item: float
    freeze_seconds: float
    seconds: float
    core_hours: float
    nodes_for_a_day: int
    bytes: int
    files: int
    driver_bytes: int
    scheduler_messages: int
    breaks_first: str
    share: float


def estimate(job: Job, items: Sequence[Item], out: Path, options: Options) -> Estimate | None:
    """What the run of `job` over `items` would take; None if no item can be tried.

    `PROBES` items are done in a worker, as in a run: the middle ones of as many groups by size, so that the mean of
    their times stands for the whole. One that takes longer than a minute counts with that.
    """
    good = sorted((item for item in items if item.problem is None), key=lambda item: (item.size, item.id))
    if not good or not getattr(job, "pure", True):
        return None
    chosen = [good[(2 * k + 1) * len(good) // (2 * PROBES)] for k in range(min(PROBES, len(good)))]
    freeze = _seconds_to_read(chosen, good)
    lines, size = _tried(job, chosen, options)
    ok = [line for line in lines if line["status"] == "ok"]
    each = statistics.fmean(line["seconds"] for line in lines)
    workers = max(1, min(options.workers or cores(), len(good)))
    if options.cluster is not None:
        workers *= options.cluster.workers or 1
    seconds = freeze + len(good) * max(each / workers, ITEM_SECONDS)
    total_bytes = round(len(good) * (size if ok else job.bytes_per_shape) * (len(ok) / len(lines) if ok else 1))
    files = 2 * len(items) if isinstance(job, FileJob) else 2 * math.ceil(len(items) / shapes_per_shard(job))
    lots = math.ceil(len(good) * each / workers / LOT_SECONDS) * workers
    driver = len(items) * DRIVER_BYTES
    needs = _needs(out, total_bytes, files, driver, len(good), each / workers)
    first = max(needs, key=lambda name: needs[name])
    return Estimate(
        probes=len(lines),
        probes_failed=len(lines) - len(ok),
        seconds_per_item=each,
        freeze_seconds=freeze,
        seconds=seconds,
        core_hours=len(good) * each / 3600,
        nodes_for_a_day=max(1, math.ceil(len(good) * each / (cores() * 86400))),
        bytes=total_bytes,
        files=files + 3,
        driver_bytes=driver,
        scheduler_messages=MESSAGES * lots,
        breaks_first=first,
        share=needs[first],
    )


def _seconds_to_read(chosen: Sequence[Item], every: Sequence[Item]) -> float:
    """What it takes to read each input once, for its checksum, when the run begins."""
    started = time.perf_counter()
    for item in chosen:
        try:
            file_digest(item.path)
        except OSError:
            continue
    each = (time.perf_counter() - started) / len(chosen)
    return each * len(every)


def _tried(job: Job, chosen: Sequence[Item], options: Options) -> tuple[list[dict[str, Any]], float]:
    """The report lines of items done one at a time, and the bytes of a record in the mean."""
    from pebble import ProcessExpired

    from shapetool.runner.isolate import ItemTask, report_line, run_item
    from shapetool.runner.pool import Pool
    from shapetool.runner.spool import Ticket
    from shapetool.runner.warm import warm_up

    warm_up(job.preload)
    lines, sizes = [], []
    limit = min(options.item_timeout or PROBE_SECONDS, PROBE_SECONDS)
    with tempfile.TemporaryDirectory(prefix="shapetool-") as place:
        pool = Pool(1, options.item_memory)
        try:
            for index, item in enumerate([chosen[0], *chosen]):  # the first pays for what is loaded on first use
                spool = Path(place) / str(index)
                task = ItemTask(item, index, 1, spool, Ticket("", "", item.id, item.sha256))
                try:
                    line = pool.submit(run_item, job, task, timeout=limit).result()
                except TimeoutError:
                    line = report_line(item, "timeout", f"took longer than {limit:g} s", limit, 1)
                except ProcessExpired as error:
                    line = report_line(item, "crashed", str(error), 0.0, 1)
                if "io" in line:
                    raise OSError(*line["io"])
                if index:
                    lines.append(line)
                    if line["status"] == "ok":
                        sizes.append(spool.stat().st_size)
        finally:
            pool.stop()
    return lines, statistics.fmean(sizes) if sizes else 0.0


def _needs(out: Path, size: int, files: int, driver: int, items: int, pace: float) -> dict[str, float]:
    """How much of each limit the run needs, by the words for what would break."""
    place = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needs = {
        "room on the disk": size / max(1, shutil.disk_usage(place).free),
        "memory of the process that hands out the work": driver / memory,
        "the process that hands out the work, which cannot keep the workers busy": ITEM_SECONDS / max(pace, 1e-9),
    }
    free = os.statvfs(place).f_favail
    if free:
        needs["files that the disk may hold"] = files / free
    return needs
