"""`shapetool selftest`: a line a truth, a table of what was tried in a folder, and an exit code that tells."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shapetool.cli.app import main
from shapetool.errors import Interrupted
from shapetool.metrics import truths
from shapetool.metrics.truths import Truth, all_truths
from shapetool.pipelines import selftest_dir
from shapetool.pipelines.crash_tests.check import Check, Finding, WrongError
from shapetool.pipelines.crash_tests.place import Place
from tests.rights import heed_permissions


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


def untimed(text: str) -> str:
    """A text with every time in it 0, on which a busy machine has no say."""
    return re.sub(r"in \d+ s", "in 0 s", re.sub(r"[ \d]{2}\d\.\d s", "  0.0 s", text))


def known(monkeypatch, *findings: Finding | BaseException) -> None:
    """Puts two truths in the place of all, and checks with these findings in that of those that start runs."""

    def ends(finding: Finding | BaseException) -> Callable[[Place], Finding]:
        def run(place: Place) -> Finding:
            (place.folder / "made").write_bytes(b"1")
            if isinstance(finding, Finding):
                return finding
            raise finding

        return run

    made = tuple(Check(f"D{k}", f"check {k}", "", ends(finding)) for k, finding in enumerate(findings, 1))
    monkeypatch.setattr(selftest_dir, "checks", lambda: made)
    two = [Truth("P1", "right", 1, lambda: 1), Truth("P2", "right", 1, lambda: 1)]
    monkeypatch.setattr(truths, "all_truths", lambda: two)


def test_a_table_of_the_folder_follows_the_truths_and_nothing_is_left(monkeypatch, capsys, tmp_path):
    known(monkeypatch, Finding("yes: it can"), Finding("no: it cannot", "note"))
    assert main(["selftest", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert untimed(said.out).splitlines() == [
        "      id what                  time  found",
        "ok       truths               0.0 s  2 of 2 numbers known in closed form hold",
        "ok    D1 check 1              0.0 s  yes: it can",
        "note  D2 check 2              0.0 s  no: it cannot",
    ]
    before, after = untimed(said.err).splitlines()
    assert re.fullmatch(rf"selftest: {tmp_path}: \w+, [\d.]+ GiB free; all is done in shapetool-selftest-\w+", before)
    assert after == "selftest: 2 of 2 truths hold, 2 of 2 checks passed in 0 s"
    assert not list(tmp_path.iterdir())


def test_rows_are_eighty_columns_wide_and_plain_in_a_pipe(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("COLUMNS", raising=False)
    known(monkeypatch, WrongError(f"expected {'one thing ' * 9}, found {'another ' * 9}\x1b[31m: it means much."))
    assert main(["selftest", "--dir", str(tmp_path)]) == 1
    table = untimed(capsys.readouterr().out).splitlines()[2:]
    assert table[0].startswith("WRONG D1 check 1              0.0 s  expected one thing one thing")
    assert len(table) > 3
    assert all(line[:37].strip() == "" for line in table[1:])
    assert all(len(line) <= 80 for line in table)
    assert "\x1b" not in "".join(table)


def test_one_check_that_fails_is_shown_even_when_quiet_and_the_exit_code_is_1(monkeypatch, capsys, tmp_path):
    known(monkeypatch, Finding("yes"), WrongError("expected a, found b: c."), Finding("left out: no d", "left out"))
    assert main(["selftest", "--dir", str(tmp_path), "-q"]) == 1
    said = capsys.readouterr()
    assert untimed(said.out) == "WRONG D2 check 2              0.0 s  expected a, found b: c.\n"
    assert untimed(said.err) == "selftest: 2 of 2 truths hold, 1 of 2 checks passed, 1 left out in 0 s\n"
    assert main(["selftest", "--dir", str(tmp_path)]) == 1
    assert "skip  D3 check 3" in capsys.readouterr().out


def test_a_truth_that_does_not_hold_has_its_line_before_the_table(monkeypatch, capsys, tmp_path):
    known(monkeypatch, Finding("yes"))
    monkeypatch.setattr(truths, "all_truths", lambda: [Truth("S10", "bent", 1, lambda: 2)])
    assert main(["selftest", "--dir", str(tmp_path)]) == 1
    lines = untimed(capsys.readouterr().out).splitlines()
    assert lines[0] == "WRONG S10 bent: expected 1 within 1e-12 (rounding), found 2"
    assert lines[2] == "WRONG    truths               0.0 s  0 of 1 numbers known in closed form hold"


def test_verbose_lists_the_truths_before_the_table(monkeypatch, capsys, tmp_path):
    known(monkeypatch, Finding("yes"))
    assert main(["selftest", "--dir", str(tmp_path), "-v"]) == 0
    assert capsys.readouterr().out.startswith("ok    P1  right: expected 1")


def test_json_has_an_object_a_check_after_those_of_the_truths(monkeypatch, capsys, tmp_path):
    known(monkeypatch, Finding("yes"), WrongError("expected a, found b: c."), Finding("left out: no d", "left out"))
    assert main(["selftest", "--dir", str(tmp_path), "--json"]) == 1
    said = capsys.readouterr()
    *both, first, second, third, end = map(json.loads, said.out.splitlines())
    assert [one["event"] for one in both] == ["truth", "truth"]
    assert (first["event"], first["id"], first["name"], first["passed"]) == ("check", "D1", "check 1", True)
    assert (second["passed"], second["found"], second["state"]) == (False, "expected a, found b: c.", "WRONG")
    assert (third["passed"], third["found"]) == (None, "left out: no d")
    assert end.pop("seconds") >= 0
    assert end == {"event": "end", "truths": 2, "wrong": 0, "checks": 3, "failed": 1, "left_out": 1}
    assert said.err == ""


def test_the_number_of_kills_is_passed_on_and_wants_a_folder(monkeypatch, capsys, tmp_path):
    known(monkeypatch)
    asked = []
    monkeypatch.setattr(selftest_dir, "checks", lambda: (Check("D1", "x", "", told(asked)),))
    assert main(["selftest", "--dir", str(tmp_path), "--rounds", "7", "-q"]) == 0
    assert asked == [7]
    assert main(["selftest", "--rounds", "7"]) == 1
    assert "--rounds wants --dir" in capsys.readouterr().err


def told(asked: list[int | None]) -> Callable[[Place], Finding]:
    def run(place: Place) -> Finding:
        asked.append(place.rounds)
        return Finding("yes")

    return run


@pytest.mark.parametrize(("name", "found"), [("none", "found no such folder"), ("file", "found a file")])
def test_a_folder_that_is_none_is_one_line_and_74(monkeypatch, capsys, tmp_path, name, found):
    known(monkeypatch)
    (tmp_path / "file").write_bytes(b"")
    assert main(["selftest", "--dir", str(tmp_path / name)]) == 74
    said = capsys.readouterr()
    assert said.err == f"shapetool: error: {tmp_path / name}: expected a folder that can be written, {found}\n"
    assert said.out == ""


def test_a_folder_that_may_not_be_written_is_one_line_and_74(tmp_path):
    tmp_path.chmod(0o555)
    words = [sys.executable, "-m", "shapetool", "selftest", "--dir", str(tmp_path)]
    ended = subprocess.run(words, preexec_fn=heed_permissions, capture_output=True, text=True, check=False)
    tmp_path.chmod(0o755)
    text = f"shapetool: error: {tmp_path}: expected a folder that can be written, but: Permission denied\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (74, "", text)


def test_a_disk_with_too_little_room_is_one_line_and_74(monkeypatch, capsys, small_disk):
    known(monkeypatch)
    assert main(["selftest", "--dir", str(small_disk)]) == 74
    said = capsys.readouterr()
    text = "expected 96 MiB of room for the checks, found 1.0 MiB"
    assert (said.out, said.err) == ("", f"shapetool: error: {small_disk}: {text}\n")
    assert not os.listdir(small_disk)


def test_a_disk_that_fills_up_meanwhile_is_74_and_nothing_is_left(monkeypatch, capsys, tmp_path):
    known(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "x"))
    assert main(["selftest", "--dir", str(tmp_path)]) == 74
    assert capsys.readouterr().err.splitlines()[1:] == ["shapetool: error: x: No space left on device"]
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (Interrupted("stopped by SIGTERM"), 75)])
def test_what_stops_a_check_leaves_nothing(monkeypatch, capsys, tmp_path, raised, code):
    known(monkeypatch, Finding("yes"), raised)
    assert main(["selftest", "--dir", str(tmp_path)]) == code
    assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_removed_is_named(monkeypatch, capsys, tmp_path):
    known(monkeypatch, Finding("yes"))
    monkeypatch.setattr(selftest_dir, "REMOVAL_SECONDS", 0.2)

    remove = shutil.rmtree

    def refuse(path: Path, **more: object) -> None:
        if tmp_path in Path(path).parents:
            raise OSError(errno.EBUSY, "Device or resource busy")
        remove(path, **more)

    monkeypatch.setattr(selftest_dir.shutil, "rmtree", refuse)
    assert main(["selftest", "--dir", str(tmp_path), "-q"]) == 0
    (left,) = tmp_path.iterdir()
    text = f"selftest: {left} could not be removed (Device or resource busy). Remove it.\n"
    assert capsys.readouterr().err == text


def test_other_files_in_the_folder_are_left_alone(monkeypatch, tmp_path):
    known(monkeypatch, Finding("yes"))
    (tmp_path / "made").write_text("mine")
    (tmp_path / "shapetool-selftest-old").mkdir()
    assert main(["selftest", "--dir", str(tmp_path), "-q"]) == 0
    assert sorted(os.listdir(tmp_path)) == ["made", "shapetool-selftest-old"]
    assert (tmp_path / "made").read_text() == "mine"


def test_the_page_on_the_command_line_has_every_check():
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    rows = [f"| {one.id} | {one.name} |" for one in selftest_dir.checks()]
    assert [row for row in rows if row not in page] == []
