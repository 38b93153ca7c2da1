"""Predictions against truths: the Python side of `shapetool eval`."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.errors import ConfigError, DataError, MeshError
from shapetool.metrics.protocols import protocol
from shapetool.pipelines.eval_inputs import EmptyShape, Shape, forget, list_shapes, penalties, read_shape
from shapetool.pipelines.eval_rows import Row, lone_categories, paired, penalties_of, plain, rows_of, summarise, table
from shapetool.pipelines.preload import PRELOAD
from shapetool.recipes.evaluation import EvalRecipe
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.items import Item
from shapetool.runner.job import SHARD_BYTES, Options, Record, Summary
from shapetool.runner.manifest import hashed
from shapetool.runner.report import read_report
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up

ROWS_A_SHARD = 256
OURS = {"per_shape.csv", "summary.json", "report.html", "rows", "rows-b", "per_shape-b.csv"}

__all__ = ["EvalJob", "EvalRecipe", "Evaluation", "evaluate", "plan"]


@dataclass(frozen=True)
class EvalJob:
    """Measures one pair, for the runner: the item is the truth, and the prediction is looked up by its id."""

    recipe: EvalRecipe
    predictions: str
    digest: str  # of all predictions, so that other ones are not taken for these
    seed: int = 0
    alone: bool = False  # both sides are one file, whatever they are called
    kind: str = "evaluation"
    bytes_per_shape: int = SHARD_BYTES // ROWS_A_SHARD
    preload: tuple[str, ...] = PRELOAD["eval"]

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe and the predictions, as JSON."""
        return {"recipe": {**asdict(self.recipe), "name": self.recipe.protocol}, "predictions": self.digest}

    def __call__(self, item: Item, threads: int) -> Record:
        """The row of one pair; a prediction that cannot be scored is a row with its outcome.

        Raises:
            DataError: the truth cannot be used.
            MeshError: the truth cannot be used.
            MetricError: a metric has no value for this pair.
        """
        from shapetool.pipelines.eval_pair import Pair, measure

        try:
            true = read_shape(item)
        except (DataError, MeshError) as error:
            raise DataError(f"the truth cannot be used: {error}") from error
        facts: dict[str, Any] = {"penalties": penalties(true), **_size(true)}
        pred, outcome, reason = self._prediction(item.id)
        if pred is None:
            return Record({"shape_id": item.id}, facts | {"outcome": outcome, "reason": reason, **self._empty(outcome)})
        row, warnings = measure(Pair(pred, true, self.recipe, self.seed, item.id, threads))
        return Record({"shape_id": item.id}, facts | {"outcome": "ok", "values": plain(row), "warnings": warnings})

    def _prediction(self, shape_id: str) -> tuple[Shape | None, str, str | None]:
        """The prediction of a shape, or what is wrong with it."""
        shapes = list_shapes(self.predictions)
        item = next(iter(shapes.values())) if self.alone else shapes.get(shape_id)
        if item is None:
            return None, "missing", "no prediction has this id"
        try:
            return read_shape(item), "ok", None
        except EmptyShape as error:
            return None, "empty", str(error).replace(str(item.path), item.source)
        except (DataError, MeshError) as error:
            return None, "unreadable", str(error).replace(str(item.path), item.source)

    def _empty(self, outcome: str) -> dict[str, Any]:
        """The author's row of an empty prediction; nothing for one that is not there."""
        found = protocol(self.recipe.protocol)
        if outcome != "empty" or found is None:
            return {}
        values: Row = {f"{found.name}.{key}": value for key, value in found.empty.items()}
        return {"values": plain(values | {f"{found.name}.{key}.fixed": v for key, v in found.empty_fixed.items()})}


def _size(true: Shape) -> dict[str, Any]:
    if true.mesh is None:
        return {}
    return {"n_vertices": len(true.mesh.vertices), "n_faces": len(true.mesh.faces)}


@dataclass(frozen=True)
class Evaluation:
    """What a run found: its summary for the machine, a row a shape, and how the run itself ended."""

    summary: dict[str, Any]
    rows: list[Row]
    run: Summary
    out: Path | None

    @property
    def exit_code(self) -> int:
        """As the run's; 3 where a shape has no score."""
        failed = any(row["status"] != "ok" for row in self.rows)
        return self.run.exit_code or (3 if failed else 0)


def evaluate(
    pred: str | Path,
    true: str | Path,
    recipe: EvalRecipe | None = None,
    *,
    second: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    options: Options | None = None,
) -> Evaluation:
    """The scores of `pred` against `true`; with `out`, also as per_shape.csv and summary.json in that folder.

    With `second`, a second prediction of the same shapes is scored with the same draws, and `summary["difference"]`
    holds second minus first. A rerun with the same `out` goes on where the last one ended.

    Raises:
        ConfigError: nothing to compare, no id on both sides, or an `out` that holds something else.
        DataError: shards or the state of an earlier run are damaged.
        OSError: the disk is full or fails.
    """
    recipe, options = recipe or EvalRecipe(), options or Options()
    forget()
    warm_up(PRELOAD["eval"])
    if out is None:
        with tempfile.TemporaryDirectory(prefix="shapetool-eval-") as folder:
            return replace(_evaluate((str(pred), second), str(true), recipe, seed, Path(folder), options), out=None)
    out = Path(out)
    check_folder(out)
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        return _evaluate((str(pred), second), str(true), recipe, seed, out, options)


def plan(
    pred: str | Path,
    true: str | Path,
    recipe: EvalRecipe | None = None,
    *,
    second: str | Path | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """What `evaluate` would compare, with nothing measured and nothing written.

    Raises:
        ConfigError: as `evaluate` does.
        DataError: shards are damaged.
    """
    forget()
    if out is not None:
        check_folder(Path(out))
    told: dict[str, Any] = {"recipe": asdict(recipe or EvalRecipe()), "shapes": len(list_shapes(str(true)))}
    for name, words in (("prediction", pred), ("second", second)):
        if words is not None:
            _check_pairing(str(words), str(true))
            told[name] = _unpaired(str(words), str(true), (recipe or EvalRecipe()).only)["unpaired"]
    return told


def check_folder(out: Path) -> None:
    """Nothing, when `out` is new, empty, or was written by an evaluation.

    Raises:
        ConfigError: it holds something else.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder, found a file. Name another one for --out.")
    strange = sorted(entry.name for entry in out.iterdir() if entry.name not in OURS) if out.exists() else []
    strange = [name for name in strange if not name.startswith(".")]
    if strange:
        raise ConfigError(
            f"{out}: expected an empty folder or an evaluation, found {strange[0]!r}. Name another --out."
        )


def _evaluate(
    preds: tuple[str, str | Path | None], true: str, recipe: EvalRecipe, seed: int, out: Path, options: Options
) -> Evaluation:
    first, run, lines = _score(preds[0], true, recipe, seed, out / "rows", options)
    summary = summarise(first, penalties_of(lines), recipe, seed) | _unpaired(preds[0], true, recipe.only)
    if preds[1] is not None and run.stopped is None:
        other, run, lines = _score(str(preds[1]), true, recipe, seed, out / "rows-b", options)
        summary["second"] = summarise(other, penalties_of(lines), recipe, seed) | _unpaired(
            str(preds[1]), true, recipe.only
        )
        summary["difference"] = paired(first, other)
        write_whole(out / "per_shape-b.csv", table(other))
    summary["categories"] = lone_categories(first, summary["unpaired"]["predictions"])
    summary["complete"] = run.stopped is None
    write_whole(out / "per_shape.csv", table(first))
    write_whole(out / "summary.json", to_json_line(summary))
    return Evaluation(summary, first, replace(run, out=out), out)


def _score(
    pred: str, true: str, recipe: EvalRecipe, seed: int, folder: Path, options: Options
) -> tuple[list[Row], Summary, list[Mapping[str, Any]]]:
    """The rows of one prediction, how its run ended, and the lines of its report."""
    alone = _check_pairing(pred, true)
    items, predictions = _truths(true, recipe.only), list_shapes(pred)
    job = EvalJob(recipe, pred, _digest(predictions), seed, alone)
    run = run_job(job, list(items.values()), folder, options)
    lines: list[Mapping[str, Any]] = list(read_report(run.report))
    return rows_of(lines), run, lines


def _check_pairing(pred: str, true: str) -> bool:
    """Whether both are one file, which are a pair whatever they are called.

    Raises:
        ConfigError: no id is on both sides.
    """
    items, predictions = list_shapes(true), list_shapes(pred)
    alone = len(items) == len(predictions) == 1 and Path(pred).is_file() and Path(true).is_file()
    if not alone and not items.keys() & predictions.keys():
        some, other = min(predictions), min(items)
        raise ConfigError(
            f"{pred}: no shape id is in both, for example {some!r} here and {other!r} in {true}. "
            "An id is the path below the folder without its suffix; name the folders in which they agree."
        )
    return alone


def _digest(predictions: Mapping[str, Item]) -> str:
    whole = hashlib.sha256()
    for item in hashed(list(predictions.values())):
        whole.update(f"{item.id}\n{item.sha256}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _truths(true: str, only: tuple[str, ...]) -> dict[str, Item]:
    """The truths that are asked for.

    Raises:
        ConfigError: none of them is there.
    """
    items = list_shapes(true)
    if not only:
        return items
    chosen = {shape_id: items[shape_id] for shape_id in only if shape_id in items}
    if not chosen:
        raise ConfigError(f"{true}: expected the truth of {only[0]!r}, found others such as {min(items)!r}.")
    return chosen


def _unpaired(pred: str, true: str, only: tuple[str, ...]) -> dict[str, Any]:
    """The names that only one side has."""
    items, predictions = _truths(true, only), list_shapes(pred)
    if _check_pairing(pred, true):
        return {"unpaired": {"predictions": [], "truths": []}}
    return {
        "unpaired": {
            "predictions": sorted(predictions.keys() - items.keys()),
            "truths": sorted(items.keys() - predictions.keys()),
        }
    }
