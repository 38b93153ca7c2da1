"""`python -m shapetool`, the command `shapetool`, `torchrun -m shapetool`: a process that can be stopped all along."""

import os
import signal
import sys
import threading
from types import FrameType

from shapetool.errors import Interrupted

CTRL_C, INTERRUPTED = 130, 75
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
_codes: list[int] = []


class CtrlC(KeyboardInterrupt):
    """Ctrl-C. Where it passes through code that was made from text, Python takes its own exception for unhandled."""


def run() -> int:
    """The exit code of this process. Once it is known, no signal changes it any more."""
    for number in STOPPING:
        signal.signal(number, _leave)
    sys.unraisablehook = _raise_again
    try:
        try:
            from shapetool.cli.app import main

            _codes.append(main())
        except KeyboardInterrupt:
            _codes.append(CTRL_C)
    except KeyboardInterrupt:  # another, while that one was answered
        _codes.append(CTRL_C)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # the interpreter takes its leave of all other handlers
    if getattr(sys.modules.get("shapetool.data.room"), "unsound", None):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_codes[0])  # HDF5 would take its leave, and crash over what it could not write
    return _codes[0]


def _leave(number: int, frame: FrameType | None) -> None:
    """Nothing, once the exit code is known; until a command listens itself, nothing is begun, and the process ends."""
    if _codes:
        return
    if number == signal.SIGINT:
        raise CtrlC
    os._exit(INTERRUPTED)


def _raise_again(lost: "sys.UnraisableHookArgs") -> None:
    """Nothing; a signal whose exception came where Python ignores them, as in a destructor, comes again in a moment."""
    if not isinstance(lost.exc_value, KeyboardInterrupt | Interrupted):
        sys.__unraisablehook__(lost)
        return
    number = signal.SIGINT if isinstance(lost.exc_value, KeyboardInterrupt) else signal.SIGTERM
    timer = threading.Timer(0.01, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(run())
