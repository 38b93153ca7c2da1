"""Which shapes of a run are extracted: those it was trained on, those of other data, parts to complete, or new ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from shapetool.data.clouds import CLOUD_SUFFIXES, read_cloud
from shapetool.errors import ConfigError, DataError, suggestion
from shapetool.geometry.frame import Similarity
from shapetool.models.base import Generator
from shapetool.models.fitting import fit_codes, partial_observations
from shapetool.pipelines.codes import check_frame, codes_for
from shapetool.pipelines.lists import ids_on
from shapetool.training.runs import OpenedRun
from shapetool.training.shapes import Shapes, open_shapes

if TYPE_CHECKING:
    from shapetool.pipelines.extract import Extracting

OFFSET = 0.01  # in the unit frame: how far from a partial surface points are put on both of its sides


@dataclass(frozen=True, eq=False)
class Wanted:
    """One shape to extract: its name, its code, and the way back to the frame of its mesh, if there is one."""

    name: str
    code: Tensor
    similarity: Similarity | None = None
    source: str = ""
    warnings: tuple[str, ...] = field(default=())


def wanted_shapes(wanted: Extracting, opened: OpenedRun) -> list[Wanted]:
    """The shapes that are asked for, with their codes.

    Raises:
        ConfigError: the model cannot do what is asked for, or a name is unknown.
        DataError: the data are missing, damaged, or in another frame than the run's.
    """
    if wanted.complete is not None:
        shapes = list(_completed(wanted, opened))
    elif wanted.between is not None:
        shapes = _between(wanted, opened)
    elif wanted.sample is not None:
        shapes = _sampled(wanted, opened)
    else:
        shapes = _of_data(wanted, opened)
    if wanted.only:
        names = [shape.name for shape in shapes]
        for name in wanted.only:
            if name not in names:
                raise ConfigError(f"--only {name}: no such shape{suggestion(name, names[:20])}")
        shapes = [shape for shape in shapes if shape.name in wanted.only]
    for shape in shapes:
        if os.path.isabs(shape.name) or ".." in Path(shape.name).parts:
            raise DataError(f"{shape.name}: expected the id of a shape, found a path that leads out of OUT.")
    return shapes


def _of_data(wanted: Extracting, opened: OpenedRun) -> list[Wanted]:
    """The shapes of a data set: that of the run, or another one."""
    recipe = opened.recipe
    listed = None
    if wanted.split is not None:
        listed = ids_on(wanted.data or Path(recipe.data[0]), wanted.split, wanted.part)
    if wanted.data is not None:
        shapes = open_shapes([path for path in (wanted.data, wanted.views) if path is not None], listed)
        check_frame(recipe, shapes)
    else:
        paths = [Path(path) for path in recipe.data]
        gone = [path for path in paths if not path.exists()]
        if gone and getattr(opened.model, "auto_decoder", False):
            return _remembered(opened)
        if gone:
            raise DataError(f"{gone[0]}: expected the data of the run, found none. Name data with --data.")
        shapes = open_shapes(paths, listed or recipe.facts.shape_ids)
    codes = codes_for(opened.model, recipe, shapes, wanted.seed)
    similar = _similarities(shapes)
    return [Wanted(name, codes[row], similar[row], name) for row, name in enumerate(shapes.shape_ids)]


def _remembered(opened: OpenedRun) -> list[Wanted]:
    """The shapes of an auto-decoder whose data are gone; only their frames are."""
    names = opened.recipe.facts.shape_ids
    model: Any = opened.model
    with torch.no_grad():
        codes = model.codes_of({"index": torch.arange(len(names), device=model.device)})
    warning = "the data of the run are gone, so the mesh is in the unit frame"
    return [Wanted(name, codes[row], None, name, (warning,)) for row, name in enumerate(names)]


def _similarities(shapes: Shapes) -> list[Similarity | None]:
    """The frames of shapes."""
    if not {"scale", "offset"} <= shapes.columns:
        return [None] * len(shapes)
    return [
        Similarity(float(shapes.read(row, "scale")), np.asarray(shapes.read(row, "offset"), dtype=np.float64))
        for row in range(len(shapes))
    ]


def _completed(wanted: Extracting, opened: OpenedRun) -> Iterator[Wanted]:
    """Shapes of which a part of the surface is known: each cloud is one, in the unit frame of the run."""
    assert wanted.complete is not None
    model: Any = opened.model
    if not model.auto_decoder and not _encodes_clouds(model):
        raise ConfigError(
            f"--complete: {opened.recipe.model} finds no code of a part of a surface. Use deepsdf, or onet on points."
        )
    files = [wanted.complete]
    if wanted.complete.is_dir():
        suffixes = CLOUD_SUFFIXES | {".ply"}
        files = sorted(path for path in wanted.complete.rglob("*") if path.suffix.lower() in suffixes)
    if not files or not all(path.is_file() for path in files):
        raise ConfigError(
            f"--complete {wanted.complete}: expected a cloud with normals or a folder of them, found none."
        )
    root = wanted.complete if wanted.complete.is_dir() else wanted.complete.parent
    for path in files:
        name = path.relative_to(root).with_suffix("").as_posix()
        yield Wanted(name, _completing_code(model, path, wanted), None, path.name)


def _encodes_clouds(model: Any) -> bool:
    """Whether a model makes its codes of points on a surface."""
    return getattr(model.config, "input", "") == "points"


def _completing_code(model: Any, path: Path, wanted: Extracting) -> Tensor:
    """The code of the shape of which a file has a part.

    Raises:
        DataError: the cloud has no points, no normals, or is not in the unit frame.
    """
    points, normals = read_cloud(path)
    if not len(points):
        raise DataError(f"{path}: expected points on a surface, found none. Leave the file out.")
    if np.abs(points).max() > 2 * model.extent:
        raise DataError(
            f"{path}: expected points in the unit frame, found {np.abs(points).max():.3g} as the largest coordinate. "
            "Give (points + offset) * scale; pose and scale have to be known."
        )
    cloud = torch.from_numpy(points.astype(np.float32))
    if not model.auto_decoder:
        with torch.no_grad():
            code: Tensor = model.codes_of({"cloud": cloud[None].to(model.device)})[0]
            return code
    if normals is None:
        raise DataError(
            f"{path}: expected a normal for each point, found none. Points alone do not say where inside is."
        )
    camera = None if wanted.camera is None else torch.tensor(wanted.camera)
    seen = partial_observations(cloud, torch.from_numpy(normals.astype(np.float32)), OFFSET, camera)
    return fit_codes(model, seen.to(model.device))[0]


def _between(wanted: Extracting, opened: OpenedRun) -> list[Wanted]:
    """Shapes along the straight line between the codes of two."""
    assert wanted.between is not None
    paths = [Path(path) for path in opened.recipe.data]
    names = opened.recipe.facts.shape_ids
    for name in wanted.between:
        if name not in names:
            raise ConfigError(f"--interpolate {name}: the run knows no such shape{suggestion(name, names[:20])}")
    if getattr(opened.model, "auto_decoder", False):
        codes = [next(shape.code for shape in _remembered(opened) if shape.name == name) for name in wanted.between]
    else:
        codes = list(codes_for(opened.model, opened.recipe, open_shapes(paths, wanted.between), wanted.seed))
    shares = np.linspace(0, 1, wanted.steps)
    source = " to ".join(wanted.between)
    return [
        Wanted(f"step-{number:03d}", torch.lerp(codes[0], codes[1], float(share)), None, source)
        for number, share in enumerate(shares)
    ]


def _sampled(wanted: Extracting, opened: OpenedRun) -> list[Wanted]:
    """New shapes, of codes that the model takes for likely."""
    model = opened.model
    if not isinstance(model, Generator):
        raise ConfigError(f"--sample: {opened.recipe.model} cannot make up codes. Train `onet` with --config vae.")
    with torch.no_grad():
        codes = model.prior_codes(wanted.sample or 1, torch.Generator().manual_seed(wanted.seed))
    return [Wanted(f"sample-{number:04d}", code.to(model.device), None, "sample") for number, code in enumerate(codes)]
