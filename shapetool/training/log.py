"""The log of a run: one JSON object a line, and curves of it."""

import json
import math
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole


class Log:
    """`log.jsonl`, which a run that goes on at a step continues from there: later lines of before are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_log(path) if line["step"] <= step]
        write_whole(path, b"".join(_line(line) for line in kept))
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by `close`

    def write(self, entry: Mapping[str, Any]) -> None:
        """None, once the entry is in the file, to which the system may take a line in pieces."""
        left = memoryview(_line(entry))
        while left:
            left = left[self._file.write(left) :]

    def close(self) -> None:
        """None, once the file is on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; a line that a kill cut short ends it, and what has no step is none."""
    entries = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                break
            if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                entries.append(entry)
    return entries


def _line(entry: Mapping[str, Any]) -> bytes:
    # numbers that JSON lacks become null
    plain = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in entry.items()}
    return (json.dumps(plain, allow_nan=False) + "\n").encode()


def draw_curves(entries: list[dict[str, Any]], title: str) -> bytes:
    """A PNG of the loss and its parts over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    hidden = {"step", "seconds", "lr", "event", "shapes_per_second", "memory_mb"}
    names = [name for name in dict.fromkeys(key for entry in entries for key in entry) if name not in hidden]
    drawn = 0
    for name in names:
        values = [(entry["step"], entry[name]) for entry in entries if isinstance(entry.get(name), int | float)]
        if values:
            positive = [(step, value) for step, value in values if value > 0]
            if positive:
                axes.plot(*zip(*positive, strict=True), label=name, linewidth=1.6 if name == "loss" else 0.9)
                drawn += 1
    if drawn:
        axes.set_yscale("log")
        axes.legend(fontsize=8)
    axes.set_xlabel("step")
    axes.set_title(title)
    axes.grid(visible=True, which="both", alpha=0.25)
    image = BytesIO()
    figure.savefig(image, dpi=110)
    return image.getvalue()
