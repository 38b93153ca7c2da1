"""The process that workers are forked from, started early: it imports what they need while its parent goes on.

Nothing heavy is imported here, for this comes first of all that a command does.
"""

import multiprocessing.forkserver
import os
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ALWAYS = ("shapetool.runner.isolate", "shapetool.runner.shard", "pebble.pool.process")
_swapping = threading.Lock()


@contextmanager
def plain_main() -> Iterator[None]:
    """Hides the caller's script while a worker starts: a worker would run it again, guard or no guard."""
    with _swapping:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def warm_up(modules: Sequence[str]) -> None:
    """None; starts the process that workers are forked from, which imports `modules` while the caller goes on."""
    multiprocessing.forkserver.set_forkserver_preload([*ALWAYS, *modules])
    before = {name: os.environ.get(name) for name in SINGLE_THREADED}
    os.environ.update({name: os.environ.get(name, "1") for name in SINGLE_THREADED})
    try:
        with plain_main():
            multiprocessing.forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
