"""The process that workers are forked from, started early: it imports what they need while its parent goes on.

Nothing heavy is imported here, for this comes first of all that a command does.
"""

import multiprocessing.forkserver
import multiprocessing.resource_tracker
import multiprocessing.util
import os
import shutil
import signal
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ALWAYS = ("shapetool.runner.isolate", "shapetool.runner.shard", "pebble.pool.process")
LONGEST_PLACE = 70  # bytes: the names that Python puts behind it take 31, and a socket's may have 107
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


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Lets the process that is started here never hear Ctrl-C, which a terminal sends to all: it would tell of it while
    it imports. The caller hears it when the block ends.
    """
    multiprocessing.resource_tracker.ensure_running()  # it comes first, is deaf, and lets its caller hear again
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def warm_up(modules: Sequence[str]) -> None:
    """None; starts the process that workers are forked from, which imports `modules` while the caller goes on."""
    multiprocessing.forkserver.set_forkserver_preload([*ALWAYS, *modules])
    before = {name: os.environ.get(name) for name in SINGLE_THREADED}
    os.environ.update({name: os.environ.get(name, "1") for name in SINGLE_THREADED})
    try:
        with plain_main(), _deaf_to_ctrl_c():
            _shorten_place()
            multiprocessing.forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _shorten_place() -> None:
    """Nothing; where TMPDIR is long, as a batch system may make it, the sockets of this process get a shorter place.

    The system takes at most some hundred bytes for the name of a socket, and a folder of its own comes below TMPDIR.
    """
    current = multiprocessing.current_process()
    config = current._config  # type: ignore[attr-defined]
    if len(os.fsencode(tempfile.gettempdir())) <= LONGEST_PLACE or config.get("tempdir") or not os.path.isdir("/tmp"):
        return
    place = tempfile.mkdtemp(prefix="pymp-", dir="/tmp")
    multiprocessing.util.Finalize(None, shutil.rmtree, args=(place, True), exitpriority=-100)
    config["tempdir"] = place
