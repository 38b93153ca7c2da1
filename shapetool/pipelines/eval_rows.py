"""From the lines of a run's report to the rows of per_shape.csv and the numbers of summary.json."""

import csv
import io
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from shapetool import __version__
from shapetool.metrics.errors import mean_interval
from shapetool.metrics.intervals import limits_of
from shapetool.metrics.protocols import Protocol, protocol
from shapetool.recipes.evaluation import EvalRecipe

Row = dict[str, Any]
FIRST = ("shape_id", "category", "status", "reason")
# What says something of the measurement instead of measuring: it has no mean.
NO_MEAN = ("n_pred", "n_true", "emd_points", "iou_method", "transform", "seconds", "warnings")
PENALISED = (
    "chamfer_",
    "hausdorff",
    "emd",
    "surface_",
    "fscore@",
    "precision@",
    "recall@",
    "normal_consistency",
    "iou",
)
ENDS = ("_low", "_high", "_lower", "_upper", "_debiased")


def rows_of(lines: Iterable[Mapping[str, Any]]) -> list[Row]:
    """One row for each line of the report, in its order: what is known of the shape, then its numbers."""
    rows = []
    for line in lines:
        shape_id = str(line["id"])
        category = shape_id.partition("/")[0] if "/" in shape_id else ""
        status = str(line.get("outcome", line["status"]) if line["status"] == "ok" else line["status"])
        reason = line.get("reason") if line["status"] == "ok" else line.get("error")
        row: Row = {"shape_id": shape_id, "category": category, "status": status, "reason": reason}
        rows.append(row | dict(line.get("values") or {}) | {"warnings": "; ".join(line.get("warnings") or [])})
    return rows


def penalties_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, float]]:
    """What a failure costs, by shape id."""
    return {str(line["id"]): line.get("penalties") or {} for line in lines}


def table(rows: Sequence[Row]) -> bytes:
    """The rows as CSV: numbers with all their digits, nothing where there is none."""
    names = [*FIRST, *_columns(rows), "warnings"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _spelled(value) for key, value in row.items()})
    return text.getvalue().encode("utf-8")


def _spelled(value: object) -> object:
    return "" if value is None else repr(value) if isinstance(value, float) else value


def _columns(rows: Sequence[Row]) -> list[str]:
    found: dict[str, None] = {}
    for row in rows:
        found |= dict.fromkeys(key for key in row if key not in FIRST and key != "warnings")
    return list(found)


def summarise(
    rows: Sequence[Row], penalties: Mapping[str, Mapping[str, float]], recipe: EvalRecipe, seed: int
) -> dict[str, Any]:
    """The means of every metric, without the failures and with them, over shapes and over categories.

    Intervals are of Student's t over shapes, kept where the measure can be: they hold what another draw of shapes and
    of points would change.
    """
    found = protocol(recipe.protocol)
    metrics, penalised = {}, {}
    for key in _columns(rows):
        if (
            key.removeprefix("raw.") in NO_MEAN
            or key.endswith(ENDS[:4])
            or (found is not None and key.startswith(f"{found.name}."))
        ):
            continue
        metrics[key] = _metric(key, rows, penalties)
        if "penalised" in metrics[key]:
            penalised[key] = metrics[key]["penalised"]["mean"]
    summary: dict[str, Any] = {
        "shapetool_version": __version__,
        "protocol": recipe.protocol,
        "recipe": asdict(recipe),
        "seed": seed,
        "counts": {"total": len(rows), **dict(sorted(Counter(row["status"] for row in rows).items()))},
        "penalised": penalised,
        "metrics": metrics,
    }
    if found is not None:
        summary[found.name] = _as_the_author(found, rows)
    return plain(summary)


def lone_categories(rows: Sequence[Row], unpaired: Sequence[str]) -> dict[str, list[str]]:
    """Categories of which there are predictions and no truth, and those of which no shape has a score.

    Neither is in a mean over categories.
    """
    known = {row["category"] for row in rows}
    predicted = {name.partition("/")[0] for name in unpaired if "/" in name}
    scored = {row["category"] for row in rows if row["status"] == "ok"}
    return {"without_truth": sorted(predicted - known), "without_score": sorted(known - scored - {""})}


def _metric(key: str, rows: Sequence[Row], penalties: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    good = [(row["category"], float(row[key])) for row in rows if row["status"] == "ok" and row.get(key) is not None]
    values = [value for _, value in good]
    mean, low, high = mean_interval(values, limits_of(key))
    told: dict[str, Any] = {"excluded": {"count": len(values), "mean": mean, "low": low, "high": high}}
    told["excluded"]["median"] = statistics.median(values) if values else math.nan
    by_category: dict[str, list[float]] = defaultdict(list)
    for category, value in good:
        by_category[category].append(value)
    told["macro"] = {"count": len(by_category), "mean": _mean([_mean(part) for part in by_category.values()])}
    if key.startswith(PENALISED) and not key.endswith(ENDS):
        every = values + [
            float(penalties.get(row["shape_id"], {}).get(key, 0.0)) for row in rows if row["status"] != "ok"
        ]
        unknown = sum(row["status"] != "ok" and not penalties.get(row["shape_id"]) for row in rows)
        told["penalised"] = {"count": len(every), "mean": _mean(every), "without_penalty": unknown}
    told["categories"] = {}
    for category, part in sorted(by_category.items()):
        middle, below, above = mean_interval(part, limits_of(key))
        told["categories"][category] = {"count": len(part), "mean": middle, "low": below, "high": above}
    return told


def _as_the_author(found: Protocol, rows: Sequence[Row]) -> dict[str, Any]:
    """The author's means, which leave out what is no number, and the corrected ones, which leave out no failure."""
    start = f"{found.name}."
    keys = [key.removeprefix(start) for key in _columns(rows) if key.startswith(start)]
    names = list(dict.fromkeys(key.removesuffix(".fixed") for key in keys))
    corrected = {key.removesuffix(".fixed") for key in keys if key.endswith(".fixed")} | set(found.empty_fixed)
    told: dict[str, Any] = {"aggregation": "mean of category means" if found.macro else "mean of shapes"}
    means: dict[str, float] = {}
    for name in names:
        told[name] = _means([(row["category"], row.get(start + name)) for row in rows], macro=found.macro)
        means[name] = told[name]["mean"]
        if name in corrected:
            values = [(row["category"], _corrected(row, start, name, found)) for row in rows]
            told[f"{name}.fixed"] = _means(values, macro=found.macro)
    if found.derived is not None:
        told |= {name: {"mean": value} for name, value in found.derived(means).items()}
    return told


def _corrected(row: Row, start: str, name: str, found: Protocol) -> float | None:
    """The corrected value of a shape: the author's where he has nothing to correct, and that of a failure."""
    if row["status"] != "ok":
        return found.empty_fixed.get(name)
    value: float | None = row.get(f"{start}{name}.fixed", row.get(start + name))
    return value


def _means(values: Sequence[tuple[str, float | None]], *, macro: bool) -> dict[str, Any]:
    parts: dict[str, list[float]] = defaultdict(list)
    for category, value in values:
        if value is not None:
            parts[category].append(float(value))
    every = [value for part in parts.values() for value in part]
    by_category = {category: _mean(part) for category, part in sorted(parts.items())}
    return {
        "mean": _mean(list(by_category.values())) if macro else _mean(every),
        "count": len(every),
        "micro": _mean(every),
        "median": statistics.median(every) if every else math.nan,
        "categories": by_category,
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def paired(rows: Sequence[Row], others: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """For each metric the mean of second minus first over shapes that both have, with its interval.

    Both were measured against the same draw of the truth, so what the draw does to both cancels.
    """
    by_id = {row["shape_id"]: row for row in others if row["status"] == "ok"}
    told: dict[str, dict[str, Any]] = {}
    for key in _columns(rows):
        if key.removeprefix("raw.") in NO_MEAN or key.endswith(ENDS[:4]) or key.startswith(("floor_", "ceiling_")):
            continue
        differences = [
            float(by_id[row["shape_id"]][key]) - float(row[key])
            for row in rows
            if row["status"] == "ok"
            and row.get(key) is not None
            and row["shape_id"] in by_id
            and by_id[row["shape_id"]].get(key) is not None
        ]
        if differences:
            mean, low, high = mean_interval(differences)
            told[key] = {"count": len(differences), "mean": mean, "low": low, "high": high}
    return plain(told)


def plain(value: Any) -> Any:
    """`value` as JSON has it: what is no number is None."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
