"""Files that ask for more memory than there is: each is one item that is refused, under the limit, beside good ones."""

import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapetool.data.formats import load_format
from shapetool.data.shards import open_dataset
from tests.data.formats.foreign import sphere_row
from tests.faults.bombs import write_bombs, write_pictures
from tests.geometry.mesh_files import CUBE_VERTICES, obj_text

MIB = 1 << 20
LIMIT = 768  # MiB an item may take
GOOD = 6

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no memory is told below /proc here")


def peaks_of(session: int) -> dict[int, int]:
    """The most memory that each process of a session ever held, in bytes."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
                found[int(entry.name)] = int(status["VmHWM"].split()[0]) * 1024
        except (OSError, KeyError, ValueError):
            continue
    return found


def watched(words: list[str]) -> tuple[int, str, int]:
    """Exit code and stderr of a command, and the most memory that one of its processes ever held."""
    start = [sys.executable, "-m", "shapetool", *words]
    process = subprocess.Popen(
        start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    peak, ended = 0, threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(0.01):
            peak = max(peak, *peaks_of(process.pid).values(), 0)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        error = process.communicate(timeout=280)[1]
    finally:
        ended.set()
        thread.join()
        process.kill()
    return process.returncode, error, peak


def write_good(folder: Path) -> None:
    for number in range(GOOD):
        (folder / f"good{number}.obj").write_text(obj_text(CUBE_VERTICES * (1 + number)))


def report(out: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    return {line["source"]: line for line in lines}


def test_meshes_that_ask_for_gigabytes_are_refused_and_no_worker_takes_more_than_its_share(
    tmp_path: Path, times: Callable[[int, int], int], record: Callable[..., None]
) -> None:
    (tmp_path / "in").mkdir()
    expected = write_bombs(tmp_path / "in", times(150, 1500))
    write_good(tmp_path / "in")
    words = ["sample-sdf", str(tmp_path / "in"), str(tmp_path / "out"), "--count", "500", "--surface-count", "10"]
    code, error, peak = watched([*words, "-j", "2", "--item-memory", f"{LIMIT}M", "--item-timeout", "120", "-q"])
    assert code == 3, error
    lines = report(tmp_path / "out")
    assert set(lines) == set(expected) | {f"good{number}.obj" for number in range(GOOD)}
    odd = {name: lines[name] for name in expected if lines[name]["status"] not in expected[name].split()}
    assert not odd
    assert [lines[f"good{number}.obj"]["status"] for number in range(GOOD)] == ["ok"] * GOOD
    assert len(open_dataset(tmp_path / "out")) == GOOD
    statuses = [lines[name]["status"] for name in expected]
    record(
        11, bombs=len(expected), invalid=statuses.count("invalid"), oom=statuses.count("oom"), good=GOOD,
        peak_mib=peak // MIB, limit_mib=LIMIT,
    )  # fmt: skip
    assert peak <= LIMIT * MIB


def test_an_item_that_writes_to_all_it_gets_stays_under_the_limit_and_is_out_of_memory(tmp_path, record) -> None:
    (tmp_path / "in").mkdir()
    write_good(tmp_path / "in")
    (tmp_path / "in/eater.obj").write_text("eater")
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from shapetool.runner.items import collect\nfrom shapetool.runner.job import Options\n"
        "from shapetool.runner.run import run_job\nfrom tests.runner.runner_fakes import FakeJob\n"
        "job = FakeJob(preload=('tests.runner.runner_fakes', 'shapetool.data.shards'))\n"
        f"options = Options(workers=2, item_memory={LIMIT * MIB})\n"
        "if __name__ == '__main__':\n"
        "    run_job(job, collect([sys.argv[1]], {'.obj'}).items, Path(sys.argv[2]), options)\n"
    )
    (tmp_path / "run.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "in"), str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        start_new_session=True,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, *peaks_of(process.pid).values(), 0)
    assert process.returncode == 0
    lines = report(tmp_path / "out")
    assert lines["eater.obj"]["status"] == "oom"
    assert [lines[f"good{number}.obj"]["status"] for number in range(GOOD)] == ["ok"] * GOOD
    record(11, bombs=1, oom=1, good=GOOD, peak_mib=peak // MIB, limit_mib=LIMIT)
    assert LIMIT * MIB // 2 < peak <= LIMIT * MIB


def test_textures_of_thousands_of_millions_of_pixels_are_not_unpacked(tmp_path, record) -> None:
    (tmp_path / "in").mkdir()
    write_good(tmp_path / "in")
    write_pictures(tmp_path / "in", 60_000)
    words = ["render-views", str(tmp_path / "in"), str(tmp_path / "out"), "--views", "1", "--size", "32", "-j", "2"]
    code, error, peak = watched([*words, "--channels", "rgb,depth", "--item-memory", f"{LIMIT}M", "-q"])
    assert code in (0, 3), error
    lines = report(tmp_path / "out")
    for name in ("square.glb", "square.obj"):
        line = lines[name]
        said = (line["error"] or "") + " ".join(line["warnings"])
        assert "pixels" in said, line
        assert line["status"] in ("ok", "invalid", "oom")
    assert [lines[f"good{number}.obj"]["status"] for number in range(GOOD)] == ["ok"] * GOOD
    record(11, bombs=2, statuses=[lines[name]["status"] for name in ("square.glb", "square.obj")], peak_mib=peak // MIB)
    assert peak <= LIMIT * MIB


def promising(path: Path, names: tuple[str, ...], shape: str, mebibytes: int) -> None:
    """An npz whose arrays say of themselves that they have this shape, and are so many mebibytes of zeros."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    with_head = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w") as file:
                file.write(with_head)
                for _ in range(mebibytes):
                    file.write(bytes(MIB))


def test_arrays_of_zeros_a_thousand_times_their_size_cost_themselves_alone(tmp_path, times, record) -> None:
    size = times(300, 600)
    layout = load_format("deepsdf")
    for number in range(3):
        layout.write(tmp_path / "deepsdf", sphere_row(f"chair/good{number}"))
    good = layout.find(tmp_path / "deepsdf")[0][1]
    promising(good.with_name("zeros.npz"), ("pos", "neg"), f"({size << 16}, 4)", size)
    promising(good.with_name("promise.npz"), ("pos", "neg"), "(2147483648, 4)", 1)
    # What is to be stored has as many points as every shape has, unless it is said.
    words = ["convert", str(tmp_path / "deepsdf"), str(tmp_path / "out"), "--to", "shards", "--from", "deepsdf"]
    code, error, peak = watched([*words, "--count", "500", "-j", "2", "-q", "--item-memory", f"{LIMIT}M"])
    assert code == 3, error
    lines = report(tmp_path / "out")
    statuses = {Path(name).stem: line["status"] for name, line in lines.items()}
    assert statuses["promise"] == "invalid"
    assert statuses["zeros"] == "oom"
    assert [statuses[f"good{number}"] for number in range(3)] == ["ok"] * 3
    record(11, bombs=2, statuses=statuses, peak_mib=peak // MIB, unpacked_mib=2 * size)
    assert peak <= LIMIT * MIB


def test_a_predicted_cloud_of_zeros_costs_its_row_alone(tmp_path, times, record) -> None:
    for side in ("pred", "true"):
        (tmp_path / side).mkdir()
        for number in range(3):
            points = np.random.default_rng(number).random((300, 3))
            np.savez(tmp_path / side / f"s{number}.npz", points=points)
    size = times(201, 900)
    promising(tmp_path / "pred/s1.npz", ("points",), f"({(size << 18) // 3}, 3)", size)
    words = ["eval", str(tmp_path / "pred"), str(tmp_path / "true"), "--out", str(tmp_path / "out"), "--json"]
    code, error, peak = watched([*words, "--metrics", "chamfer", "-j", "2", "--item-memory", f"{LIMIT}M"])
    assert code == 3, error
    rows = (tmp_path / "out/per_shape.csv").read_text().splitlines()
    names = rows[0].split(",")
    found = {row.split(",")[names.index("shape_id")]: row.split(",")[names.index("status")] for row in rows[1:]}
    assert found["s0"] == found["s2"] == "ok"
    assert found["s1"] in ("unreadable", "oom")
    record(11, bombs=1, statuses=found, peak_mib=peak // MIB, unpacked_mib=size)
    assert peak <= LIMIT * MIB
