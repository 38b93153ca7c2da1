"""What `selftest --dir` says of a file system, and of one that lacks something."""

import errno
import os
import shutil
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from shapetool.data import atomic, reading, verify
from shapetool.errors import DataError
from shapetool.pipelines import selftest_dir
from shapetool.pipelines.crash_tests import check, damage, facts
from shapetool.pipelines.crash_tests.check import CannotWriteError, Check, Finding, Outcome, WrongError
from shapetool.pipelines.crash_tests.place import SMALL, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "scratch").mkdir()
    return Place(tmp_path / "scratch", None)


def found(place: Place, number: int) -> Outcome:
    """What came of one of the facts."""
    return check.outcome(facts.FACTS[number - 1], place)


def test_a_folder_on_this_machine_has_what_shapetool_uses(place) -> None:
    outcomes = [check.outcome(fact, place) for fact in facts.FACTS]
    assert [outcome.finding.state for outcome in outcomes] == ["ok"] * 5
    assert all(outcome.finding.text.startswith("yes: ") and outcome.passed for outcome in outcomes)


def test_a_file_system_without_links_is_told_what_shapetool_does_then(place, monkeypatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    outcome = found(place, 1)
    assert (outcome.passed, outcome.finding.state) == (True, "note")
    assert outcome.finding.text.startswith("no (Operation not permitted): locks are renamed into place")


def test_a_name_that_is_given_away_twice_is_wrong(place, monkeypatch) -> None:
    monkeypatch.setattr(os, "link", shutil.copyfile)
    outcome = found(place, 1)
    assert outcome.passed is False
    assert outcome.finding.text.startswith("expected a name that exists to be refused, found it given away again: ")


@pytest.mark.parametrize("fault", ["half", "absent"])
def test_a_file_that_is_not_replaced_in_one_step_is_noticed(place, monkeypatch, fault) -> None:
    def write(path: Path, data: bytes, **_: object) -> bool:
        if fault == "absent":
            path.unlink(missing_ok=True)
            time.sleep(0.001)
        with path.open("wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            time.sleep(0.001)
            file.write(data[len(data) // 2 :])
        return True

    monkeypatch.setattr(atomic, "write_whole", write)
    outcome = found(place, 2)
    assert outcome.passed is False
    assert "expected a whole file at every look, found" in outcome.finding.text


def test_a_folder_that_cannot_be_synced_is_a_note(place, monkeypatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", refuse)
    assert found(place, 3).finding.state == "note"


def test_a_disk_that_fails_is_wrong_and_one_that_is_full_ends_the_test(place, monkeypatch) -> None:
    number = errno.EIO

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr(os, "fsync", fail)
    text = "expected no error of the system, found Input/output error at somewhere."
    assert found(place, 3).finding == Finding(text, "WRONG")
    number = errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        found(place, 3)


def test_times_that_do_not_move_are_a_note(place, monkeypatch) -> None:
    monkeypatch.setattr(facts, "MTIME_SECONDS", 0.05)
    monkeypatch.setattr(os, "utime", lambda path: None)
    assert found(place, 4).finding.state == "note"


def test_names_that_come_back_otherwise_are_listed(place, monkeypatch) -> None:
    names = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: [unicodedata.normalize("NFD", name) for name in names(folder)])
    outcome = found(place, 5)
    assert outcome.finding.state == "note"
    assert outcome.finding.text.startswith("no: größe, naïve: ")


def test_names_that_the_file_system_refuses_are_listed(place, monkeypatch) -> None:
    monkeypatch.setattr(facts, "NAMES", ("chair-1", "a/b"))
    assert found(place, 5).finding.text.startswith("no: a/b: ")


def test_names_that_python_itself_cannot_write_here_are_not_blamed_on_the_disk(place, monkeypatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    text = "not known: Python writes names in iso8859-1 here; set LC_ALL=C.UTF-8"
    assert found(place, 5).finding == Finding(text, "note")


def test_capitals_that_make_no_difference_are_a_note(place, monkeypatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: exists(path.with_name(path.name.lower())))
    assert found(place, 5).finding.text.startswith("yes, but chair is CHAIR")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with a small data set in it."""
    place = Place(tmp_path_factory.mktemp("scratch"), None)
    place.undisturbed(SMALL)
    return place


def test_torn_and_flipped_shards_are_all_found(made, monkeypatch) -> None:
    monkeypatch.setattr(damage, "FLIPS", 50)
    torn, flipped = [check.outcome(one, made) for one in damage.DAMAGE]
    assert torn.finding.text == "40 of 40 found, 40 of them on opening"
    assert flipped.finding.text == "50 of 50 found, with their shard"
    assert not list(made.folder.glob("*.h5"))


def test_a_verify_that_finds_nothing_is_found_out(made, monkeypatch) -> None:
    monkeypatch.setattr(verify, "verify", lambda path: [])
    flipped = check.outcome(damage.DAMAGE[1], made)
    assert flipped.finding.text == (
        "expected 200 flipped bits to be found, found 0: wrong values would be read as right."
    )


def test_shards_that_open_though_they_are_torn_are_found_out(made, monkeypatch) -> None:
    class Opened:
        def close(self) -> None:
            pass

    monkeypatch.setattr(reading, "open_dataset", lambda path: Opened())
    assert check.outcome(damage.DAMAGE[0], made).finding.text == "40 of 40 found, 0 of them on opening"
    monkeypatch.setattr(verify, "verify", lambda path: [])
    assert check.outcome(damage.DAMAGE[0], made).finding.text.startswith("expected 40 torn shards to be found, found 0")


def test_what_the_machine_lacks_is_named_and_the_check_left_out(place, monkeypatch) -> None:
    monkeypatch.setitem(check.FACILITIES, "limits", (lambda: False, check.FACILITIES["limits"][1]))
    full = next(one for one in selftest_dir.checks() if one.id == "D4")
    outcome = check.outcome(full, place)
    assert outcome.passed is None
    text = "left out: this system has no limit for the size of files (the module resource)"
    assert outcome.finding == Finding(text, "left out")
    assert not list(place.folder.iterdir())


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (WrongError("expected one, found two: three."), "expected one, found two: three."),
        (DataError("x.h5: expected a shard."), "x.h5: expected a shard."),
        (
            PermissionError(13, "Permission denied", "a"),
            "expected no error of the system, found Permission denied at a.",
        ),
    ],
)
def test_a_check_that_raises_is_wrong(place, raised, text) -> None:
    def fail(place: Place) -> Finding:
        raise raised

    outcome = check.outcome(Check("X", "x", "", fail), place)
    assert outcome.finding == Finding(text, "WRONG")
    assert outcome.to_dict()["passed"] is False


def test_runs_that_cannot_write_at_all_end_the_test(place) -> None:
    def fail(place: Place) -> Finding:
        raise CannotWriteError(errno.EIO, "could not write", "DIR")

    with pytest.raises(OSError, match="could not write"):
        check.outcome(Check("X", "x", "", fail), place)


def test_the_checks_have_ids_of_their_own_that_are_no_truths() -> None:
    page = (Path(__file__).parents[2] / "docs" / "truths.md").read_text(encoding="utf-8")
    ids = [one.id for one in selftest_dir.checks()]
    assert ids == [f"F{k}" for k in range(1, 6)] + [f"D{k}" for k in range(1, 9)]
    assert not [one for one in ids if f"| {one} |" in page]
