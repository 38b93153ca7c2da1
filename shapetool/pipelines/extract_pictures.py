"""What `extract` draws: a table of meshes, and views of fields that were never meshes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.atomic import write_whole
from shapetool.geometry.frame import fit
from shapetool.geometry.mesh import load_mesh
from shapetool.pipelines.extract_sources import Wanted
from shapetool.pipelines.view_pictures import SHEET_SHAPES, check_place, ring_of
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.sheet import contact_sheet
from shapetool.render.sphere_trace import Box, March, TorchField, sphere_traced_views
from shapetool.render.views import render_views

TILE, ACROSS = 160, 4


def draw_meshes(folder: Path, files: Sequence[str], picture: Path) -> None:
    """None, once a table of the first meshes, each from all sides, is a PNG.

    Raises:
        ConfigError: `picture` is no place for a PNG.
    """
    check_place("--contact-sheet", picture, ".png")
    how = replace(ViewsRecipe(), channels=("rgb",))
    cameras = ring_of(ACROSS, TILE, how)
    shown = list(files[:SHEET_SHAPES])

    def rows() -> Iterator[tuple[str, list[Any]]]:
        for file in shown:
            mesh = load_mesh(folder / file)
            yield file, list(render_views(fit(mesh).apply_mesh(mesh), cameras, how).channels["rgb"])

    write_whole(picture, contact_sheet(rows(), len(shown), ACROSS, TILE))


def draw_fields(model: Any, shapes: Sequence[Wanted], box: Box, folder: Path) -> None:
    """None, once `folder/<id>.png` shows each field from all sides, by sphere tracing."""
    for shape in shapes:
        picture = folder / f"{shape.name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        rows = [(shape.name, traced_views(model, shape.code, box, ACROSS, TILE))]
        write_whole(picture, contact_sheet(rows, 1, ACROSS, TILE))


def traced_views(model: Any, code: Any, box: Box, count: int, size: int) -> list[np.ndarray]:
    """Colour views of the field of a code from around."""
    import torch

    how = replace(ViewsRecipe(), channels=("rgb",), samples=1)
    half = box[1][0]
    # Learned fields are steeper than a distance here and there, and flat beyond their clamp.
    clamp = getattr(model.config, "clamp", 0.1)
    march = March(lipschitz=model.lipschitz or 1.5, clamp=clamp, least=half / 50, tolerance=1e-3, steps=200)
    field = TorchField(lambda points: model.values(points[None], code[None])[0], model.device, torch.float32)
    return list(sphere_traced_views(field, ring_of(count, size, how), how, box, march).channels["rgb"])
