"""From items to a finished data set: a folder of shards, or one file made from such a folder."""

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from shapetool.data.atomic import remove_leftovers
from shapetool.data.lock import SoleWriter, refuse_if_held
from shapetool.errors import ConfigError, DataError
from shapetool.runner.files import long_work, many_objects, writable
from shapetool.runner.items import STATE, Item
from shapetool.runner.job import RETRIES, Job, Options, Summary, shared_out
from shapetool.runner.joining import Joining
from shapetool.runner.manifest import Layout, begin_folder, files_made, open_layout
from shapetool.runner.report import combine, read_report
from shapetool.runner.schedule import Schedule, ShardPlan
from shapetool.runner.signals import Stop, listening
from shapetool.runner.single import drop_torn, finished_lines, made_like, reopen, report_item
from shapetool.runner.warm import warm_up

REPORT_SECONDS = 30.0
LOCK = "lock-"


@many_objects()
def run_job(job: Job, found: Sequence[Item], out: Path, options: Options) -> Summary:
    """How the run ended, after `out` holds what `job` made of the items: a `.h5` file, or a folder of shards.

    A rerun does what is missing. The bytes depend on the items, the settings of the job and its seed; not on workers,
    order, parts or interruptions.

    Raises:
        ConfigError: `out` was made with other settings, is something else or may not be written, or the options
            contradict each other.
        DataError: state of an earlier run is damaged.
        OSError: the disk is full or fails.
    """
    started = time.monotonic()
    check_options(out, options)
    with writable(out):
        run = _run_file if is_file(out) else _run_folder
        summary = run(job, found, out, options)
    summary = replace(summary, seconds=time.monotonic() - started)
    options.emit("end", out=str(out), report=str(summary.report), total=summary.total, counts=dict(summary.counts))
    return summary


def is_file(out: Path) -> bool:
    """Whether `out` names one file rather than a dataset folder."""
    return out.suffix == ".h5"


def report_path(out: Path) -> Path:
    """Where the report of `out` is."""
    return out.with_name(out.name + ".report.jsonl") if is_file(out) else out / "report.jsonl"


def lock_path(folder: Path, shard: tuple[int, int] | None) -> Path:
    """The lock of those who do this part of a dataset folder; different parts, or another division, may run beside."""
    part, parts = shard or (0, 1)
    return folder / STATE / f"{LOCK}{part}-of-{parts}"


def failure_limit(text: str | None, total: int) -> int | None:
    """How many failed items `--max-failures` allows: a number, or a percentage of `total`.

    Raises:
        ConfigError: `text` is neither.
    """
    if text is None:
        return None
    words = text.strip()
    number = words.removesuffix("%")
    if not number.isdigit() or (words != number and int(number) > 100):
        raise ConfigError(f"--max-failures {text}: expected a number of items such as 10, or a share such as 5%.")
    return total * int(number) // 100 if words != number else int(number)


def check_options(out: Path, options: Options) -> None:
    """None if the options fit together and suit `out`.

    Raises:
        ConfigError: they do not.
    """
    if options.retry is not None and options.retry not in RETRIES:
        raise ConfigError(f"--retry {options.retry}: expected failed, timeout or all.")
    failure_limit(options.max_failures, 1)
    if options.shard is not None:
        part, parts = options.shard
        where = f"--shard {part}/{parts}"
        if not 0 <= part < parts:
            raise ConfigError(f"{where}: expected i/n with i from 0 to n-1.")
        if is_file(out):
            raise ConfigError(f"{where}: expected a folder as OUT, came {out}. Merge it when all parts are done.")
        if options.overwrite:
            raise ConfigError(f"{where}: with --overwrite each part would delete the others' work. Remove OUT first.")


def _run_folder(job: Job, found: Sequence[Item], out: Path, options: Options) -> Summary:
    if options.overwrite and out.is_dir():
        remove_dataset(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: exists and is no folder. OUT ends in .h5 for one file, or is a dataset folder.")
    begin_folder(out, job)
    with SoleWriter(lock_path(out, options.shard), out) as writer:
        if lock_path(out, options.shard).exists() or not (out / "manifest.jsonl").exists():
            writer.take()  # a lock that a killed run left behind goes, even where nothing else is left to do
        layout = open_layout(out, found, job)
        _compare_inputs(layout.items, found, options)
        return _fill(job, layout, options, report_path(out), writer)


def _run_file(job: Job, found: Sequence[Item], out: Path, options: Options) -> Summary:
    folder, report = out.with_name(out.name + ".partial"), report_path(out)
    _empty_bin(folder)
    if options.overwrite and folder.exists():
        remove_dataset(folder)
    if out.exists() and not options.overwrite and not folder.exists():
        lines = finished_lines(out, report, job)
        _compare_inputs([report_item(line) for line in lines], found, options)
        if not any(line["status"] in RETRIES.get(options.retry or "", ()) for line in lines):
            options.emit("start", total=len(lines), done=len(lines), shards=0, workers=0)
            return Summary(out, report, len(lines), Counter(str(line["status"]) for line in lines), 0, 0)
        reopen(folder, lines, job)
    earlier = out if not options.overwrite and out.exists() and made_like(out, job) else None
    begin_folder(folder, job)
    with SoleWriter(lock_path(folder, None), out) as writer:
        writer.take()
        layout = replace(open_layout(folder, found, job), stands_alone=True)
        drop_torn(layout)
        _compare_inputs(layout.items, found, options)
        with Joining(layout, out, job.kind) as joining:
            summary = _fill(job, layout, options, folder / "report.jsonl", writer, earlier, joining)
            if summary.stopped is None:
                joining.finish()
        if summary.stopped is not None:
            return replace(summary, out=out)
        os.replace(folder / "report.jsonl", report)
        os.replace(folder, _bin(folder))
        _empty_bin(folder)
        return replace(summary, out=out, report=report)


def _fill(
    job: Job,
    layout: Layout,
    options: Options,
    report: Path,
    writer: SoleWriter,
    earlier: Path | None = None,
    joining: Joining | None = None,
) -> Summary:
    """Publishes the missing shards of `layout` that belong to this part, and joins them if they are to be one file."""
    part, parts = options.shard or (0, 1)
    shards = range(part, layout.shard_count, parts)
    _sweep(layout)
    plans: list[ShardPlan] = []
    counts: Counter[str] = Counter()
    for shard in shards:
        plan, standing = _plan(layout, shard, options, earlier)
        counts.update(str(line["status"]) for line in standing.values())
        if plan is not None:
            plans.append(plan)
        elif joining is not None:
            joining.published(shard)
    total, todo = sum(len(layout.span(shard)) for shard in shards), sum(len(plan.todo) for plan in plans)
    if plans or joining is not None:
        writer.take()
        if options.runs_here:
            warm_up(job.preload)
    engines = _engines(job, layout, plans, options, joining)
    options.emit("start", total=total, done=total - todo, shards=len(plans), workers=engines[0].workers)
    limit, tick = failure_limit(options.max_failures, total), _ticking(layout, report, options)
    try:
        with listening() as stop:
            for engine in engines if plans or joining is not None else ():
                with long_work():
                    engine.run(stop, limit, tick)
    finally:
        if plans or not report.exists():
            combine(layout, report)
    decided = Counter(status for engine in engines for status in engine.decided.values())
    counts.update(decided)
    stopped = stop.reason or ("max-failures" if any(engine.too_many for engine in engines) else None)
    if all(layout.published(shard) for shard in shards) and (joining is None or joining.has_ended):
        stopped = None
    if stopped is None:
        _drop_spools(layout, shards)
        _sweep(layout)
    return Summary(layout.folder, report, total, counts, decided.total(), len(plans), stopped)


@runtime_checkable
class _Engine(Protocol):
    """What does the shards of a run, or a part of that work."""

    decided: dict[int, str]
    too_many: bool
    workers: int

    def run(self, stop: Stop, failure_limit: int | None, tick: Callable[[], None]) -> None:
        """None, once everything is done or the run was stopped."""


def _engines(
    job: Job, layout: Layout, plans: Sequence[ShardPlan], options: Options, joining: Joining | None
) -> list[_Engine]:
    """What is to run, one after the other: this machine's workers, or a cluster and then whoever joins its shards."""
    workers, threads = shared_out(options, sum(len(plan.todo) for plan in plans))
    if options.cluster is None:
        return [Schedule(job, layout, plans, options, workers, threads, joining)]
    from shapetool.runner.engines.dask import DaskSchedule

    shards: list[_Engine] = [DaskSchedule(job, layout, plans, options, options.cluster, joining)]
    return [*shards, Schedule(job, layout, [], options, 1, 1, joining)] if joining is not None else shards


def _sweep(layout: Layout) -> None:
    """Removes half-written files of runs that were killed."""
    own = {layout.shard_path(shard).parent for shard in range(layout.shard_count)} if layout.suffix else set()
    for folder in (layout.folder / STATE, layout.folder / STATE / "spool", *sorted({layout.folder, *own})):
        remove_leftovers(folder)


def _drop_spools(layout: Layout, shards: range) -> None:
    """Removes what two runs of one folder, at once, left of shards that are published."""
    for path in (layout.folder / STATE / "spool").glob("[0-9]*"):
        if path.name.isdigit() and int(path.name) // layout.per_shard in shards:
            path.unlink(missing_ok=True)


def _plan(
    layout: Layout, shard: int, options: Options, earlier: Path | None
) -> tuple[ShardPlan | None, Mapping[int, Mapping[str, object]]]:
    """What is left to do for a shard: rows without a line, and those that `--retry` names; and the lines that stand."""
    piece, path = layout.piece_path(shard), layout.shard_path(shard)
    if not piece.exists():
        return ShardPlan(shard, list(layout.span(shard))), {}
    source = path if path.exists() else earlier
    lines = read_report(piece)
    if [line["id"] for line in lines] != [layout.items[index].id for index in layout.span(shard)]:
        raise DataError(f"{piece}: does not match the manifest. Use --overwrite to begin anew.")
    again = RETRIES.get(options.retry or "", frozenset())
    kept = {
        index: line
        for index, line in zip(layout.span(shard), lines, strict=True)
        if line["status"] not in again and (source is not None or line["status"] != "ok")
    }
    todo = [index for index in layout.span(shard) if index not in kept]
    if not todo and layout.published(shard):
        return None, kept
    return ShardPlan(shard, todo, dict(kept), source), kept


def _ticking(layout: Layout, report: Path, options: Options) -> Callable[[], None]:
    due = time.monotonic() + REPORT_SECONDS

    def tick() -> None:
        nonlocal due
        options.emit("tick")
        now = time.monotonic()
        if now > due:
            combine(layout, report)
            due = time.monotonic() + max(REPORT_SECONDS, 50 * (time.monotonic() - now))  # of millions it takes a while

    return tick


def _compare_inputs(frozen: Sequence[Item], found: Sequence[Item], options: Options) -> None:
    """Tells the listener how the inputs of this run differ from the frozen list."""
    sizes = {item.source: item.size for item in found}
    known = {item.source for item in frozen}
    new, gone = len(sizes.keys() - known), len(known - sizes.keys())
    changed = sum(item.problem is None and sizes.get(item.source, item.size) != item.size for item in frozen)
    if new:
        text = f"{new} inputs are not in the manifest, which was frozen at the first run, and are left out"
        options.emit("notice", text=f"{text}; --overwrite begins anew.")
    if gone:
        options.emit("notice", text=f"{gone} items of the manifest are not among the inputs any more.")
    if changed:
        options.emit("notice", text=f"{changed} inputs changed since the manifest was frozen; --overwrite begins anew.")


def remove_dataset(folder: Path) -> None:
    """None, once a data set's folder is gone.

    Raises:
        ConfigError: the folder holds files that are no part of a data set, or another process writes there.
    """
    for lock in (folder / STATE).glob(f"{LOCK}*"):
        refuse_if_held(lock, folder)
    strange = _strange(folder)
    if strange:
        raise ConfigError(
            f"{folder}: holds {strange[0]!r}, which is no part of a data set, so --overwrite leaves the folder alone. "
            "Choose another OUT."
        )
    os.replace(folder, _bin(folder))
    _empty_bin(folder)


def _strange(folder: Path) -> list[str]:
    """What lies in the folder of a data set and is no part of it."""
    ours = ("manifest.jsonl", "report.jsonl", STATE)
    starts = ("shard-", ".shard-", ".report", ".manifest")
    files = files_made(folder)
    if files is None:
        return [
            entry.name for entry in folder.iterdir() if entry.name not in ours and not entry.name.startswith(starts)
        ]
    found = (path for path in folder.rglob("*") if not path.is_dir() and path.relative_to(folder).parts[0] not in ours)
    half_written = re.compile(r"\..*\.tmp")
    return [
        str(path.relative_to(folder)) for path in found if path not in files and not half_written.fullmatch(path.name)
    ]


def _bin(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.bin")


def _empty_bin(folder: Path) -> None:
    """A folder that is to go is renamed first, so that no half of it is ever met under its own name."""
    with ThreadPoolExecutor(4) as threads:  # giving the pages of large files back takes the system a while
        list(threads.map(lambda path: path.unlink(missing_ok=True), _bin(folder).glob("*.h5")))
    shutil.rmtree(_bin(folder), ignore_errors=True)
