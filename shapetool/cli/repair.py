"""`shapetool repair INPUT... OUT`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shapetool.cli import _options, _report
from shapetool.geometry.wording import plural

_Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT... OUT", help="Meshes, folders, globs, @list.txt or -; then where to.", show_default=False
    ),
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
_Format = Annotated[
    str | None, typer.Option("--format", metavar="obj|off|ply|stl", help="The mesh format. Default: of OUT, or ply.")
]


def repair(
    paths: _Inputs,
    resolution: _Resolution = 256,
    gap: _Gap = None,
    keep_cavities: _Keep = False,
    force: _Force = False,
    solid: _Solid = False,
    format: _Format = None,
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Make closed, oriented meshes that do not meet themselves, and say how far they are from the input."""
    from shapetool.pipelines import repair as pipeline

    if len(paths) < 2:
        raise typer.BadParameter("expected at least one input and OUT.")
    *inputs, out = paths
    recipe = pipeline.RepairRecipe(resolution, gap, keep_cavities, force, sheets=not solid)
    if dry_run:
        planned = pipeline.plan(inputs, Path(out), recipe, suffix=format, overwrite=overwrite)
        _report.data({"event": "dry-run", "out": out, "meshes": len(planned.items), "done": len(planned.done)})
        return _report.OK

    def tell(line: dict[str, Any]) -> None:
        if json:
            _report.data(line)
        if line["status"] != "ok":
            _report.note(f"{line['source']}: {line['status']}: {line['error']}")
        elif verbose and not quiet:
            _report.note(_sentence(line))

    lines = pipeline.run(inputs, Path(out), recipe, suffix=format, overwrite=overwrite, report=tell)
    failed = sum(line["status"] != "ok" for line in lines)
    if not quiet and not json:
        _report.note(f"{out}: {plural(len(lines) - failed, 'closed mesh', 'closed meshes')}, {failed} failed")
    return _report.REFUSED if failed == len(lines) else _report.SOME_FAILED if failed else _report.OK


def _sentence(line: dict[str, Any]) -> str:
    deviation = line["deviation"]
    moved = (
        f"deviation {100 * deviation['max']:.3f} % of the diagonal at most, {100 * deviation['mean']:.4f} % on average"
    )
    return "; ".join([f"{line['source']}: {line['method']}, Euler number {line['euler']}, {moved}", *line["warnings"]])
