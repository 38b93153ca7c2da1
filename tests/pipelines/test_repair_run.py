"""`shapetool repair` as a run: killed and stopped, on several workers, in parts, with an item that takes too long."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapetool.data.mesh_files import encode_mesh
from shapetool.geometry.mesh import Mesh
from shapetool.pipelines.repair import RepairRecipe, run
from shapetool.runner.job import Options
from tests import analytic

COARSE = RepairRecipe(resolution=20, force=True)
WORDS = ("--resolution", "20", "--force")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five boxes of two shells each."""
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    shells = analytic.overlapping_shells()
    for number in range(5):
        vertices = shells.vertices * [1, 1, 1 + 0.1 * number]
        name = f"{'deep/' if number % 2 else ''}s{number}.obj"
        (root / name).write_bytes(encode_mesh(Mesh(vertices, shells.faces), "obj"))
    return root


def start(folder: Path, out: Path, *words: str) -> "subprocess.Popen[bytes]":
    program = "import sys; from shapetool.cli.app import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "repair", str(folder), str(out), *WORDS, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def meshes(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.ply"))}


def lines(out: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


def stop_after_the_first(process: "subprocess.Popen[bytes]", out: Path, number: int) -> None:
    """Sends the signal as soon as one mesh is there, and waits."""
    deadline = time.monotonic() + 60
    while not meshes(out):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline, "the run does not get anywhere"
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(60)


def test_workers_threads_and_parts_change_no_byte(folder, tmp_path):
    run([folder], tmp_path / "one", COARSE, options=Options(workers=1))
    run([folder], tmp_path / "two", COARSE, options=Options(workers=2))
    run([folder / "s0.obj"], tmp_path / "threads", COARSE, options=Options(workers=2))  # one item, so two threads
    for part in (1, 0):
        run([folder], tmp_path / "parts", COARSE, options=Options(workers=1, shard=(part, 2)))
    assert len(meshes(tmp_path / "one")) == 5
    assert meshes(tmp_path / "one") == meshes(tmp_path / "two") == meshes(tmp_path / "parts")
    assert (tmp_path / "threads/s0.ply").read_bytes() == (tmp_path / "one/s0.ply").read_bytes()
    assert lines(tmp_path / "one") == lines(tmp_path / "two") == lines(tmp_path / "parts")


def test_a_killed_run_goes_on_to_the_same_bytes(folder, tmp_path):
    run([folder], tmp_path / "truth", COARSE, options=Options(workers=1))
    out = tmp_path / "out"
    process = start(folder, out, "-j", "1")
    stop_after_the_first(process, out, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    again = run([folder], out, COARSE, options=Options(workers=1))
    assert again.done_now < 5
    assert again.exit_code == 0
    assert meshes(out) == meshes(tmp_path / "truth")
    assert lines(out) == lines(tmp_path / "truth")
    assert not list(out.rglob(".*.tmp"))


def test_ctrl_c_keeps_what_is_finished(folder, tmp_path):
    out = tmp_path / "out"
    process = start(folder, out, "-j", "1")
    stop_after_the_first(process, out, signal.SIGINT)
    assert process.returncode == 130
    kept = meshes(out)
    assert 0 < len(kept) < 5
    assert {line["id"] for line in lines(out)} >= {name.removesuffix(".ply") for name in kept}
    assert run([folder], out, COARSE, options=Options(workers=1)).exit_code == 0
    assert kept.items() <= meshes(out).items()
    assert len(meshes(out)) == 5


def test_an_item_that_takes_too_long_is_named_and_costs_only_itself(folder, tmp_path):
    # A pipe that nobody writes to, under the name of a mesh, is opened for ever; made after the runner has looked.
    out = tmp_path / "out"
    said: list[dict[str, Any]] = []

    def swap(event: dict[str, Any]) -> None:
        said.append(event)
        if event["event"] == "start":
            (folder / "s0.obj").unlink()
            os.mkfifo(folder / "s0.obj")

    summary = run([folder], out, COARSE, options=Options(workers=2, item_timeout=5.0, on_event=swap))
    assert summary.exit_code == 3
    assert summary.counts == {"ok": 4, "timeout": 1}
    found = {line["id"]: line for line in lines(out)}
    assert found["s0"]["status"] == "timeout"
    assert "5 s" in found["s0"]["error"]
    assert "s0.ply" not in meshes(out)
    assert [event["id"] for event in said if event["event"] == "item" and event["status"] != "ok"] == ["s0"]


def test_what_float32_would_make_meet_itself_is_not_written_as_stl(tmp_path):
    """Two boxes a thousandth apart, a hundred thousand from the origin: where float32 goes in steps of 1/128."""
    one, faces = analytic.box_mesh((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    two = one * [1, 1, 0.9] + [0, 0, 1.001]
    both = Mesh(np.concatenate([one, two]) + 1e5, np.concatenate([faces, faces + len(one)]))
    (tmp_path / "far.obj").write_bytes(encode_mesh(both, "obj"))
    for suffix, status in (("ply", "ok"), ("stl", "invalid")):
        out = tmp_path / suffix
        run([tmp_path / "far.obj"], out, RepairRecipe(resolution=20), suffix=suffix, options=Options(workers=1))
        (line,) = lines(out)
        assert line["status"] == status
        assert "Use --format ply" in (line["error"] or "Use --format ply")
    assert not list((tmp_path / "stl").rglob("*.stl"))
