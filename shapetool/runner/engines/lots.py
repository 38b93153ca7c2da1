"""A lot: some shards of a run as one task for a worker that may be anywhere, as long as it sees the same files."""

import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from shapetool import __version__
from shapetool.errors import DataError, ShapetoolError
from shapetool.runner.items import STATE, Item
from shapetool.runner.job import Job, Options, shared_out
from shapetool.runner.manifest import Layout
from shapetool.runner.schedule import Schedule, ShardPlan
from shapetool.runner.shard import refusal
from shapetool.runner.signals import Stop
from shapetool.runner.warm import warm_up

LOOK_SECONDS = 1.0
_one_at_a_time = threading.Lock()  # a worker with several threads would start as many pools


class Portion(Sequence[Item]):
    """Some rows of a manifest under their own numbers; it is as long as the whole, and knows only these."""

    def __init__(self, items: Sequence[Item], rows: Sequence[int]) -> None:
        self._length = len(items)
        self._items = {row: items[row] for row in rows}

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, row: int) -> Item: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Item]: ...
    def __getitem__(self, row: int | slice) -> Item | Sequence[Item]:
        if isinstance(row, slice):
            return [self._items[one] for one in range(self._length)[row]]
        return self._items[row]


@dataclass(frozen=True)
class Lot:
    """Shards that one worker does, one after the other, and all that it needs to know.

    `stop` is a file: once it exists, the run wants to end.
    """

    job: Job
    layout: Layout
    plans: tuple[ShardPlan, ...]
    options: Options
    stop: Path
    version: str = __version__


def make_lot(job: Job, layout: Layout, plans: Sequence[ShardPlan], options: Options, stop: Path) -> Lot:
    """A lot of these shards, with no more of the manifest than they hold and nothing that cannot travel."""
    rows = [row for plan in plans for row in layout.span(plan.shard)]
    portion = replace(layout, folder=layout.folder.absolute(), items=Portion(layout.items, rows))
    plain = replace(options, on_event=None, shard=None, cluster=None)
    return Lot(job, portion, tuple(plans), plain, stop)


class _StopFile(Stop):
    """A stop that comes as a file: the worker's thread gets no signals, and a file asks no scheduler.

    Once something stands in it, it counts as a second signal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0
        self._found: str | None = None
        super().__init__()

    @property  # type: ignore[override]
    def reason(self) -> str | None:
        """ "stop" once the file is there; it is looked for about once a second."""
        now = time.monotonic()
        if self._found is None and now >= self._next:
            self._next = now + LOOK_SECONDS
            self._found = "stop" if self._path.exists() else None
        return self._found

    @reason.setter
    def reason(self, value: str | None) -> None:
        self._found = value

    @property  # type: ignore[override]
    def count(self) -> int:
        """2 once nothing is waited for any more, else 1 or 0."""
        if self._found is None:
            return 0
        try:
            return 1 + (self._path.stat().st_size > 0)
        except OSError:
            return 1

    @count.setter
    def count(self, value: int) -> None:
        pass  # the file says it


def tell_to_end(path: Path, at_once: bool = False) -> None:
    """Nothing, after the lots that look at this file were asked to end; `at_once` gives what runs no more time."""
    with contextlib.suppress(OSError):
        if at_once:
            path.write_bytes(b"now")
        else:
            path.touch()


def run_lot(lot: Lot) -> dict[str, Any]:
    """`{"published": shards, "seconds": t}`: all shards of the lot, or fewer if the run was to stop.

    `{"io": ...}` if the disk refuses, `{"data": text}` for other reasons to end the run. What became of each item is in
    the files beside the shards, where whoever handed out the lot reads it.
    """
    started = time.monotonic()
    if lot.version != __version__:
        return {"data": f"{_here()} has shapetool {__version__}, this run is of {lot.version}. Install the same."}
    if not (lot.layout.folder / STATE / "settings.json").exists():
        return {"data": f"{lot.layout.folder}: not seen by {_here()}. OUT and the inputs have to be on shared storage."}
    published: list[int] = []
    try:
        with _one_at_a_time:
            _run(lot, published)
    except (DataError, OSError) as error:
        return refusal(error)
    except ShapetoolError as error:
        return {"data": str(error)}
    return {"published": published, "seconds": time.monotonic() - started}


def _here() -> str:
    return f"the Dask worker on {socket.gethostname()}"


def _run(lot: Lot, published: list[int]) -> None:
    current = multiprocessing.current_process()
    current._config["daemon"] = False  # type: ignore[attr-defined]  # Dask's workers are, and daemons get no children
    done = [plan.shard for plan in lot.plans if not tries_again(plan) and lot.layout.published(plan.shard)]
    published += done  # by a worker that died over a later shard of the lot
    plans = [plan for plan in lot.plans if plan.shard not in done]
    if not plans:
        return
    warm_up(lot.job.preload)
    workers, threads = shared_out(lot.options, sum(len(plan.todo) for plan in plans))

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "shard":
            published.append(event["shard"])

    options = replace(lot.options, on_event=listen)
    schedule = Schedule(lot.job, lot.layout, plans, options, workers, threads, None)
    schedule.run(_StopFile(lot.stop), None, lambda: None)


def tries_again(plan: ShardPlan) -> bool:
    """Whether the shard is there already, and some of its items are tried once more."""
    return bool(plan.kept) or plan.earlier is not None
