"""What a running command shows: a bar on a terminal, a line every 30 seconds elsewhere, JSON lines where asked for."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from shapetool.cli import _report

EVERY_SECONDS = 30.0
SHOWN_FAILURES = 20


class Progress:
    """Listens to the events of a run; use it as a context, so that the terminal is left in order."""

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self.counts: Counter[str] = Counter()
        self.total = self.before = self.shown = 0
        self.started = self.last = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing; takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Nothing; shows one event."""
        name = event["event"]
        if self.json and name != "tick":
            _report.data(event)
            sys.stdout.flush()
        if not self.quiet:
            getattr(self, f"_on_{name}", self._on_other)(event)

    def _on_start(self, event: dict[str, Any]) -> None:
        self.total, self.before = event["total"], event["done"]
        self.started = self.last = time.monotonic()
        if event["shards"] and sys.stderr.isatty():
            self._start_bar()

    def _on_item(self, event: dict[str, Any]) -> None:
        self.counts[event["status"]] += 1
        if event["status"] != "ok":
            self.shown += 1
            if self.shown <= SHOWN_FAILURES or self.verbose:
                self.say(failure(event))
            elif self.shown == SHOWN_FAILURES + 1:
                self.say("more items failed; the report lists them all.")
        if self.verbose:
            for text in warnings(event):
                self.say(text)
        if self._bar is not None:
            rate = sum(self.counts.values()) / max(time.monotonic() - self.started, 1e-9)
            self._bar.update(self._task, completed=self.done, failed=self._failed_text(), rate=f"{rate:.2f}/s")

    def _on_notice(self, event: dict[str, Any]) -> None:
        self.say(event["text"])

    def _on_step(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if self.verbose or now - self.last >= EVERY_SECONDS:
            self.last = now
            self.say(f"{event['done']}/{event['total']} shapes")

    def _on_tick(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._bar is None and now - self.last >= EVERY_SECONDS:
            self.last = now
            self.say(self.line())

    def _on_other(self, event: dict[str, Any]) -> None:
        return

    @property
    def done(self) -> int:
        """How many items are decided, in this run or before."""
        return self.before + sum(self.counts.values())

    def line(self) -> str:
        """The state of the run in one line: how much, how fast, how long yet, how many failed."""
        now_done = self.done - self.before
        rate = now_done / max(time.monotonic() - self.started, 1e-9)
        share = 100 * self.done / max(self.total, 1)
        left = duration((self.total - self.done) / rate) if rate > 0 else "unknown"
        return f"{self.done}/{self.total} ({share:.1f} %) {rate:.2f}/s ETA {left}{self._failed_text()}"

    def _failed_text(self) -> str:
        failed = sum(count for status, count in self.counts.items() if status not in ("ok", "skipped"))
        return f" failed {failed}" if failed else ""

    def say(self, text: str) -> None:
        """Nothing; one line on stderr, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(_report.one_line(text), markup=False, highlight=False, soft_wrap=True)
        else:
            _report.note(text)

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", markup=False),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=self.total, completed=self.before, failed="", rate="")
        self._bar.start()


def failure(line: Mapping[str, Any]) -> str:
    """What is said of an item that is not ok, from its line of the report."""
    return f"{line['id']}: {line['status']}: {line['error']}"


def warnings(line: Mapping[str, Any]) -> list[str]:
    """What is said of the repairs of an item, from its line of the report."""
    return [f"{line['id']}: warning: {warning}" for warning in line["warnings"]]


def steps(*, quiet: bool, verbose: bool) -> Callable[[int, int], None]:
    """What is told after each shape how many are done, and says so every 30 seconds; each time when verbose."""
    last = time.monotonic()

    def step(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if not quiet and (verbose or now - last >= EVERY_SECONDS):
            last = now
            _report.note(f"{done}/{total} shapes")

    return step


def duration(seconds: float) -> str:
    """A time for people: hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
