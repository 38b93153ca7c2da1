"""`shapetool sample-occupancy`: meshes to points with inside and outside."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapetool.cli import _options, _sampling
from shapetool.cli._progress import Progress
from shapetool.recipes import OCCUPANCY_RECIPES, OccupancyRecipe, occupancy_recipe

if TYPE_CHECKING:
    from shapetool.runner.job import Options

Recipe = Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(OCCUPANCY_RECIPES)}.")]
Count = Annotated[int | None, typer.Option(min=1, help="Points a shape. Default: the recipe's, 100000 for onet.")]
Padding = Annotated[
    float | None,
    typer.Option(
        min=0, help="What the box of uniform points is wider than the shape's. Default: the recipe's, 0.1 for onet."
    ),
]
Cells = Annotated[
    int | None,
    typer.Option(
        min=2, metavar="N", help="Store N^3 solid and N^3 surface voxels of the shape's box as well. Default: none."
    ),
]


def sample_occupancy(
    inputs: _options.Inputs,
    out: _options.Out,
    recipe: Recipe = "onet",
    count: Count = None,
    padding: Padding = None,
    surface_count: _sampling.SurfaceCount = None,
    sign: _sampling.Sign = None,
    backend: _sampling.Backend = None,
    normalize: _sampling.Normalize = None,
    dtype: _sampling.Dtype = None,
    grid: Cells = None,
    set: _sampling.Settings = None,  # the name of the option, for the variable and the key in a file are made of it
    seed: _options.Seed = 0,
    workers: _options.Workers = None,
    shard: _options.Shard = None,
    device: _options.Device = "auto",
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
    """Sample points around meshes and say which are inside."""
    given = _sampling.overrides(
        set,
        padding=padding,
        count=count,
        surface_count=surface_count,
        sign=sign,
        backend=backend,
        normalize=normalize,
        dtype=dtype,
        voxels=grid,
    )
    chosen = occupancy_recipe(recipe).replace(**given)
    with Progress(json=json, quiet=quiet, verbose=verbose) as progress:
        options = _sampling.run_options(
            progress,
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
            return _preview(inputs, out, chosen, seed, options)
        return _run(inputs, out, chosen, seed, options, progress)


def _run(
    inputs: list[str], out: Path, recipe: OccupancyRecipe, seed: int, options: "Options", progress: Progress
) -> int:
    from shapetool.pipelines.sample_occupancy import run

    return _sampling.ended(run(inputs, out, recipe, seed=seed, options=options), progress)


def _preview(inputs: list[str], out: Path, recipe: OccupancyRecipe, seed: int, options: "Options") -> int:
    from shapetool.pipelines.sample_occupancy import plan

    return _sampling.foreseen(plan(inputs, out, recipe, seed=seed, options=options), options)
