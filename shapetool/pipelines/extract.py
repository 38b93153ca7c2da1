"""`shapetool extract RUN OUT`: the shapes of a trained run as meshes, one file each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.data.mesh_files import encode_mesh
from shapetool.errors import ConfigError, MeshError, ShapetoolError, suggestion
from shapetool.extraction.surface import METHODS, Extraction, extract_with_facts
from shapetool.geometry.topology import analyse
from shapetool.models.base import FieldModel
from shapetool.pipelines.codes import attach_target
from shapetool.pipelines.extract_sources import Wanted, wanted_shapes
from shapetool.pipelines.train import device_of
from shapetool.render.sphere_trace import TorchField
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.job import Summary
from shapetool.runner.report import read_report
from shapetool.training.runs import OpenedRun, open_run

if TYPE_CHECKING:
    from shapetool.geometry.mesh import Mesh

FORMATS = ("ply", "obj", "off", "stl")
FRAMES = ("original", "unit")
REPORT, ABOUT = "report.jsonl", "extract.json"


@dataclass(frozen=True)
class Extracting:
    """Which shapes of a run become meshes, and how.

    Shapes: those the run was trained on (with `split`: those of its data on the list `part`), or one of: of `data`,
    which it need not know; `complete`, clouds of parts of shapes with normals, seen from `camera` if it is given;
    `between` two of its shapes, in `steps`; `sample` from what the model takes for likely. `only` keeps some of them by
    name. `resolution` nodes along each axis of the cube that the model knows, or of one whose half side is `extent`.
    `least`: pieces below this share of the largest go. `frame` of the files: of the mesh that a shape was sampled from,
    or the unit frame, in which all others are.
    """

    run: Path
    which: str = "best"
    data: Path | None = None
    complete: Path | None = None
    camera: tuple[float, float, float] | None = None
    between: tuple[str, str] | None = None
    steps: int = 8
    sample: int | None = None
    only: tuple[str, ...] = ()
    split: Path | None = None
    part: str = "test"
    views: Path | None = None
    resolution: int = 128
    method: str = "mise"
    extent: float | int | None = None
    least: float = 0.0
    frame: str = "original"
    format: str = "ply"
    seed: int = 0

    def __post_init__(self) -> None:
        """Nothing, when every word and number makes sense.

        Raises:
            ConfigError: one does not.
        """
        for option, word, known in (
            ("--method", self.method, METHODS),
            ("--frame", self.frame, FRAMES),
            ("--format", self.format, FORMATS),
            ("--checkpoint", self.which, ("best", "last")),
        ):
            if word not in known:
                raise ConfigError(f"{option} {word}: unknown word{suggestion(word, known)}")
        if self.split is not None and any(value is not None for value in (self.complete, self.between, self.sample)):
            raise ConfigError("--split: chooses shapes of data, and there are none here. Leave it out.")
        chosen = [self.data, self.complete, self.between, self.sample]
        if sum(value is not None for value in chosen) > 1:
            raise ConfigError(
                "--data, --complete, --interpolate and --sample: expected one of them. Leave the others out."
            )
        if self.camera is not None and self.complete is None:
            raise ConfigError("--camera: says from where the points of --complete were seen. Give --complete as well.")
        for option, value, least in (
            ("--resolution", self.resolution, 4),
            ("--steps", self.steps, 2),
            ("--sample", self.sample, 1),
        ):
            if value is not None and value < least:
                raise ConfigError(f"{option} {value}: expected at least {least}.")
        if self.extent is not None and not self.extent > 0:
            raise ConfigError(f"--extent {self.extent}: expected a length above 0.")


@dataclass(frozen=True)
class Extracted:
    """How an extraction ended, and the opened run, so that its fields can be drawn."""

    summary: Summary
    run: OpenedRun


def run(
    wanted: Extracting,
    out: Path,
    *,
    device: str = "cpu",
    overwrite: bool = False,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    stop: Callable[[], str | None] = lambda: None,
) -> Extracted:
    """How the run ended, after `out` holds `<id>.<format>` for every shape, and `report.jsonl` a line for each.

    A shape whose field has no surface costs only itself. What is there from the same call before is not made again.

    Raises:
        CheckpointError: the run is missing, damaged or foreign.
        ConfigError: options that make no sense for this run, or an `out` that holds something else.
        DataError: shapes that the run cannot know.
        OSError: the disk is full or fails.
    """
    began = time.monotonic()
    opened = open_run(wanted.run, wanted.which, device_of(device))
    attach_target(opened.model, opened.recipe)
    if not isinstance(opened.model, FieldModel):
        raise ConfigError(f"{wanted.run}: {opened.recipe.model} is no field, which alone becomes meshes.")
    shapes = wanted_shapes(wanted, opened)
    with writable(out):
        done = _claimed(wanted, opened, out, overwrite)
        on_event({"event": "start", "total": len(shapes), "done": len(done), "shards": len(shapes) - len(done)})
        lines = {line["id"]: line for line in done.values()}
        stopped = None
        for shape in shapes:
            if shape.name in done:
                continue
            stopped = stop()
            if stopped is not None:
                break
            lines[shape.name] = line = _made(shape, wanted, opened, out)
            write_whole(out / REPORT, b"".join(to_json_line(lines[s.name]) for s in shapes if s.name in lines))
            on_event({"event": "item", **line})
    counts: dict[str, int] = {}
    for line in lines.values():
        counts[line["status"]] = counts.get(line["status"], 0) + 1
    made = len(lines) - len(done)
    summary = Summary(out, out / REPORT, len(shapes), counts, made, made, stopped, time.monotonic() - began)
    return Extracted(summary, opened)


def field_of(model: Any, code: torch.Tensor) -> TorchField:
    """The field of one code."""
    return TorchField(lambda points: model.values(points[None], code[None])[0], model.device, torch.float32)


def cube(wanted: Extracting, model: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The corners of the cube in which the surface is looked for."""
    half = float(wanted.extent or model.extent)
    return (-half,) * 3, (half,) * 3


def _made(shape: Wanted, wanted: Extracting, opened: OpenedRun, out: Path) -> dict[str, Any]:
    """The line of the report of one shape, after its file is written."""
    began = time.monotonic()
    line: dict[str, Any] = {"id": shape.name, "source": shape.source, "status": "ok", "error": None}
    facts: dict[str, Any] = {"n_vertices": 0, "n_faces": 0, "watertight": False, "evaluations": 0}
    try:
        mesh, facts = _mesh(shape, wanted, opened)
        path = out / f"{shape.name}.{wanted.format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        write_whole(path, encode_mesh(mesh, wanted.format), durable=False)
    except MeshError as error:
        line |= {"status": "failed", "error": str(error)}
    except ShapetoolError as error:
        line |= {"status": "invalid", "error": str(error)}
    return line | {"seconds": round(time.monotonic() - began, 4), **facts, "warnings": list(shape.warnings)}


def _mesh(shape: Wanted, wanted: Extracting, opened: OpenedRun) -> tuple[Mesh, dict[str, Any]]:
    """The mesh of a shape in the frame that is wanted, and what the report says of it."""
    model: Any = opened.model
    settings = Extraction(lipschitz=model.lipschitz, least=wanted.least)
    found, cost = extract_with_facts(
        field_of(model, shape.code), cube(wanted, model), wanted.resolution, wanted.method, settings
    )
    facts = {
        "n_vertices": len(found.vertices),
        "n_faces": len(found.faces),
        "watertight": analyse(found).watertight,
        "evaluations": cost.evaluations,
    }
    if wanted.frame == "original" and shape.similarity is not None:
        found = type(found)(shape.similarity.invert(found.vertices), found.faces)
    return found, facts


def _claimed(wanted: Extracting, opened: OpenedRun, out: Path, overwrite: bool) -> dict[str, dict[str, Any]]:
    """The lines of what is there already, by name, once the folder is for this extraction.

    Raises:
        ConfigError: it holds something else.
    """
    if out.suffix == ".h5" or (out.exists() and not out.is_dir()):
        raise ConfigError(f"{out}: expected a folder, in which each shape gets a file. Name another OUT.")
    about = {"shapetool": "extract", **_settings(wanted), "weights": _digest(opened, wanted.which)}
    place = out / ABOUT
    if out.is_dir():
        remove_leftovers(out)  # of a run that was killed before the folder said whose it is
    if out.exists() and overwrite and place.exists():
        aside = out.with_name(f".{out.name}.bin")  # renamed first, so that no half of it is met under its own name
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(out, aside)
        shutil.rmtree(aside)
    if out.exists() and any(out.iterdir()):
        try:
            found = dict(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            raise ConfigError(f"{out}: expected an empty folder or one of `extract`. Name another OUT.") from None
        differing = next((key for key, value in about.items() if found.get(key) != value), None)
        if differing is not None:
            raise ConfigError(
                f"{out}: holds an extraction with another {differing}. Use --overwrite, or name another OUT."
            )
    out.mkdir(parents=True, exist_ok=True)
    write_whole(place, (json.dumps(about, indent=1) + "\n").encode())
    lines = read_report(out / REPORT) if (out / REPORT).exists() else []
    return {
        line["id"]: line
        for line in lines
        if line["status"] == "ok" and (out / f"{line['id']}.{wanted.format}").is_file()
    }


def _settings(wanted: Extracting) -> dict[str, Any]:
    found = {key: getattr(wanted, key) for key in wanted.__dataclass_fields__ if key != "only"}
    found = {key: os.path.abspath(value) if isinstance(value, Path) else value for key, value in found.items()}
    return json.loads(json.dumps(found))


def _digest(opened: OpenedRun, which: str) -> str:
    """The digest of the weights."""
    return hashlib.sha256((opened.folder / which / "model.safetensors").read_bytes()).hexdigest()


def pictures(extracted: Extracted, wanted: Extracting, sheet: Path | None, render: Path | None) -> None:
    """None, once the meshes are on a contact sheet, and their fields were seen by sphere tracing in a folder.

    Raises:
        ConfigError: a place where no picture can be.
    """
    from shapetool.pipelines.extract_pictures import draw_fields, draw_meshes

    names = [line["id"] for line in read_report(extracted.summary.report) if line["status"] == "ok"]
    if sheet is not None:
        draw_meshes(extracted.summary.out, [f"{name}.{wanted.format}" for name in names], sheet)
    if render is not None:
        shapes = [shape for shape in wanted_shapes(wanted, extracted.run) if shape.name in set(names)]
        draw_fields(extracted.run.model, shapes, cube(wanted, extracted.run.model), render)


def check_truths(against: Path, wanted: Extracting) -> None:
    """Nothing, if the shapes can be scored against what is there.

    Raises:
        ConfigError: they are in another frame, or nothing is there.
    """
    if not against.exists():
        raise ConfigError(f"--against {against}: no such file or folder. Give the true meshes.")
    if wanted.sample is not None or wanted.between is not None:
        raise ConfigError(
            "--against: shapes that are sampled or interpolated have no truth. Use `shapetool eval --sets`."
        )
    if wanted.frame == "unit":
        raise ConfigError("--against: true meshes are in their own frame. Leave --frame unit out.")
