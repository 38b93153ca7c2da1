"""`shapetool make-shapes FAMILY OUT`."""

from pathlib import Path
from typing import Annotated

import typer

from shapetool.cli import _options, _report
from shapetool.geometry.wording import plural

_Family = Annotated[
    str,
    typer.Argument(
        metavar="FAMILY",
        help="box rounded-box bracket chair shelf table sphere torus capsule cylinder bottle lamp vase gear knot "
        "or mug.",
        show_default=False,
    ),
]
_Folder = Annotated[Path, _options.place("OUT", "The folder for the meshes.")]
_Count = Annotated[int, typer.Option(help="How many shapes.", min=1)]
_Format = Annotated[
    str, typer.Option("--format", metavar="obj|off|ply|stl", help="The mesh format; stl rounds to f32.")
]
_Segments = Annotated[int, typer.Option(help="Flat sides of a full circle: a multiple of 4.", min=24, max=4096)]


def make_shapes(
    family: _Family,
    out: _Folder,
    count: _Count = 1,
    seed: _options.Seed = 0,
    format: _Format = "obj",
    segments: _Segments = 96,
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> None:
    """Write closed procedural meshes whose true distance is known."""
    from shapetool.pipelines import make_shapes as pipeline

    if dry_run:
        shapes = pipeline.plan(family, out, count, seed, suffix=format, segments=segments, overwrite=overwrite)
        size = sum(len(shape.image) for shape in shapes)
        _report.data({"event": "dry-run", "out": str(out), "shapes": count, "bytes": size})
        return
    records = pipeline.run(family, out, count, seed, suffix=format, segments=segments, overwrite=overwrite)
    for record in records:
        if json:
            _report.data(record)
        if verbose and not quiet:
            _report.note(f"{out / record['file']}: {record['n_vertices']} vertices, {record['n_faces']} faces")
    if not json and not quiet:
        _report.note(f"{plural(count, f'{family} shape')} in {out}; their numbers are in {out / pipeline.PARAMETERS}")
