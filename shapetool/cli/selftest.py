"""`shapetool selftest`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapetool.cli import _options, _report
from shapetool.errors import ConfigError

if TYPE_CHECKING:
    from shapetool.metrics.truths import Outcome

Folder = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="Also try kills, full disks, damage, signals and locks on the file system of this folder.",
        readable=False,
    ),
]
Rounds = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="With --dir: kill so many runs. Default: as many as there is time for."),
]


def selftest(
    dir: Folder = None,
    rounds: Rounds = None,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Measure numbers that are known in closed form, on this machine; with --dir also crash safety, in a folder.

    Each number is one line on stdout: what it is, what it has to be, how far it may be off and why, what came. The
    first word is the row of docs/truths.md that derives it. The exit code is 1 if any is off.

    With --dir a table says what the file system of DIR does, and how runs there end that are killed, stopped, damaged
    or out of room. It takes less than two minutes, in a new folder that is removed in the end. Numbers that hold are
    counted then, or listed with --verbose.
    """
    if dir is None:
        return _machine(rounds, json, quiet)
    from shapetool.cli._checks import check_folder

    return check_folder(dir, rounds, lambda: _truths(json, quiet, shown=verbose), json=json, quiet=quiet)


def _machine(rounds: int | None, json: bool, quiet: bool) -> int:
    """The exit code after all truths."""
    if rounds is not None:
        raise ConfigError("--rounds wants --dir: it is runs in that folder that are killed.")
    total, wrong = _truths(json, quiet, shown=True)
    if json:
        _report.data({"event": "end", "truths": total, "wrong": wrong})
    elif not quiet or wrong:
        _report.note(f"selftest: {total - wrong} of {total} truths hold")
    return _report.REFUSED if wrong else _report.OK


def _truths(json: bool, quiet: bool, *, shown: bool) -> tuple[int, int]:
    """How many truths there are and how many do not hold; each has a line, but for those that hold if not `shown`."""
    from shapetool.pipelines import selftest as pipeline

    wrong = total = 0
    for outcome in pipeline.run():
        total += 1
        wrong += not outcome.passed
        if json:
            _report.data({"event": "truth", **_record(outcome)})
        elif not outcome.passed or (shown and not quiet):
            typer.echo(_report.one_line(_line(outcome)))
    return total, wrong


def _record(outcome: "Outcome") -> dict[str, object]:
    truth = outcome.truth
    known = {"id": truth.id, "name": truth.name, "expected": truth.expected, "tolerance": truth.tolerance}
    came = {"found": outcome.found, "passed": outcome.passed, "error": outcome.error, "seconds": outcome.seconds}
    return {**known, "because": truth.because, **came}


def _line(outcome: "Outcome") -> str:
    truth = outcome.truth
    came = outcome.error or f"found {outcome.found:.12g}"
    allowed = f"expected {truth.expected:.12g} within {truth.tolerance:.2g} ({truth.because})"
    return f"{'ok' if outcome.passed else 'WRONG':5} {truth.id:3} {truth.name}: {allowed}, {came}"
