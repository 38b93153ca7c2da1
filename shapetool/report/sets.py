"""The scores of two sets, line by line for a terminal and as a table of a page."""

from collections.abc import Iterator, Mapping
from typing import Any

from shapetool.report.columns import number
from shapetool.report.tables import digits, table_of, text

HEAD = ("Shapes", "Distance", "Predictions", "Truths", "MMD ↓", "Coverage ↑", "1-NNA → chance", "Chance", "JSD ↓")
_SCORES = {"mmd": "MMD", "coverage": "coverage", "nearest_accuracy": "1-NNA"}


def _groups(summary: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All shapes, then each category."""
    every = summary.get("sets")
    if isinstance(every, Mapping):
        yield "all", every
        for name, told in (summary.get("categories") or {}).items():
            yield name or "(no folder)", told


def _distances(told: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((key, found) for key, found in told.items() if isinstance(found, Mapping) and "mmd" in found)


def set_lines(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Of whom, what, its value, and its interval; JSD knows no distance of clouds."""
    for name, told in _groups(summary):
        for key, found in _distances(told):
            for score, said in _SCORES.items():
                chance = f" (chance: {digits(number(told, 'chance'))})" if score == "nearest_accuracy" else ""
                yield name, f"{said} by {key}", digits(number(found[score], "value")) + chance, _ends(found[score])
        yield name, "JSD", digits(number(told["jsd"], "value")), _ends(told["jsd"])


def set_table(summary: Mapping[str, Any]) -> str:
    """The table of a page; nothing where no sets were compared."""
    lines = []
    for name, told in _groups(summary):
        for key, found in _distances(told):
            cells = [key, str(told["samples"]), str(told["references"]), *(_cell(found[score]) for score in _SCORES)]
            cells += [digits(number(told, "chance")), _cell(told["jsd"])]
            inner = "".join(f"<td>{cell}</td>" for cell in cells)
            lines.append(f'<th scope="row">{text(name)}</th>{inner}')
    return table_of(HEAD, lines) if lines else ""


def _cell(told: Mapping[str, Any]) -> str:
    ends = _ends(told)
    return digits(number(told, "value")) + (f" <small>{ends}</small>" if ends else "")


def _ends(told: Mapping[str, Any]) -> str:
    low, high = number(told, "low"), number(told, "high")
    return "" if low != low else f"{digits(low)} to {digits(high)}"
