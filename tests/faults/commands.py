"""The commands as processes of their own, a small world in which each has work to do, and what strace saw of one."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-c", "import sys; from shapetool.cli.app import main; sys.exit(main())")
# The order matters: each command takes what those before it made.
WORLD = {
    "make-shapes": "make-shapes box meshes --count 2",
    "sample-sdf": "sample-sdf meshes set --count 600 --surface-count 300 -j 2",
    "sample-occupancy": "sample-occupancy meshes occupancy.h5 --count 600 -j 1",
    "render-views": "render-views meshes views.h5 --views 2 --size 16 --channels rgb,depth -j 1",
    "repair": "repair meshes repaired -j 1",
    "merge": "merge set one.h5",
    "convert": "convert one.h5 deepsdf --to deepsdf",
    "convert back": "convert deepsdf back.h5 --to shards -j 1",
    "split": "split one.h5 --train 0.5 --val 0 --test 0.5 --out lists",
    "info": "info one.h5",
    "info of a mesh": "info meshes/box-00000.obj",
    "verify": "verify one.h5",
    "eval": "eval repaired meshes --out scores --samples 300 --metrics chamfer,iou -j 1",
    "train": "train deepsdf one.h5 run --device cpu --pictures 0 --steps 2 --set width=16 --set depth=3 --set skip=2 "
    "--set code_size=4 --set points=32 --set shapes=2 --set fit_steps=2 --set fit_points=64",
    "extract": "extract run extracted --resolution 8 --device cpu",
    "selftest": "selftest",
}
TALKING = {name: f"{words} --json" for name, words in WORLD.items()}

# Where the interpreter and its libraries lie, and what the system itself is asked for; none of it belongs to anybody.
OWN = (str(REPOSITORY), sys.prefix, sys.base_prefix, "/usr/", "/lib", "/proc/", "/sys/", "/dev/null", "/dev/shm/")
SYSTEM = ("/etc/ld.so.cache", "/etc/localtime", "/etc/locale.alias", "/etc/ssl/openssl.cnf", "/dev/urandom")


def run(
    *words: object, cwd: Path, before: Sequence[str] = (), expect: int | None = 0, **more: Any
) -> "subprocess.CompletedProcess[bytes]":
    """The end of one command, which shows no trace and has the code that is expected; `before` stands before it."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | more.pop("env", {})
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    command = [*before, *PYTHON, *(word if isinstance(word, bytes) else str(word) for word in words)]
    done = subprocess.run(command, check=False, cwd=cwd, env=environment, **{"timeout": 120, **streams})
    assert expect is None or done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
    assert b"Traceback" not in (done.stderr or b""), (words, done.stderr)
    assert b"defect of shapetool" not in (done.stderr or b""), (words, done.stderr)
    return done


def strace(output: Path, calls: str) -> list[str]:
    """The words that trace a command and its children; skips where strace is missing or may not trace."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed here")
    tried = subprocess.run([program, "-o", os.devnull, "true"], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.decode(errors='replace').strip()}")
    return [program, "-f", "-qq", "-y", "-s", "4096", "-e", f"trace={calls}", "-o", str(output)]


def opened(trace: Path) -> Iterator[str]:
    """The real paths of all files that were opened, as the system names their descriptors."""
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := re.search(r"\bopen(?:at2?)?\(.* = \d+<(.*)>$", line):
            yield match[1]


def outsiders(trace: Path, here: Path, *allowed: Path) -> set[str]:
    """The real paths that a command in `here` opened, but for those of the interpreter, the system and `allowed`, and
    the folder for the sockets of its workers, which is below /tmp where TMPDIR is long.
    """
    own = (*OWN, "/tmp/pymp-", *(f"{path.resolve()}/" for path in allowed))
    fine = {*SYSTEM, *(str(path.resolve()) for path in (here, *allowed))}
    return {path for path in opened(trace) if path not in fine and not path.startswith(own)}


def sockets(trace: Path) -> list[str]:
    """The calls that make or use a socket of another family than that of the machine's own processes."""
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    used = re.compile(r"\b(socket|connect|bind|sendto|sendmsg|listen)\(")
    return [line for line in lines if used.search(line) and "AF_" in line and "AF_UNIX" not in line]
