"""Worker processes: one task each at a time, killed at their timeout, replaced when they die, gone when we are."""

import multiprocessing
import multiprocessing.forkserver
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from pebble import CONSTS, ProcessPool

from shapetool.runner.isolate import limit_worker

TASKS_PER_WORKER = 1000
SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CONSTS.term_timeout = 1.0  # our workers die of SIGTERM at once, unless native code has taken the signal over
_swapping = threading.Lock()


@contextmanager
def _plain_main() -> Iterator[None]:
    """Hides the caller's script while a worker starts: a worker would run it again, guard or no guard."""
    with _swapping:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class _Process(ForkServerProcess):
    """A process that imports what its task needs and not the script that started it all."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - the name that multiprocessing calls
        with _plain_main():
            return ForkServerProcess._Popen(process_obj)  # type: ignore[attr-defined]


class _Context(ForkServerContext):
    Process = _Process


def warm_up(modules: Sequence[str]) -> None:
    """None; starts the process that workers are forked from, which imports `modules` while the caller goes on."""
    multiprocessing.forkserver.set_forkserver_preload(["shapetool.runner.isolate", "shapetool.runner.shard", *modules])
    before = {name: os.environ.get(name) for name in SINGLE_THREADED}
    os.environ.update({name: os.environ.get(name, "1") for name in SINGLE_THREADED})
    try:
        with _plain_main():
            multiprocessing.forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


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
