"""What `shapetool selftest --dir` does and prints: a table of what was tried on a file system."""

import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shapetool.cli import _report

if TYPE_CHECKING:
    from shapetool.pipelines.crash_tests.check import Outcome

WIDEST = 120
STATE, ID, NAME, SECONDS = 6, 3, 19, 6  # the widths of all columns but the last
SHORT = {"left out": "skip"}


def check_folder(
    folder: Path, rounds: int | None, truths: Callable[[], tuple[int, int]], *, json: bool, quiet: bool
) -> int:
    """The exit code after all truths and all checks; `truths` measures the first and says how many there are and fail.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    from shapetool.pipelines import selftest_dir

    begun, scratch = time.monotonic(), selftest_dir.Scratch(folder)
    states: Counter[str] = Counter()
    try:
        with scratch:
            if not json and not quiet:
                _report.note(f"selftest: {selftest_dir.describe(folder)}; all is done in {scratch.path.name}")
            total, wrong = truths()
            if not json and not quiet:
                _head(total, wrong, time.monotonic() - begun)
            with closing(selftest_dir.run(scratch.path, rounds)) as outcomes:
                for outcome in outcomes:
                    states[outcome.finding.state] += 1
                    _show(outcome, json, quiet)
    finally:
        if scratch.left:
            _report.note(f"selftest: {scratch.path} could not be removed ({scratch.left}). Remove it.")
    failed, left_out = states["WRONG"], states["left out"]
    if json:
        ends = {"truths": total, "wrong": wrong, "checks": states.total(), "failed": failed, "left_out": left_out}
        _report.data({"event": "end", **ends, "seconds": round(time.monotonic() - begun, 3)})
    elif not quiet or wrong or failed:
        done = states.total() - left_out
        _report.note(
            f"selftest: {total - wrong} of {total} truths hold, {done - failed} of {done} checks passed"
            f"{f', {left_out} left out' if left_out else ''} in {time.monotonic() - begun:.0f} s"
        )
    return _report.REFUSED if wrong or failed else _report.OK


def _head(total: int, wrong: int, seconds: float) -> None:
    typer.echo(table_row("", "id", "what", "time", "found"))
    numbers = f"{total - wrong} of {total} numbers known in closed form hold"
    typer.echo(table_row("WRONG" if wrong else "ok", "", "truths", f"{seconds:.1f} s", numbers))
    sys.stdout.flush()


def _show(outcome: "Outcome", json: bool, quiet: bool) -> None:
    """Nothing; prints what came of a check at once, for the next may take a while."""
    check, finding = outcome.check, outcome.finding
    if json:
        _report.data({"event": "check", **outcome.to_dict()})
    elif not quiet or finding.state == "WRONG":
        state = SHORT.get(finding.state, finding.state)
        typer.echo(table_row(state, check.id, check.name, f"{outcome.seconds:.1f} s", finding.text))
    sys.stdout.flush()


def table_row(state: str, id: str, name: str, seconds: str, text: str) -> str:
    """One row of the table, as wide as the terminal; what does not fit stands below, under its own column."""
    width = min(max(shutil.get_terminal_size().columns, _report.LEAST_WIDTH), WIDEST)
    start = f"{state:<{STATE}}{id:<{ID}}{name:<{NAME}} {seconds:>{SECONDS}}  "
    return textwrap.fill(
        _report.one_line(text),
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    )
