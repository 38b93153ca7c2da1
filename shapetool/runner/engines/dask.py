"""The loop of a run whose shards are done by Dask: hands out lots, reads what became of them, looks for signals.

Dask moves lots and nothing else: items are isolated where they are worked on, and the files beside the shards are the
state. So a worker that dies costs the shard that it was at, and a scheduler that dies costs a rerun of the command.
"""

import contextlib
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from shapetool.errors import DataError, Interrupted, ShapetoolError
from shapetool.runner.engines.cluster import LOT, Cluster, opened
from shapetool.runner.engines.lots import Lot, make_lot, run_lot, tell_to_end, tries_again
from shapetool.runner.items import STATE
from shapetool.runner.job import Job, Options
from shapetool.runner.joining import Joining
from shapetool.runner.manifest import Layout
from shapetool.runner.report import read_report
from shapetool.runner.schedule import ShardPlan
from shapetool.runner.signals import Stop

POLL_SECONDS = 0.2
LOOK_SECONDS = 2.0
GRACE_SECONDS = 10.0
LOT_SECONDS = 60.0  # about what a dead worker may cost at most
LOT_SHARDS = 256
DEATHS = 10  # of workers, one after the other and with no shard published between
STOP = "stop-"


class DaskSchedule:
    """One run over some shards of a layout, done by the workers of a cluster."""

    def __init__(
        self,
        job: Job,
        layout: Layout,
        plans: Sequence[ShardPlan],
        options: Options,
        cluster: Cluster,
        joining: Joining | None,
    ):
        self.job, self.layout, self.options, self.cluster = job, layout, options, cluster
        self.joining = joining
        self.workers = cluster.workers or 1
        self.plans = {plan.shard: plan for plan in plans}
        self.waiting = deque(plan.shard for plan in plans)
        self.decided: dict[int, str] = {}
        self._told: set[int] = set()
        self.too_many = False
        self._stop_file = layout.folder.absolute() / STATE / f"{STOP}{uuid.uuid4().hex}"
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._in_flight: dict[str, tuple[Any, Lot]] = {}  # by the key of the future
        self._counted = self._looked = 0.0
        self._shard_seconds: float | None = None
        self._deaths = self._failed = 0

    def run(self, stop: Stop, failure_limit: int | None, tick: Callable[[], None]) -> None:
        """None, once every shard of the plans is published, or the run was stopped.

        Raises:
            ConfigError: there is no such cluster.
            Interrupted: the scheduler is gone; a rerun goes on.
            OSError: the disk refused a file.
            ShapetoolError: workers cannot be kept alive, or records do not fit the shard format.
        """
        if not self.waiting:
            return
        with opened(self.cluster, self._notice) as (client, most):
            try:
                while (self.waiting or self._in_flight) and not stop.reason and not self.too_many:
                    self._hand_out(client, most)
                    self._collect(client)
                    self._look()
                    undecided = bool(self.waiting or self._in_flight)
                    self.too_many = undecided and failure_limit is not None and self._failed > failure_limit
                    tick()
            finally:
                self._let_running_end(stop)
        if self.cluster.is_here:  # nobody is left that would look for it
            self._forget_stop()

    def _notice(self, text: str) -> None:
        self.options.emit("notice", text=text)

    def _hand_out(self, client: Any, most: int) -> None:
        """Two lots for each worker that there is or may come: one to work at, one to go on with."""
        now = time.monotonic()
        if now >= self._counted:
            self._counted = now + LOOK_SECONDS
            with contextlib.suppress(OSError, TimeoutError):
                self.workers = max(1, most, len(client.nthreads()))
        while self.waiting and len(self._in_flight) < 2 * self.workers:
            lot = self._next_lot()
            key = f"{LOT}-{lot.plans[0].shard}-{uuid.uuid4().hex}"
            future = client.submit(run_lot, lot, key=key, pure=False)
            self._in_flight[key] = future, lot
            future.add_done_callback(self._ended.put)

    def _next_lot(self) -> Lot:
        """Many shards while many are left, one at a time in the end, and never more than a minute of work.

        What is left, divided by twice the workers, keeps all of them busy until the last shard; one alone takes all,
        for it has idle processes at the end of each lot.
        """
        size = min(LOT_SHARDS, -(-len(self.waiting) // (2 * self.workers if self.workers > 1 else 1)))
        if self._shard_seconds is None:
            size = min(size, max(1, 1024 // self.layout.per_shard))
        else:
            size = min(size, int(LOT_SECONDS / max(self._shard_seconds, 1e-3)))
        shards = [self.waiting.popleft() for _ in range(max(1, size))]
        return make_lot(self.job, self.layout, [self.plans[s] for s in shards], self.options, self._stop_file)

    def _collect(self, client: Any) -> None:
        """Takes in the lots that have ended, after waiting for one for a moment.

        Raises:
            Interrupted: the scheduler is gone.
        """
        try:
            ended = [self._ended.get(timeout=POLL_SECONDS)]
            while not self._ended.empty():
                ended.append(self._ended.get())
        except queue.Empty:
            ended = []
        if client.status not in ("running", "newly-created"):
            raise Interrupted("the Dask scheduler is gone; run the same command again to go on")
        for future in ended:
            self._take(future, self._in_flight.pop(future.key)[1])

    def _look(self) -> None:
        """Tells of shards that are there although their lot has not ended, so that nobody waits for news of it."""
        now = time.monotonic()
        if now < self._looked:
            return
        self._looked = now + LOOK_SECONDS
        for _, lot in self._in_flight.values():
            for plan in lot.plans:
                if plan.shard not in self._told and (tries_again(plan) or not self.layout.published(plan.shard)):
                    break  # a lot does one after the other
                self._tell(plan.shard)

    def _take(self, future: Any, lot: Lot) -> None:
        if future.status == "cancelled":
            raise Interrupted("the Dask scheduler is gone; run the same command again to go on")
        error = future.exception() if future.status == "error" else None
        if error is not None:
            self._suspect(lot, error)
            return
        result = future.result()
        if "io" in result:
            raise OSError(*result["io"])
        if "data" in result:
            raise DataError(result["data"])
        for shard in result["published"]:
            self._tell(shard)
        if result["published"]:
            self._deaths = 0
            seconds = result["seconds"] / len(result["published"])
            before = self._shard_seconds
            self._shard_seconds = seconds if before is None else 0.7 * before + 0.3 * seconds
        left = [plan.shard for plan in lot.plans if plan.shard not in result["published"]]
        self.waiting.extendleft(reversed(left))

    def _suspect(self, lot: Lot, error: BaseException) -> None:
        """A worker died, or what it ran failed: the shards are handed out again, one by one.

        Raises:
            ShapetoolError: it goes on like that.
        """
        self._deaths += 1
        if self._deaths > DEATHS:
            raise ShapetoolError(
                f"{self.layout.folder}: Dask workers keep failing ({type(error).__name__}: {error}). See their logs."
            ) from error
        self.waiting.extend(plan.shard for plan in lot.plans)
        self._shard_seconds = self._shard_seconds or LOT_SECONDS

    def _tell(self, shard: int) -> None:
        """Tells the listener, once, what became of a shard's items, from the file that the worker left beside it."""
        if shard in self._told:
            return
        self._told.add(shard)
        todo = set(self.plans[shard].todo)
        lines = read_report(self.layout.piece_path(shard))
        for index, line in zip(self.layout.span(shard), lines, strict=True):
            if index in todo:
                self.decided[index] = str(line["status"])
                self._failed += line["status"] != "ok"
                self.options.emit("item", **line)
        shapes = sum(line["status"] == "ok" for line in lines)
        self.options.emit("shard", shard=shard, path=str(self.layout.shard_path(shard)), shapes=shapes)
        if self.joining is not None:
            self.joining.published(shard)

    def _let_running_end(self, stop: Stop) -> None:
        """Tells the workers to end, and gives them a few seconds to leave what they finished."""
        if not self._in_flight:
            return
        tell_to_end(self._stop_file)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._in_flight and stop.count < 2 and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                future = self._ended.get(timeout=POLL_SECONDS)
                self._in_flight.pop(future.key, None)
                if future.status == "finished":
                    for shard in future.result().get("published", ()):
                        self._tell(shard)
        if self._in_flight:
            tell_to_end(self._stop_file, at_once=True)
        for future, _ in self._in_flight.values():
            future.cancel()
        if not self._in_flight:  # else a worker may still look for it
            self._forget_stop()

    def _forget_stop(self) -> None:
        with contextlib.suppress(OSError):
            self._stop_file.unlink()
