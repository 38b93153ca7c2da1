"""`shapetool split DATA`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapetool.cli import _options, _report
from shapetool.cli._progress import steps
from shapetool.errors import ConfigError
from shapetool.geometry.wording import plural

if TYPE_CHECKING:
    from shapetool.pipelines.split import Split

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}

Share = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Share of this list, 0 to 1. Default: 0.8, 0.1, 0.1, or 0 once one is given."),
]
OutFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the lists go. Default: DATA.split, beside DATA.")
]
By = Annotated[
    str, typer.Option(metavar="all|class", help="One set of lists, or one a class: the first folder of an id.")
]
GroupBy = Annotated[
    str,
    typer.Option(metavar="none|similarity|prefix", help="What stays together: copies, or names that begin alike."),
]
Separator = Annotated[str, typer.Option(metavar="TEXT", help="Where a prefix ends; / makes it the folder.")]
From = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        metavar="FILE",
        envvar="SHAPETOOL_SPLIT_FROM",
        readable=False,
        help="Follow lists that exist: a split.json, or a .lst, .txt or .json whose name says which. Repeatable.",
    ),
]


def split(
    data: Annotated[Path, _options.place("DATA", "A shard (.h5), a dataset folder or a folder of meshes.")],
    train: Share = None,
    val: Share = None,
    test: Share = None,
    out: OutFolder = None,
    by: By = "all",
    group_by: GroupBy = "none",
    separator: Separator = "_",
    from_: From = None,
    seed: _options.Seed = 0,
    workers: _options.Workers = None,
    item_timeout: _options.ItemTimeout = 600.0,
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Write train, val and test lists. A shape's list is a hash of its id: more shapes never move an old one."""
    from shapetool.data.split import SplitRecipe
    from shapetool.pipelines import split as pipeline

    shares = _shares({"train": train, "val": val, "test": test}, follow=bool(from_))
    recipe = SplitRecipe(**shares, seed=seed, by=by, group_by=group_by, separator=separator)
    options = pipeline.SplitOptions(
        lists=from_ or (),
        workers=workers,
        item_timeout=item_timeout,
        overwrite=overwrite,
        report=steps(quiet=quiet, verbose=verbose),
    )
    folder = out or data.absolute().with_name(data.name.removesuffix(".h5") + ".split")
    found = (pipeline.plan if dry_run else pipeline.run)(data, folder, recipe, options)
    if dry_run:
        _report.data({"event": "dry-run", "out": str(folder), **found.counts, "files": list(found.files)})
    elif json:
        _report.data({"out": str(folder), **found.counts})
    if not quiet:
        _tell(found, folder, verbose=verbose)
    return _report.SOME_FAILED if found.problems else _report.OK


def _shares(given: dict[str, float | None], *, follow: bool) -> dict[str, float]:
    """The share of each list.

    Raises:
        ConfigError: shares are given beside lists to follow.
    """
    if all(share is None for share in given.values()):
        return SHARES
    if follow:
        raise ConfigError("--from: the lists say what is on them. Leave --train, --val and --test away.")
    return {part: share or 0.0 for part, share in given.items()}


def _tell(found: "Split", folder: Path, *, verbose: bool) -> None:
    """Says on stderr what is on the lists, and what a user should know of the rest."""
    for shape_id, problem in found.problems.items():
        _report.note(f"{shape_id}: {problem}")
    for text in found.notices:
        _report.note(text)
    if found.missing:
        names = found.missing if verbose else found.missing[:5]
        more = ", ..." if len(names) < len(found.missing) else ""
        _report.note(f"{plural(len(found.missing), 'name')} of the lists not found in DATA: {', '.join(names)}{more}")
    if verbose:
        for group in found.groups.values():
            _report.note(f"together: {', '.join(group)}")
    counts = found.counts
    if counts["groups_apart"]:
        _report.note(f"{plural(counts['groups_apart'], 'group')} of like shapes on more than one list: see split.json.")
    said = ", ".join(f"{counts[part]} {part}" for part in SHARES)
    _report.note(f"{folder}: {said}, {counts['left_out']} left out, {plural(counts['groups'], 'group')} of several.")
