"""A whole run with a small made-up job: what happens to each kind of item, and what a rerun does."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapetool.data.merge import merge
from shapetool.data.shards import open_dataset
from shapetool.errors import ConfigError
from shapetool.runner.items import Item, collect
from shapetool.runner.job import Options, Summary
from shapetool.runner.run import failure_limit, run_job
from tests.runner.runner_fakes import FakeJob, record

GOOD = [f"s{number}" for number in range(5)]


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in GOOD:
        (folder / f"{name}.obj").write_text(f"shape {name}")
    return folder


def items(folder: Path) -> tuple[Item, ...]:
    return collect([str(folder)], {".obj"}).items


def do(folder: Path, out: Path, job: FakeJob | None = None, **options: Any) -> Summary:
    settings = {"workers": 2, "item_timeout": 20.0} | options
    return run_job(job or FakeJob(), items(folder), out, Options(**settings))


def report(path: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines), "an item is in the report twice"
    return {line["id"]: line for line in lines}


def shards(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.h5"))}


def left_over(folder: Path) -> list[str]:
    names = ("manifest.jsonl", "report.jsonl", "settings.json")
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in names and not path.name.startswith(("shard-", "report-"))
    ]


def test_every_item_gets_one_line_and_the_good_ones_a_place_in_a_shard(meshes: Path, tmp_path: Path) -> None:
    (meshes / "bad.obj").write_text("invalid")
    summary = do(meshes, tmp_path / "out")
    assert summary.exit_code == 3
    lines = report(tmp_path / "out/report.jsonl")
    assert list(lines) == sorted(["bad", *GOOD])
    assert lines["bad"]["status"] == "invalid"
    assert lines["bad"]["error"] == "bad.obj: no faces"
    assert {"seconds", "n_vertices", "n_faces", "watertight", "warnings", "source"} <= lines["s0"].keys()
    dataset = open_dataset(tmp_path / "out")
    assert list(dataset.shape_ids) == GOOD
    for place, item in enumerate(item for item in items(meshes) if item.id != "bad"):
        truth = record(item, f"shape {item.id}", 0, 64).columns
        np.testing.assert_array_equal(dataset[place]["points"], truth["points"])
        np.testing.assert_array_equal(dataset[place]["distances"], truth["distances"])
    assert not left_over(tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("raise", "failed", "KeyError"),
        ("exit", "crashed", "exit code 3"),
        ("segfault", "crashed", "SIGSEGV"),
        ("memory", "oom", "out of memory"),
        ("unsaid", "oom", "out of memory"),
        ("hang", "timeout", "took longer than 2 s"),
    ],
)
def test_an_item_that_misbehaves_costs_only_itself(
    meshes: Path, tmp_path: Path, text: str, status: str, reason: str
) -> None:
    (meshes / "bad.obj").write_text(text)
    summary = do(meshes, tmp_path / "out", item_timeout=2.0)
    lines = report(tmp_path / "out/report.jsonl")
    assert lines["bad"]["status"] == status
    assert reason in lines["bad"]["error"]
    assert summary.counts["ok"] == len(GOOD)
    assert summary.exit_code == 3
    assert list(open_dataset(tmp_path / "out").shape_ids) == GOOD


def test_a_worker_that_dies_once_is_given_a_second_chance(meshes: Path, tmp_path: Path) -> None:
    (meshes / "bad.obj").write_text("once")
    summary = do(meshes, tmp_path / "out")
    assert summary.exit_code == 0
    assert report(tmp_path / "out/report.jsonl")["bad"]["attempts"] == 2


def test_no_bytes_depend_on_workers_parts_or_order(meshes: Path, tmp_path: Path) -> None:
    (meshes / "bad.obj").write_text("segfault")
    do(meshes, tmp_path / "one", workers=1)
    do(meshes, tmp_path / "two", workers=2)
    for part in (2, 0, 1):
        do(meshes, tmp_path / "parts", shard=(part, 3))
    assert len(shards(tmp_path / "one")) == 3
    assert shards(tmp_path / "one") == shards(tmp_path / "two") == shards(tmp_path / "parts")
    assert list(report(tmp_path / "parts/report.jsonl")) == ["bad", *GOOD]
    assert do(meshes, tmp_path / "file.h5").exit_code == do(meshes, tmp_path / "again.h5", workers=1).exit_code == 3
    merge(tmp_path / "one", tmp_path / "merged.h5")
    for name in ("again.h5", "merged.h5"):
        assert (tmp_path / "file.h5").read_bytes() == (tmp_path / name).read_bytes()


def test_a_seed_changes_every_shard(meshes: Path, tmp_path: Path) -> None:
    do(meshes, tmp_path / "one")
    do(meshes, tmp_path / "two", FakeJob(seed=1))
    assert not set(shards(tmp_path / "one").values()) & set(shards(tmp_path / "two").values())


def test_a_rerun_with_everything_done_touches_nothing(meshes: Path, tmp_path: Path) -> None:
    (meshes / "bad.obj").write_text("invalid")
    for out in (tmp_path / "out", tmp_path / "out.h5"):
        do(meshes, out)
        before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*")}
        summary = do(meshes, out)
        assert summary.exit_code == 3
        assert summary.shards == 0
        assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*")} == before


def test_a_rerun_makes_a_missing_shard_again_and_leaves_the_others(meshes: Path, tmp_path: Path) -> None:
    do(meshes, tmp_path / "out")
    before = shards(tmp_path / "out")
    kept = (tmp_path / "out/shard-00000.h5").stat().st_mtime_ns
    (tmp_path / "out/shard-00001.h5").unlink()
    do(meshes, tmp_path / "out")
    assert shards(tmp_path / "out") == before
    assert (tmp_path / "out/shard-00000.h5").stat().st_mtime_ns == kept


def test_other_settings_are_refused_and_named(meshes: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "out", tmp_path / "out.h5"):
        do(meshes, out)
        with pytest.raises(ConfigError, match=r"points 64 -> 32, seed 0 -> 7.*--overwrite"):
            do(meshes, out, FakeJob(seed=7, points=32))
        summary = do(meshes, out, FakeJob(seed=7, points=32), overwrite=True)
        assert summary.exit_code == 0
        assert open_dataset(out)[0]["points"].shape == (32, 3)


def test_a_folder_that_is_no_dataset_is_left_alone(meshes: Path, tmp_path: Path) -> None:
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="Choose another OUT"):
            do(meshes, meshes, overwrite=overwrite)
    assert len(items(meshes)) == len(GOOD)


def test_a_file_that_is_no_dataset_is_left_alone(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "out.h5").write_text("my thesis")
    with pytest.raises(ConfigError, match="no data set of shapetool"):
        do(meshes, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "my thesis"


def test_inputs_are_frozen_at_the_first_run(meshes: Path, tmp_path: Path) -> None:
    do(meshes, tmp_path / "out", shard=(0, 3))
    (meshes / "new.obj").write_text("shape new")
    (meshes / "s2.obj").write_text("shape changed")
    (meshes / "s3.obj").unlink()
    notices: list[str] = []
    do(meshes, tmp_path / "out", on_event=lambda event: notices.append(event.get("text", "")))
    lines = report(tmp_path / "out/report.jsonl")
    assert list(lines) == GOOD
    assert lines["s2"]["status"] == "failed"
    assert "changed since the manifest was frozen" in lines["s2"]["error"]
    assert lines["s3"]["status"] == "failed"
    assert any("1 inputs are not in the manifest" in text for text in notices)
    assert any("1 items of the manifest are not among the inputs" in text for text in notices)


@pytest.mark.parametrize("name", ["out", "out.h5"])
def test_a_retry_adds_what_failed_and_keeps_what_did_not(meshes: Path, tmp_path: Path, name: str) -> None:
    (meshes / "bad.obj").write_text("once")
    (meshes / "bad.marker").touch()
    (meshes / "worse.obj").write_text("invalid")
    out = tmp_path / name
    first = run_job(FakeJob(), _without_reading(items(meshes)), out, Options(workers=2))
    assert first.counts["failed"] == 1
    summary = do(meshes, out, retry="timeout")
    assert summary.shards == 0
    summary = do(meshes, out, retry="failed")
    assert summary.counts == {"ok": 6, "invalid": 1}
    assert list(open_dataset(out).shape_ids) == ["bad", *GOOD]


def _without_reading(found: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items as a run sees them when `bad` is away for a while."""
    from dataclasses import replace

    return tuple(replace(item, path=item.path.with_name("away.obj")) if item.id == "bad" else item for item in found)


def test_a_run_stops_when_too_many_fail_and_a_rerun_goes_on(meshes: Path, tmp_path: Path) -> None:
    for number in range(4):
        (meshes / f"a{number}.obj").write_text("invalid")
    summary = do(meshes, tmp_path / "out", workers=1, max_failures="1")
    assert summary.stopped == "max-failures"
    assert summary.exit_code == 3
    assert sum(summary.counts.values()) < 9
    assert do(meshes, tmp_path / "out").counts == {"ok": 5, "invalid": 4}


def test_failures_are_counted_or_shared() -> None:
    assert failure_limit("3", 200) == 3
    assert failure_limit("5%", 200) == 10
    assert failure_limit(None, 200) is None
    for text in ("-1", "x", "101%", "5 percent", ""):
        with pytest.raises(ConfigError, match="--max-failures"):
            failure_limit(text, 200)


def test_parts_need_a_folder_and_cannot_overwrite(meshes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder as OUT"):
        do(meshes, tmp_path / "out.h5", shard=(0, 2))
    with pytest.raises(ConfigError, match="--overwrite"):
        do(meshes, tmp_path / "out", shard=(0, 2), overwrite=True)


def test_a_spool_of_another_boot_or_another_input_is_not_used(meshes: Path, tmp_path: Path) -> None:
    from shapetool.runner.spool import Ticket, read_columns, read_line, write_spool

    path = tmp_path / "spool"
    ticket = Ticket("boot", "settings", "a", "sha")
    write_spool(
        path, ticket, {"id": "a"}, {"points": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 3)), "scale": 2.0}
    )
    columns = read_columns(path, ticket)
    assert columns is not None
    np.testing.assert_array_equal(columns["points"], [[0, 1, 2], [3, 4, 5]])
    assert columns["empty"].shape == (0, 3)
    assert columns["scale"] == 2.0
    for other in (
        Ticket("x", "settings", "a", "sha"),
        Ticket("boot", "x", "a", "sha"),
        Ticket("boot", "settings", "a", "x"),
    ):
        assert read_line(path, other) is None
    path.write_bytes(path.read_bytes()[:-1])
    assert read_line(path, ticket) is None


def test_a_long_name_of_the_temporary_folder_is_no_hindrance(meshes: Path, tmp_path: Path) -> None:
    place = tmp_path / ("x" * 90)
    place.mkdir()
    words = [sys.executable, "-m", "tests.runner.run_fakes", str(meshes), str(tmp_path / "out"), "0", "2"]
    ended = subprocess.run(words, env=os.environ | {"TMPDIR": str(place)}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not list(place.iterdir())


def test_a_file_that_the_job_cannot_write_ends_the_run_and_costs_no_item(meshes: Path, tmp_path: Path) -> None:
    (meshes / "z.obj").write_text("output")
    with pytest.raises(OSError, match=r"Input/output error: 'picture\.png'"):
        do(meshes, tmp_path / "out")
    assert "z" not in report(tmp_path / "out/report.jsonl")


def test_a_disk_that_fails_while_settings_are_read_is_not_taken_for_damage(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(meshes, tmp_path / "out")
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "settings.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match="Input/output error"):
        do(meshes, tmp_path / "out")
