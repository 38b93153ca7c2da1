"""`shapetool selftest`: a line a truth, and an exit code that tells."""

import json

from shapetool.cli.app import main
from shapetool.metrics import truths
from shapetool.metrics.truths import Truth, all_truths


def test_every_truth_is_a_line_and_all_hold(capsys):
    assert main(["selftest"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == len(all_truths())
    assert all(line.startswith("ok ") for line in lines)
    assert said.err == f"selftest: {len(lines)} of {len(lines)} truths hold\n"


def test_one_that_does_not_hold_is_named_and_the_exit_code_is_1(monkeypatch, capsys):
    monkeypatch.setattr(
        truths, "all_truths", lambda: [Truth("P1", "right", 1, lambda: 1), Truth("S10", "bent", 1, lambda: 2)]
    )
    assert main(["selftest", "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.out == "WRONG S10 bent: expected 1 within 1e-12 (rounding), found 2\n"
    assert said.err == "selftest: 1 of 2 truths hold\n"


def test_json_has_an_object_a_truth_and_an_end(monkeypatch, capsys):
    monkeypatch.setattr(
        truths, "all_truths", lambda: [Truth("P1", "right", 1, lambda: 1), Truth("P2", "broken", 1, lambda: 1 / 0)]
    )
    assert main(["selftest", "--json"]) == 1
    right, broken, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert (right["id"], right["name"], right["expected"], right["found"]) == ("P1", "right", 1, 1)
    assert (right["passed"], right["tolerance"], right["because"]) == (True, 1e-12, "rounding")
    assert (broken["found"], broken["passed"], broken["error"]) == (None, False, "ZeroDivisionError: division by zero")
    assert end == {"event": "end", "truths": 2, "wrong": 1}


def test_the_threads_of_torch_are_as_before():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert main(["selftest", "-q"]) == 0
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
