"""Names and addresses that lead elsewhere: each is refused or escaped, and the system saw no file opened outside."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import opened, outsiders, run, sockets, strace
from tests.faults.hostile import CASES, named, secrets

VIEWS = ("--views", "1", "--size", "8", "--channels", "rgb", "-j", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every trap beside a good mesh, after `render-views`, which also wants materials and textures."""
    folder = tmp_path_factory.mktemp("hostile")
    outside = secrets(folder / "outside")
    (folder / "in").mkdir()
    named("good.obj")(folder / "in", outside)
    for number, (make, _, _) in enumerate(CASES.values()):
        (folder / f"in/{number:02d}").mkdir()
        make(folder / f"in/{number:02d}", outside)
    done = run("render-views", "in", "out.h5", *VIEWS, cwd=folder, expect=3)
    (folder / "stderr").write_bytes(done.stderr)
    return folder


def lines_of(folder: Path, number: int) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "out.h5.report.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["source"].startswith(f"{number:02d}/")]


def test_every_trap_has_its_status_and_reason(finished: Path, record: Any) -> None:
    for number, (name, (_, status, reason)) in enumerate(CASES.items()):
        found = lines_of(finished, number)
        assert len(found) == 1, (name, found)
        assert found[0]["status"] == status, (name, found)
        said = " ".join([found[0]["error"] or "", *found[0]["warnings"]])
        assert re.search(reason, said), (name, said)
    assert not list(finished.rglob("harm"))
    assert {path.name for path in (finished / "outside").iterdir()} == {
        "secret.obj", "secret.bin", "secret.mtl", "secret.png"
    }  # fmt: skip
    record(15, names=len(CASES), refused_or_escaped=len(CASES))


def test_what_is_printed_of_them_cannot_move_the_cursor(finished: Path) -> None:
    said = (finished / "stderr").read_text(encoding="utf-8").splitlines()
    assert said
    assert all(character.isprintable() for line in said for character in line)


def test_no_file_outside_is_opened_and_no_socket_made(finished: Path, tmp_path: Path, record: Any) -> None:
    trace = tmp_path / "trace"
    before = strace(trace, "open,openat,openat2,creat,socket,connect,bind,sendto")
    for name in ("tmp", "out"):
        (tmp_path / name).mkdir()
    more = {"cwd": finished, "before": before, "expect": 3, "timeout": 300, "env": {"TMPDIR": str(tmp_path / "tmp")}}
    run("render-views", "in", tmp_path / "out/again.h5", *VIEWS, **more)
    allowed = (finished / "in", tmp_path / "out", tmp_path / "tmp")
    assert str(finished / "in/good.obj") in set(opened(trace))
    assert outsiders(trace, finished, *allowed) == set()
    assert sockets(trace) == []
    record(15, part="strace", files=len(set(opened(trace))), outside=0, sockets=0)


def test_the_trace_would_show_a_file_outside(finished: Path, tmp_path: Path) -> None:
    before = strace(tmp_path / "trace", "open,openat,openat2")
    run("info", finished / "outside/secret.obj", cwd=finished, before=before)
    assert outsiders(tmp_path / "trace", finished, finished / "in", tmp_path) == {str(finished / "outside/secret.obj")}
