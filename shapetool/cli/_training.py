"""What a training run shows: a live line on a terminal, one every 30 seconds elsewhere, JSON lines where asked for."""

import resource
import sys
import time
from typing import Any

from shapetool.cli import _report
from shapetool.cli._progress import EVERY_SECONDS, duration


class TrainingProgress:
    """Listens to the events of a run; use it as a context, so that the terminal is left in order."""

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self.started = self.last = time.monotonic()
        self.first_step: int | None = None
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Nothing; shows one event."""
        if self.json:
            _report.data(event)
            sys.stdout.flush()
        if self.quiet:
            return
        name = event["event"]
        if name == "start":
            self.say(f"shapetool: {event['model']}, {event['parameters']} parameters, {event['shapes']} shapes")
            self._open()
        elif name == "notice":
            self.say(f"shapetool: {event['text']}")
        elif name == "step":
            self._on_step(event)
        elif name == "validated":
            self.say(f"step {event['step']}: val_loss {event['val_loss']:.5g}")
        elif name == "saved" and self.verbose:
            self.say(f"step {event['step']}: saved{', the best so far' if event['best'] else ''}")

    def _on_step(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if self.first_step is None:
            self.first_step, self.started = event["step"], now
        line = self.line(event, now)
        if self._live is not None:
            self._live.update(self._task, completed=1000 * event["progress"], line=line)
        elif self.verbose or now - self.last >= EVERY_SECONDS:
            self.last = now
            self.say(line)

    def line(self, event: dict[str, Any], now: float) -> str:
        """The state of the run in one line: step, loss, rate, time left, memory."""
        assert self.first_step is not None
        elapsed = max(now - self.started, 1e-9)
        rate = (event["step"] - self.first_step) / elapsed
        left = duration(event["seconds"] * (1 - event["progress"]) / event["progress"])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
        return f"step {event['step']} loss {event['loss']:.4g} {rate:.1f}/s ETA {left} {memory:.1f} GiB"

    def say(self, text: str) -> None:
        """Nothing; one line on stderr, above the live one if there is one."""
        if self._live is not None:
            self._live.console.print(_report.one_line(text), markup=False, highlight=False, soft_wrap=True)
        else:
            _report.note(text)

    def _open(self) -> None:
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._live = Progress(
            BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[line]}", markup=False),
            console=Console(stderr=True), refresh_per_second=4,
        )  # fmt: skip
        self._task = self._live.add_task("", total=1000, line="")
        self._live.start()
