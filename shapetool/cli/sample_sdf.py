"""`shapetool sample-sdf`: meshes to points with their signed distance."""

import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapetool.cli import _options, _report
from shapetool.cli._progress import Progress
from shapetool.errors import ConfigError
from shapetool.recipes import BACKENDS, DTYPES, FRAME_SIZES, SDF_RECIPES, SIGNS, SdfRecipe, parse_settings, sdf_recipe

if TYPE_CHECKING:
    from shapetool.runner.job import Options, Summary

SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


Recipe = Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(SDF_RECIPES)}.")]
Count = Annotated[
    int | None, typer.Option(min=1, help="Points a shape. Default: the recipe's, 500000 for deepsdf-code.")
]
SurfaceCount = Annotated[
    int | None, typer.Option(min=0, help="Surface points with normals a shape. Default: the recipe's.")
]
Sign = Annotated[
    str | None,
    typer.Option(metavar="|".join(SIGNS), help="What tells inside from outside. Default: auto."),
]
Backend = Annotated[
    str | None, typer.Option(metavar="|".join(BACKENDS), help="What measures. Default: native, which is exact.")
]
Normalize = Annotated[
    str | None, typer.Option(metavar="|".join(FRAME_SIZES), help="The unit frame. Default: the recipe's.")
]
Dtype = Annotated[
    str | None, typer.Option(metavar="|".join(DTYPES), help="How points and distances are stored. Default: f32.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other number of the recipe: near_stds=0.05,0.01."),
]
ItemMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Give a mesh up that needs more memory, such as 8G. Default: a fair share of the machine."
    ),
]


def sample_sdf(
    inputs: _options.Inputs,
    out: _options.Out,
    recipe: Recipe = "deepsdf-code",
    count: Count = None,
    surface_count: SurfaceCount = None,
    sign: Sign = None,
    backend: Backend = None,
    normalize: Normalize = None,
    dtype: Dtype = None,
    set: Settings = None,  # the name of the option, for the variable and the key in a file are made of it
    seed: _options.Seed = 0,
    workers: _options.Workers = None,
    shard: _options.Shard = None,
    device: _options.Device = "auto",
    engine: _options.Engine = "local",
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    item_timeout: _options.ItemTimeout = 600.0,
    item_memory: ItemMemory = None,
    max_failures: _options.MaxFailures = None,
    retry: _options.Retry = None,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Sample points around meshes with their signed distance, negative inside."""
    from shapetool.runner.job import Options
    from shapetool.runner.parts import read_part

    chosen = sdf_recipe(recipe).replace(**parse_settings(set or []))
    chosen = chosen.replace(
        count=count, surface_count=surface_count, sign=sign, backend=backend, normalize=normalize, dtype=dtype
    )
    with Progress(json=json, quiet=quiet, verbose=verbose) as progress:
        options = Options(
            workers=workers,
            shard=read_part(shard, os.environ),
            overwrite=overwrite,
            item_timeout=item_timeout,
            item_memory=read_size(item_memory),
            max_failures=max_failures,
            retry=retry,
            on_event=progress,
        )
        if dry_run:
            return _preview(inputs, out, chosen, seed, options)
        return _run(inputs, out, chosen, seed, options, progress)


def _run(inputs: list[str], out: Path, recipe: SdfRecipe, seed: int, options: "Options", progress: Progress) -> int:
    from shapetool.pipelines.sample_sdf import run

    summary = run(inputs, out, recipe, seed=seed, options=options)
    progress.close()
    if not progress.quiet:
        _report.note(summary_line(summary))
    return summary.exit_code


def _preview(inputs: list[str], out: Path, recipe: SdfRecipe, seed: int, options: "Options") -> int:
    from shapetool.pipelines.sample_sdf import plan

    would = plan(inputs, out, recipe, seed=seed, options=options)
    _report.data({"event": "dry-run", **asdict(would)})
    if would.bytes > would.free:
        _report.note(f"shapetool: {would.bytes} bytes would be written, and {would.free} are free.")
    return _report.OK


def summary_line(summary: "Summary") -> str:
    """How a run ended, in one line."""
    decided = sum(summary.counts.values())
    parts = ", ".join(f"{count} {status}" for status, count in sorted(summary.counts.items()) if status != "ok")
    ok = f"{summary.counts.get('ok', 0)} of {summary.total} shapes in {summary.out}"
    if summary.stopped is not None:
        why = "too many failed" if summary.stopped == "max-failures" else f"stopped by {summary.stopped}"
        again = "run the same command again to go on"
        return f"shapetool: {why} after {decided} of {summary.total} items; {again}. Report: {summary.report}"
    if summary.shards == 0:
        ok = f"nothing left to do: {ok}"
    timed = f" in {summary.seconds:.1f} s" if summary.shards else ""
    return f"shapetool: {ok}{timed}{', ' + parts if parts else ''}. Report: {summary.report}"


def read_size(text: str | None) -> int | None:
    """A number of bytes from words such as 800M or 8G.

    Raises:
        ConfigError: it cannot be read, or is not above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * SIZE_UNITS[match[2].upper()]) if match else 0
    if size <= 0:
        raise ConfigError(f"--item-memory {text}: expected a size such as 800M or 8G.")
    return size
