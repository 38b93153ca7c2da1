"""Every kind of end has its exit code and its one line."""

import errno
import json

import numpy as np
import pytest
import typer

from shapetool.cli import _report
from shapetool.errors import ConfigError, DataError, Interrupted, MeshError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("no"), 1),
        (MeshError("no"), 1),
        (ValueError("a defect"), 1),
        (typer.BadParameter("no"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 74),
        (caused(DataError("cannot write"), OSError(errno.ENOSPC, "full")), 74),
        (caused(DataError("is missing"), FileNotFoundError(errno.ENOENT, "No such file")), 1),
        (PermissionError(errno.EACCES, "Permission denied"), 74),
        (caused(MeshError("cannot be opened"), PermissionError(errno.EACCES, "Permission denied")), 74),
        (caused(ConfigError("cannot be written"), PermissionError(errno.EACCES, "Permission denied")), 1),
        (Interrupted("stopped"), 75),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
    ],
)
def test_each_kind_of_error_has_the_exit_code_of_the_contract(error, code):
    assert _report.exit_code(error) == code


def test_an_error_is_one_line_on_stderr_whatever_the_file_is_called(capsys):
    _report.fail(MeshError("a\nb\x1b[31m[red].obj: expected faces, found none."))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "shapetool: error: a\\nb\\x1b[31m[red].obj: expected faces, found none.\n"


def test_an_error_of_the_system_names_its_file(capsys):
    _report.fail(FileNotFoundError(errno.ENOENT, "No such file or directory", "gone.obj"))
    assert capsys.readouterr().err == "shapetool: error: gone.obj: No such file or directory\n"


def test_a_defect_shows_its_trace_only_when_asked(capsys, monkeypatch):
    monkeypatch.delenv("SHAPETOOL_DEBUG", raising=False)
    _report.fail(ZeroDivisionError("division by zero"))
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("SHAPETOOL_DEBUG", "1")
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        _report.fail(error)
    assert "Traceback" in capsys.readouterr().err


def test_json_is_one_object_a_line_and_holds_only_what_json_has(capsys):
    _report.data({"name": "a\nb", "n": np.int64(3), "at": np.array([1.0, np.nan]), "big": float("inf")})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == {"name": "a\nb", "n": 3, "at": [1.0, None], "big": None}
