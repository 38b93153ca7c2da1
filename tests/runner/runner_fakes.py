"""A job for the tests of the runner: small records from small text files, and files that misbehave in every way."""

import ctypes
import errno
import os
import re
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from shapetool.errors import MeshError
from shapetool.runner.items import Item
from shapetool.runner.job import OutputError, Record
from shapetool.runner.joining import JoinTask, join_shard


@dataclass(frozen=True)
class FakeJob:
    """Makes an SDF record whose numbers follow from the file's text and the seed."""

    seed: int = 0
    points: int = 64
    delay: float = 0.0
    bytes_per_shape: int = 25 << 20  # two shapes a shard
    kind: str = "sdf"
    preload: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        return {"name": "fake", "points": self.points}

    def __call__(self, item: Item, threads: int) -> Record:
        text = item.path.read_text().strip()
        misbehave(text, item)
        if self.delay:
            item.path.with_suffix(".started").touch()
            time.sleep(self.delay)
        return record(item, text, self.seed, self.points)


def record(item: Item, text: str, seed: int, points: int) -> Record:
    rng = np.random.default_rng([seed, *text.encode()])
    where = rng.random((points, 3), dtype=np.float32)
    columns = {
        "shape_id": item.id,
        "source": item.source,
        "scale": 2.0,
        "offset": np.zeros(3),
        "watertight": True,
        "sign_method": "winding",
        "points": where,
        "distances": where[:, 0].copy(),
        "surface_points": where[:4],
        "surface_normals": where[:4],
    }
    facts = {"n_vertices": 3, "n_faces": 1, "watertight": True, "warnings": ["fake"], "sign_method": "winding"}
    return Record(columns, facts)


def misbehave(text: str, item: Item) -> None:
    match text.split()[0]:
        case "invalid":
            raise MeshError(f"{item.path}: no faces")
        case "raise":
            raise KeyError("a bug")
        case "output":
            failed = OSError(errno.EIO, os.strerror(errno.EIO), "picture.png")
            raise OutputError(str(failed)) from failed
        case "exit":
            os._exit(3)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "wild":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "loop" | "regex" | "sum" | "stubborn" as kind:
            item.path.with_suffix(".pid").write_text(f"{os.getpid()} {time.time()}\n")
            never_end(kind)
        case "memory":
            np.ones(1 << 40, dtype=np.uint8)
        case "unsaid":
            raise SystemError("<ufunc 'add'> returned NULL without setting an exception")
        case "eater":
            eat(item)
        case "once":
            marker = item.path.with_suffix(".marker")
            if not marker.exists():
                marker.touch()
                os._exit(9)


def never_end(kind: str) -> None:
    """Does not return: a loop of Python, two of C that hold the interpreter's lock, one that ignores SIGTERM."""
    if kind == "regex":
        re.match("(a+)+$", "a" * 64 + "b")
    if kind == "sum":
        sum(iter(int, 1))
    if kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    while True:
        pass


def eat(item: Item) -> None:
    """Takes memory and writes to all of it, until there is no more; says before in which process."""
    item.path.with_suffix(".pid").write_text(f"{os.getpid()} {time.time()}\n")
    taken = []
    while True:
        taken.append(np.ones(1 << 21))


def join_after_a_death(task: JoinTask) -> dict[str, Any]:
    """A step of joining whose worker dies in the middle, the first time that the second shard comes."""
    marker = task.out.with_suffix(".died")
    if task.shard is not None and task.shard.name == "shard-00001.h5" and not marker.exists():
        marker.touch()
        task.growing.write_bytes(task.growing.read_bytes()[:1000])
        os._exit(9)
    return join_shard(task)


def die_joining(task: JoinTask) -> dict[str, Any]:
    """A step of joining that no worker survives."""
    os._exit(9)
