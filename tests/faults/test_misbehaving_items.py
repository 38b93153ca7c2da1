"""Items that crash their worker or never end: each costs itself, and the report says what became of it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapetool.data.shards import open_dataset
from shapetool.runner.items import collect
from shapetool.runner.job import Options, Summary
from shapetool.runner.run import run_job
from tests.runner.runner_fakes import FakeJob
from tests.runner.runner_fakes import record as true_record

DEATHS = {
    "segfault": "SIGSEGV",
    "wild": "SIGSEGV",
    "abort": "SIGABRT",
    "exit": "exit code 3",
}
ENDLESS = ("loop", "sum", "regex", "stubborn", "stubborn", "stubborn")
LIMIT = 1.5
SLACK = 2.0  # what a worker may take to be gone after the limit


def write_items(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.obj").write_text(text)


def do(folder: Path, out: Path, **options: Any) -> tuple[Summary, dict[str, dict[str, Any]]]:
    """How the run ended, and its report by id."""
    job = FakeJob(points=16, bytes_per_shape=1 << 20, preload=("tests.runner.runner_fakes", "shapetool.data.shards"))
    summary = run_job(job, collect([str(folder)], {".obj"}).items, out, Options(**options))
    lines = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return summary, {line["id"]: line for line in lines}


def check_stored(folder: Path, out: Path, good: list[str]) -> None:
    """None, if the data set holds the true record of every good item and nothing else."""
    found = {item.id: item for item in collect([str(folder)], {".obj"}).items}
    dataset = open_dataset(out)
    assert list(dataset.shape_ids) == sorted(good)
    for name, stored in zip(dataset.shape_ids, dataset, strict=True):
        truth = true_record(found[name], found[name].path.read_text().strip(), 0, 16).columns
        np.testing.assert_array_equal(stored["points"], truth["points"])
        np.testing.assert_array_equal(stored["distances"], truth["distances"])


def test_one_percent_of_items_that_kill_their_worker_cost_themselves_alone(
    tmp_path: Path, times: Callable[[int, int], int], record: Callable[..., None]
) -> None:
    count = times(100, 1000)
    texts = {f"s{number:04d}": f"shape {number}" for number in range(count)}
    # More than the hundredth part where there are few, so that each death is tried.
    rng = np.random.default_rng(9)
    chosen = rng.choice(count, size=max(count // 100, len(DEATHS)), replace=False)
    bad = {f"s{int(row):04d}": list(DEATHS)[place % len(DEATHS)] for place, row in enumerate(chosen)}
    write_items(tmp_path / "in", texts | bad)
    summary, lines = do(tmp_path / "in", tmp_path / "out", workers=2, item_timeout=60.0)
    assert list(lines) == sorted(texts)
    assert {name for name, line in lines.items() if line["status"] != "ok"} == set(bad)
    for name, death in bad.items():
        assert lines[name]["status"] == "crashed"
        assert DEATHS[death] in lines[name]["error"]
    assert summary.exit_code == 3
    assert summary.counts == {"ok": count - len(bad), "crashed": len(bad)}
    check_stored(tmp_path / "in", tmp_path / "out", sorted(set(texts) - set(bad)))
    record(9, items=count, crashed=len(bad), ok=summary.counts["ok"], causes=dict(Counter(bad.values())))


def is_running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@contextmanager
def watched(folder: Path) -> Iterator[dict[str, float]]:
    """How long each process that an item named in its `.pid` file ran on, by item; complete at the end of the block."""
    lasted: dict[str, float] = {}
    ended = threading.Event()

    def look() -> None:
        begun: dict[str, tuple[int, float]] = {}
        while True:
            last = ended.is_set()
            for path in folder.glob("*.pid"):
                text = path.read_text()
                if path.stem not in begun and text.endswith("\n"):
                    number, since = text.split()
                    begun[path.stem] = (int(number), float(since))
            for name, (number, since) in begun.items():
                if name not in lasted and not is_running(number):
                    lasted[name] = time.time() - since
            if last:
                return
            time.sleep(0.02)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lasted
    finally:
        ended.set()
        thread.join()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system shows no processes below /proc")
def test_items_that_never_end_are_gone_two_seconds_after_their_limit(
    tmp_path: Path, times: Callable[[int, int], int], record: Callable[..., None]
) -> None:
    endless = [kind for _ in range(times(1, 4)) for kind in ENDLESS]
    bad = {f"bad{number:02d}": kind for number, kind in enumerate(endless)}
    good = {f"s{number:02d}": f"shape {number}" for number in range(20)}
    write_items(tmp_path / "in", good | bad)
    with watched(tmp_path / "in") as lasted:
        summary, lines = do(tmp_path / "in", tmp_path / "out", workers=len(ENDLESS), item_timeout=LIMIT)
    assert {name for name, line in lines.items() if line["status"] != "ok"} == set(bad)
    for name in bad:
        assert lines[name]["status"] == "timeout"
        assert "took longer than 1.5 s" in lines[name]["error"]
    assert summary.counts == {"ok": len(good), "timeout": len(bad)}
    check_stored(tmp_path / "in", tmp_path / "out", sorted(good))
    assert set(lasted) == set(bad)
    assert min(lasted.values()) >= LIMIT - 0.1
    slowest = max(lasted, key=lambda name: lasted[name])
    record(10, items=len(bad), limit=LIMIT, longest=round(lasted[slowest], 3), kind=bad[slowest])
    assert lasted[slowest] <= LIMIT + SLACK, (bad[slowest], lasted)
