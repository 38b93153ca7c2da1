"""Meshes to closed surfaces: the Python side of `shapetool repair`."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.atomic import write_whole
from shapetool.data.mesh_files import WRITTEN_FORMATS, encode_mesh
from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.repair import RepairRecipe, repair
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.topology import analyse
from shapetool.pipelines.preload import PRELOAD
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.items import Item, collect
from shapetool.runner.job import Options, Record, Summary
from shapetool.runner.manifest import compare, describe
from shapetool.runner.preview import Preview, preview
from shapetool.runner.report import read_report
from shapetool.runner.run import remove_dataset, run_job
from shapetool.runner.warm import warm_up

# Half of what the densest of the meshes that were looked at took: 196 bytes for each cell of a face of the box.
BYTES_PER_CELL = 100

__all__ = ["RepairJob", "RepairRecipe", "plan", "run"]


@dataclass(frozen=True)
class RepairJob:
    """Closes one mesh, for the runner: its record is the file of the result."""

    recipe: RepairRecipe
    suffix: str = "ply"
    seed: int = 0  # nothing is drawn
    kind: str = "mesh"
    preload: tuple[str, ...] = PRELOAD["repair"]

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, as JSON."""
        return asdict(self.recipe)

    @property
    def bytes_per_shape(self) -> int:
        """About the size of one file."""
        return BYTES_PER_CELL * self.recipe.resolution**2

    def __call__(self, item: Item, threads: int) -> Record:
        """The file that one item becomes, and what was done to it.

        Raises:
            MeshError: the file holds no usable mesh, or it cannot be closed with this recipe.
        """
        mesh = load_mesh(item.path, root=item.root)
        try:
            result, found = repair(mesh, self.recipe, threads)
        except MeshError as error:
            raise MeshError(f"{item.path}: {error}") from error
        if self.suffix == "stl":
            rounded = Mesh(result.vertices.astype(np.float32).astype(np.float64), result.faces)
            if not analyse(rounded, threads).sound:
                raise MeshError(
                    f"{item.path}: in float32, as stl stores it, the closed mesh meets itself. Use --format ply."
                )
        facts = {
            "n_vertices": len(result.vertices),
            "n_faces": len(result.faces),
            "watertight": True,
            **asdict(found),
            "warnings": [*mesh.warnings, *found.warnings],
        }
        return Record({"content": np.frombuffer(encode_mesh(result, self.suffix), np.uint8)}, facts)


@dataclass(frozen=True)
class _Plan:
    """What goes where: `folder` is OUT itself, or where the one file that OUT names is made."""

    job: RepairJob
    items: tuple[Item, ...]
    folder: Path
    single: bool


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: RepairRecipe | None = None,
    *,
    suffix: str | None = None,
    options: Options | None = None,
) -> Summary:
    """How the run ended, after `out` holds a closed mesh for every input that could be closed, each written whole.

    `out` ending in a mesh format is one file for one input; else a folder, in which `report.jsonl` says what was done.
    A mesh that cannot be closed costs only itself. A rerun does what is missing.

    Raises:
        ConfigError: no input, an unknown format, several inputs for one file, or an `out` made with other settings.
        DataError: state of an earlier run is damaged.
        OSError: the disk is full or fails.
    """
    out, options = Path(out), options or Options()
    warm_up(PRELOAD["repair"])
    planned = _plan(inputs, out, recipe or RepairRecipe(), suffix, options)
    if not planned.single:
        return run_job(planned.job, planned.items, out, options)
    with writable(out):
        return _run_single(planned, out, options)


def plan(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: RepairRecipe | None = None,
    *,
    suffix: str | None = None,
    options: Options | None = None,
) -> Preview:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: as `run` does.
    """
    out, options = Path(out), options or Options()
    planned = _plan(inputs, out, recipe or RepairRecipe(), suffix, options)
    would = replace(preview(planned.job, planned.items, planned.folder, options), out=out)
    done = planned.single and _finished(planned, out, options) is not None
    return replace(would, shards_done=1) if done else would


def _plan(inputs: Sequence[str | Path], out: Path, recipe: RepairRecipe, suffix: str | None, options: Options) -> _Plan:
    """The job, its items and where they go.

    Raises:
        ConfigError: as `run` does.
    """
    ending = out.suffix[1:].lower()
    single = ending in WRITTEN_FORMATS and not out.is_dir()
    suffix = (ending if single else "ply") if suffix is None else suffix
    if suffix not in WRITTEN_FORMATS:
        raise ConfigError(f"unknown mesh format {suffix!r}; known: {', '.join(WRITTEN_FORMATS)}.")
    if single and ending != suffix:
        raise ConfigError(f"{out}: its ending and --format {suffix} differ. Leave one of them out.")
    if not single and (ending == "h5" or (out.exists() and not out.is_dir())):
        raise ConfigError(f"{out}: expected a folder, or a file ending in one of {', '.join(WRITTEN_FORMATS)}.")
    items = collect([str(word) for word in inputs], MESH_SUFFIXES).items
    if single and len(items) != 1:
        raise ConfigError(f"{out}: expected one input for one file, found {len(items)}. Name a folder as OUT.")
    if single and options.shard is not None:
        part, parts = options.shard
        raise ConfigError(f"--shard {part}/{parts}: expected a folder as OUT, came {out}.")
    folder = out.with_name(out.name + ".partial") if single else out
    names = {Path(f"{item.id}.{suffix}") for item in items}
    inside = sorted(str(name) for name in names if any(parent in names for parent in name.parents))
    if inside:
        raise ConfigError(f"{folder / inside[0]}: a part of its path is to be a file too. Rename an input.")
    for item in items:
        path = out if single else out / f"{item.id}.{suffix}"
        if path.exists() and item.problem is None and os.path.samefile(path, item.path):
            raise ConfigError(f"{path}: is the input itself. Name another OUT.")
    return _Plan(RepairJob(recipe, suffix), items, folder, single)


def _run_single(planned: _Plan, out: Path, options: Options) -> Summary:
    """How the run ended whose one file is made in a folder beside it, with what is known of it, and then moved."""
    report, settings = _beside(out, "report.jsonl"), _beside(out, "recipe.json")
    done = _finished(planned, out, options)
    if done is not None:
        options.emit("start", total=1, done=1, shards=0, workers=0)
        return Summary(out, report, 1, Counter(done), 0, 0)
    tell = options.on_event or (lambda event: None)
    names = {"out": str(out), "report": str(report)}
    heard = replace(options, on_event=lambda event: tell(event | names if event["event"] == "end" else event))
    summary = run_job(planned.job, planned.items, planned.folder, heard)
    if summary.stopped is not None:
        return replace(summary, out=out)
    write_whole(settings, to_json_line(describe(planned.job)))
    os.replace(planned.folder / "report.jsonl", report)
    made = planned.folder / f"{planned.items[0].id}.{planned.job.suffix}"
    if made.exists():
        os.replace(made, out)
    else:
        out.unlink(missing_ok=True)  # one that --overwrite was to replace
    remove_dataset(planned.folder)
    return replace(summary, out=out, report=report)


def _finished(planned: _Plan, out: Path, options: Options) -> list[str] | None:
    """The status of the one item of a file that is there already; None if it is to be made.

    Raises:
        ConfigError: `out` was made with other settings or of another mesh, or is something else.
    """
    if options.overwrite or not out.exists() or planned.folder.exists():
        return None
    report, settings = _beside(out, "report.jsonl"), _beside(out, "recipe.json")
    if not report.exists() or not settings.exists():
        raise ConfigError(f"{out}: exists, and repair did not write it. Use --overwrite to replace it.")
    compare(out, json.loads(settings.read_bytes()), planned.job)
    lines = read_report(report)
    if [(line["id"], line.get("size")) for line in lines] != [(item.id, item.size) for item in planned.items]:
        other = lines[0].get("source", lines[0]["id"]) if lines else "another mesh"
        raise ConfigError(f"{out}: was made of {other}. Use --overwrite to replace it.")
    return [str(line["status"]) for line in lines]


def _beside(out: Path, name: str) -> Path:
    return out.with_name(f"{out.name}.{name}")
