"""`render-views --layout`: views straight to the files of other people's training code.

They are rendered with straight colours where the layout has opacity, so that nothing is lost to a background.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError, suggestion
from shapetool.pipelines.preload import PRELOAD
from shapetool.recipes import ViewsRecipe
from shapetool.recipes.views import VIEW_LAYOUTS
from shapetool.runner.items import Item
from shapetool.runner.job import OutputError, Record
from shapetool.runner.run import is_file

if TYPE_CHECKING:
    from shapetool.pipelines.render_views import ViewsJob

SHARDS = VIEW_LAYOUTS[0]
CHANNELS = {
    "nerf": ("rgb", "alpha"),
    "nerfstudio": ("rgb", "alpha", "depth", "silhouette"),
    "r2n2": ("rgb", "alpha"),
    "neus": ("rgb", "silhouette"),
}
"""What a layout holds."""


def check_layout(layout: str) -> None:
    """None, if there is such a layout.

    Raises:
        ConfigError: there is none.
    """
    if layout not in VIEW_LAYOUTS:
        raise ConfigError(f"--layout {layout}: unknown{suggestion(layout, VIEW_LAYOUTS)}")


def decided_by(layout: str) -> tuple[str, ...]:
    """The settings that a layout leaves no choice about."""
    if layout not in CHANNELS:
        return ()
    return ("channels", "background") if "alpha" in CHANNELS[layout] else ("channels",)


def for_layout(recipe: ViewsRecipe, layout: str) -> ViewsRecipe:
    """The recipe with the channels of a layout, and without a background where that has opacity."""
    if layout == SHARDS:
        return recipe
    changed = recipe.replace(channels=CHANNELS[layout])
    return changed.replace(background="transparent") if "alpha" in CHANNELS[layout] else changed


@dataclass(frozen=True)
class LayoutJob:
    """Renders one mesh to the files of a layout in `folder`, for the runner.

    Its record is `<id>.cameras.json`, written last: the cameras, as `--cameras` reads them.
    """

    job: ViewsJob
    layout: str
    folder: Path
    kind: str = "view-files"
    pure: bool = False  # it writes into OUT itself, so nothing of it is tried for an estimate
    suffix: str = "cameras.json"
    preload: tuple[str, ...] = (*PRELOAD["render-views"], *PRELOAD["convert"])

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.job.seed

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the bytes, as JSON."""
        return self.job.settings | {"layout": self.layout}

    @property
    def bytes_per_shape(self) -> int:
        """The size of the pixels of one shape."""
        return self.job.bytes_per_shape

    def __call__(self, item: Item, threads: int) -> Record:
        """The cameras of one item, after its files are written.

        Raises:
            MeshError: the file holds no usable mesh.
            DataError: the cameras do not fit the layout.
            OutputError: the files cannot be written.
        """
        import numpy as np

        from shapetool.data.atomic import remove_leftovers
        from shapetool.data.formats import load_format
        from shapetool.pipelines.render_views import render_one
        from shapetool.render.camera_file import cameras_text
        from shapetool.render.cameras import Cameras

        recipe, module = self.job.recipe, load_format(self.layout)
        made = render_one(self.job, item.path, item.id, root=item.root, threads=threads)
        about = {"background": recipe.background, "projection": recipe.projection}
        try:
            for place in {path.parent for path in module.files(self.folder, item.id)}:
                if place.is_dir():
                    remove_leftovers(place)
            module.write(self.folder, {**made.columns, "recipe": about})
        except OSError as error:
            raise OutputError(str(error)) from error
        cameras = Cameras((recipe.height, recipe.width), made.columns["intrinsics"], made.columns["pose"])
        return Record({"content": np.frombuffer(cameras_text(cameras).encode(), np.uint8)}, made.facts)


def layout_job(job: ViewsJob, layout: str, out: Path) -> LayoutJob:
    """The job that writes this layout in place of shards.

    Raises:
        ConfigError: `out` is one file, or the layout has no words for such cameras.
    """
    recipe = job.recipe
    if is_file(out):
        raise ConfigError(
            f"{out}: expected a folder as OUT, for --layout {layout} has files of its own for each shape."
        )
    if recipe.projection != "perspective":
        raise ConfigError(f"--layout {layout}: has pinholes only. Use --projection perspective, or --layout h5.")
    if layout == "r2n2" and recipe.up != "y":
        raise ConfigError("--layout r2n2: its cameras have y upwards. Use --up y.")
    if layout == "r2n2" and recipe.cameras in ("sphere", "hammersley"):
        raise ConfigError(f"--layout r2n2: has a lens of its own. Use --cameras r2n2, not {recipe.cameras}.")
    return LayoutJob(job, layout, out.absolute())
