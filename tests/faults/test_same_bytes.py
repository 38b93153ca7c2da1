"""However a run is divided, its shards are the same to the bit; and many items cost their driver little."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = [path for path in os.environ.get("SHAPETOOL_OTHER_PYTHONS", "").split(os.pathsep) if path]
REPOSITORY = Path(__file__).resolve().parents[2]
WAYS = {
    "one worker": [["-j", "1"]],
    "two workers": [["-j", "2"]],
    "four workers": [["-j", "4"]],
    "three parts": [["--shard", "2/3"], ["--shard", "0/3"], ["--shard", "1/3"]],
    "parts of two divisions": [["--shard", "1/4", "-j", "1"], ["--shard", "0/2"], ["--shard", "1/2"]],
    "another instruction set": [["-j", "2"]],
}
COMMANDS = {
    "sample-sdf": ["--count", "800000"],
    "sample-occupancy": ["--recipe", "onet", "--count", "1200000"],
    "render-views": ["--views", "12", "--size", "224"],
}
LAST_STEP = """
import sys
from pathlib import Path
from shapetool.pipelines.sample_sdf import run
from shapetool.recipes import sdf_recipe
from shapetool.runner.job import Options
recipe = sdf_recipe("deepsdf-code").replace(count=64, surface_count=4)
summary = run([sys.argv[1]], sys.argv[2], recipe, options=Options(workers=2))
text = Path("/proc/self/status").read_text()  # getrusage would count what the process that started this one held
held = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))
print(summary.total, summary.counts["ok"], summary.shards, held << 10)
"""
TETRAHEDRON = b"OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from shapetool.cli.app import main

    folder = tmp_path_factory.mktemp("meshes") / "in"
    for family in ("chair", "mug"):
        words = ["make-shapes", family, str(folder / family), "--count", "8", "--segments", "24", "-q"]
        assert main(words) == 0
    return folder


def made(command: str, meshes: Path, out: Path, way: str, python: str = sys.executable) -> dict[str, str]:
    environment = os.environ | ({"SHAPETOOL_SIMD": "baseline"} if way == "another instruction set" else {})
    for words in WAYS[way]:
        line = [python, "-m", "shapetool", command, str(meshes), str(out), "-q", *COMMANDS[command], *words]
        place = REPOSITORY if python == sys.executable else out.parent
        done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("shard-*.h5"))}


@pytest.mark.parametrize("command", COMMANDS)
def test_workers_parts_and_instruction_sets_change_no_byte(meshes, tmp_path, command, times, record) -> None:
    ways = list(WAYS)[: times(len(WAYS) if command == "sample-sdf" else 2, len(WAYS))]
    found = {way: made(command, meshes, tmp_path / way.replace(" ", "-"), way) for way in ways}
    assert len(found[ways[0]]) >= 3
    assert all(digests == found[ways[0]] for digests in found.values())
    record(22, command=command, ways=ways, shards=len(found[ways[0]]))


@pytest.mark.skipif(not OTHERS, reason="SHAPETOOL_OTHER_PYTHONS names no interpreters in which shapetool is installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_other_versions_of_python_change_no_byte(meshes, tmp_path, command, record) -> None:
    asked = "import platform; print(platform.python_version())"
    versions = [subprocess.check_output([python, "-c", asked], text=True).strip() for python in OTHERS]
    truth = made(command, meshes, tmp_path / "here", "two workers")
    found = [made(command, meshes, tmp_path / f"other{k}", "two workers", python) for k, python in enumerate(OTHERS)]
    assert len(truth) >= 3
    assert found == [truth] * len(OTHERS)
    record(22, command=command, pythons=versions, shards=len(truth))


def test_a_driver_of_many_items_stays_small(tmp_path, times, record) -> None:
    count = times(2_000, 100_000)
    for number in range(count):
        if number < 100:
            (tmp_path / "in" / f"c{number:02d}").mkdir(parents=True)
        (tmp_path / "in" / f"c{number % 100:02d}" / f"s{number:06d}.off").write_bytes(TETRAHEDRON)
    line = [sys.executable, "-c", LAST_STEP, str(tmp_path / "in"), str(tmp_path / "out")]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    total, ok, _, held = map(int, done.stdout.split())
    assert (total, ok) == (count, count)
    assert held < 500 << 20
    again = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert again.stdout.split()[2] == "0"
    assert int(again.stdout.split()[3]) < 500 << 20
    lines = (tmp_path / "out" / "report.jsonl").read_bytes().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == count
    record(28, items=count, driver_bytes=held, driver_bytes_on_resuming=int(again.stdout.split()[3]))
