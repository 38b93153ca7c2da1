"""What runs inside a worker process: one item, under limits, its record left in a spool."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from shapetool.errors import ShapetoolError
from shapetool.runner.items import Item
from shapetool.runner.job import Job, OutputError, Record
from shapetool.runner.manifest import digest_of
from shapetool.runner.shard import refusal
from shapetool.runner.spool import Ticket, write_spool

PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt
YET_UNUSED = 32 << 20  # of the addresses that a worker has when it begins, what it will still find memory for
FACTS = ("n_vertices", "n_faces", "watertight", "warnings")


@dataclass(frozen=True)
class ItemTask:
    """One item as it travels to a worker."""

    item: Item
    index: int
    threads: int
    spool: Path
    ticket: Ticket
    attempt: int = 1


def limit_worker(memory: int | None, silent: bool) -> None:
    """None; this process then dies with its parent, dumps no core, and holds at most `memory` bytes."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == 1:
            os._exit(1)
        _keep_memory()
    _let_server_go()
    if silent:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.close(nothing)
    _limit_memory(memory)


def _keep_memory() -> None:
    """Lets the allocator keep what arrays give back, up to 512 MiB, for the next item.

    By default glibc returns every large array to the system, and each page of the next one is a fault again: an eighth
    of the time of a shape of 500,000 points.
    """
    with contextlib.suppress(OSError, AttributeError):  # another libc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 512 << 20)


def _let_server_go() -> None:
    """The process that workers are forked from lives while a descriptor is open that every worker gets a copy of.

    A worker at work would keep it alive after the run was killed, and so itself: it would never lose its parent.
    """
    server = getattr(forkserver, "_forkserver", None)
    descriptor = getattr(server, "_forkserver_alive_fd", None)
    if server is not None and descriptor is not None:
        os.close(descriptor)
        server._forkserver_alive_fd = None


def _limit_memory(memory: int | None) -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        total, resident = _pages()
        wanted = total + max(memory - resident - YET_UNUSED, memory // 2)
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def _pages() -> tuple[int, int]:
    """How many bytes of addresses this process has, and how many of memory behind them."""
    with contextlib.suppress(OSError, ValueError):
        total, resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[:2]
        size = os.sysconf("SC_PAGE_SIZE")
        return int(total) * size, int(resident) * size
    return 1 << 30, 0


def run_item(job: Job, task: ItemTask) -> dict[str, Any]:
    """The report line of one item, after its record is in the spool; `{"io": ...}` if that or a file of the job's own
    cannot be written.

    No exception leaves this function, whatever the job raises: it would have to survive pickling.
    """
    started = time.perf_counter()
    columns: Any = {}
    try:
        record = _compute(job, task)
        columns, facts = record.columns, dict(record.facts)
        line = report_line(task.item, "ok", None, time.perf_counter() - started, task.attempt, facts)
    except OutputError as error:
        cause = error.__cause__
        return refusal(cause if isinstance(cause, OSError) else OSError(str(error)))
    except MemoryError as error:
        text = f"out of memory: {_sentence(error, task.item)}. Raise --item-memory or simplify the mesh."
        line = report_line(task.item, "oom", text, time.perf_counter() - started, task.attempt)
    except ShapetoolError as error:
        # A file that may not be read says nothing about the mesh in it, and `--retry failed` tries it again.
        status = "failed" if isinstance(error.__cause__, PermissionError) else "invalid"
        line = report_line(task.item, status, _sentence(error, task.item), time.perf_counter() - started, task.attempt)
    except BaseException as error:
        text = f"{type(error).__name__}: {_sentence(error, task.item)}"
        line = report_line(task.item, "failed", text, time.perf_counter() - started, task.attempt)
    try:
        write_spool(task.spool, task.ticket, line, columns)
    except OSError as error:
        return refusal(error)
    return line


def _compute(job: Job, task: ItemTask) -> Record:
    if task.item.sha256 is not None and digest_of(task.item) != task.item.sha256:
        raise RuntimeError(
            "the file changed since the manifest was frozen. Put the old file back, or use --overwrite to begin anew"
        )
    try:
        return job(task.item, task.threads)
    except SystemError as error:
        if "without setting an exception" not in str(error):
            raise
        # C code that was refused memory and did not say so: numpy's sums of arrays do this.
        raise MemoryError(str(error)) from error


def _sentence(error: BaseException, item: Item) -> str:
    """What `error` says, with the item's own path shortened to its place below the input root."""
    text = str(error).replace(str(item.path), item.source)
    return text or type(error).__name__


def report_line(
    item: Item, status: str, error: str | None, seconds: float, attempts: int, facts: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The line of the report for one item: the keys of the contract, then what else the job found."""
    facts = dict(facts or {})
    warnings = [str(warning).replace(str(item.path), item.source) for warning in facts.get("warnings") or ()]
    line = {
        "id": item.id,
        "source": item.source,
        "status": status,
        "error": error,
        "seconds": round(seconds, 4),
        "n_vertices": facts.get("n_vertices"),
        "n_faces": facts.get("n_faces"),
        "watertight": facts.get("watertight"),
        "warnings": warnings,
    }
    rest = {key: value for key, value in facts.items() if key not in FACTS}
    return line | rest | {"attempts": attempts, "size": item.size, "sha256": item.sha256}
