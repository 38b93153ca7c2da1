"""`shapetool merge FOLDER OUT.h5`."""

from pathlib import Path
from typing import Annotated

import typer

from shapetool.cli import _options, _report


def merge(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A complete dataset folder.", readable=False, show_default=False)
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.h5", help="The file to write.", readable=False, show_default=False)
    ],
    overwrite: _options.Overwrite = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> None:
    """Make one file from a dataset folder, streamed and in one step: it is there whole or not at all."""
    from shapetool.pipelines import merge as pipeline

    shapes = pipeline.run(folder, out, overwrite=overwrite)
    if json:
        _report.data({"out": str(out), "shapes": shapes})
    elif not quiet:
        _report.note(f"{out}: {shapes} shapes")
