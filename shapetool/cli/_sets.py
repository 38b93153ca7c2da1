"""What `shapetool eval --sets` does and prints."""

import time
from pathlib import Path
from typing import Any

from shapetool.cli import _report
from shapetool.recipes.evaluation import SetRecipe

EVERY_SECONDS = 30.0


def compare_sets(places: tuple[Path, Path], recipe: SetRecipe, *, dry_run: bool, **how: Any) -> int:
    """The exit code of a comparison of two sets, or of saying what it would be."""
    from shapetool.pipelines import eval_sets
    from shapetool.runner.job import cores

    if dry_run:
        _report.data({"event": "dry-run", **eval_sets.plan_sets(*places, recipe, out=how["out"])})
        return _report.OK
    found = eval_sets.evaluate_sets(
        *places,
        recipe,
        out=how["out"],
        seed=how["seed"],
        threads=how["workers"] or cores(),
        on_step=None if how["quiet"] else _Steps(),
    )
    eval_sets.write_set_page(found, worst=how["worst"], up=how["up"])
    if how["json"]:
        _report.data({"event": "summary", **found.summary})
    elif not how["quiet"]:
        _print(found.summary)
    if not how["quiet"]:
        _notes(found.summary, found.rows, found.out)
    return found.exit_code


class _Steps:
    """Says now and then how far a long comparison is."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, name: str, done: int, count: int) -> None:
        now = time.monotonic()
        if now - self._last >= EVERY_SECONDS:
            self._last = now
            _report.note(f"shapetool: {name}: {done} of {count} shapes")


def _print(summary: dict[str, Any]) -> None:
    from rich.table import Table

    from shapetool.report.sets import set_lines

    table = Table(box=None, pad_edge=False)
    for name in ("shapes", "metric", "value", "95 % interval"):
        table.add_column(name, no_wrap=True)
    for cells in set_lines(summary):
        table.add_row(*(_report.one_line(cell) for cell in cells))
    _report.console().print(table)


def _notes(summary: dict[str, Any], rows: list[dict[str, Any]], out: Path | None) -> None:
    counts, every = summary["counts"], summary["sets"]
    where = f" in {out}" if out is not None else ""
    _report.note(f"shapetool: {counts['samples']} predictions and {counts['references']} truths compared{where}")
    for row in rows:
        if row["status"] != "ok":
            _report.note(f"shapetool: {row['set']} {row['shape_id']} is in no set: {row['reason']}")
    if every["samples"] != every["references"]:
        _report.note(
            f"shapetool: the sets are of {every['samples']} and {every['references']} shapes; papers take as many of "
            f"each. Chance gives a 1-NNA of {every['chance']:.3f} here, and coverage grows with the predictions."
        )
    if every["jsd"]["scale"] != 1:
        _report.note(
            f"shapetool: JSD is of all shapes times {every['jsd']['scale']:.4g}, by which the farthest point is at the "
            "edge of its ball of radius 0.5"
        )
    for side, names in summary["unpaired"].items():
        if names:
            listed = ", ".join(name or "(no folder)" for name in names[:5]) + (", ..." if len(names) > 5 else "")
            _report.note(f"shapetool: {len(names)} categories of {side} alone, without scores of their own: {listed}")
