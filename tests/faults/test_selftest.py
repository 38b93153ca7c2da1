"""The whole of `selftest --dir` on a healthy folder, with its own kills."""

import os

import pytest

from shapetool.pipelines import selftest_dir


@pytest.mark.slow
def test_a_healthy_folder_passes_every_check_and_nothing_is_left(tmp_path, times, record) -> None:
    rounds = times(2, 40)
    with selftest_dir.Scratch(tmp_path) as scratch:
        outcomes = list(selftest_dir.run(scratch.path, rounds))
    wrong = [outcome.to_dict() for outcome in outcomes if outcome.finding.state != "ok"]
    assert not wrong
    assert [outcome.check.id for outcome in outcomes] == [check.id for check in selftest_dir.checks()]
    assert not scratch.left
    assert not os.listdir(tmp_path)
    for number, id in ((1, "D8"), (4, "D4"), (5, "D5"), (6, "D6"), (19, "D7"), (23, "D3"), (24, "D2")):
        (finding,) = [outcome.finding.text for outcome in outcomes if outcome.check.id == id]
        record(number, run=f"selftest --dir, {id}", found=finding)
