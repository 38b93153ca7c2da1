"""The columns of per_shape.csv as a report reads them: which are measures, which way is better, and their means."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shapetool.metrics.errors import mean_interval
from shapetool.metrics.intervals import ANYTHING, limits_of

Row = Mapping[str, Any]
# What a measure is called in words, and whether less of it is better; a name may go on after `@` or `_`.
_KINDS = (
    ("chamfer", "Chamfer distance", True),
    ("hausdorff", "Hausdorff distance", True),
    ("fscore", "F-score", False),
    ("precision", "Precision", False),
    ("recall", "Recall", False),
    ("normal_consistency", "Normal consistency", False),
    ("iou", "Volumetric IoU", False),
    ("emd", "Earth mover's distance", True),
    ("surface", "Distance to the surface itself,", True),
)
_TITLES = {
    "chamfer_l1_mean": "Chamfer, mean of both mean distances",
    "chamfer_l1_sum": "Chamfer, sum of both mean distances",
    "chamfer_l2sq_mean": "Chamfer, mean of both mean squared distances",
    "chamfer_l2sq_sum": "Chamfer, sum of both mean squared distances",
    "hausdorff_90": "Hausdorff distance, 90th percentile",
}
DEBIASED = "_debiased"  # ends a column with what is left of a measure without the gaps of the sampling
_BESIDE = re.compile(rf"(_points|_lower|_upper|_low|_high|_se|{DEBIASED})$")


@dataclass(frozen=True)
class Measure:
    """A column with a number a shape."""

    key: str
    title: str
    less_is_better: bool

    @property
    def threshold(self) -> float | None:
        """The distance after `@`, if the measure has one."""
        try:
            return float(self.key.partition("@")[2])
        except ValueError:
            return None

    @property
    def limits(self) -> tuple[float, float]:
        """Where the measure can be: a distance is not below 0, a share is from 0 to 1."""
        return limits_of(self.key)


@dataclass(frozen=True)
class Mean:
    """A mean over shapes with the ends of its 95 % interval; NaN where there are too few shapes for one."""

    count: int
    value: float
    low: float
    high: float
    median: float


def measures(rows: Sequence[Row]) -> list[Measure]:
    """The measures for which a shape that was measured has a number, in the order of their columns."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    found = [measure for key in keys if (measure := _measure(key)) is not None]
    return [measure for measure in found if values(rows, measure.key)]


def _measure(key: str) -> Measure | None:
    if _BESIDE.search(key):
        return None
    for start, title, less in _KINDS:
        rest = key.removeprefix(start)
        if rest != key and (rest == "" or rest[0] in "_@"):
            said = _TITLES.get(key) or title + (f" at {rest[1:]}" if rest[:1] == "@" else rest.replace("_", " "))
            return Measure(key, said, less)
    return None


def number(row: Row, key: str) -> float:
    """The number in a column, NaN where there is none: a missing key, None, or the empty text of a CSV file."""
    value = row.get(key)
    try:
        return float(value) if value is not None and value != "" else math.nan
    except (TypeError, ValueError):
        return math.nan


def scored(row: Row) -> bool:
    """Whether the row is of a shape that was measured."""
    return row.get("status", "ok") == "ok"


def category(row: Row) -> str:
    """The category of a row: its column, or the first folder of the id; shapes without a folder are together."""
    given = row.get("category")
    if given:
        return str(given)
    folder, slash, _ = str(row.get("shape_id", "")).partition("/")
    return folder if slash else "(no folder)"


def values(rows: Sequence[Row], key: str) -> list[float]:
    """The finite numbers of a column, of the shapes that were measured."""
    return [value for row in rows if scored(row) and math.isfinite(value := number(row, key))]


def mean(numbers: Sequence[float], limits: tuple[float, float] = ANYTHING) -> Mean:
    """The mean of independent shapes and the 95 % interval of it, within the limits of the measure."""
    count = len(numbers)
    ordered = sorted(numbers)
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2 if count else math.nan
    return Mean(count, *mean_interval(numbers, limits), median)


def choose(rows: Sequence[Row], worst: int = 6, median: int = 3, key: str | None = None) -> list[tuple[str, str]]:
    """The ids that a report shows and why: the worst by one measure, worst first, then those around the median.

    Without `key` the first measure of the rows decides. Equal numbers are in the order of their ids.
    """
    known = {measure.key: measure for measure in measures(rows)}
    chosen = known.get(key) if key is not None else next(iter(known.values()), None)
    if chosen is None:
        return []
    sign = -1.0 if chosen.less_is_better else 1.0
    able = [row for row in rows if scored(row) and math.isfinite(number(row, chosen.key))]
    ranked = sorted(able, key=lambda row: (sign * number(row, chosen.key), str(row["shape_id"])))
    bad = [(str(row["shape_id"]), "worst") for row in ranked[:worst]]
    first = max(min(len(bad), len(ranked)), (len(ranked) - median) // 2)
    return bad + [(str(row["shape_id"]), "median") for row in ranked[first : first + median]]
