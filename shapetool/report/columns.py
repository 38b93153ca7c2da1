"""The columns of per_shape.csv as a report reads them: which are measures, which way is better, and their means."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
# Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom; from there the expansion below is exact to 1e-4.
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
_NORMAL = 1.959964


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

    def clipped(self, value: float) -> float:
        """The value where the measure can be: a distance is not below 0, a share is from 0 to 1."""
        return max(value, 0.0) if self.less_is_better else min(max(value, 0.0), 1.0)


@dataclass(frozen=True)
class Mean:
    """A mean over shapes with the half width of its 95 % interval; NaN where there are too few shapes for one."""

    count: int
    value: float
    half: float
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


def mean(numbers: Sequence[float]) -> Mean:
    """The mean of independent shapes and Student's 95 % interval of it."""
    count = len(numbers)
    if not count:
        return Mean(0, math.nan, math.nan, math.nan)
    middle = math.fsum(numbers) / count
    ordered = sorted(numbers)
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    if count == 1:
        return Mean(count, middle, math.nan, median)
    variance = math.fsum((value - middle) ** 2 for value in numbers) / (count - 1)
    return Mean(count, middle, student(count - 1) * math.sqrt(variance / count), median)


def student(freedom: int) -> float:
    """The two-sided 95 % point of Student's t."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = _NORMAL  # Fisher's expansion in 1 / freedom
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


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
