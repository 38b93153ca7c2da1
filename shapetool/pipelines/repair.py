"""Meshes to closed surfaces: the Python side of `shapetool repair`."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.data.mesh_files import WRITTEN_FORMATS, encode_mesh
from shapetool.errors import ConfigError, DataError, MeshError
from shapetool.geometry.mesh import load_mesh
from shapetool.geometry.repair import RepairRecipe, repair
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.items import Item, collect

REPORT = "report.jsonl"
SETTINGS = "recipe.json"

__all__ = ["RepairPlan", "RepairRecipe", "plan", "run"]


@dataclass(frozen=True)
class RepairPlan:
    """What a run would do: each item with the file it becomes, and the lines of those that are done."""

    items: tuple[tuple[Item, Path], ...]
    report: Path
    settings: Path
    done: dict[str, dict[str, Any]] = field(default_factory=dict)


def run(
    inputs: Sequence[str],
    out: Path,
    recipe: RepairRecipe | None = None,
    *,
    suffix: str | None = None,
    overwrite: bool = False,
    report: Callable[[dict[str, Any]], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """One line an item, after each mesh that could be repaired is written whole, and its line to `report.jsonl`.

    `out` ending in a mesh format is one file for one input; else a folder. Items run one after the other in this
    process with all cores; one that fails has a line and the next one runs. A rerun with the same settings does what is
    missing or failed. `report` is called with each line.

    Raises:
        ConfigError: as `plan` does, or `out` may not be written.
        DataError: as `plan` does.
    """
    recipe = recipe or RepairRecipe()
    planned = plan(inputs, out, recipe, suffix=suffix, overwrite=overwrite)
    lines = dict(planned.done)
    with writable(out):
        planned.report.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(planned.report.parent)
        write_whole(planned.settings, to_json_line(asdict(recipe)))
        for item, path in planned.items:
            if item.id not in planned.done:
                lines[item.id] = repair_one(item, path, recipe)
                write_whole(planned.report, b"".join(to_json_line(lines[name]) for name in sorted(lines)))
            report(lines[item.id])
    return [lines[item.id] for item, _ in planned.items]


def plan(
    inputs: Sequence[str],
    out: Path,
    recipe: RepairRecipe | None = None,
    *,
    suffix: str | None = None,
    overwrite: bool = False,
) -> RepairPlan:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: no input, an unknown format, several inputs for one file, or `out` was made with other settings.
        DataError: the report in `out` is not one that `run` wrote.
    """
    single = out.suffix[1:].lower() in WRITTEN_FORMATS and not out.is_dir()
    suffix = (out.suffix[1:].lower() if single else "ply") if suffix is None else suffix
    if suffix not in WRITTEN_FORMATS:
        raise ConfigError(f"unknown mesh format {suffix!r}; known: {', '.join(WRITTEN_FORMATS)}.")
    if single and out.suffix[1:].lower() != suffix:
        raise ConfigError(f"{out}: its ending and --format {suffix} differ. Leave one of them out.")
    items = collect(inputs, MESH_SUFFIXES).items
    if single and len(items) != 1:
        raise ConfigError(f"{out}: expected one input for one file, found {len(items)}. Name a folder as OUT.")
    if not single and out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder, or a file ending in one of {', '.join(WRITTEN_FORMATS)}.")
    paths = [(item, out if single else out / f"{item.id}.{suffix}") for item in items]
    for item, path in paths:
        if path.exists() and os.path.samefile(path, item.path):
            raise ConfigError(f"{path}: is the input itself. Name another OUT.")
    beside = (lambda name: out.with_name(f"{out.name}.{name}")) if single else (lambda name: out / name)
    known, made_with = _read(beside(REPORT)), _read(beside(SETTINGS))
    settings = json.loads(to_json_line(asdict(recipe or RepairRecipe())))
    if overwrite:
        known = []
    elif made_with and made_with != [settings]:
        raise ConfigError(f"{out}: was made with other settings. Use --overwrite or another OUT.")
    elif not made_with and any(path.exists() for _, path in paths):
        raise ConfigError(f"{out}: holds meshes of these names that repair did not write. Use --overwrite.")
    by_id = {str(line["id"]): line for line in known}
    done = {
        item.id: by_id[item.id]
        for item, path in paths
        if by_id.get(item.id, {}).get("status") == "ok"
        and by_id[item.id].get("input_bytes") == item.path.stat().st_size
        and path.exists()
    }
    return RepairPlan(tuple(paths), beside(REPORT), beside(SETTINGS), done)


def repair_one(item: Item, path: Path, recipe: RepairRecipe) -> dict[str, Any]:
    """The line of the report for one item, after its mesh is written to `path`, or is not for the reason it gives."""
    began = time.monotonic()
    line: dict[str, Any] = {"id": item.id, "source": item.source, "status": "ok", "error": None}
    try:
        if item.problem:
            return line | {"status": item.status, "error": item.problem}
        mesh = load_mesh(item.path, root=item.root)
        result, found = repair(mesh, recipe)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, encode_mesh(result, path.suffix[1:].lower()))
        line |= {
            "file": path.name if path.stem == item.id else f"{item.id}{path.suffix}",
            "input_bytes": item.path.stat().st_size,
            "n_vertices": len(result.vertices),
            "n_faces": len(result.faces),
            "watertight": True,
            **{key: value for key, value in asdict(found).items() if key != "warnings"},
            "warnings": [*mesh.warnings, *found.warnings],
        }
    except MeshError as error:
        line |= {"status": "failed", "error": str(error)}
    except MemoryError:
        line |= {"status": "oom", "error": "not enough memory. Try a smaller --resolution."}
    return line | {"seconds": round(time.monotonic() - began, 3)}


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of an earlier run.

    Raises:
        DataError: the file is not one that `run` wrote.
    """
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(line, dict) and (path.name.endswith(SETTINGS) or "id" in line) for line in lines):
            raise ValueError("a line is something else")
        return lines
    except ValueError as error:
        raise DataError(f"{path}: expected one JSON object a line: {error}. Remove the file.") from error
