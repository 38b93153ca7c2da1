"""`shapetool info PATH`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shapetool.cli import _options, _report
from shapetool.cli._progress import failure, warnings

Picture = Annotated[
    Path | None, typer.Option(metavar="FILE.png", help="Draw the mesh from four sides, or the views of a shard.")
]


def info(
    path: Annotated[Path, _options.place("PATH", "A mesh, a shard (.h5) or a dataset folder.")],
    picture: Picture = None,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> None:
    """Say what a mesh, a shard or a dataset folder holds."""
    from shapetool.pipelines import info as pipeline

    about = pipeline.run(path)
    if picture is not None:
        pipeline.draw(path, picture)
    if verbose and not quiet:
        for line in pipeline.report_lines(path):
            for text in [failure(line)] if line["status"] != "ok" else warnings(line):
                _report.note(text)
    if json:
        _report.data(about)
    elif not quiet:
        _show(about)


def _show(about: Mapping[str, Any]) -> None:
    """Prints a table of two columns on stdout, a row a line whatever its length, so that it can be searched."""
    rows = [(_report.one_line(name), _report.one_line(text)) for name, text in _rows(about)]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{_report.bold(name)}{' ' * (width - len(name))}  {text}".rstrip())


def _rows(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of a table, nested entries indented below their own name."""
    for name, value in about.items():
        if isinstance(value, Mapping) and set(value) == {"type", "shape"}:
            yield name, f"{value['type']} {tuple(value['shape'])}"
        elif isinstance(value, Mapping):
            yield name, "" if value else "-"
            yield from ((f"  {inner}", text) for inner, text in _rows(value))
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value)) or "-"
        else:
            yield name, str(value)
