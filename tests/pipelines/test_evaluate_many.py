"""Evaluations of many pairs: memory that does not grow with them, and runs that are stopped and go on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from shapetool.data.mesh_files import encode_mesh
from shapetool.geometry.mesh import Mesh
from shapetool.pipelines.evaluate import EvalRecipe, evaluate
from shapetool.runner.job import Options
from tests.analytic import box_mesh
from tests.pipelines.test_sample_sdf import MAIN, REPOSITORY

MEGABYTE = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(number: int) -> int:
    """The bytes that a process has in memory; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def descendants() -> list[int]:
    """The processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, grown = {os.getpid()}, True
    while grown:
        more = {number for number, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return sorted(found - {os.getpid()})


@pytest.mark.slow
def test_the_memory_of_ten_thousand_pairs_is_that_of_a_thousand_while_they_are_measured(tmp_path):
    rng, count = np.random.default_rng(0), 10_000
    for side in ("pred", "true"):
        (tmp_path / side).mkdir()
        for number in range(count):
            np.save(tmp_path / side / f"{number:05d}.npy", rng.random((16, 3)))
    done, sizes = 0, []

    def look(event):
        nonlocal done
        done += event["event"] == "item"
        if event["event"] == "item" and done in (1_000, count):
            sizes.append((resident(os.getpid()), max(map(resident, descendants()))))

    found = evaluate(
        tmp_path / "pred", tmp_path / "true", EvalRecipe(metrics=("chamfer",)), options=Options(2, on_event=look)
    )
    assert len(found.rows) == found.summary["counts"]["ok"] == count
    (parent, worker), (parent_at_end, worker_at_end) = sizes
    assert worker_at_end - worker < 3 * MEGABYTE  # the two clouds of all pairs are 7
    assert (parent_at_end - parent) / (count - 1_000) < 1024  # it remembers which pairs are done, not what they are


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The folder of forty boxes and predictions of them, and what a run that nobody stopped says of them."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(40):
        for side, shift in (("true", 0.0), ("pred", 0.001 * number)):
            path = folder / side / f"{number:03d}.ply"
            path.parent.mkdir(exist_ok=True)
            vertices, faces = box_mesh((shift, 0.0, 0.0), (1.0 + shift, 1.0, 1.0))
            path.write_bytes(encode_mesh(Mesh(vertices, faces), "ply"))
    with start(folder, "truth", workers=1) as process:
        assert process.wait(timeout=120) == 0
    return folder


def start(folder: Path, out: str, workers: int = 2) -> "subprocess.Popen[bytes]":
    words = ["eval", "pred", "true", "--protocol", "onet", "--samples", "30000", "--out", out, "-j", str(workers), "-q"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )


def finished(folder: Path) -> int:
    """How many pairs of a run that goes on are done."""
    return sum(1 for path in folder.rglob("*") if path.name.isdigit())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -9), ("SIGTERM", 75)])
def test_an_evaluation_that_is_stopped_goes_on_to_the_same_numbers(many, name, code):
    out = many / name
    with start(many, name) as process:
        deadline = time.monotonic() + 120
        while finished(out) < 5:
            assert process.poll() is None
            assert time.monotonic() < deadline, "the run does not get anywhere"
            time.sleep(0.01)
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=60) == code
    kept = finished(out)
    assert 5 <= kept < 40
    with start(many, name) as process:
        assert process.wait(timeout=120) == 0
    truth = many / "truth"
    assert (out / "per_shape.csv").read_bytes() == (truth / "per_shape.csv").read_bytes()
    assert json.loads((out / "summary.json").read_bytes()) == json.loads((truth / "summary.json").read_bytes())
    rows = list(csv.DictReader((out / "per_shape.csv").read_text().splitlines()))
    assert [row["shape_id"] for row in rows] == [f"{number:03d}" for number in range(40)]


AFTER_METRICS = """
import torch
from shapetool.metrics.points import chamfer
from shapetool.pipelines.evaluate import EvalRecipe, evaluate
from shapetool.runner.job import Options

chamfer(torch.rand(1, 20_000, 3), torch.rand(1, 20_000, 3))  # starts the threads that no forked process would have
recipe = EvalRecipe(samples=20_000, metrics=("chamfer",))
found = evaluate("pred/000.ply", "true/000.ply", recipe, options=Options(2, item_timeout=60))
assert [row["status"] for row in found.rows] == ["ok"], found.rows
"""


@pytest.mark.slow
def test_a_process_that_has_asked_trees_by_many_threads_may_evaluate(many):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", AFTER_METRICS], cwd=many, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
