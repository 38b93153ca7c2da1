"""`shapetool selftest`."""

from typing import TYPE_CHECKING

import typer

from shapetool.cli import _options, _report

if TYPE_CHECKING:
    from shapetool.metrics.truths import Outcome


def selftest(
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Measure numbers that are known in closed form, on this machine.

    Each is one line on stdout: what it is, what it has to be, how far it may be off and why, what came. The first word
    is the row of docs/truths.md that derives it. The exit code is 1 if any is off.
    """
    from shapetool.pipelines import selftest as pipeline

    wrong = total = 0
    for outcome in pipeline.run():
        total += 1
        wrong += not outcome.passed
        if json:
            _report.data({"event": "truth", **_record(outcome)})
        elif not quiet or not outcome.passed:
            typer.echo(_report.one_line(_line(outcome)))
    if json:
        _report.data({"event": "end", "truths": total, "wrong": wrong})
    elif not quiet or wrong:
        _report.note(f"selftest: {total - wrong} of {total} truths hold")
    return _report.REFUSED if wrong else _report.OK


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
