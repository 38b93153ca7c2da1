"""What a run shows of itself: curves of its log, pictures of a few shapes on the way, scalars for TensorBoard."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from shapetool.data.atomic import write_whole
from shapetool.errors import ConfigError, MeshError
from shapetool.models.base import FieldModel, Model
from shapetool.training.log import draw_curves, read_log
from shapetool.training.runs import RunRecipe

SHOWN = 6
SIZE = 128
VIEWS = 2
NODES = 64  # along each axis of the mesh that is shown


class Pictures:
    """Draws into a run folder; `samples/` has a contact sheet a milestone."""

    def __init__(self, folder: Path, recipe: RunRecipe, model: Model[Any], tensorboard: bool) -> None:
        self.folder, self.recipe, self.model = folder, recipe, model
        self._writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]

    def hear(self, event: dict[str, Any]) -> None:
        """None; scalars of a step go to TensorBoard."""
        if self._writer is not None and event["event"] == "step":
            for name, value in event.items():
                if isinstance(value, float) and name not in ("progress", "seconds"):
                    self._writer.add_scalar(name, value, event["step"])

    def draw(self, step: int) -> None:
        """None, once there are curves so far and a picture of the first shapes."""
        self._curves()
        if isinstance(self.model, FieldModel):
            image = field_sheet(self.model, self.recipe)
            (self.folder / "samples").mkdir(exist_ok=True)
            write_whole(self.folder / "samples" / f"step-{step:07d}.png", image)

    def close(self) -> None:
        """None, once the curves are those of the whole log."""
        self._curves()
        if self._writer is not None:
            self._writer.close()

    def _curves(self) -> None:
        entries = read_log(self.folder / "log.jsonl")
        if entries:
            write_whole(self.folder / "curves.png", draw_curves(entries, f"{self.recipe.model}: {self.folder.name}"))


def field_sheet(model: Any, recipe: RunRecipe, size: int = SIZE) -> bytes:
    """A contact sheet of the first shapes that a model was trained on; a row is empty where there is no surface yet."""
    from shapetool.pipelines.codes import codes_for
    from shapetool.render.sheet import contact_sheet
    from shapetool.training.shapes import open_shapes

    names = recipe.facts.shape_ids[:SHOWN]
    shapes = open_shapes([Path(path) for path in recipe.data], names)
    rows = [_views(model, code, size) for code in codes_for(model, recipe, shapes)]
    return contact_sheet(zip(names, rows, strict=True), len(rows), VIEWS, size)


def _views(model: Any, code: Tensor, size: int) -> list[np.ndarray]:
    """Views of a coarse mesh of a field, which costs a hundredth of the evaluations that tracing the field would."""
    from shapetool.extraction.surface import extract_surface
    from shapetool.pipelines.extract import field_of
    from shapetool.pipelines.view_pictures import ring_of
    from shapetool.recipes.views import ViewsRecipe
    from shapetool.render.views import render_views

    half = float(model.extent)
    how = replace(ViewsRecipe(), channels=("rgb",))
    try:
        mesh = extract_surface(field_of(model, code), ((-half,) * 3, (half,) * 3), NODES)
    except (MeshError, ConfigError):
        return []
    return list(render_views(mesh, ring_of(VIEWS, size, how), how).channels["rgb"])
