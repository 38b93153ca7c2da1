"""What the runner and a command agree on: the job, its records, the options of a run and its summary."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from shapetool.runner.engines.cluster import Cluster
from shapetool.runner.items import Item

STATUSES = ("ok", "skipped", "invalid", "failed", "timeout", "crashed", "oom")
RETRIES = {
    "failed": frozenset({"failed", "crashed", "oom"}),
    "timeout": frozenset({"timeout"}),
    "all": frozenset({"skipped", "invalid", "failed", "timeout", "crashed", "oom"}),
}
SHARD_BYTES = 64 << 20
Event = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What a job made of one item: `columns` go into the shard, `facts` into the report line."""

    columns: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


class OutputError(Exception):
    """What a job raises from an OSError of a file that it writes itself: it says nothing of the item, and ends the run
    as a failure of the run's own files does.
    """


@runtime_checkable
class Job(Protocol):
    """Work on one item. It is pickled to the workers, so it holds settings only; `settings` must decide every byte."""

    @property
    def kind(self) -> str:
        """The kind of shard, as in the shard format."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the seed that decides the bytes, as JSON."""

    @property
    def seed(self) -> int:
        """The seed of the run."""

    @property
    def bytes_per_shape(self) -> int:
        """About what one record takes in a shard."""

    @property
    def preload(self) -> tuple[str, ...]:
        """Modules that the workers import once, before they are forked."""

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one item. A ShapetoolError makes the item `invalid`, any other exception `failed`,
        and so does a file that may not be read, as the cause of either. An `OutputError` ends the run.
        """


@runtime_checkable
class FileJob(Job, Protocol):
    """A job whose records are files: instead of a row in a shard, each is `OUT/<id>.<suffix>`, its column `content`."""

    @property
    def suffix(self) -> str:
        """The suffix of the files, without its dot."""


@dataclass(frozen=True)
class Options:
    """How a run is done. None of these changes a byte of the shards.

    With a `cluster` its Dask workers do the shards, each with `workers` processes; without one, this machine does.
    """

    workers: int | None = None
    shard: tuple[int, int] | None = None
    overwrite: bool = False
    item_timeout: float | None = 600.0
    item_memory: int | None = None
    max_failures: str | None = None
    retry: str | None = None
    cluster: Cluster | None = None
    on_event: Callable[[Event], None] | None = None

    @property
    def runs_here(self) -> bool:
        """Whether this process starts the workers itself."""
        return self.cluster is None or self.cluster.is_here

    def emit(self, event: str, **values: Any) -> None:
        """Nothing; tells the listener, if there is one."""
        if self.on_event is not None:
            self.on_event({"event": event, **values})


@dataclass(frozen=True)
class Summary:
    """How a run ended. `counts` covers every item of the manifest that has been decided, in this run or before."""

    out: Path
    report: Path
    total: int
    counts: Mapping[str, int]
    done_now: int
    shards: int
    stopped: str | None = None
    seconds: float = 0.0

    @property
    def failures(self) -> int:
        """How many decided items are not ok."""
        return sum(count for status, count in self.counts.items() if status not in ("ok", "skipped"))

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some items failed, 75 stopped by a signal, 130 stopped by Ctrl-C; both can be resumed."""
        if self.stopped == "SIGINT":
            return 130
        if self.stopped in ("SIGTERM", "SIGUSR1"):
            return 75
        return 3 if self.failures or self.stopped else 0


def shapes_per_shard(job: Job) -> int:
    """How many items share a shard: as many as fill about 64 MiB, and one where each is a file of its own.

    Nothing of the machine or the run decides it.
    """
    return 1 if isinstance(job, FileJob) else max(1, SHARD_BYTES // max(1, job.bytes_per_shape))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared_out(options: Options, items: int) -> tuple[int, int]:
    """How many workers a run has for so many items, and how many threads each of them."""
    available = options.workers or cores()
    workers = max(1, min(available, items))
    return workers, max(1, available // workers)
