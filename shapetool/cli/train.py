"""`shapetool train MODEL DATA RUN`: shards to a run folder with checkpoints."""

import os
import re
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool.cli import _options, _report
from shapetool.cli._training import TrainingProgress
from shapetool.errors import ConfigError
from shapetool.models import MODELS
from shapetool.recipes import parse_settings

if TYPE_CHECKING:
    from shapetool.pipelines.train import Order

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help=f"One of {', '.join(MODELS)}.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any number of the model: width=256.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps. Default: the configuration's, or as many as --budget.")]
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time to train, such as 120s or 2h; the schedule fits in it.")
]
Views = Annotated[Path | None, typer.Option(metavar="VIEWS", help="Images of the same shapes, joined by id.")]
Split = Annotated[
    Path | None, typer.Option(metavar="LISTS", help="Train on the train list of `split`; the val list chooses best/.")
]
Target = Annotated[
    Path | None, typer.Option(metavar="RUN", help="The run whose decoder is to be served (svr).", readable=False)
]
Device = Annotated[
    str, _options._shared("device", metavar="auto|cpu|cuda", help="Where it trains. auto: on a GPU where there is one.")
]
Precision = Annotated[str, typer.Option(metavar="f32|bf16", help="Arithmetic of the network.")]
Pictures = Annotated[int, typer.Option(min=0, help="Pictures of reconstructed shapes on the way. 0: none.")]
Threads = Annotated[int, _options._shared("workers", "-j", min=0, help="Threads that draw batches ahead of the loop.")]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Scalars for TensorBoard, with the extra of its name.")
]
Resume = Annotated[
    bool, _options._spoken("resume", "Go on with a run that is there, maybe with other --steps or --budget.")
]


def _use_config(context: Any, word: str) -> str:
    """Eager callback: the options of a TOML file go under the defaults; a name is left to the model."""
    if word.endswith(".toml") and not context.resilient_parsing:
        _options._use_config(context, Path(word))
    return word


Config = Annotated[
    str,
    _options._shared(
        "config",
        metavar="NAME|FILE.toml",
        help="default, reference (the author's numbers) or another of the model's, or a file: options, and a table "
        "[model] with the name of a `config` and settings.",
        is_eager=True,
        callback=_use_config,
    ),
]


def train(
    model: ModelName,
    data: Annotated[Path, _options.place("DATA", "A shard or a dataset folder.")],
    run: Annotated[Path, _options.place("RUN", "The folder of the run.")],
    config: Config = "default",
    set: Settings = None,  # the name of the option, as in sample-sdf
    steps: Steps = None,
    budget: Budget = None,
    views: Views = None,
    split: Split = None,
    target: Target = None,
    seed: _options.Seed = 0,
    workers: Threads = 1,
    device: Device = "auto",
    precision: Precision = "f32",
    pictures: Pictures = 4,
    tensorboard: Tensorboard = False,
    resume: Resume = False,
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    version: _options.Version = False,
) -> int:
    """Train a model on shards: to RUN go checkpoints, a log, curves and pictures."""
    from shapetool.pipelines.train import Order

    name, settings = _chosen(config)
    settings |= parse_settings(set or [])
    if steps is not None:
        settings["steps"] = steps
    order = Order(
        model=model,
        data=data,
        run=run,
        config=name,
        settings=settings,
        views=views,
        split=split,
        target=target,
        budget=None if budget is None else read_duration(budget),
        seed=seed,
        device=device,
        precision=precision,
        draw_threads=workers,
        pictures=pictures,
        tensorboard=tensorboard,
        resume=resume,
        overwrite=overwrite,
    )
    if dry_run:
        from shapetool.pipelines.train import plan

        _report.data({"event": "dry-run", **plan(order)})
        return _report.OK
    first = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun one speaks
    return _trained(order, TrainingProgress(json=json and first, quiet=quiet or not first, verbose=verbose))


def _trained(order: "Order", progress: TrainingProgress) -> int:
    from shapetool.pipelines.train import run
    from shapetool.runner.signals import listening

    alone = os.environ.get("WORLD_SIZE", "1") == "1"  # torchrun hands on a Ctrl-C that its processes heard already
    try:
        with progress, listening(impatient=alone) as stop:
            trained = run(order, progress, lambda: stop.reason)
    except KeyboardInterrupt as error:
        return _report.fail(error)
    ended = trained.ended
    if progress.json:
        _report.data({"event": "end", "run": trained.folder, **asdict(ended)})
    if ended.stopped is not None:
        if not progress.quiet:
            _report.note(
                f"shapetool: stopped by {ended.stopped} at step {ended.step}, which is saved; run the same command "
                "again to go on."
            )
        return _report.CTRL_C if ended.stopped == "SIGINT" else _report.INTERRUPTED
    if not progress.quiet:
        how = f"loss {ended.loss:.4g}" if ended.loss == ended.loss else "nothing left to do"
        _report.note(f"shapetool: {ended.step} steps in {ended.seconds:.1f} s, {how}. Run: {trained.folder}")
    return _report.OK


def read_duration(text: str) -> float:
    """Seconds from words such as 120s, 5m or 1.5h.

    Raises:
        ConfigError: it cannot be read, or is not above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    seconds = float(match[1]) * UNITS.get(match[2], 0.0) if match else 0.0
    if seconds <= 0:
        raise ConfigError(f"--budget {text}: expected a time such as 120s, 5m or 2h.")
    return seconds


def _chosen(config: str) -> tuple[str, dict[str, Any]]:
    """The named configuration and the settings that --config asks for."""
    if not config.endswith(".toml"):
        return config, {}
    # The options of the file were read by the callback, which refuses what is no TOML.
    table = tomllib.loads(Path(config).read_text(encoding="utf-8")).get("model", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{config}: expected a table [model], found {table!r}.")
    settings = dict(table)
    return str(settings.pop("config", "default")), settings
