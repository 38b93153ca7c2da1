"""An export that is stopped or meets a full disk: nothing half-written has its final name, and a rerun completes it."""

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shapetool.cli.app import main
from shapetool.data.shards import build_shard, publish
from tests.data.formats.foreign import imnet_row, sphere_row
from tests.pipelines.test_convert import content
from tests.pipelines.test_sample_sdf import MAIN, REPOSITORY, shapetool

IDS = [f"chair/{number}" for number in range(4)] + ["lamp/0"]
LAYOUTS = ["deepsdf", "onet", "disn", "vecset", "imnet-v1", "imnet-v2"]


def shards(path: Path, layout: str, ids: list[str] = IDS) -> Path:
    """Shards that the layout takes, each shape of more bytes than `small_files_only` allows a file."""
    kind = "occupancy" if layout.startswith(("onet", "imnet")) else "sdf"
    if layout.startswith("imnet"):
        rows = [imnet_row(shape_id, layout.removeprefix("imnet-")) for shape_id in ids]
    else:
        rows = [sphere_row(shape_id, kind, count=4000) for shape_id in ids]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    publish(path, build_shard(kind, {"name": layout, "backend": "native"}, 0, columns))
    return path


def small_files_only() -> None:
    """A stand-in for a full disk that needs no root: no file may grow beyond a few kilobytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def whole(found: dict[str, bytes], truth: dict[str, bytes]) -> bool:
    """Whether everything that is there is a file of the complete export, to the byte."""
    return all(truth.get(name) == data for name, data in found.items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_disk_is_one_line_and_exit_74_without_half_a_file(layout: str, tmp_path: Path) -> None:
    words = ("convert", shards(tmp_path / "in.h5", layout), "--to", layout, "-q")
    shapetool(*words, "truth", expect=0, cwd=tmp_path)
    done = shapetool(*words, "out", expect=74, cwd=tmp_path, preexec_fn=small_files_only)
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert str(tmp_path / "out") in done.stderr or "out/" in done.stderr
    truth, found = content(tmp_path / "truth"), content(tmp_path / "out")
    assert whole(found, truth)
    assert max((len(data) for data in found.values()), default=0) <= 20_000
    shapetool(*words, "out", expect=0, cwd=tmp_path)
    assert content(tmp_path / "out") == truth


@pytest.mark.parametrize("layout", ["onet", "imnet-v2"])
def test_a_disk_that_fills_up_is_exit_74_and_a_rerun_with_room_completes(layout, small_disk, tmp_path, capsys) -> None:
    ids = [f"chair/{number}" for number in range(14)]
    source = shards(tmp_path / "in.h5", layout, ids)
    words = ["convert", str(source), "--to", layout, "-q"]
    assert main([*words, str(tmp_path / "truth")]) == 0
    small_disk.joinpath("filler").write_bytes(bytes(900_000))
    assert main([*words, str(small_disk / "out")]) == 74
    assert "No space left on device" in capsys.readouterr().err
    truth = content(tmp_path / "truth")
    assert whole(content(small_disk / "out"), truth)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert main([*words, str(small_disk / "out")]) == 0
    assert content(small_disk / "out") == truth


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_signal_between_writing_and_naming_leaves_whole_files_only(layout, name, tmp_path, capsys, monkeypatch):
    """The signal comes when a file is written under its own name and not yet under the final one."""
    source = shards(tmp_path / "in.h5", layout)
    words = ["convert", str(source), "--to", layout]
    assert main([*words, str(tmp_path / "truth"), "-q"]) == 0
    truth, calls, replace = content(tmp_path / "truth"), 0, os.replace

    def told_to_stop(*paths: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), getattr(signal, name))
        replace(*paths)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", told_to_stop)
        capsys.readouterr()
        assert main([*words, str(tmp_path / "out")]) == 75
    said = capsys.readouterr().err
    assert said == f"shapetool: error: stopped by {name}; run the same command again to go on\n"
    found = content(tmp_path / "out")
    assert whole(found, truth)
    assert 0 < len(found) < len(truth) + (layout == "imnet-v2")  # its third name is that of its only file
    assert main([*words, str(tmp_path / "out"), "-q"]) == 0
    assert content(tmp_path / "out") == truth


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_kill_left_half_written_goes_with_the_rerun(layout: str, tmp_path: Path) -> None:
    words = ["convert", str(shards(tmp_path / "in.h5", layout)), str(tmp_path / "out"), "--to", layout, "-q"]
    assert main(words) == 0
    truth = content(tmp_path / "out")
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    owner = f"{socket.gethostname()}.{child.pid}-1.tmp"
    for path in [path for path in (tmp_path / "out").rglob("*") if path.is_file()]:
        path.with_name(f".{path.name}.{owner}").write_bytes(b"half")
    assert main(words) == 0
    assert content(tmp_path / "out") == truth


def test_a_kill_before_the_folder_said_whose_it_is_leaves_a_folder_that_can_be_taken(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    (out / f"..shapetool-convert.json.{socket.gethostname()}.{child.pid}-1.tmp").write_bytes(b"half")
    words = ["convert", str(shards(tmp_path / "in.h5", "onet")), str(out), "--to", "onet", "-q"]
    assert main(words) == 0
    assert not list(out.glob("*.tmp"))


@pytest.mark.parametrize("layout", ["disn", "imnet-v1"])
def test_a_process_that_is_told_to_end_while_it_exports_ends_with_75(layout: str, tmp_path: Path) -> None:
    ids = [f"chair/{number:03d}" for number in range(250 if layout == "disn" else 20)]
    source, out = shards(tmp_path / "in.h5", layout, ids), tmp_path / "out"
    words = ["convert", str(source), str(out), "--to", layout, "--json"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert b"step" in process.stdout.readline()  # it has begun
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert b"stopped by SIGTERM" in said
    assert not list(out.rglob("*.tmp"))
    assert main([*words[:5], "-q"]) == 0
    assert main(["convert", str(source), str(tmp_path / "truth"), "--to", layout, "-q"]) == 0
    assert content(out) == content(tmp_path / "truth")
