"""The folder under test: generated meshes in it, commands of shapetool on these, and what they leave behind."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import site
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import shapetool
from shapetool.pipelines.crash_tests.check import CannotWriteError, expect
from shapetool.pipelines.crash_tests.processes import Running, started

MESHES = "meshes"
FAMILIES = ("box", "capsule", "sphere", "torus")
TIMED = ("seconds", "n_seconds", "peak_rss")  # what two equal runs write differently
IO_FAILED = 74
LONGEST = 70  # the name of a socket, which Python makes below TMPDIR, has 107 bytes at most
# A command whose files may not be larger than a number of bytes: a disk that is full, for anybody and anywhere.
LIMITED = (
    "import resource, runpy, sys; size = int(sys.argv.pop(1)); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); "
    "runpy.run_module('shapetool', run_name='__main__', alter_sys=True)"
)
Tree = dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Task:
    """A command on the meshes, but for its OUT."""

    command: str
    options: tuple[str, ...] = ()

    def words(self, out: str, more: tuple[str, ...]) -> list[str]:
        """The words of the command line; options in `more` win."""
        return [self.command, MESHES, out, "-j", "2", "-q", *self.options, *more]


SMALL = Task("sample-sdf", ("--count", "1000", "--surface-count", "300"))
LARGE = Task("sample-sdf", ("--count", "80000", "--surface-count", "1000"))
FILES = Task("repair")  # each mesh becomes a file, so that parts of a run have different ones to make


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves when nothing interferes, by file, and how long it takes."""

    folder: Path
    tree: Tree
    seconds: float


class Place:
    """A folder of its own on the file system under test, and one for what commands keep elsewhere while they run.

    `rounds` says how many runs are killed; without it, as many as there is time for `until` this moment.
    """

    def __init__(self, folder: Path, elsewhere: Path | None, rounds: int | None = None, until: float = 0.0) -> None:
        self.folder, self.rounds, self.until = folder, rounds, until
        fits = elsewhere is not None and len(os.fsencode(elsewhere)) <= LONGEST
        self._environment = environment(os.environ) | ({"TMPDIR": str(elsewhere)} if fits else {})
        self._undisturbed: dict[Task, Undisturbed] = {}
        self._has_meshes = False

    @contextmanager
    def started(self, task: Task, out: str, *more: str, limit: int | None = None) -> Iterator[Running]:
        """A command that has been started; after the block none of its processes runs."""
        self._make_meshes()
        before = [sys.executable, *(["-m", "shapetool"] if limit is None else ["-c", LIMITED, str(limit)])]
        with started([*before, *task.words(out, more)], self.folder, self._environment) as running:
            yield running

    def finish(self, task: Task, out: str, *more: str) -> None:
        """None, once a command that nothing disturbs has done all.

        Raises:
            WrongError: it ended with another exit code than 0.
        """
        with self.started(task, out, *more) as running:
            ended = running.end()
        expect(ended.code == 0, f"exit code 0 of {task.command}", f"{ended.code} ({ended.last_line})", "it fails here")

    def undisturbed(self, task: Task) -> Undisturbed:
        """What a command leaves when nothing interferes; found once.

        Raises:
            CannotWriteError: it cannot write here, which leaves nothing to test.
            WrongError: it failed otherwise.
        """
        if task not in self._undisturbed:
            out, begun = f"undisturbed-{len(self._undisturbed)}", time.monotonic()
            with self.started(task, out) as running:
                ended = running.end()
            if ended.code == IO_FAILED:
                raise CannotWriteError(
                    errno.EIO, f"{task.command} could not write there: {ended.last_line}", self.where
                )
            expect(ended.code == 0, f"exit code 0 of {task.command}", f"{ended.code} ({ended.last_line})", "it fails")
            folder = self.folder / out
            self._undisturbed[task] = Undisturbed(folder, tree(folder), time.monotonic() - begun)
        return self._undisturbed[task]

    def compare(self, task: Task, out: str) -> None:
        """None where `out` is to the byte what an undisturbed run leaves; then `out` is removed.

        Raises:
            WrongError: a file is missing, differs or is left over.
        """
        found, truth = tree(self.folder / out), self.undisturbed(task).tree
        same = found.keys() & truth.keys()
        for kind, names, meaning in (
            ("missing", truth.keys() - found.keys(), "work is lost"),
            ("left over", found.keys() - truth.keys(), "the disk fills up"),
            ("different", {name for name in same if found[name] != truth[name]}, "results cannot be repeated"),
        ):
            expect(not names, "the files of an undisturbed run", f"{kind}: {' '.join(sorted(names))}", meaning)
        self.remove(out)

    def check_published(self, task: Task, out: str) -> None:
        """None where every data file of a run that is not finished is one of an undisturbed run.

        Raises:
            WrongError: one is not.
        """
        truth = self.undisturbed(task).tree
        for name in [name for name in truth if name.endswith(".h5")]:
            path = self.folder / out / name
            if path.exists():
                expect(content(path) == truth[name], "whole files or none", f"half of {name}", "readers meet halves")

    def remove(self, out: str) -> None:
        """None, once `out` is gone."""
        shutil.rmtree(self.folder / out, ignore_errors=True)

    @property
    def where(self) -> str:
        """The folder that its user named."""
        return str(self.folder.parent)

    def _make_meshes(self) -> None:
        from shapetool.pipelines import make_shapes

        for family in () if self._has_meshes else FAMILIES:
            make_shapes.run(family, self.folder / MESHES, segments=24)
        self._has_meshes = True


def environment(before: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that does what its words say, whatever options and Slurm arrays are set."""
    kept = {name: value for name, value in before.items() if not name.startswith(("SHAPETOOL_", "SLURM_ARRAY_"))}
    if "SHAPETOOL_SIMD" in before:
        kept["SHAPETOOL_SIMD"] = before["SHAPETOOL_SIMD"]
    paths = [os.path.abspath(path) for path in before.get("PYTHONPATH", "").split(os.pathsep) if path]
    root = str(Path(shapetool.__file__).parents[1])
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    return kept | {"PYTHONPATH": os.pathsep.join(paths if root in installed else [*paths, root])}


def tree(folder: Path) -> Tree:
    """The files below a folder by name, with size and digest; of lines of JSON without the times in them."""
    return {str(path.relative_to(folder)): content(path) for path in folder.rglob("*") if not path.is_dir()}


def content(path: Path) -> tuple[int, str]:
    """Size and digest of what a file holds and two equal runs have in common."""
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        with suppress(ValueError, TypeError):  # else a line is damaged, and differs as it is
            lines = [dict(json.loads(line)) for line in data.splitlines()]
            data = json.dumps([{name: line[name] for name in line if name not in TIMED} for line in lines]).encode()
    return len(data), hashlib.sha256(data).hexdigest()
