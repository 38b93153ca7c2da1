"""`shapetool selftest`."""

import typer

from shapetool.cli import _options, _report


def selftest(
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Measure numbers that are known in closed form, on this machine.

    Each is one line on stdout: what it is, what it has to be, what came. The exit code is 1 if any is off.
    """
    from shapetool.pipelines import selftest as pipeline

    wrong = total = 0
    for outcome in pipeline.run():
        total += 1
        wrong += not outcome.passed
        if json:
            record = {"name": outcome.name, "expected": outcome.expected, "found": outcome.found}
            record |= {"tolerance": outcome.tolerance, "passed": outcome.passed, "error": outcome.error}
            _report.data({"event": "truth", **record, "seconds": outcome.seconds})
        elif not quiet or not outcome.passed:
            mark = "ok" if outcome.passed else "WRONG"
            came = outcome.error or f"found {outcome.found:.12g}"
            said = f"{mark:5} {outcome.name}: expected {outcome.expected:.12g} within {outcome.tolerance:.2g}, {came}"
            typer.echo(_report.one_line(said))
    if json:
        _report.data({"event": "end", "truths": total, "wrong": wrong})
    elif not quiet or wrong:
        _report.note(f"selftest: {total - wrong} of {total} truths hold")
    return _report.REFUSED if wrong else _report.OK
