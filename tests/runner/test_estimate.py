"""What a dry run says of the time and the limits of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from shapetool.runner import estimate as estimating
from shapetool.runner.estimate import ITEM_SECONDS, estimate
from shapetool.runner.items import Item, collect
from shapetool.runner.job import Options
from shapetool.runner.preview import preview
from tests.runner.runner_fakes import FakeJob

JOB = FakeJob(preload=("tests.runner.runner_fakes",))


@pytest.fixture
def items(tmp_path: Path) -> tuple[Item, ...]:
    """Forty files of growing size."""
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / f"s{number:02d}.obj").write_text(f"shape {number} " + "x" * number)
    return collect([str(tmp_path / "in")], {".obj"}).items


def test_the_time_is_that_of_items_spread_over_the_sizes(items, tmp_path):
    found = estimate(replace(JOB, delay=0.2), items, tmp_path / "out", Options(workers=2))
    assert (found.probes, found.probes_failed) == (5, 0)
    assert 0.2 <= found.seconds_per_item < 1
    assert found.seconds == pytest.approx(found.freeze_seconds + 40 * found.seconds_per_item / 2)
    assert found.core_hours == pytest.approx(40 * found.seconds_per_item / 3600)
    tried = {path.stem for path in (tmp_path / "in").glob("*.started")}
    assert tried == {"s04", "s12", "s20", "s28", "s36"}
    assert not (tmp_path / "out").exists()


def test_bytes_and_files_are_those_of_the_records_that_were_made(items, tmp_path):
    from shapetool.runner.run import run_job

    found = estimate(JOB, items, tmp_path / "out", Options(workers=1))
    run_job(JOB, items, tmp_path / "out", Options(workers=1))
    made = sum(path.stat().st_size for path in (tmp_path / "out").glob("shard-*.h5"))
    assert found.bytes == pytest.approx(made, rel=0.9)  # the overhead of HDF5 is most of such small records
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert found.files == len(files)


def test_items_that_fail_or_die_are_counted_and_end_nothing(items, tmp_path):
    for name, word in (("s04", "invalid"), ("s12", "segfault"), ("s20", "hang")):
        (tmp_path / "in" / f"{name}.obj").write_text(f"{word} " + "x" * int(name[1:]))
    found = estimate(JOB, items, tmp_path / "out", Options(workers=1, item_timeout=2.0))
    assert (found.probes, found.probes_failed) == (5, 3)
    assert found.seconds_per_item > 2 / 5


def test_no_item_that_can_be_tried_means_no_estimate(items, tmp_path):
    bad = [replace(item, problem="a bad name") for item in items]
    assert estimate(JOB, bad, tmp_path / "out", Options()) is None
    assert estimate(JOB, [], tmp_path / "out", Options()) is None


def test_what_breaks_first_is_what_is_nearest_to_its_limit(items, tmp_path, monkeypatch):
    found = estimate(replace(JOB, delay=0.2), items, tmp_path / "out", Options(workers=1))
    assert found.share < 0.1
    monkeypatch.setattr(estimating, "DRIVER_BYTES", 1 << 40)
    found = estimate(JOB, items, tmp_path / "out", Options(workers=1))
    assert found.breaks_first.startswith("memory")
    monkeypatch.undo()
    monkeypatch.setattr(estimating, "ITEM_SECONDS", 1e6 * ITEM_SECONDS)
    found = estimate(JOB, items, tmp_path / "out", Options(workers=1))
    assert found.breaks_first.startswith("the process that hands out")
    assert found.seconds > 40 * 1e6 * ITEM_SECONDS


def test_only_what_is_left_of_a_run_is_estimated(items, tmp_path):
    from shapetool.runner.run import run_job

    whole = preview(JOB, items, tmp_path / "out", Options(workers=1)).estimate
    run_job(JOB, items, tmp_path / "out", Options(workers=1, shard=(0, 2)))
    half = preview(JOB, items, tmp_path / "out", Options(workers=1))
    assert half.estimate.files - 3 == (whole.files - 3) / 2
    run_job(JOB, items, tmp_path / "out", Options(workers=1))
    assert preview(JOB, items, tmp_path / "out", Options(workers=1)).estimate is None


def test_a_full_disk_is_named_before_it_is_met(small_disk, items):
    found = estimate(replace(JOB, points=20_000), items, small_disk / "out", Options(workers=1))
    assert found.breaks_first == "room on the disk"
    assert found.share > 1
