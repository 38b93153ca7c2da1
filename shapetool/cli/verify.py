"""`shapetool verify PATH`."""

from pathlib import Path
from typing import Annotated

import typer

from shapetool.cli import _options, _report


def verify(
    path: Annotated[Path, _options.place("PATH", "A shard (.h5) or a dataset folder.")],
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Check a shard or a dataset folder: checksums, counts, finite values, signs.

    Each finding is one line on stdout; the exit code is 1 if there is any.
    """
    from shapetool.pipelines import verify as pipeline

    findings = pipeline.run(path)
    for finding in findings:
        if json:
            _report.data(finding.to_dict())
        elif not quiet:
            typer.echo(_report.one_line(str(finding)))
    if not quiet:
        _report.note(f"{path}: {len(findings)} findings" if findings else f"{path}: nothing wrong found")
    return _report.REFUSED if findings else _report.OK
