"""`shapetool merge FOLDER OUT.h5`."""

from pathlib import Path
from typing import Annotated

from shapetool.cli import _options, _report
from shapetool.cli._progress import steps
from shapetool.geometry.wording import plural


def merge(
    folder: Annotated[Path, _options.place("FOLDER", "A complete dataset folder.")],
    out: Annotated[Path, _options.place("OUT.h5", "The file to write.")],
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> None:
    """Make one file from a dataset folder, streamed and in one step: it is there whole or not at all."""
    from shapetool.pipelines import merge as pipeline

    if dry_run:
        would = pipeline.plan(folder, out, overwrite=overwrite)
        _report.data({"event": "dry-run", "out": str(out), "shapes": would.shapes, "bytes": would.bytes})
        return
    shapes = pipeline.run(folder, out, overwrite=overwrite, report=steps(quiet=quiet, verbose=verbose))
    if json:
        _report.data({"out": str(out), "shapes": shapes})
    elif not quiet:
        _report.note(f"{out}: {plural(shapes, 'shape')}")
