"""`shapetool eval PRED GT`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool.cli import _options, _report, _sampling
from shapetool.cli._progress import Progress
from shapetool.cli._sets import compare_sets
from shapetool.errors import ConfigError
from shapetool.recipes.evaluation import (
    ALIGNMENTS,
    METRICS,
    PROTOCOL_NAMES,
    SET_FRAMES,
    SET_METRICS,
    UPS,
    EvalRecipe,
    SetRecipe,
    read_metrics,
)

if TYPE_CHECKING:
    from rich.table import Table

    from shapetool.pipelines.evaluate import Evaluation

# Columns of the printed table, each where it was measured; the files hold all.
SHOWN = ("chamfer_l1_mean", "chamfer_l2sq_mean", "surface_l1_mean", "hausdorff", "hausdorff_90", "fscore@0.01")
SHOWN_TOO = ("normal_consistency", "iou", "emd", "floor_chamfer_l1_mean", "chamfer_l1_mean_debiased")

_Pred = Annotated[
    Path | None, _options.place("PRED", "Predicted meshes, clouds (ply, npz, npy, xyz) or shards: a folder or a file.")
]
_Other = Annotated[Path | None, _options.place("GT", "The truth; with --true, a second prediction of the same shapes.")]
_True = Annotated[
    Path | None,
    typer.Option("--true", metavar="GT", readable=False, help="The truth, where two predictions are compared."),
]
_Protocol = Annotated[
    str, typer.Option(metavar="|".join(PROTOCOL_NAMES), help="Whose evaluation is done beside shapetool's own.")
]
_Metrics = Annotated[
    str | None, typer.Option(metavar="A,B,C", help=f"Of {', '.join(METRICS)}. Default: all but emd and surface.")
]
_Samples = Annotated[int | None, typer.Option(min=2, help="Points on each mesh. Default: the protocol's, or 100000.")]
_Thresholds = Annotated[
    str, typer.Option(metavar="A,B,C", help="Of the F-score: lengths in the unit of the shapes.", show_default=True)
]
_Align = Annotated[
    str, typer.Option(metavar="|".join(ALIGNMENTS), help="Moves the prediction first; raw values are kept beside.")
]
_OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", readable=False, help="Writes per_shape.csv and summary.json; a rerun goes on."
    ),
]
_EmdRtol = Annotated[
    float,
    typer.Option("--emd-rtol", metavar="SHARE", help="How near the bounds of EMD have to be: 0.01 is one percent."),
]
_Up = Annotated[str, typer.Option(metavar="|".join(UPS), help="The axis that points up in the pictures of the page.")]
_Sets = Annotated[
    bool,
    typer.Option("--sets", help="Compare the folders as sets, as generators are: MMD, coverage, 1-NNA and JSD."),
]
_Frame = Annotated[
    str, typer.Option("--normalize", metavar="|".join(SET_FRAMES), help="With --sets: the frame of each shape.")
]
_Worst = Annotated[int, typer.Option(min=0, help="How many of the worst shapes to name.")]
_Explain = Annotated[
    str | None, typer.Option(metavar="PROTOCOL", help="Print the definition of a protocol with its source, and leave.")
]


def evaluate(
    pred: _Pred = None,
    other: _Other = None,
    true: _True = None,
    protocol: _Protocol = "default",
    metrics: _Metrics = None,
    samples: _Samples = None,
    thresholds: _Thresholds = "0.005,0.01,0.02,0.05",
    align: _Align = "none",
    emd_rtol: _EmdRtol = 0.0,
    sets: _Sets = False,
    normalize: _Frame = "none",
    out: _OutFolder = None,
    worst: _Worst = 5,
    up: _Up = "z",
    explain: _Explain = None,
    seed: _options.Seed = 0,
    workers: _options.Workers = None,
    device: _options.Device = "auto",
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
    """Score predicted shapes against true ones: every number with its definition, interval and floor.

    `eval A B --true GT` scores two predictions with the same draws and says how they differ.
    """
    if explain is not None:
        return _explained(explain)
    first, second, truth = _sides(pred, other, true)
    _check_words(up, normalize, sets)
    if sets:
        _check_sets({"--true": true, "--protocol": protocol != "default", "--align": align != "none", "--shard": shard})
        wanted = SetRecipe(_set_metrics(metrics), samples or SetRecipe.samples, normalize, emd_rtol)
        how = {"out": out, "seed": seed, "workers": workers, "up": up, "worst": worst, "json": json, "quiet": quiet}
        return compare_sets((first, truth), wanted, dry_run=dry_run, **how)
    limits = _numbers(thresholds)
    recipe = EvalRecipe(protocol, read_metrics(metrics), samples, limits, align, emd_rtol=emd_rtol)

    from shapetool.pipelines import evaluate as pipeline

    if dry_run:
        _report.data({"event": "dry-run", **pipeline.plan(first, truth, recipe, second=second, out=out)})
        return _report.OK
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
        found = pipeline.evaluate(first, truth, recipe, second=second, out=out, seed=seed, options=options)
    if out is not None and second is None:
        _write_page(found, first, truth, recipe, seed=seed, worst=worst, up=up)
    show(found, worst, json=json, quiet=quiet)
    return found.exit_code


def _write_page(*about: Any, **how: Any) -> None:
    from shapetool.pipelines.eval_report import write_page  # draws, so it is not loaded for numbers alone

    write_page(*about, **how)


def _explained(name: str) -> int:
    from shapetool.metrics.protocols import explain

    typer.echo(explain(name))
    return _report.OK


def _sides(pred: Path | None, other: Path | None, true: Path | None) -> tuple[Path, Path | None, Path]:
    if pred is None or other is None:
        raise ConfigError("expected PRED and GT, or PRED, PRED and --true GT. `shapetool eval --help` shows the rest.")
    return (pred, None, other) if true is None else (pred, other, true)


def _check_words(up: str, normalize: str, sets: bool) -> None:
    if up not in UPS:
        raise ConfigError(f"--up {up}: expected {' or '.join(UPS)}, the axis that points up.")
    if normalize != "none" and not sets:
        raise ConfigError("--normalize: gives each shape a frame of its own, which is for --sets. Pairs have --align.")


def _set_metrics(text: str | None) -> tuple[str, ...]:
    return SET_METRICS if text is None else read_metrics(text)


def _check_sets(given: dict[str, Any]) -> None:
    """Nothing, when no option was given that has no meaning for sets."""
    for option, value in given.items():
        if value:
            raise ConfigError(f"{option}: is for pairs of shapes, and --sets knows none. Leave one of them out.")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--thresholds {text}: expected lengths such as 0.01,0.02.") from error


def show(found: "Evaluation", worst: int, *, json: bool, quiet: bool) -> None:
    """Nothing; prints the means on stdout and where the rest is on stderr."""
    if json:
        _report.data({"event": "summary", **found.summary})
    elif not quiet:
        _print_table(found.summary, found.rows, worst)
    if quiet:
        return
    counts = found.summary["counts"]
    others = ", ".join(f"{count} {name}" for name, count in counts.items() if name not in ("total", "ok"))
    where = f" in {found.out}" if found.out is not None else ""
    _report.note(f"shapetool: {counts.get('ok', 0)} of {counts['total']} shapes scored{where}. {others}".rstrip(" ."))
    for side, names in found.summary["unpaired"].items():
        if names:
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            _report.note(f"shapetool: {len(names)} {side} without a partner: {some}")
    for names, why in zip(
        found.summary["categories"].values(), ("has predictions and no truth", "has no shape with a score"), strict=True
    ):
        for name in names:
            _report.note(f"shapetool: category {name} {why}, so means by category leave it out")


def _print_table(summary: dict[str, Any], rows: list[dict[str, Any]], worst: int) -> None:
    from rich.text import Text

    console, measured = _report.console(), summary["metrics"]
    table = _table("metric", "without failures", "95 % interval", "with failures", "by category")
    for key in [*SHOWN, *SHOWN_TOO]:
        if key in measured:
            table.add_row(key, *_cells(measured[key]))
    for key, told in summary.get("difference", {}).items():
        if key in (*SHOWN, *SHOWN_TOO):
            table.add_row(f"second - first: {key}", f"{_number(told['mean'])} ({told['count']})", _range(told))
    console.print(table)
    told = summary.get(summary["protocol"])
    if told is not None:
        theirs = _table(f"{summary['protocol']}: {told['aggregation']}", "as the author", "fixed")
        for name in (name for name in told if name != "aggregation" and not name.endswith(".fixed")):
            right = told.get(f"{name}.fixed")
            theirs.add_row(name, _counted(told[name]), "" if right is None else _counted(right))
        console.print(theirs)
    if worst and rows:
        key = next((key for key in SHOWN if key in measured), "")
        known = [row for row in rows if row["status"] == "ok" and row.get(key) is not None]
        sign = 1 if key.startswith("fscore") else -1
        ranked = sorted(known, key=lambda row: (sign * row[key], row["shape_id"]))[:worst]
        for row in ranked:
            console.print(Text(_report.one_line(f"worst {key}: {row['shape_id']} {_number(row[key])}")))


def _table(first: str, *others: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name)
    return table


def _counted(told: dict[str, Any]) -> str:
    return f"{_number(told['mean'])} ({told['count']})" if "count" in told else _number(told["mean"])


def _cells(told: dict[str, Any]) -> list[str]:
    plain, with_failures = told["excluded"], told.get("penalised")
    return [
        f"{_number(plain['mean'])} ({plain['count']})",
        _range(plain),
        "" if with_failures is None else f"{_number(with_failures['mean'])} ({with_failures['count']})",
        f"{_number(told['macro']['mean'])} ({told['macro']['count']})",
    ]


def _range(told: dict[str, Any]) -> str:
    return "" if told["low"] is None else f"{_number(told['low'])} to {_number(told['high'])}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
