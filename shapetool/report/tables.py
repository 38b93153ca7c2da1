"""The tables of a report as HTML: every text from outside is escaped here, and numbers have four digits."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shapetool.report.columns import DEBIASED, Mean, Measure, Row, category, mean, number, scored, values

MOST_CATEGORIES = 200  # lines of their table, those with the most shapes
MOST_NAMES = 200  # of shapes without a partner
MOST_FAILURES = 1_000  # rows of the list of failures; the CSV file has all
_ARROWS = {True: ("↓", "less is better"), False: ("↑", "more is better")}


def text(value: object) -> str:
    """A text from outside, safe in HTML; control characters are written out."""
    shown = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in str(value))
    return html.escape(shown)


def digits(value: float) -> str:
    """Four significant digits; a dash where there is no number."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(float(f"{value:.3e}"))))  # 0.99999 has the size of 1
    return f"{value:.3e}" if size < -4 or size > 5 else f"{value:.{max(3 - size, 0)}f}"


def overall(rows: Sequence[Row], shown: Sequence[Measure], penalised: Mapping[str, float]) -> str:
    """One line a measure: its mean over the shapes that were measured, the interval, the median, and more.

    More is, where the rows or the summary have them: the mean that counts failures, what a perfect prediction
    would score with these samplings, and the mean without the gaps of the sampling.
    """
    more = {
        "Failures counted": {m.key: number(penalised, m.key) for m in shown},
        "Perfect shape": {m.key: _at_best(rows, m.key) for m in shown},
        "Without sampling": {m.key: mean(values(rows, m.key + DEBIASED)).value for m in shown},
    }
    more = {name: found for name, found in more.items() if any(map(math.isfinite, found.values()))}
    lines = []
    for measure in shown:
        found = mean(values(rows, measure.key), measure.limits)
        arrow, said = _ARROWS[measure.less_is_better]
        name = (
            f'<th scope="row">{text(measure.title)} <span class="arrow" title="{said}">{arrow}</span>'
            f'<code class="key">{text(measure.key)}</code></th>'
        )
        cells = [str(found.count), digits(found.value), _interval(found), digits(found.median)]
        cells += [digits(column[measure.key]) for column in more.values()]
        lines.append(name + "".join(f"<td>{cell}</td>" for cell in cells))
    return table_of(["Measure", "Shapes", "Mean", "95 % interval", "Median", *more], lines)


def _at_best(rows: Sequence[Row], key: str) -> float:
    found = values(rows, f"floor_{key}") or values(rows, f"ceiling_{key}")
    return mean(found).value


def as_the_author(summary: Mapping[str, Any]) -> str:
    """The means that the code of the protocol's author would print, and the corrected ones beside them."""
    told = summary.get(str(summary.get("protocol")))
    if not isinstance(told, Mapping):
        return ""
    names = [name for name, found in told.items() if isinstance(found, Mapping) and not name.endswith(".fixed")]
    lines = []
    for name in names:
        found, fixed = told[name], told.get(f"{name}.fixed")
        cells = [digits(number(found, key)) for key in ("mean", "median")] + [text(found.get("count", ""))]
        cells.append(digits(number(fixed, "mean")) if isinstance(fixed, Mapping) else "–")
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<th scope="row"><code>{text(name)}</code></th>{row}')
    note = f"<p>Aggregation: {text(told['aggregation'])}.</p>" if "aggregation" in told else ""
    return note + table_of(["As printed", "Mean", "Median", "Shapes", "Mean, corrected"], lines) if lines else ""


def difference(summary: Mapping[str, Any]) -> str:
    """Second prediction minus first over the shapes that both have."""
    told = summary.get("difference")
    if not isinstance(told, Mapping) or not told:
        return ""
    lines = []
    for key, found in told.items():
        low, high = number(found, "low"), number(found, "high")
        sure = "yes" if low > 0 or high < 0 else "no"
        cells = [text(found.get("count", "")), digits(number(found, "mean")), f"{digits(low)} to {digits(high)}", sure]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<th scope="row"><code>{text(key)}</code></th>{row}')
    return table_of(["Measure", "Shapes", "Second minus first", "95 % interval", "Apart from 0"], lines)


def unpaired(summary: Mapping[str, Any]) -> str:
    """The names that only one side has, and the categories."""
    told = summary.get("unpaired")
    found = []
    for side in ("predictions", "truths"):
        names = list(told.get(side) or []) if isinstance(told, Mapping) else []
        if names:
            rest = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
            listed = ", ".join(f"<code>{text(name)}</code>" for name in names[:MOST_NAMES])
            found.append(f"<p>{len(names):,} {side} without a partner: {listed}{rest}.</p>")
    alone = summary.get("categories")
    for key, why in (("without_truth", "no truth"), ("without_score", "no shape with a score")):
        names = list(alone.get(key) or []) if isinstance(alone, Mapping) else []
        if names:
            listed = ", ".join(f"<code>{text(name)}</code>" for name in names[:MOST_NAMES])
            found.append(f"<p>Categories with {why}, which means by category leave out: {listed}.</p>")
    return "".join(found)


def by_category(rows: Sequence[Row], shown: Sequence[Measure]) -> str:
    """One line a category with the mean and its interval, then the mean of the lines and of all."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(category(row), []).append(row)
    head = ["Category", "Shapes", "Failed", *(measure.key for measure in shown)]
    found = {name: [mean(values(groups[name], m.key), m.limits) for m in shown] for name in sorted(groups)}
    listed = set(sorted(groups, key=lambda name: (-len(groups[name]), name))[:MOST_CATEGORIES])
    lines = [_means_line(name, groups[name], means) for name, means in found.items() if name in listed]
    if len(found) > 1:
        every = [mean(values(rows, m.key), m.limits) for m in shown]
        columns = [[means[k].value for means in found.values() if means[k].count] for k in range(len(shown))]
        macro = [math.fsum(column) / len(column) if column else math.nan for column in columns]
        cells = "".join(f"<td>{digits(value)}</td>" for value in macro)
        lines.append(f'<th scope="row" class="sum">Mean of categories</th><td></td><td></td>{cells}')
        lines.append(_means_line("Mean of shapes", rows, every, kind="sum"))
    left = len(groups) - len(listed)
    more = f"<p>{left:,} smaller categories are in <code>summary.json</code>.</p>" if left else ""
    return table_of(head, lines) + more


def failures(rows: Iterable[Row]) -> str:
    """The shapes without a result, each with its status and reason."""
    failed = [row for row in rows if not scored(row)]
    if not failed:
        return "<p>Every shape was measured.</p>"
    lines = [
        f'<th scope="row"><code>{text(row.get("shape_id", ""))}</code></th>'
        f'<td class="word">{text(row.get("status", ""))}</td>'
        f'<td class="words">{text(row.get("error") or row.get("reason") or "")}</td>'
        for row in failed[:MOST_FAILURES]
    ]
    rest = len(failed) - len(lines)
    more = f"<p>{rest:,} more are in <code>per_shape.csv</code>.</p>" if rest else ""
    return table_of(["Shape", "Status", "Reason"], lines, words=True) + more


def settings(summary: Mapping[str, Any]) -> str:
    """What the run was told and what it found, as pairs: the plain values of the summary."""
    pairs = [(key, value) for key, value in summary.items() if isinstance(value, str | int | float | bool | None)]
    recipe = summary.get("recipe")
    if isinstance(recipe, Mapping):
        pairs += [(key, value) for key, value in recipe.items() if not isinstance(value, Mapping)]
    inner = "".join(f"<dt>{text(key)}</dt><dd>{text(_plain(value))}</dd>" for key, value in pairs)
    return f"<dl>{inner}</dl>" if pairs else ""


def _plain(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _means_line(name: str, rows: Sequence[Row], means: Sequence[Mean], kind: str = "") -> str:
    bad = sum(not scored(row) for row in rows)
    cells = "".join(f"<td>{digits(m.value)}{_ends(m)}</td>" for m in means)
    failed = f'<td class="bad">{bad}</td>' if bad else "<td>0</td>"
    return f'<th scope="row" class="{kind}">{text(name)}</th><td>{len(rows)}</td>{failed}{cells}'


def _ends(found: Mean) -> str:
    return f" <small>{_interval(found)}</small>" if math.isfinite(found.low) else ""


def _interval(found: Mean) -> str:
    return f"{digits(found.low)} to {digits(found.high)}" if math.isfinite(found.low) else "–"


def table_of(head: Sequence[str], lines: Sequence[str], words: bool = False) -> str:
    """The HTML of a table: its head as text, and its lines as cells in HTML."""
    kind = ' class="word"' if words else ""
    top = "".join(f'<th scope="col"{kind}>{text(name)}</th>' for name in head)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
