"""The loop of a run: hands items to workers, decides what became of each, publishes a shard after its last item."""

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.errors import DataError, ShapetoolError
from shapetool.runner.isolate import ItemTask, report_line, run_item
from shapetool.runner.job import Job, Options
from shapetool.runner.joining import Joining, join_shard
from shapetool.runner.manifest import Layout
from shapetool.runner.shard import ShardTask, publish_shard, shard_attributes
from shapetool.runner.signals import Stop
from shapetool.runner.spool import Ticket, boot_name, read_line, write_spool

if TYPE_CHECKING:
    from shapetool.runner.pool import Pool

POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0
BROKEN_POOLS = 3
PUBLISH_ATTEMPTS = 3


@dataclass
class ShardPlan:
    """What is left of one shard: rows still to decide, and lines of an earlier run that stand."""

    shard: int
    todo: list[int]
    kept: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    earlier: Path | None = None


@dataclass(frozen=True)
class _Unit:
    """One task in flight: an item, a shard to publish, or a step of joining shards to one file."""

    shard: int
    index: int | None
    attempt: int = 1
    joins: bool = False


class Schedule:
    """One run over some shards of a layout."""

    def __init__(
        self,
        job: Job,
        layout: Layout,
        plans: Sequence[ShardPlan],
        options: Options,
        workers: int,
        threads: int,
        joining: Joining | None,
    ):
        self.joining = joining
        self.job, self.layout, self.options = job, layout, options
        self.workers, self.threads = workers, threads
        self.plans = {plan.shard: plan for plan in plans}
        self.decided: dict[int, str] = {}
        self.open = {plan.shard: set(plan.todo) for plan in plans}
        self.undecided = sum(len(plan.todo) for plan in plans)
        self.failed = 0
        self.boot = boot_name()
        self.queue: deque[_Unit] = deque()
        self.suspects: deque[_Unit] = deque()
        self.in_flight: dict[Future[Any], _Unit] = {}
        self.rebuilt: Counter[int] = Counter()
        self.broken = 0
        self.broken_joins = 0
        self.too_many = False

    def run(self, stop: Stop, failure_limit: int | None, tick: Callable[[], None]) -> None:
        """None, once every shard of the plans is published (and joined), or the run was stopped.

        Raises:
            OSError: the disk refused a file.
            ShapetoolError: workers cannot be kept alive, or records do not fit the shard format.
        """
        self._fill_queue()
        if not self._has_work:
            return
        pool = self._new_pool()
        try:
            while self._has_work and not stop.reason and not self.too_many:
                try:
                    self._submit(pool)
                    finished = wait(self.in_flight, POLL_SECONDS, FIRST_COMPLETED).done
                    for future in finished:
                        self._finish(self.in_flight[future], future)
                        del self.in_flight[future]
                        self.broken = 0
                except (BrokenProcessPool, RuntimeError) as error:
                    if stop.reason:
                        break
                    pool = self._renew(pool, error)
                self.too_many = failure_limit is not None and self.undecided > 0 and self.failed > failure_limit
                tick()
            self._let_running_end(stop)
        finally:
            pool.stop()

    @property
    def _has_work(self) -> bool:
        joins = self.joining is not None and self.joining.is_ready
        return bool(self.queue or self.suspects or self.in_flight) or joins

    def _new_pool(self) -> "Pool":
        from shapetool.runner.pool import Pool  # not before the process that workers come from is on its way

        return Pool(self.workers, self.options.item_memory)

    def _fill_queue(self) -> None:
        """Large files first within a shard: the last item then keeps no worker waiting for long."""
        for plan in self.plans.values():
            for index in sorted(plan.todo, key=lambda row: (-self.layout.items[row].size, row)):
                item = self.layout.items[index]
                line = read_line(self.layout.spool_path(index), self._ticket(index))
                if item.problem is not None:
                    self._decide(plan.shard, index, report_line(item, item.status, item.problem, 0.0, 0), spooled=False)
                elif line is not None:
                    self._decide(plan.shard, index, line, spooled=True)
                else:
                    self.queue.append(_Unit(plan.shard, index))
            if not plan.todo:
                self.queue.append(_Unit(plan.shard, None))

    def _ticket(self, index: int) -> Ticket:
        item = self.layout.items[index]
        return Ticket(self.boot, self.layout.digest, item.id, item.sha256)

    def _submit(self, pool: "Pool") -> None:
        if self.joining is not None and self.joining.is_ready:
            unit = _Unit(-1, None, 1 + self.broken_joins, joins=True)
            self.in_flight[pool.submit(join_shard, self.joining.begin_step())] = unit
        while self.queue and len(self.in_flight) < 2 * self.workers:
            self._send(pool, self.queue.popleft())
        if not self.queue and not self.in_flight and self.suspects:
            self._send(pool, self.suspects.popleft())

    def _send(self, pool: "Pool", unit: _Unit) -> None:
        if unit.index is None:
            future = pool.submit(publish_shard, self._shard_task(unit.shard))
        else:
            item, path = self.layout.items[unit.index], self.layout.spool_path(unit.index)
            task = ItemTask(item, unit.index, self.threads, path, self._ticket(unit.index), unit.attempt)
            future = pool.submit(run_item, self.job, task, timeout=self.options.item_timeout)
        self.in_flight[future] = unit

    def _shard_task(self, shard: int) -> ShardTask:
        plan, layout = self.plans[shard], self.layout
        spools = {index: (layout.spool_path(index), self._ticket(index)) for index in plan.todo}
        return ShardTask(
            layout.shard_path(shard),
            layout.piece_path(shard),
            self.job.kind,
            self.job.settings,
            self.job.seed,
            shard_attributes(layout, shard),
            spools,
            plan.kept,
            plan.earlier,
            durable=not layout.stands_alone,
            is_file=layout.suffix is not None,
        )

    def _finish(self, unit: _Unit, future: "Future[Any]") -> None:
        from pebble import ProcessExpired

        try:
            result = future.result()
        except TimeoutError:
            limit = self.options.item_timeout
            self._blame(unit, "timeout", f"took longer than {limit:g} s and was stopped. Raise --item-timeout.", limit)
        except ProcessExpired as error:
            self._suspect(unit, _death(error.exitcode))
        else:
            self._take(unit, result)

    def _take(self, unit: _Unit, result: dict[str, Any]) -> None:
        if "io" in result:
            raise OSError(*result["io"])
        if "data" in result:
            raise DataError(result["data"])
        if unit.joins:
            assert self.joining is not None
            self.joining.step_done(result)
        elif unit.index is not None:
            if result["status"] == "oom" and unit.attempt == 1:
                self.suspects.append(replace(unit, attempt=2))
                return
            self._decide(unit.shard, unit.index, result, spooled=True)
        elif "missing" in result:
            self._make_again(unit.shard, result["missing"])
        else:
            self._tell_published(unit.shard, result["shapes"])

    def _tell_published(self, shard: int, shapes: int | None) -> None:
        self.options.emit("shard", shard=shard, path=str(self.layout.shard_path(shard)), shapes=shapes)
        if self.joining is not None:
            self.joining.published(shard)

    def _join_again(self) -> None:
        assert self.joining is not None
        self.joining.begin_anew()
        self.broken_joins += 1

    def _suspect(self, unit: _Unit, death: str) -> None:
        """A worker died: its item is tried once more with nothing beside it before it is blamed."""
        if unit.index is None and unit.attempt >= PUBLISH_ATTEMPTS:
            path = self.layout.folder if unit.joins else self.layout.shard_path(unit.shard)
            raise ShapetoolError(f"{path}: the process that wrote it {death}, repeatedly.")
        if unit.joins:
            self._join_again()
        elif unit.index is None or unit.attempt == 1:
            self.suspects.append(replace(unit, attempt=unit.attempt + 1))
        else:
            self._blame(unit, "crashed", f"the worker process {death}, twice.", None)

    def _blame(self, unit: _Unit, status: str, error: str, seconds: float | None) -> None:
        assert unit.index is not None  # only items have a timeout
        line = report_line(self.layout.items[unit.index], status, error, seconds or 0.0, unit.attempt)
        self._decide(unit.shard, unit.index, line, spooled=False)

    def _decide(self, shard: int, index: int, line: dict[str, Any], *, spooled: bool) -> None:
        if not spooled:
            write_spool(self.layout.spool_path(index), self._ticket(index), line, {})
        self.decided[index] = line["status"]
        self.failed += line["status"] != "ok"
        self.undecided -= index in self.open[shard]
        self.open[shard].discard(index)
        self.options.emit("item", **line)
        if not self.open[shard]:
            self.queue.appendleft(_Unit(shard, None))

    def _make_again(self, shard: int, missing: Sequence[int]) -> None:
        """Spools are gone: another run published this shard at the same time, or somebody cleaned up."""
        if self.layout.published(shard) and not self.plans[shard].kept:
            self._tell_published(shard, None)
            return
        self.rebuilt[shard] += 1
        if self.rebuilt[shard] > PUBLISH_ATTEMPTS:
            raise DataError(f"{self.layout.folder}: finished records keep vanishing. Is another run cleaning up?")
        self.undecided += len(set(missing) - self.open[shard])
        self.open[shard].update(missing)
        for index in missing:
            self.failed -= self.decided.pop(index, "ok") != "ok"
            self.queue.append(_Unit(shard, index))

    def _renew(self, pool: "Pool", error: BaseException) -> "Pool":
        """A new pool after the old one broke as a whole; what was in flight goes back to the queue."""
        self.broken += 1
        pool.stop()
        if self.broken > BROKEN_POOLS:
            raise ShapetoolError(f"worker processes die as soon as they start ({error}). Try -j 1 or --item-memory.")
        self.queue.extendleft(unit for unit in self.in_flight.values() if not unit.joins)
        if any(unit.joins for unit in self.in_flight.values()):
            self._join_again()
        self.in_flight.clear()
        return self._new_pool()

    def _let_running_end(self, stop: Stop) -> None:
        """Gives what runs a few seconds to leave its spool, after the first signal; none after the second."""
        for future in self.in_flight:
            if not future.running():
                future.cancel()
        deadline = time.monotonic() + GRACE_SECONDS
        left = {future for future in self.in_flight if future.running()}
        while left and stop.count < 2 and time.monotonic() < deadline:
            left = wait(left, POLL_SECONDS).not_done


def _death(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (the system does this when memory runs out)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"left with exit code {code}"
