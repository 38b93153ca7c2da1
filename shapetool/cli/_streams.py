"""The three standard streams as a command needs them: each there, and none that a letter can break."""

import contextlib
import io
import os
import sys
from typing import Any

# Standard output that is closed is stood in for by something that refuses to be written: what was asked for is lost.
_STANDS_IN = ((0, os.O_RDONLY, "stdin"), (1, os.O_RDONLY, "stdout"), (2, os.O_WRONLY, "stderr"))


def complete() -> None:
    """Nothing; a stream that was closed by the caller (`>&-`) is replaced, and none fails on a letter that it lacks.

    Otherwise the next file that is opened would get the number of the stream, and with it what is printed.
    """
    for number, flags, name in _STANDS_IN:
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)  # the lowest number that is free, which is this one
            os.set_inheritable(opened, True)  # or it would be free again in the processes that this one starts
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(number, mode, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def let_go() -> None:
    """Nothing; where standard output takes no more, what is still to be written to it goes nowhere.

    The interpreter would try once more when it ends, fail, and end with a code of its own.
    """
    stream: Any = sys.stdout
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
