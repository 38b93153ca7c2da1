"""`shapetool verify PATH`."""

from pathlib import Path
from typing import Annotated

import typer

from shapetool.cli import _options, _report
from shapetool.cli._progress import steps
from shapetool.geometry.wording import plural


def verify(
    path: Annotated[Path, _options.place("PATH", "A shard (.h5) or a dataset folder.")],
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Check a shard or a dataset folder: checksums, counts, finite values, signs.

    Each finding is one line on stdout, and the exit code is 1 if there is any. With --json a last line says how many.
    """
    from shapetool.pipelines import verify as pipeline

    shapes = 0
    step = steps(quiet=quiet, verbose=verbose)

    def checked(done: int, total: int) -> None:
        nonlocal shapes
        shapes = done
        step(done, total)

    findings = pipeline.run(path, checked)
    for finding in findings:
        if json:
            _report.data({"event": "finding", **finding.to_dict()})
        elif not quiet:
            typer.echo(_report.one_line(str(finding)))
    if json:
        _report.data({"event": "end", "path": str(path), "shapes": shapes, "findings": len(findings)})
    if not quiet:
        _report.note(f"{path}: {plural(len(findings), 'finding')}" if findings else f"{path}: nothing wrong found")
    return _report.REFUSED if findings else _report.OK
