"""The options and the last line that the sampling commands have in common."""

import os
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool.cli import _options, _report
from shapetool.cli._progress import Progress, duration
from shapetool.errors import ConfigError
from shapetool.recipes import BACKENDS, DTYPES, FRAME_SIZES, SIGNS, parse_settings

if TYPE_CHECKING:
    from shapetool.runner.estimate import Estimate
    from shapetool.runner.job import Event, Options, Summary
    from shapetool.runner.preview import Preview

SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

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
    str | None,
    typer.Option(metavar="|".join(DTYPES), help="How numbers are stored. Default: the recipe's, mostly f32."),
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


def run_options(
    progress: "Callable[[Event], None]",
    shard: str | None,
    item_memory: str | None,
    cluster: tuple[str, str | None, int | None, list[str] | None],
    **same: Any,
) -> "Options":
    """How a run is done, from the words of the options that commands share; `cluster` is the engine and Dask's own.

    Raises:
        ConfigError: words that make no sense.
    """
    from shapetool.runner.job import Options
    from shapetool.runner.parts import read_part

    return Options(
        shard=read_part(shard, os.environ),
        item_memory=read_size(item_memory),
        cluster=_options.cluster(*cluster),
        on_event=progress,
        **same,
    )


def ended(summary: "Summary", progress: Progress) -> int:
    """The exit code of a run, after its last line is printed."""
    progress.close()
    if not progress.quiet:
        _report.note(summary_line(summary))
    return summary.exit_code


def foreseen(would: "Preview", options: "Options") -> int:
    """The exit code of a dry run, after what it found is printed."""
    _report.data({"event": "dry-run", **asdict(would)})
    quiet = isinstance(options.on_event, Progress) and options.on_event.quiet
    if would.estimate is not None and not quiet:
        for line in estimate_lines(would, would.estimate):
            _report.note(line)
    if would.bytes > would.free:
        _report.note(f"shapetool: {would.bytes} bytes would be written, and {would.free} are free.")
    return _report.OK


def estimate_lines(would: "Preview", found: "Estimate") -> list[str]:
    """What a run would take, in sentences."""
    tried = f"{found.probes} of {would.items} items tried"
    failed = f", {found.probes_failed} of them failed" if found.probes_failed else ""
    need = f"{found.share:.3g} of it" if found.share >= 0.01 else "less than a hundredth of it"
    reading = f"of which {duration(found.freeze_seconds)} reads the inputs for their checksums"
    machines = f"; or {found.nodes_for_a_day} such machines for a day" if found.nodes_for_a_day > 1 else ""
    return [
        f"shapetool: {tried}{failed}: {found.seconds_per_item:.3g} s each, {found.core_hours:.3g} core hours.",
        f"shapetool: about {duration(found.seconds)} here, {reading}{machines}.",
        f"shapetool: {size(found.bytes)} in {found.files} files.",
        f"shapetool: {size(found.driver_bytes)} of memory in the process that hands out the work; with Dask about "
        f"{found.scheduler_messages} messages through its scheduler.",
        f"shapetool: what breaks first: {found.breaks_first} (needs {need}).",
    ]


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


def overrides(words: list[str] | None, **options: Any) -> dict[str, Any]:
    """The settings of a recipe that `--set` and the options change together; an option wins.

    Raises:
        ConfigError: a word has no `=` or no value.
    """
    return {**parse_settings(words or []), **{key: value for key, value in options.items() if value is not None}}


def size(count: int | float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


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
