"""What the charts of a report draw, as plain data for the script of the page."""

import base64
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from shapetool.metrics.intervals import limits_of
from shapetool.report.body import Body, Turnable
from shapetool.report.colour import stops
from shapetool.report.columns import Measure, Row, category, mean, number, scored, values

MOST_GROUPS = 60  # boxes of a distribution: the categories with the most shapes
MOST_VALUES = 20_000  # of a distribution; beyond, evenly taken from the sorted ones


def distributions(rows: Sequence[Row], shown: Sequence[Measure]) -> list[dict[str, Any]]:
    """The values of each measure by category; of very many shapes evenly taken quantiles."""
    found = []
    names = sorted({category(row) for row in rows})
    sizes = Counter(category(row) for row in rows)
    boxed = sorted(sorted(names, key=lambda name: -sizes[name])[:MOST_GROUPS])
    for measure in shown:
        groups: dict[str, list[float]] = {name: [] for name in names}
        for row in rows:
            if scored(row) and math.isfinite(value := number(row, measure.key)):
                groups[category(row)].append(value)
        share = min(1.0, MOST_VALUES / max(sum(map(len, groups.values())), 1))
        listed = [{"name": name, "values": _quantiles(groups[name], share)} for name in boxed if groups[name]]
        every = [value for name in names for value in groups[name]]
        # Of few categories the page puts the values together itself.
        whole = None if len(names) <= MOST_GROUPS else _quantiles(every, share)
        found.append({"key": measure.key, "title": measure.title, "groups": listed, "all": whole})
    return found


def curves(rows: Sequence[Row], shown: Sequence[Measure]) -> list[dict[str, Any]]:
    """Mean F-score, precision and recall against the threshold, each with the ends of its 95 % interval."""
    found = []
    for kind, title in (("fscore", "F-score"), ("precision", "Precision"), ("recall", "Recall")):
        steps = sorted(
            (m.threshold, m.key) for m in shown if m.threshold is not None and m.key.partition("@")[0] == kind
        )
        means = [mean(values(rows, key), limits_of(key)) for _, key in steps]
        if steps:
            found.append(
                {
                    "name": title,
                    "x": [threshold for threshold, _ in steps],
                    "y": [m.value for m in means],
                    "low": [m.low if math.isfinite(m.low) else m.value for m in means],
                    "high": [m.high if math.isfinite(m.high) else m.value for m in means],
                }
            )
    return found


def turning(pred: Body, true: Body, largest: float, up: str) -> dict[str, Any]:
    """Both shapes of a pair for the 3D view, each place with its distance to the other shape."""
    sides = {"pred": (pred, true), "true": (true, pred)}
    sent: dict[str, Any] = {"largest": largest, "up": up, "colours": stops()}
    for name, (own, other) in sides.items():
        shape = own.turnable()
        sent[name] = _side(shape, other.distances(shape.points))
    return sent


def _side(shape: Turnable, errors: np.ndarray) -> dict[str, Any]:
    side: dict[str, Any] = {name: _packed(shape.points[:, axis], "<f4") for axis, name in enumerate("xyz")}
    side |= {"error": _packed(errors, "<f4"), "note": shape.note}
    if len(shape.faces):
        side |= {name: _packed(shape.faces[:, corner], "<i4") for corner, name in enumerate("ijk")}
    return side


def _packed(numbers: np.ndarray, kind: str) -> dict[str, str]:
    """Numbers as plotly reads them from text: a third of the size of their digits."""
    return {"dtype": kind[1:], "bdata": base64.b64encode(np.ascontiguousarray(numbers, kind).tobytes()).decode("ascii")}


def _quantiles(numbers: Sequence[float], share: float) -> list[float]:
    ordered = sorted(numbers)
    keep = max(round(len(ordered) * share), 1)
    if keep >= len(ordered):
        return ordered
    return [ordered[round(place)] for place in np.linspace(0, len(ordered) - 1, keep)]
