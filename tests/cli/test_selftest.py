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
    monkeypatch.setattr(truths, "all_truths", lambda: [Truth("right", 1, lambda: 1), Truth("bent", 1, lambda: 2)])
    assert main(["selftest", "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.out == "WRONG bent: expected 1 within 1e-12, found 2\n"
    assert said.err == "selftest: 1 of 2 truths hold\n"


def test_json_has_an_object_a_truth_and_an_end(monkeypatch, capsys):
    monkeypatch.setattr(truths, "all_truths", lambda: [Truth("right", 1, lambda: 1), Truth("broken", 1, lambda: 1 / 0)])
    assert main(["selftest", "--json"]) == 1
    right, broken, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert (right["name"], right["expected"], right["found"], right["passed"]) == ("right", 1, 1, True)
    assert (broken["found"], broken["passed"], broken["error"]) == (None, False, "ZeroDivisionError: division by zero")
    assert end == {"event": "end", "truths": 2, "wrong": 1}
