"""`shapetool extract RUN OUT`: a trained run to meshes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool.cli import _options, _sampling
from shapetool.cli._progress import Progress
from shapetool.cli.train import Device
from shapetool.errors import ConfigError

if TYPE_CHECKING:
    from shapetool.pipelines.extract import Extracted, Extracting

Checkpoint = Annotated[str, typer.Option(metavar="best|last", help="Which weights.")]
Data = Annotated[
    Path | None, typer.Option(metavar="SHARD", help="Shapes that the run may not know; their codes are found first.")
]
Views = Annotated[Path | None, typer.Option(metavar="VIEWS", help="Images of the shapes of --data, joined by id.")]
Complete = Annotated[
    Path | None,
    typer.Option(
        metavar="POINTS", help="A cloud with normals, or a folder of them: parts of shapes in the unit frame."
    ),
]
Camera = Annotated[str | None, typer.Option(metavar="X,Y,Z", help="From where --complete was seen: the way is free.")]
Interpolate = Annotated[
    tuple[str, str] | None, typer.Option(metavar="A B", help="Two shapes of the run, and --steps on the way between.")
]
Steps = Annotated[int, typer.Option(min=2, help="Shapes of --interpolate, its ends among them.")]
Sample = Annotated[int | None, typer.Option(min=1, metavar="K", help="K new shapes.")]
Split = Annotated[Path | None, typer.Option(metavar="LISTS", help="Shapes on one list of `split` alone.")]
Part = Annotated[str, typer.Option(metavar="train|val|test", help="Which list of --split.")]
Only = Annotated[str | None, typer.Option(metavar="ID,ID", help="These shapes alone.")]
Resolution = Annotated[int, typer.Option(min=4, help="Nodes along each axis.")]
Method = Annotated[str, typer.Option(metavar="mise|dense", help="Ask near the surface, or everywhere.")]
Extent = Annotated[float | None, typer.Option(help="Half the side of the cube. Default: the model's.")]
Least = Annotated[float, typer.Option(min=0, max=1, help="Drop pieces below this share of the largest by volume.")]
Frame = Annotated[str, typer.Option(metavar="original|unit", help="Frame of the files: that of the mesh, where known.")]
Format = Annotated[str, typer.Option(metavar="ply|obj|off|stl", help="The files.")]
Against = Annotated[Path | None, typer.Option(metavar="GT", help="Score the meshes against these, as `eval` does.")]
Scores = Annotated[Path | None, typer.Option(metavar="DIR", help="Where `eval` puts its report of --against.")]
Sheet = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw a table of the meshes as well.")]
Render = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Draw each field by sphere tracing as well, without its mesh.")
]


def extract(
    run: Annotated[Path, _options.place("RUN", "The folder of a run.")],
    out: Annotated[Path, _options.place("OUT", "A folder; each shape gets a file.")],
    data: Data = None,
    views: Views = None,
    complete: Complete = None,
    camera: Camera = None,
    interpolate: Interpolate = None,
    steps: Steps = 8,
    sample: Sample = None,
    split: Split = None,
    part: Part = "test",
    only: Only = None,
    resolution: Resolution = 128,
    method: Method = "mise",
    extent: Extent = None,
    least: Least = 0.0,
    frame: Frame = "original",
    format: Format = "ply",
    checkpoint: Checkpoint = "best",
    against: Against = None,
    scores: Scores = None,
    contact_sheet: Sheet = None,
    render: Render = None,
    seed: _options.Seed = 0,
    device: Device = "auto",
    overwrite: _options.Overwrite = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Turn a trained run into meshes: its shapes, unseen ones, completed parts, steps between two, or new ones."""
    from shapetool.pipelines.extract import Extracting, check_truths

    _check_scores(against, scores)

    wanted = Extracting(
        run=run,
        which=checkpoint,
        data=data,
        views=views,
        complete=complete,
        camera=None if camera is None else _three(camera),
        between=interpolate,
        steps=steps,
        sample=sample,
        split=split,
        part=part,
        only=tuple(only.split(",")) if only else (),
        resolution=resolution,
        method=method,
        extent=extent,
        least=least,
        frame=frame,
        format=format,
        seed=seed,
    )
    if against is not None:
        check_truths(against, wanted)
    with Progress(json=json, quiet=quiet, verbose=verbose) as progress:
        code, extracted = _extracted(wanted, out, {"device": device, "overwrite": overwrite}, progress)
    if extracted.summary.stopped is None:
        from shapetool.pipelines.extract import pictures

        pictures(extracted, wanted, contact_sheet, render)
        if against is not None:
            code = code or _scored(extracted, against, scores, json=json, quiet=quiet)
    return code


def _extracted(wanted: "Extracting", out: Path, how: dict[str, Any], progress: Progress) -> tuple[int, "Extracted"]:
    from shapetool.pipelines.extract import run
    from shapetool.runner.signals import listening

    with listening() as stop:
        extracted = run(wanted, out, **how, on_event=progress, stop=lambda: stop.reason)
    return _sampling.ended(extracted.summary, progress), extracted


def _scored(extracted: "Extracted", against: Path, scores: Path | None, *, json: bool, quiet: bool) -> int:
    """The exit code of the scores of the shapes that were asked for."""
    from shapetool.cli.evaluate import show
    from shapetool.pipelines.evaluate import EvalRecipe, evaluate
    from shapetool.runner.report import read_report

    made = tuple(line["id"] for line in read_report(extracted.summary.report))
    found = evaluate(extracted.summary.out, against, EvalRecipe(only=made), out=scores)
    show(found, 0, json=json, quiet=quiet)
    return found.exit_code


def _check_scores(against: Path | None, scores: Path | None) -> None:
    if scores is not None and against is None:
        raise ConfigError("--scores: is for the scores of --against. Give the true meshes as well.")


def _three(text: str) -> tuple[float, float, float]:
    """Three coordinates.

    Raises:
        ConfigError: they cannot be read.
    """
    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--camera {text}: expected three coordinates such as 0,0.5,2.") from error
    return x, y, z
