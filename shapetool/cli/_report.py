"""What a command says and how it ends: data on stdout, all else on stderr, one exit code for each kind of end."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import typer

from shapetool.errors import DataError, Interrupted, MeshError, ShapetoolError

OK = 0
REFUSED = 1
USAGE = 2
SOME_FAILED = 3
IO_FAILED = 74
INTERRUPTED = 75
CTRL_C = 130
LEAST_WIDTH = 80

# Every error of the command-line parser descends from this class, whichever parser this typer carries.
ParserError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def one_line(text: str) -> str:
    """`text` on one line, with control characters written out, so that no file name can move the cursor."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def exit_code(error: BaseException) -> int:
    """The exit code that the contract gives to `error`; a full or broken disk anywhere in its causes is I/O."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return CTRL_C
    if _disk_failed(error) or _unreadable(error):
        return IO_FAILED
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, ParserError):
        return USAGE
    if isinstance(error, OSError):
        return IO_FAILED
    return REFUSED


def _disk_failed(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return True
        error = error.__cause__
    return False


def _unreadable(error: BaseException) -> bool:
    return isinstance(error, DataError | MeshError) and isinstance(error.__cause__, PermissionError)


def describe(error: BaseException) -> str:
    """The one line that is printed for `error`: its own words if shapetool or the parser wrote them."""
    if isinstance(error, ShapetoolError):
        return one_line(str(error))
    if isinstance(error, ParserError):
        return one_line(error.format_message() + _usage(error))  # type: ignore[attr-defined]
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "stopped by Ctrl-C; run the same command again to go on"
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return one_line(f"{where}{error.strerror}")
    return one_line(f"{type(error).__name__}: {error}. This is a defect of shapetool; SHAPETOOL_DEBUG=1 shows where.")


def _usage(error: Any) -> str:
    """The order of the words where one is missing, which the parser cannot tell from one in another's place."""
    if type(error).__name__ != "MissingParameter" or error.ctx is None:
        return ""
    return f" {error.ctx.get_usage()}."


def fail(error: BaseException) -> int:
    """The exit code for `error`, after its one line is printed on stderr."""
    if os.environ.get("SHAPETOOL_DEBUG"):
        import traceback

        traceback.print_exception(error)
    description = describe(error)
    if description:  # the parser has none when it has shown the help instead
        note(f"shapetool: error: {description}")
    return exit_code(error)


def note(text: str) -> None:
    """Prints one line on stderr, where people read it; never interpreted as markup, and lost where nobody listens."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(one_line(text) + "\n")


def console() -> Any:
    """What prints tables on stdout: numbers are kept on a narrow terminal, which breaks the lines itself."""
    from rich.console import Console

    made = Console(highlight=False, markup=False)
    made.width = max(made.width, LEAST_WIDTH)
    return made


def bold(text: str) -> str:
    """The text for a name in a table; plain where a terminal or its user wants it so, and in a file."""
    plain = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return text if plain else typer.style(text, bold=True)


def data(record: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line of stdout; numbers that JSON lacks become null."""
    sys.stdout.write(json.dumps(_plain(record), allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # a numpy array or scalar
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
