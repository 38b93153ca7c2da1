"""Tiny runs of training: their settings, the words that start them, and what must be equal where two runs are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.shards import build_shard, open_dataset, publish
from shapetool.pipelines.train import Order

TINY = {"width": 16, "depth": 3, "skip": 2, "code_size": 4, "points": 32, "shapes": 4, "steps": 20}
TINY |= {"checkpoint_every": 10, "fit_steps": 5, "fit_points": 64}


def order(data: Path, run: Path, pictures: int = 0, **settings: Any) -> Order:
    """An order for a tiny DeepSDF without pictures; settings change numbers of its configuration."""
    return Order("deepsdf", data, run, settings=TINY | settings, pictures=pictures, device="cpu")


def words(data: Path, run: Path, *more: str, **settings: Any) -> list[str]:
    """The same as a command line."""
    chosen = [word for key, value in (TINY | settings).items() for word in ("--set", f"{key}={value}")]
    return ["train", "deepsdf", str(data), str(run), "--device", "cpu", "--pictures", "0", *chosen, *more]


def content(run: Path) -> dict[str, Any]:
    """All that decides how a run goes on and what came of it, but for the seconds it took."""
    found: dict[str, Any] = {
        str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.safetensors"))
    }
    for name in ("last", "best"):
        numbers = json.loads((run / name / "state.json").read_text())
        found[f"{name}/state"] = {key: value for key, value in numbers.items() if key != "seconds"}
    found["log"] = [
        {key: value for key, value in json.loads(line).items() if key != "seconds"}
        for line in (run / "log.jsonl").read_text().splitlines()
    ]
    return found


def changed(
    data: Path,
    out: Path,
    change: Callable[[dict[str, Any], int], None],
    rows: int | None = None,
    recipe: dict[str, Any] | None = None,
) -> Path:
    """A copy of a shard, or of its first rows, that `change(columns of a row, its number)` has altered."""
    dataset = open_dataset(data)
    found: list[dict[str, Any]] = []
    for row in range(len(dataset) if rows is None else rows):
        columns = {
            name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in dataset[row].items()
        }
        change(columns, row)
        found.append(columns)
    publish(
        out,
        build_shard(
            dataset.kind, dataset.recipe | (recipe or {}), 0, {name: [row[name] for row in found] for name in found[0]}
        ),
    )
    return out
