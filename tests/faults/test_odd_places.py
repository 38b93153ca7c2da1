"""Clocks, folders and files as they may be: each item has a status that says what is wrong, and no run a trace."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import PYTHON, REPOSITORY, run
from tests.geometry.mesh_files import obj_text, stl_bytes
from tests.rights import heed_permissions

FEW = ("--count", "600", "--surface-count", "40", "-j", "1")


def report(path: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["source"]: line for line in lines}


def test_clocks_that_jump_change_no_byte_and_cost_no_item(tmp_path: Path, record: Any) -> None:
    for name in ("past", "future", "now"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"in/{name}.obj").write_text(obj_text())
    run("sample-sdf", "in", "truth", *FEW, cwd=tmp_path)
    far = time.time() + 10 * 365 * 86400
    os.utime(tmp_path / "in/past.obj", (0, 0))
    os.utime(tmp_path / "in/future.obj", (far, far))
    run("sample-sdf", "in", "out", *FEW, cwd=tmp_path)
    shard = "shard-00000.h5"
    assert (tmp_path / "out" / shard).read_bytes() == (tmp_path / "truth" / shard).read_bytes()
    for times in ((0, 0), (far, far)):  # the machine was at another time when the folder was made
        for path in (tmp_path / "out").rglob("*"):
            os.utime(path, times)
        assert b"nothing left to do" in run("sample-sdf", "in", "out", *FEW, cwd=tmp_path).stderr
        run("verify", "out", cwd=tmp_path)
    (tmp_path / "out" / shard).unlink()
    run("sample-sdf", "in", "out", *FEW, cwd=tmp_path)
    assert (tmp_path / "out" / shard).read_bytes() == (tmp_path / "truth" / shard).read_bytes()
    record(29, part="clock", runs=5)


def test_no_deadline_is_taken_from_a_clock_that_can_be_set() -> None:
    """Time limits and the search for dead owners are by `time.monotonic`; `time.time` may only be written down."""
    found = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "shapetool").rglob("*.py")
        if "time.time()" in path.read_text(encoding="utf-8") or "datetime.now" in path.read_text(encoding="utf-8")
    }
    assert found <= WRITING_DOWN, found - WRITING_DOWN


WRITING_DOWN = {"shapetool/data/lock.py"}  # since when a lock is held, for the words of a refusal


def test_files_without_a_byte_have_a_status(tmp_path: Path, record: Any) -> None:
    (tmp_path / "in").mkdir()
    suffixes = ("obj", "off", "stl", "ply", "glb", "gltf", "3mf", "zip", "xaml")
    for suffix in suffixes:
        (tmp_path / f"in/{suffix}.{suffix}").touch()
    (tmp_path / "in/good.obj").write_text(obj_text())
    run("sample-sdf", "in", "out.h5", *FEW, cwd=tmp_path, expect=3)
    lines = report(tmp_path / "out.h5.report.jsonl")
    assert lines.pop("good.obj")["status"] == "ok"
    assert {line["status"] for line in lines.values()} == {"invalid"}
    assert all("empty" in line["error"] or "0 bytes" in line["error"] for line in lines.values()), lines
    for name in ("empty.h5", "empty.json", "empty.toml", "empty.npz"):
        (tmp_path / name).touch()
    for words in ("info empty.h5", "verify empty.h5", "merge empty.h5 o.h5", "extract empty.h5 o"):
        run(*words.split(), cwd=tmp_path, expect=None)
    run("render-views", "in/good.obj", "v.h5", "--cameras", "empty.json", cwd=tmp_path, expect=1)
    record(29, part="empty files", files=len(suffixes) + 4)


def test_names_of_all_alphabets_and_with_spaces_are_kept(tmp_path: Path, record: Any) -> None:
    names = ("größe und ñandú", "日本語", " leading", "trailing ", "a\u0301 (1) & 100%", "emoji \N{SNOWMAN}", "x" * 200)
    (tmp_path / "in/a folder").mkdir(parents=True)
    for name in names:
        (tmp_path / f"in/a folder/{name}.obj").write_text(obj_text())
    run("sample-sdf", "in", "out", *FEW, cwd=tmp_path)
    run("convert", "out", "other", "--to", "deepsdf", cwd=tmp_path)
    run("repair", "in", "repaired", "-j", 1, cwd=tmp_path)
    made = {path.relative_to(tmp_path / "repaired").as_posix() for path in (tmp_path / "repaired").rglob("*.ply")}
    assert made == {f"a folder/{name}.ply" for name in names}
    record(29, part="names", names=len(names))


def test_a_folder_of_a_million_entries_is_read_for_the_few_that_count(
    tmp_path: Path, times: Callable[[int, int], int], record: Any
) -> None:
    count, folder = times(20_000, 1_000_000), tmp_path / "in"
    folder.mkdir()
    (folder / "first.txt").touch()
    for number in range(count):
        if number % 50_000 == 0:  # a file has at most 65,000 names
            kept = f"{folder}/{number:07d}.txt"
            os.close(os.open(kept, os.O_CREAT | os.O_WRONLY))
        else:
            os.link(kept, f"{folder}/{number:07d}.txt")
    for name in ("a.obj", "zz.obj"):
        (folder / name).write_text(obj_text())
    began = time.monotonic()
    done = run("sample-sdf", "in", "out.h5", *FEW, cwd=tmp_path, timeout=600)
    assert f"{count + 1} files passed over".encode() in done.stderr
    assert set(report(tmp_path / "out.h5.report.jsonl")) == {"a.obj", "zz.obj"}
    record(29, part="entries of a folder", entries=count + 3, seconds=round(time.monotonic() - began, 2))


SLOW = """
import sys, time
from shapetool.pipelines import sample_sdf
from shapetool.cli.app import main
import shapetool.runner.manifest as manifest
frozen = manifest.manifest_text
def waiting(items):
    text = frozen(items)
    print("frozen", flush=True)
    sys.stdin.readline()
    return text
manifest.manifest_text = waiting
sys.exit(main(sys.argv[1:]))
"""


def test_files_that_vanish_change_or_are_cut_while_a_run_goes_on_have_a_status(tmp_path: Path, record: Any) -> None:
    (tmp_path / "in").mkdir()
    for name in ("changed", "cut", "folder", "gone", "good", "linked"):
        (tmp_path / f"in/{name}.stl").write_bytes(stl_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "sample-sdf", "in", "out", *FEW], cwd=tmp_path, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "frozen\n"  # the list of files is made; none has been read by a worker
    (tmp_path / "in/changed.stl").write_bytes(stl_bytes()[:-2] + b"\1\1")
    (tmp_path / "in/cut.stl").write_bytes(stl_bytes()[:100])
    (tmp_path / "in/gone.stl").unlink()
    (tmp_path / "in/folder.stl").unlink()
    (tmp_path / "in/folder.stl").mkdir()
    (tmp_path / "in/linked.stl").unlink()
    (tmp_path / "in/linked.stl").symlink_to("nowhere")
    said = process.communicate("\n", timeout=120)[1]
    assert process.returncode == 3, said
    assert "Traceback" not in said
    lines = report(tmp_path / "out/report.jsonl")
    assert lines.pop("good.stl")["status"] == "ok"
    assert {line["status"] for line in lines.values()} == {"failed"}, lines
    for name in ("changed", "cut"):
        assert "changed since the manifest was frozen" in lines[f"{name}.stl"]["error"]
    for name in ("gone", "linked"):
        assert "No such file" in lines[f"{name}.stl"]["error"]
    run("verify", "out", cwd=tmp_path)
    record(29, part="vanishing and changing", files=len(lines), named=len(lines))


def test_a_folder_that_may_not_be_written_or_read_is_named(tmp_path: Path, record: Any) -> None:
    (tmp_path / "in/closed").mkdir(parents=True)
    (tmp_path / "in/good.obj").write_text(obj_text())
    (tmp_path / "locked").mkdir(mode=0o555)
    tried = [sys.executable, "-c", "open('locked/x', 'w')"]
    more = {"cwd": tmp_path, "check": False, "capture_output": True, "preexec_fn": heed_permissions}
    if subprocess.run(tried, **more).returncode == 0:  # noqa: PLW1510 - in `more`
        pytest.skip("root cannot give up its right to write everywhere here")
    (tmp_path / "in/closed").chmod(0)
    commands = {
        "sample-sdf in locked/out.h5": 1, "render-views in locked/v": 1, "repair in locked/r": 1,
        "split in --out locked/l": 1, "make-shapes box locked/m": 1, "eval in in --out locked/e": 1,
    }  # fmt: skip
    for words, code in commands.items():
        command = [*PYTHON, *words.split()]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, **more)  # noqa: PLW1510
        assert done.returncode == code, (words, done)
        assert b"locked" in done.stderr
        assert b"Traceback" not in done.stderr
        assert b"defect" not in done.stderr
    done = subprocess.run(  # noqa: PLW1510 - in `more`
        [*PYTHON, "sample-sdf", "in", "out.h5", *FEW], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, **more
    )
    assert done.returncode == 3, done
    assert "cannot be read" in report(tmp_path / "out.h5.report.jsonl")["closed"]["error"]
    (tmp_path / "in/closed").chmod(0o755)
    record(29, part="closed folders", commands=len(commands) + 1)
