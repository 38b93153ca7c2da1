"""What a command says and how it ends when its streams are closed, full, narrow, dumb, or of another alphabet."""

import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import PYTHON, REPOSITORY, run

FEW = ("--count", "600", "--surface-count", "40", "-j", "1")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)(?:;\d+)*m")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two meshes and their samples."""
    folder = tmp_path_factory.mktemp("world")
    run("make-shapes", "box", "meshes", "--count", 2, cwd=folder)
    run("sample-sdf", "meshes", "one.h5", *FEW, cwd=folder)
    return folder


def shell(script: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """The end of a script, in which `shapetool` is the command of this checkout."""
    function = f'shapetool() {{ {PYTHON[0]} -c "{PYTHON[2]}" "$@"; }}\n'
    environ = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    done = subprocess.run(["bash", "-c", function + script], check=False, cwd=cwd, env=environ, capture_output=True)
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"defect" not in done.stderr, done.stderr
    assert b"Exception ignored" not in done.stderr, done.stderr
    return done


HEADED = (
    "info one.h5 --json",
    "verify one.h5 --json",
    "make-shapes box more --count 300 --json",
    "sample-sdf meshes out.h5 --count 600 --surface-count 40 -j 1 --json",
    "split one.h5 --train 0.5 --val 0 --test 0.5 --out lists --json",
    "eval meshes meshes --samples 200 --metrics chamfer -j 1 --json",
    "--help",
)


def test_a_reader_that_takes_one_line_gets_whole_json_and_no_trace(
    world: Path, tmp_path: Path, times: Callable[[int, int], int], record: Any
) -> None:
    shutil.copytree(world, tmp_path / "world")
    chosen = HEADED[: times(4, len(HEADED))]
    for words in chosen:
        done = shell(f"shapetool {words} | head -n 1; exit ${{PIPESTATUS[0]}}", tmp_path / "world")
        assert done.returncode in (0, 74), (words, done)  # 0 when all was out before the reader left
        assert done.stdout.count(b"\n") == 1
        if "--json" in words:
            json.loads(done.stdout)
    record(30, part="head -n 1", commands=len(chosen))


CLOSED = {
    # the words and how the streams stand: the exit code
    ("info one.h5", ">&-"): 74,  # what was asked for is lost
    ("info one.h5 --json", ">&-"): 74,
    ("info one.h5", ">/dev/full"): 74,
    ("info one.h5 --json", ">/dev/full"): 74,
    ("info one.h5", "2>&-"): 0,
    ("info gone.h5", "2>&-"): 1,
    ("info gone.h5", "2>/dev/full"): 1,
    ("info", "2>&-"): 2,
    ("--help", ">&-"): 74,
    ("sample-sdf meshes a.h5 {few}", ">&-"): 0,  # the data set is what was asked for
    ("sample-sdf meshes b.h5 {few}", "2>/dev/full"): 0,
    ("sample-sdf meshes c.h5 {few}", "<&- >&- 2>&-"): 0,
    ("sample-sdf meshes d.h5 {few} --json", ">&-"): 74,
    ("sample-sdf - e.h5 {few}", "<&-"): 1,
}


def test_closed_and_full_streams_cost_what_they_carry_and_nothing_else(
    world: Path, tmp_path: Path, record: Any
) -> None:
    shutil.copytree(world, tmp_path / "world")
    for (words, streams), code in CLOSED.items():
        done = shell(f"shapetool {words.format(few=' '.join(FEW))} {streams}", tmp_path / "world")
        assert done.returncode == code, (words, streams, done)
    whole = (world / "one.h5").read_bytes()
    for name in ("a.h5", "b.h5", "c.h5"):  # no line of a stream ever lands in a file that took its number
        assert (tmp_path / "world" / name).read_bytes() == whole
    record(30, part="closed and full streams", cases=len(CLOSED))


def on_terminal(words: Sequence[str], cwd: Path, columns: int = 20, **environment: str) -> tuple[int, str]:
    """Exit code and all that a command shows on a terminal so many columns wide."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [*PYTHON, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
        env=environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(timeout=60), shown.decode("utf-8")


TERMINALS = ({"TERM": "xterm-256color"}, {"TERM": "dumb"}, {"TERM": "xterm-256color", "NO_COLOR": "1"})


@pytest.mark.parametrize("environment", TERMINALS, ids=["narrow", "dumb", "no colour"])
def test_a_terminal_of_twenty_columns_shows_every_number(
    world: Path, tmp_path: Path, environment: dict[str, str], record: Any
) -> None:
    shutil.copytree(world, tmp_path / "world")
    asked = {
        "info one.h5": 0,
        "info gone.h5": 1,
        "sample-sdf meshes out.h5 --count 600 --surface-count 40 -j 1": 0,
        "eval meshes meshes --samples 200 --metrics hausdorff -j 1": 0,
    }
    for words, code in asked.items():
        found, shown = on_terminal(words.split(), tmp_path / "world", **environment)
        assert found == code, shown
        assert "Traceback" not in shown
        if environment["TERM"] == "dumb":
            assert "\x1b" not in shown
        if "NO_COLOR" in environment:
            assert not COLOUR.search(shown)
        if words.startswith("eval"):
            assert re.search(r"hausdorff_90\s+\d\S* \(2\)\s+", shown), shown
    record(30, part="terminal of 20 columns", environment=environment, commands=len(asked))


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a locale that is not UTF-8; skips where none can be made."""
    folder = tmp_path_factory.mktemp("locales")
    program = shutil.which("localedef")
    if program is None:
        pytest.skip("localedef, which makes locales, is not installed here")
    subprocess.run([program, "-i", "de_DE", "-f", "ISO-8859-1", str(folder / "de_DE.ISO-8859-1")], check=False)
    environment = {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}
    code = "import sys; print(sys.getfilesystemencoding())"
    made = subprocess.run(
        [PYTHON[0], "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    if "8859" not in made.stdout:
        pytest.skip(f"localedef made no locale in ISO-8859-1: Python takes {made.stdout.strip()}")
    return environment


def named(folder: Path, template: Path) -> None:
    """Nothing; copies of a mesh under names of several alphabets, one of them no text at all."""
    for name in ("größe.obj", "日本 x.obj", "plain.obj"):
        shutil.copy(template, folder / name)
    shutil.copy(template, os.fsencode(folder) + b"/b\xff.obj")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# What is left of four names: all but the broken one; the one in ASCII; two, of which one says something else.
ALPHABETS = [({"LC_ALL": "C"}, 3), (ASCII, 1), ({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii:strict"}, 3)]


@pytest.mark.parametrize(("environment", "good"), ALPHABETS, ids=["C", "ascii", "ascii output"])
def test_names_of_other_alphabets_have_a_status_and_never_a_trace(
    world: Path, tmp_path: Path, environment: dict[str, str], good: int, times: Callable[[int, int], int], record: Any
) -> None:
    check_names(world, tmp_path, environment, good, PRINTING[: times(2, len(PRINTING))])
    record(30, part="names in another alphabet", environment=environment, names=4, stored=good)


def test_names_in_a_locale_that_is_not_utf_8_have_a_status(
    world: Path, tmp_path: Path, latin: dict[str, str], record: Any
) -> None:
    check_names(world, tmp_path, latin, 2, PRINTING)  # 0x9f of ß and 0x97 of 日 are control characters there
    record(30, part="names in ISO-8859-1", names=4, stored=2)


PRINTING = ("info out.h5", "info in/größe.obj", "info out.h5 --json", "verify out.h5", "eval in in --samples 200 -j 1")


def check_names(world: Path, place: Path, environment: dict[str, str], good: int, printing: Sequence[str]) -> None:
    """Nothing; samples meshes with odd names, and lets the commands that print names print them."""
    (place / "in").mkdir()
    named(place / "in", world / "meshes/box-00000.obj")
    run("sample-sdf", "in", "out.h5", *FEW, cwd=place, env=environment, expect=3)
    lines = [json.loads(line) for line in (place / "out.h5.report.jsonl").read_text(encoding="utf-8").splitlines()]
    statuses = sorted(line["status"] for line in lines)
    assert statuses == ["invalid"] * (4 - good) + ["ok"] * good
    for words in printing:
        run(*words.split(), cwd=place, env=environment, expect=3 if words.startswith("eval") else 0)
    run("info", "in/gärtchen.obj", cwd=place, env=environment, expect=1)
