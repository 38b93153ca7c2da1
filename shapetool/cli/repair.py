"""`shapetool repair INPUT... OUT`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shapetool.cli import _options, _sampling
from shapetool.cli._progress import Progress
from shapetool.geometry.wording import plural

_Out = Annotated[
    Path, _options.place("OUT", "One mesh if it ends in .obj, .off, .ply or .stl, a folder of meshes otherwise.")
]
_Resolution = Annotated[int, typer.Option(help="Cells along the longest side.", min=8, max=1024)]
_Gap = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="Close openings narrower than this share of the longest side. Default: two cells."
    ),
]
_Keep = Annotated[bool, typer.Option("--keep-cavities", help="Keep empty spaces that no path leads into.")]
_Force = Annotated[bool, typer.Option("--force", help="Rebuild meshes that are sound already, too.")]
_Solid = Annotated[bool, typer.Option("--solid", help="Refuse what encloses nothing; else it becomes thin plates.")]
_Fill = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="First fill holes whose box has a diagonal up to this share of the longest side."
    ),
]
_Format = Annotated[
    str | None, typer.Option("--format", metavar="obj|off|ply|stl", help="The mesh format. Default: of OUT, or ply.")
]


def repair(
    inputs: _options.Inputs,
    out: _Out,
    resolution: _Resolution = 256,
    gap: _Gap = None,
    keep_cavities: _Keep = False,
    force: _Force = False,
    solid: _Solid = False,
    fill_holes: _Fill = None,
    format: _Format = None,
    workers: _options.Workers = None,
    shard: _options.Shard = None,
    engine: _options.Engine = "local",
    dask: _options.Dask = None,
    dask_workers: _options.DaskWorkers = None,
    dask_set: _options.DaskSet = None,
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
    """Make closed, oriented meshes that do not meet themselves, and say how far they are from the input."""
    from shapetool.pipelines import repair as pipeline

    recipe = pipeline.RepairRecipe(resolution, gap, keep_cavities, force, not solid, fill_holes or 0.0)
    with Progress(json=json, quiet=quiet, verbose=verbose) as progress:

        def listener(event: dict[str, Any]) -> None:
            progress(event)
            if event["event"] == "item" and event["status"] == "ok" and verbose and not quiet:
                progress.say(_sentence(event))

        options = _sampling.run_options(
            listener,
            shard,
            item_memory,
            (engine, dask, dask_workers, dask_set),
            workers=workers,
            overwrite=overwrite,
            item_timeout=item_timeout,
            max_failures=max_failures,
            retry=retry,
        )
        if dry_run:
            return _sampling.foreseen(pipeline.plan(inputs, out, recipe, suffix=format, options=options), options)
        return _sampling.ended(pipeline.run(inputs, out, recipe, suffix=format, options=options), progress)


def _sentence(line: dict[str, Any]) -> str:
    deviation = line["deviation"]
    moved = (
        f"deviation {100 * deviation['max']:.3f} % of the diagonal at most, {100 * deviation['mean']:.4f} % on average"
    )
    holes = f" {plural(line['holes_filled'], 'hole')}" if line["method"] == "filled" else ""
    return f"{line['id']}: {line['method']}{holes}, Euler number {line['euler']}, {moved}"
