"""`shapetool convert IN OUT --to F`: shards to the layouts of other people's code, those to shards, views to shapes."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool.cli import _options, _report, _sampling
from shapetool.cli._progress import Progress
from shapetool.data.formats import FORMATS
from shapetool.errors import ConfigError
from shapetool.geometry.wording import plural

if TYPE_CHECKING:
    from shapetool.pipelines.convert import Conversion, Exported
    from shapetool.pipelines.from_views import Backward

LAYOUTS = "|".join(("shards", *FORMATS))
SHAPES = "cloud|tsdf|hull"
PANEL = "Views to shapes"
Resolution = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=1024,
        help="Nodes along each axis of the lattice of tsdf and hull. Default: 128.",
        rich_help_panel=PANEL,
    ),
]
Truncation = Annotated[
    float | None,
    typer.Option(help="Where tsdf cuts distances, in cells of the lattice. Default: 3.", rich_help_panel=PANEL),
]
Extent = Annotated[
    float | None,
    typer.Option(
        help="Half the side of that lattice, in the unit frame. Default: a tenth more than the frame.",
        rich_help_panel=PANEL,
    ),
]
Frame = Annotated[
    str | None,
    typer.Option(metavar="original|unit", help="The frame of the shapes. Default: original.", rich_help_panel=PANEL),
]


def convert(
    source: Annotated[Path, _options.place("IN", "Shards (a file or folder), or a folder in one of the layouts.")],
    out: Annotated[Path, _options.place("OUT", "A folder; where shards are made, OUT.h5 makes one file.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar=f"{LAYOUTS}|{SHAPES}",
            help="The layout to write; of views also a cloud, fused depth, or the visual hull.",
            show_default=False,
        ),
    ],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar=LAYOUTS,
            help="The layout of IN. Default: what its files say.",
            envvar="SHAPETOOL_CONVERT_FROM",
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            readable=False,
            help="A folder with train.lst, val.lst, test.lst of shape ids. Default: all for training.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Points a shape in shards. Default: as many as every shape has.")
    ] = None,
    surface_count: Annotated[
        int | None, typer.Option(min=0, help="Surface points a shape in shards. Default: as many as every shape has.")
    ] = None,
    resolution: Resolution = None,
    truncation: Truncation = None,
    extent: Extent = None,
    frame: Frame = None,
    seed: _options.Seed = 0,
    workers: _options.Workers = None,
    shard: _options.Shard = None,
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    item_timeout: _options.ItemTimeout = 600.0,
    item_memory: _sampling.ItemMemory = None,
    max_failures: _options.MaxFailures = None,
    retry: _options.Retry = None,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Convert shards to the files that other training code reads, or such files to shards; or views to shapes."""
    from shapetool.pipelines.convert import Conversion
    from shapetool.runner.job import Options
    from shapetool.runner.parts import read_part

    of_views = {"resolution": resolution, "truncation": truncation, "extent": extent, "frame": frame}
    others = {"from": from_, "split": split, "count": count, "surface-count": surface_count}
    back = _backward(to, of_views, others)
    with Progress(json=json, quiet=quiet, verbose=verbose) as progress:
        options = Options(
            workers=workers,
            shard=read_part(shard, os.environ) if to == "shards" or back else None,
            overwrite=overwrite,
            item_timeout=item_timeout,
            item_memory=_sampling.read_size(item_memory),
            max_failures=max_failures,
            retry=retry,
            on_event=progress,
        )
        conversion = Conversion(to, from_, count, surface_count, split, seed, options, back)
        return _run(source, out, conversion, progress, dry_run=dry_run)


def _backward(to: str, of_views: dict[str, Any], others: dict[str, Any]) -> "Backward | None":
    """How views become shapes, if that is wanted.

    Raises:
        ConfigError: an option that means nothing for this target.
    """
    from shapetool.pipelines.from_views import USED, Backward

    given = {name: value for name, value in (of_views | others).items() if value is not None}
    strange = sorted(given.keys() - (USED[to] if to in USED else others.keys()))
    if strange:
        raise ConfigError(f"--{strange[0]} {given[strange[0]]}: means nothing with --to {to}. Leave it out.")
    return Backward(to, **given) if to in USED else None


def _run(source: Path, out: Path, conversion: "Conversion", progress: Progress, *, dry_run: bool) -> int:
    from shapetool.pipelines import convert as pipeline

    if dry_run:
        would = pipeline.plan(source, out, conversion)
        _report.data({"event": "dry-run", **asdict(would)})
        return _report.OK
    ended = pipeline.run(source, out, conversion)
    progress.close()
    if isinstance(ended, pipeline.Exported):
        return _show_export(ended, progress)
    if not progress.quiet:
        _report.note(_sampling.summary_line(ended))
    return ended.exit_code


def _show_export(ended: "Exported", progress: Progress) -> int:
    """The exit code of an export, after what it did was said."""
    for text in ended.problems:
        _report.note(text)
    if progress.json:
        _report.data({"event": "end", **asdict(ended)})
    if not progress.quiet:
        for text in ended.notices:
            _report.note(text)
        there = f", {ended.kept} were there" if ended.kept else ""
        refused = f", {len(ended.problems)} refused" if ended.problems else ""
        _report.note(f"shapetool: {plural(ended.written, 'shape')} written to {ended.out}{there}{refused}.")
    return ended.exit_code
