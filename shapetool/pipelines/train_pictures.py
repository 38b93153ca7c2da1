"""What a run shows of itself: curves of its log, pictures of a few shapes on the way, scalars for TensorBoard."""

from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole
from shapetool.errors import ConfigError
from shapetool.models.base import FieldModel, Model
from shapetool.training.log import draw_curves, read_log
from shapetool.training.runs import RunRecipe

SHOWN = 6
SIZE = 128
VIEWS = 2


class Pictures:
    """Draws into a run folder; `samples/` has a contact sheet a milestone.

    Raises:
        ConfigError: TensorBoard was asked for and is not installed.
    """

    def __init__(self, folder: Path, recipe: RunRecipe, model: Model[Any], tensorboard: bool) -> None:
        self.folder, self.recipe, self.model = folder, recipe, model
        self._writer: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ConfigError("--tensorboard: install the extra: pip install 'shapetool[tensorboard]'.") from error
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
    """A contact sheet of the first shapes that a model was trained on."""
    from shapetool.pipelines.codes import codes_for
    from shapetool.pipelines.extract_pictures import traced_views
    from shapetool.render.sheet import contact_sheet
    from shapetool.training.shapes import open_shapes

    names = recipe.facts.shape_ids[:SHOWN]
    shapes = open_shapes([Path(path) for path in recipe.data], names)
    codes = codes_for(model, recipe, shapes)
    half = float(model.extent)
    box = ((-half,) * 3, (half,) * 3)
    rows = [traced_views(model, code, box, VIEWS, size) for code in codes]
    return contact_sheet(zip(names, rows, strict=True), len(rows), VIEWS, size)
