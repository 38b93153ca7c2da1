"""Worker processes: one task each at a time, killed at their timeout, replaced when they die, gone when we are."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from pebble import CONSTS, ProcessExpired, ProcessPool
from pebble.common.types import Result, ResultStatus
from pebble.pool.process import PoolManager, TaskManager, dictionary_values

from shapetool.runner.isolate import limit_worker
from shapetool.runner.warm import plain_main

TASKS_PER_WORKER = 1000
CONSTS.sleep_unit = 0.02  # how often the pool looks whether it was stopped: 0.1 s would be waited for at every end


class _Process(ForkServerProcess):
    """A process that imports what its task needs and not the script that started it all, and ends at once.

    A worker keeps nothing that it would have to put in order. One that ignores SIGTERM, as native code may, would be
    waited for, and others beyond their limit would meanwhile run on: the pool stops one after the other.
    """

    def terminate(self) -> None:
        self.kill()

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - the name that multiprocessing calls
        with plain_main():
            return ForkServerProcess._Popen(process_obj)  # type: ignore[attr-defined]


class _Context(ForkServerContext):
    Process = _Process


class _Tasks(TaskManager):
    """Takes time limits from a clock that nobody sets, and that stands still while the machine sleeps."""

    def task_start(self, task_id: int, worker_id: int | None) -> None:
        task = self.tasks.get(task_id)
        super().task_start(task_id, worker_id)
        if task is not None:
            task.timestamp = time.monotonic()

    @staticmethod
    def timeout(task: Any) -> bool:
        return bool(task.timeout and task.started) and time.monotonic() - task.timestamp > task.timeout


class _Manager(PoolManager):
    """Knows of every worker that died what it was doing.

    Pebble looks once, when it sees the death. Where the word that the worker has begun its task is still on its way, it
    forgets the task, which then ends by its timeout or never, or takes the pool for broken. And who leaves with exit
    code 0 is not looked at. Here all that the dead have said is heard first.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.task_manager = _Tasks(self.task_manager.task_done_callback)
        self._dead: dict[int, int] = {}
        self._hearing = threading.Lock()

    def process_next_message(self, timeout: float) -> None:
        if self._has_news(timeout):
            with self._hearing:
                super().process_next_message(0.0)

    def update_workers(self) -> None:
        workers = self.worker_manager.workers
        for number, worker in list(workers.items()):
            if not worker.is_alive():
                del workers[number]
                self._dead[number] = worker.exitcode or 0
        if self._dead:
            with self._hearing:
                if not self._has_news(0.0):
                    self._tell_of_the_dead()
        self.worker_manager.create_workers()  # type: ignore[no-untyped-call]

    def _has_news(self, timeout: float) -> bool:
        channel = self.worker_manager.pool_channel
        try:
            return channel is not None and channel.poll(timeout)
        except OSError as error:  # it was closed
            raise BrokenProcessPool("the pool was stopped") from error

    def _tell_of_the_dead(self) -> None:
        dead, self._dead = self._dead, {}
        for task in dictionary_values(self.task_manager.tasks):
            if task.worker_id in dead:
                code = dead.pop(task.worker_id)
                error = ProcessExpired("Abnormal termination", code=code, pid=task.worker_id)  # type: ignore[no-untyped-call]
                self.task_manager.task_done(task.id, Result(ResultStatus.ERROR, error))
        if any(dead.values()):
            # It had taken no task, or one of which nobody knows.
            raise BrokenProcessPool("a worker died between two tasks")


def memory_share(workers: int) -> int:
    """How many bytes a worker may take: its share of nine tenths of what the machine has, and at least 2 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        total = min(total, int(text)) if text.isdigit() else total
    except OSError:
        pass
    return max(2 << 30, total * 9 // 10 // workers)


class Pool:
    """Isolated workers under the limits of `limit_worker`."""

    def __init__(self, workers: int, memory: int | None, silent: bool = True) -> None:
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=TASKS_PER_WORKER,
            initializer=limit_worker,
            initargs=(memory if memory is not None else memory_share(workers), silent),
            context=_Context(),
        )
        self._pool._pool_manager = _Manager(self._pool._context, _Context())

    def submit(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> "Future[Any]":
        """The future result of `function` in a worker."""
        future: Future[Any] = self._pool.schedule(function, args=args, timeout=timeout)
        return future

    def stop(self) -> None:
        """None, once every worker is gone, whatever it was doing."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
