"""Worker processes: one task each at a time, killed at their timeout, replaced when they die, gone when we are."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from pebble import CONSTS, ProcessPool

from shapetool.runner.isolate import limit_worker
from shapetool.runner.warm import plain_main

TASKS_PER_WORKER = 1000
CONSTS.term_timeout = 1.0  # our workers die of SIGTERM at once, unless native code has taken the signal over
CONSTS.sleep_unit = 0.02  # how often the pool looks whether it was stopped: 0.1 s would be waited for at every end


class _Process(ForkServerProcess):
    """A process that imports what its task needs and not the script that started it all."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - the name that multiprocessing calls
        with plain_main():
            return ForkServerProcess._Popen(process_obj)  # type: ignore[attr-defined]


class _Context(ForkServerContext):
    Process = _Process


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

    def submit(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> "Future[Any]":
        """The future result of `function` in a worker."""
        future: Future[Any] = self._pool.schedule(function, args=args, timeout=timeout)
        return future

    def stop(self) -> None:
        """None, once every worker is gone, whatever it was doing."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
