"""Where Dask's workers are: on this machine, at a scheduler that runs already, or jobs of a batch system."""

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shapetool.errors import ConfigError, suggestion
from shapetool.runner.warm import plain_main

# The batch systems that dask-jobqueue speaks to, by the class that does.
BATCH = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
    "htcondor": "HTCondorCluster",
}
LOT = "shapetool-lot"
LOOPBACK = ("127.", "localhost", "[::1]")
LOOPBACK_HOST = "127.0.0.1"
NO_DASHBOARD = {"dashboard": False, "dashboard_address": f"{LOOPBACK_HOST}:0"}  # without it, a fixed port for others
WAIT_SECONDS = 30
LEAVE_SECONDS = 300  # a job stops taking lots so long before its end


@dataclass(frozen=True)
class Cluster:
    """Which Dask runs a run: `where` is `local`, a batch system, the address of a scheduler, or its file.

    `workers` is how many Dask workers are started at most, each with a pool of processes of its own; `settings` go to
    the class of dask-jobqueue, or to `LocalCluster`.
    """

    where: str = "local"
    workers: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runs_already(self) -> bool:
        """Whether `where` is a scheduler that others started."""
        return "://" in self.where or self.where.endswith(".json")

    @property
    def is_here(self) -> bool:
        """Whether its one worker is a thread of this process: its items have processes of their own in any case."""
        return self.where == "local" and self.workers in (None, 1) and not self.settings


def read_cluster(where: str, workers: int | None, words: Sequence[str]) -> Cluster:
    """The cluster that the options name; each of `words` is KEY=VALUE, a value in Python's spelling or plain text.

    Raises:
        ConfigError: unknown words, or settings for a scheduler that runs already.
    """
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"--dask-set {word}: expected KEY=VALUE, such as queue=short or cores=8.")
        settings[key] = _value(value)
    cluster = Cluster(where, workers, settings)
    if not cluster.runs_already and where not in ("local", *BATCH):
        raise ConfigError(
            f"--dask {where}: expected local, {', '.join(BATCH)}, the address of a scheduler such as tcp://host:8786, "
            f"or its file.json{suggestion(where, ['local', *BATCH])}"
        )
    if cluster.runs_already and (settings or workers is not None):
        raise ConfigError(f"--dask {where}: runs already, so --dask-workers and --dask-set have nothing to start.")
    return cluster


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_installed(cluster: Cluster) -> None:
    """Nothing, if the packages are there that this cluster needs.

    Raises:
        ConfigError: one is missing.
    """
    from importlib.util import find_spec

    for package in ("distributed", *(("dask_jobqueue",) if cluster.where in BATCH else ())):
        if find_spec(package) is None:
            name = package.replace("_", "-")
            raise ConfigError(f"--engine dask: {name} is not installed: pip install 'shapetool[dask]'.")


@contextmanager
def opened(cluster: Cluster, notice: Any) -> Iterator[tuple[Any, int]]:
    """A client of the cluster, and how many workers it may come to have (0 where others decide); `notice` is told what
    a user should know.

    Raises:
        ConfigError: nothing answers there, or the batch system refuses its settings.
    """
    import dask
    from distributed import Client

    check_installed(cluster)
    ours = {
        "distributed.worker.daemon": False,
        "distributed.scheduler.allowed-failures": 3,
        "distributed.scheduler.default-task-durations": {LOT: "5 minutes"},  # so that a batch system is asked at once
        "distributed.admin.low-level-log-length": 0,
        "distributed.worker.http.routes": [],
        "logging.distributed": "critical",
    }
    if not cluster.settings.get("dashboard_address"):
        ours["distributed.scheduler.http.routes"] = []
    with dask.config.set(ours):
        if cluster.runs_already:
            with _joined(cluster.where, notice) as client:
                yield client, 0
            return
        started, most = _started(cluster, notice)
        with started, Client(started) as client:
            yield client, most


@contextmanager
def _joined(where: str, notice: Any) -> Iterator[Any]:
    from distributed import Client

    if where.endswith(".json") and not os.path.exists(where):
        raise ConfigError(f"--dask {where}: no such file. `dask scheduler --scheduler-file {where}` writes it.")
    place = {"scheduler_file": where} if where.endswith(".json") else {"address": where}
    try:
        client = Client(**place, timeout=WAIT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"--dask {where}: no scheduler answers there ({error}).") from error
    with client:
        warn_of_plain(str(client.scheduler.address), notice)
        yield client


def warn_of_plain(address: str, notice: Any) -> None:
    """None; `notice` is told where whoever reaches the scheduler may run code as this user."""
    scheme, _, host = address.partition("://")
    if scheme == "tcp" and not host.startswith(LOOPBACK):
        notice(
            f"the scheduler {address} has no TLS: whoever reaches it can run code as this user. Use it on networks "
            "that you trust, or a tls:// address."
        )


def _started(cluster: Cluster, notice: Any) -> tuple[Any, int]:
    if cluster.where != "local":
        return _batch(cluster, notice)
    from distributed import LocalCluster

    if cluster.is_here:
        return _in_this_process(), 1
    count = cluster.workers or 1
    given: dict[str, Any] = {
        "silence_logs": 50, "dashboard_address": None, "memory_limit": None, "threads_per_worker": 1,
        "host": LOOPBACK_HOST, "processes": True, "security": True,  # other users reach loopback, too
        "scheduler_kwargs": {} if cluster.settings.get("dashboard_address") else NO_DASHBOARD,
        **cluster.settings,
    }  # fmt: skip
    with plain_main(), _startable(cluster):
        return LocalCluster(n_workers=count, **given), count


@contextmanager
def _startable(cluster: Cluster) -> Iterator[None]:
    """A context in which what Dask says against the settings of a cluster is said as an error of ours."""
    try:
        yield
    except (TypeError, ValueError, OSError, ImportError, RuntimeError) as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        raise ConfigError(f"--dask {cluster.where}: it cannot be started with these --dask-set ({first}).") from error


def _in_this_process() -> Any:
    """A scheduler and one worker that are threads of this process, and speak through no socket."""
    from distributed import Scheduler, SpecCluster, Worker

    common: dict[str, Any] = {"protocol": "inproc://", **NO_DASHBOARD}
    worker = {"cls": Worker, "options": {"nthreads": 1, "memory_limit": None, **common}}
    return SpecCluster(workers={0: worker}, scheduler={"cls": Scheduler, "options": common}, silence_logs=50)


def _batch(cluster: Cluster, notice: Any) -> tuple[Any, int]:
    import dask_jobqueue

    count = cluster.workers or 1
    given: dict[str, Any] = {"cores": 1, "memory": "4GB", "scheduler_options": {"dashboard": False}}
    given |= {"processes": 1, "security": True, **cluster.settings}
    given["worker_extra_args"] = [*_lifetime(given.get("walltime")), *given.get("worker_extra_args", [])]
    with _startable(cluster):
        started = getattr(dask_jobqueue, BATCH[cluster.where])(**given)
    warn_of_plain(str(started.scheduler_address), notice)
    started.adapt(minimum=0, maximum=count, interval="2s")
    return started, count


def _lifetime(walltime: Any) -> list[str]:
    """The words by which a worker leaves in order before its job is ended, and workers leave one after the other."""
    numbers = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+)(?::(\d+))?", str(walltime or ""))
    if numbers is None:
        return []
    days, hours, minutes, seconds = (int(number or 0) for number in numbers.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total <= 2 * LEAVE_SECONDS:
        return []
    return ["--lifetime", f"{total - LEAVE_SECONDS}s", "--lifetime-stagger", "2m"]
