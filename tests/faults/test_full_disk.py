"""A disk with no room: exit 74, the name and the bytes that it lacks, no wrong file, and a rerun that completes."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shapetool.data.reading import open_dataset
from shapetool.data.verify import verify
from shapetool.errors import DataError
from tests.faults.faulty_run import REPOSITORY, tree
from tests.faults.targets import make_inputs

IO_FAILED = 74
COUNT = 150_000  # of points: records take 2.4 MB each, so eight megabytes are full when their shard is made
MORE = 250_000  # or before that, when the third record is written
Ended = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs")) / "meshes"


def sample(meshes: Path, out: Path, count: int = COUNT, limit: Callable[[], None] | None = None) -> Ended:
    words = [sys.executable, "-m", "shapetool", "sample-sdf", meshes, out, "--count", count, "--surface-count", 0]
    return subprocess.run(
        [*map(str, words), "-j", "1"],
        cwd=REPOSITORY,
        env=os.environ,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(ended: Ended, place: Path, reason: str) -> int:
    """How many bytes were wanted, after the one line that says so was found to name a path below `place`."""
    assert ended.returncode == IO_FAILED, ended.stderr  # below 0: a crash
    assert "Traceback" not in ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if "error" in line]
    said = re.fullmatch(rf"shapetool: error: {re.escape(str(place))}/\S+: {reason} while writing (\d+) bytes", line)
    assert said, line
    return int(said[1])


def readable(place: Path) -> list[Path]:
    """The files under a data set's name that open; none may hold anything but what was meant."""
    found = []
    for path in place.rglob("*.h5"):
        if path.is_file():
            try:
                dict(open_dataset(path)[0])
            except DataError:
                continue
            found.append(path)
    return found


@pytest.mark.parametrize("small_disk", ["8m"], indirect=True)
@pytest.mark.parametrize(("out", "count"), [("out", COUNT), ("out", MORE), ("out.h5", COUNT)])
def test_eight_megabytes_are_too_few_and_then_there_is_room(small_disk, meshes, tmp_path, record, out, count) -> None:
    (tmp_path / "truth").mkdir()
    assert sample(meshes, tmp_path / "truth" / out, count).returncode == 0
    wanted = refused(sample(meshes, small_disk / out, count), small_disk, "No space left on device")
    assert wanted > 1_000_000
    assert not readable(small_disk)
    wanted_again = refused(sample(meshes, small_disk / out, count), small_disk, "No space left on device")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    ended = sample(meshes, small_disk / out, count)
    assert ended.returncode == 0, ended.stderr
    assert tree(small_disk) == tree(tmp_path / "truth")
    assert not verify(small_disk / out)
    record(4, out=out, disk="8m", exits=[IO_FAILED, IO_FAILED, 0], wanted=[wanted, wanted_again], readable_but_wrong=0)


def limited(size: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("out", ["out", "out.h5"])
def test_files_may_not_be_as_large_as_they_must(meshes, tmp_path, times, record, out) -> None:
    """The limit cuts what is written at sizes from a byte to just below the largest file."""
    count = 20_000
    (tmp_path / "truth").mkdir()
    assert sample(meshes, tmp_path / "truth" / out, count).returncode == 0
    largest = max(path.stat().st_size for path in (tmp_path / "truth").rglob("*.h5"))
    sizes = [round(largest * (k + 1) / (times(2, 40) + 1)) for k in range(times(2, 40))]
    place, tried = tmp_path / "disk", 0
    place.mkdir()
    for size in (1, *sizes, largest - 1):
        refused(sample(meshes, place / out, count, limited(size)), place, "File too large")
        assert not readable(place)
        tried += 1
    ended = sample(meshes, place / out, count, limited(largest))
    assert ended.returncode == 0, ended.stderr
    assert tree(place) == tree(tmp_path / "truth")
    record(4, out=out, limits=tried, exits=IO_FAILED, readable_but_wrong=0)


@pytest.mark.parametrize("small_disk", ["8m"], indirect=True)
def test_a_disk_that_fills_up_while_a_folder_is_merged(small_disk, meshes, tmp_path, record) -> None:
    assert sample(meshes, tmp_path / "set").returncode == 0
    words = [sys.executable, "-m", "shapetool", "merge", str(tmp_path / "set"), str(small_disk / "all.h5")]
    (small_disk / "filler").write_bytes(bytes(4_000_000))
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    wanted = refused(ended, small_disk, "No space left on device")
    assert os.listdir(small_disk) == ["filler"]
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not verify(small_disk / "all.h5")
    record(4, out="merge", disk="8m", exits=[IO_FAILED, 0], wanted=wanted, readable_but_wrong=0)
