"""report.html: one file that opens from the disk, holds all it needs, and by its policy asks the network nothing."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import shapetool
from shapetool.data.atomic import write_whole
from shapetool.errors import DataError
from shapetool.report import charts, tables
from shapetool.report.body import Body
from shapetool.report.colour import stops
from shapetool.report.columns import Measure, Row, measures, number, scored
from shapetool.report.pictures import Drawing, Shown, draw
from shapetool.report.png import data_uri
from shapetool.report.sets import set_table

_TITLE = "Predicted against true shapes"


def write_report(
    out: Path, summary: Mapping[str, Any], rows: Sequence[Row], shown: Sequence[Shown] = (), *, up: str = "z"
) -> None:
    """None, once `out` holds the report of the rows of per_shape.csv; `shown` are the pairs to draw, in this order.

    Of the summary the plain values are listed; `recipe` (what the run was told), `protocol` with the means under its
    name, `penalised` (a mean a key that counts failures), `difference` (of two predictions) and `unpaired` have places
    of their own. Means and intervals are over the rows with status `ok`.

    Raises:
        DataError: there is no row, or a shape has neither faces nor finite points.
        ConfigError: `up` is no axis that points up.
        OSError: the file could not be written; an older one stands.
    """
    write_whole(out, render_report(summary, rows, shown, up=up).encode("utf-8"))


def render_report(
    summary: Mapping[str, Any], rows: Sequence[Row], shown: Sequence[Shown] = (), *, up: str = "z"
) -> str:
    """The text of the report that `write_report` writes.

    Raises:
        DataError: there is no row, or a shape has neither faces nor finite points.
        ConfigError: `up` is no axis that points up.
    """
    if not rows:
        raise DataError("report: expected at least one row of per_shape.csv, found none. Check the folders compared.")
    known = measures(rows)
    cards, turns = _cards(rows, known, shown, up)
    data = {
        "distributions": charts.distributions(rows, known),
        "curves": charts.curves(rows, known),
        "turns": turns,
    }
    scripts = [_plotly(), _read("page.js")]
    bad = sum(not scored(row) for row in rows)
    body = [
        _head(summary, len(rows), bad),
        _section("Sets", set_table(summary), _SETS),
        _section("All shapes", tables.overall(rows, known, summary.get("penalised") or {}), _INTERVALS)
        if known
        else "",
        _section("As the author's code prints it", tables.as_the_author(summary)),
        _section("Second prediction against the first", tables.difference(summary)),
        _section("By category", tables.by_category(rows, known)) if known else "",
        _section("Distributions", _distributions(known)) if known else "",
        _section("F-score by threshold", '<div id="curves" class="chart"></div>') if data["curves"] else "",
        _section("Worst and median shapes", "".join(cards), _legend()) if cards else "",
        _section("Failures", tables.failures(rows) + tables.unpaired(summary)),
        _section("Settings", tables.settings(summary)),
    ]
    # `<` is the one character that could end the element; JSON may write it in another way.
    sent = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_policy(scripts)}',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{_TITLE}</title>\n<style>{_read('page.css')}</style>\n</head>\n<body>\n<main>",
            *body,
            f'</main>\n<script type="application/json" id="data">{sent}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body>\n</html>\n",
        ]
    )


_INTERVALS = (
    "<p>Intervals are Student's, at 95 %, for the mean over shapes that were measured, as a sample of more such "
    "shapes, kept where the measure can be. Arrows say which way is better. A perfect shape scores what its samples "
    "allow, which is not 0 or 1.</p>"
)


_SETS = (
    "<p>Intervals are of the bootstrap over clouds, at 95 %. 1-NNA is best where it is what chance gives. Beside each "
    "reference that no prediction comes near, the page draws the prediction that is nearest.</p>"
)


def _head(summary: Mapping[str, Any], count: int, bad: int) -> str:
    protocol = summary.get("protocol")
    facts = [f"<b>{count:,}</b> shapes", f"<b>{count - bad:,}</b> measured"]
    facts.append(f'<b class="bad">{bad:,}</b> failed' if bad else "<b>0</b> failed")
    if protocol:
        facts.append(f"protocol <b>{tables.text(protocol)}</b>")
    facts.append(f"shapetool {tables.text(summary.get('shapetool_version', shapetool.__version__))}")
    return f'<header><h1>{_TITLE}</h1><p class="facts">{" · ".join(facts)}</p></header>'


def _section(title: str, inner: str, note: str = "") -> str:
    return f"<section><h2>{title}</h2>{note}{inner}</section>" if inner else ""


def _distributions(known: Sequence[Measure]) -> str:
    options = "".join(f'<option value="{k}">{tables.text(m.title)}</option>' for k, m in enumerate(known))
    return (
        f'<label>Measure <select id="measure">{options}</select></label>'
        '<div class="pair"><div id="histogram" class="chart"></div><div id="boxes" class="chart"></div></div>'
        "<noscript><p>The charts need a browser that runs scripts.</p></noscript>"
    )


def _legend() -> str:
    colours = ", ".join(f"{name} {place:.0%}" for place, name in stops())
    return (
        "<p>Distances are from each visible place to the other surface, in the units of the shapes. Each pair has a "
        f'scale of its own, from 0 to the number at its right end: <span class="ramp" style="background:'
        f'linear-gradient(90deg,{colours})"></span></p>'
    )


def _cards(
    rows: Sequence[Row], known: Sequence[Measure], shown: Sequence[Shown], up: str
) -> tuple[list[str], list[dict[str, Any]]]:
    """The cards of the pairs that are drawn, and what their 3D views show."""
    by_id = {str(row.get("shape_id")): row for row in rows}
    cards, turns = [], []
    for index, pair in enumerate(shown):
        pred, true = Body(pair.pred), Body(pair.true)
        drawing = draw(pred, true, up)
        turn = charts.turning(pred, true, drawing.largest, up)
        cards.append(_card(index, pair, drawing, _facts(by_id.get(pair.shape_id, {}), known), turn))
        turns.append(turn)
    return cards, turns


def _facts(row: Row, known: Sequence[Measure]) -> str:
    main = [m for m in known if not m.key.startswith(("precision", "recall"))]
    pairs = [(m.key, tables.digits(number(row, m.key))) for m in main[:8]]
    return "".join(f"<span><code>{tables.text(key)}</code> {value}</span>" for key, value in pairs if value != "–")


def _card(index: int, pair: Shown, drawing: Drawing, facts: str, turn: Mapping[str, Any]) -> str:
    name, end = tables.text(pair.shape_id), tables.digits(drawing.largest)
    views = [
        ("Truth", drawing.true),
        ("Prediction", drawing.pred),
        ("Prediction, distance to truth", drawing.pred_error),
        ("Truth, distance to prediction", drawing.true_error),
    ]
    figures = "".join(
        f'<figure><img src="{data_uri(png)}" alt="{name}: {title.lower()}" width="300" height="300">'
        f"<figcaption>{title}</figcaption></figure>"
        for title, png in views
    )
    cut = '<p class="note">The prediction reaches beyond the pictures.</p>' if drawing.cut else ""
    notes = f"Turns with: prediction {turn['pred']['note']}; truth {turn['true']['note']}."
    return (
        f'<article id="shape-{index}"><h3><span class="tag {html.escape(pair.reason)}">{tables.text(pair.reason)}'
        f'</span> <code>{name}</code></h3><p class="facts">{facts}</p><div class="views">{figures}</div>'
        f'<p class="scale">0 <span class="ramp" style="background:linear-gradient(90deg,'
        f'{",".join(name for _, name in stops())})"></span> {end} and more</p>{cut}'
        f'<button type="button" class="turn" data-turn="{index}">Turn it in 3D</button>'
        f'<div class="stage" hidden><div class="sides" role="group"></div><div class="chart turned"></div>'
        f'<p class="note">{tables.text(notes)}</p></div></article>'
    )


def _policy(scripts: Sequence[str]) -> str:
    """Nothing is fetched from anywhere, and of scripts only those written here run, which their hashes say."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    rules = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


def _plotly() -> str:
    """The script of plotly as its package ships it; read from there, since importing plotly takes a second."""
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8").strip()


def _read(name: str) -> str:
    return resources.files("shapetool.report").joinpath(name).read_text("utf-8")
