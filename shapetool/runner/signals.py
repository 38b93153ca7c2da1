"""Stopping by signal: the first asks for an orderly end, the second means now."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = ("SIGINT", "SIGTERM", "SIGUSR1")


class Stop:
    """Which signal asked the run to end, and how often; if `impatient`, a second Ctrl-C ends it on the spot."""

    def __init__(self, impatient: bool = False) -> None:
        self.reason: str | None = None
        self.count = 0
        self.impatient = impatient

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Nothing; notes the signal. The run looks at it several times a second."""
        self.reason = self.reason or signal.Signals(number).name
        self.count += 1
        if self.impatient and self.count > 1 and number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def listening(impatient: bool = False) -> Iterator[Stop]:
    """A `Stop` that hears SIGINT, SIGTERM and SIGUSR1 while the block runs; outside the main thread, nothing."""
    stop = Stop(impatient)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {}
    for name in STOPPING:
        number = getattr(signal, name, None)
        if number is not None:
            before[number] = signal.signal(number, stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
