"""OUT as one file: workers that die while they join shards, and what a power failure leaves of the shards."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shapetool.errors import ShapetoolError
from shapetool.runner.items import collect
from shapetool.runner.job import Options, Summary
from shapetool.runner.joining import Joining
from shapetool.runner.run import run_job
from tests.runner.runner_fakes import FakeJob, die_joining, join_after_a_death

SHAPES = 6  # three shards


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Summary]:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(SHAPES):
        (folder / f"s{number}.obj").write_text(f"shape {number}")
    found = collect([str(folder)], {".obj"}).items

    def run(out: str, **options: object) -> Summary:
        return run_job(FakeJob(), found, tmp_path / out, Options(workers=2, item_timeout=20.0, **options))

    return run


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "in"}


def test_a_worker_that_dies_while_it_joins_shards_costs_nothing(
    run: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("truth.h5")
    monkeypatch.setattr("shapetool.runner.schedule.join_shard", join_after_a_death)
    assert run("out.h5").exit_code == 0
    assert (tmp_path / "out.died").exists()
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "truth.h5").read_bytes()


def test_workers_that_die_whenever_they_join_are_an_error_and_the_shards_stay(
    run: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("truth.h5")
    with monkeypatch.context() as patch:
        patch.setattr("shapetool.runner.schedule.join_shard", die_joining)
        with pytest.raises(ShapetoolError, match="left with exit code 9, repeatedly"):
            run("out.h5")
    assert names(tmp_path) == {"truth.h5", "truth.h5.report.jsonl", "out.h5.partial"}
    assert run("out.h5").done_now == 0
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "truth.h5").read_bytes()


def tear(path: Path) -> None:
    """What is left of a file whose name reached the disk and whose content did not."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("torn", ["shard-00001.h5", ".shapetool/report-00001.jsonl", ".shapetool/boot"])
@pytest.mark.parametrize("emptied", [False, True])
def test_after_a_power_failure_only_what_is_torn_is_made_again(
    run: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str, emptied: bool
) -> None:
    run("truth.h5")
    with monkeypatch.context() as patch:
        patch.setattr(Joining, "finish", power_failure)
        with pytest.raises(KeyboardInterrupt):
            run("out.h5")
    (tmp_path / "out.h5").unlink()
    partial = tmp_path / "out.h5.partial"
    (partial / ".shapetool/boot").write_text("an earlier start")
    tear(partial / torn)
    if emptied:
        (partial / torn).write_bytes(b"")
    assert run("out.h5").done_now == (0 if torn.endswith("boot") else 2)
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "truth.h5").read_bytes()


def test_within_one_start_of_the_machine_shards_are_not_read_again(
    run: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Joining, "finish", power_failure)
        with pytest.raises(KeyboardInterrupt):
            run("out.h5")
    monkeypatch.setattr("shapetool.data.verify.is_whole", power_failure)
    assert run("out.h5").done_now == 0


def power_failure(*_: object) -> None:
    raise KeyboardInterrupt
