"""`shapetool info PATH`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from shapetool.cli import _options, _report
from shapetool.cli._progress import failure, warnings


def info(
    path: Annotated[Path, _options.place("PATH", "A mesh, a shard (.h5) or a dataset folder.")],
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> None:
    """Say what a mesh, a shard or a dataset folder holds."""
    from shapetool.pipelines import info as pipeline

    about = pipeline.run(path)
    if verbose and not quiet:
        for line in pipeline.report_lines(path):
            for text in [failure(line)] if line["status"] != "ok" else warnings(line):
                _report.note(text)
    if json:
        _report.data(about)
    elif not quiet:
        _show(about)


def _show(about: Mapping[str, Any]) -> None:
    """Prints a table of two columns on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, text in _rows(about):
        table.add_row(Text(_report.one_line(name), style="bold"), Text(_report.one_line(text), overflow="fold"))
    Console(highlight=False).print(table)


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
