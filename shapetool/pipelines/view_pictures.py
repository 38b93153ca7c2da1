"""Contact sheets and turntables of a finished run of `render-views`, and the picture of a mesh for `info`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.data.atomic import write_whole
from shapetool.errors import ConfigError
from shapetool.geometry.wording import plural
from shapetool.recipes import ViewsRecipe
from shapetool.recipes.views import COLUMNS
from shapetool.runner.items import Item
from shapetool.runner.job import Options
from shapetool.runner.run import is_file, run_job

if TYPE_CHECKING:
    from shapetool.data.reading import Dataset
    from shapetool.pipelines.render_views import ViewsJob
    from shapetool.render.cameras import Cameras

SHEET_SHAPES, SHEET_VIEWS, SHEET_TILE = 32, 8, 128
TURNING, FRAMES, TURNING_TILE = 6, 36, 192
INFO_VIEWS, INFO_TILE = 4, 256
ELEVATION = 20.0  # degrees
_LIGHT = ("up", "background", "ambient", "shadows", "occlusion", "samples", "smooth", "crease")  # of a recipe


@dataclass(frozen=True)
class Pictures:
    """What is drawn of a finished run for people to look at: a table of views as PNG, turning shapes as GIF."""

    contact_sheet: Path | None = None
    turntable: Path | None = None


def check_pictures(pictures: Pictures | None, out: Path, recipe: ViewsRecipe) -> None:
    """None, if the pictures can be made where they are wanted.

    Raises:
        ConfigError: another suffix, no such folder, a place inside of the data set, or nothing to show.
    """
    if pictures is None:
        return
    for option, path, suffix in (
        ("--contact-sheet", pictures.contact_sheet, ".png"),
        ("--turntable", pictures.turntable, ".gif"),
    ):
        if path is not None:
            check_place(option, path, suffix)
            if not is_file(out) and out.absolute() in path.absolute().parents:
                raise ConfigError(f"{option} {path}: lies in {out}, which holds the data set alone. Put it elsewhere.")
    from shapetool.render.sheet import SHOWN

    if pictures.contact_sheet is not None and not {COLUMNS.get(name, name) for name in recipe.channels} & set(SHOWN):
        raise ConfigError("--contact-sheet: the channels hold nothing to look at. Add rgb or depth to --channels.")


def check_place(option: str, path: Path, suffix: str) -> None:
    """None, if a picture with this suffix can have this name.

    Raises:
        ConfigError: it cannot.
    """
    if path.suffix.lower() != suffix:
        raise ConfigError(f"{option} {path}: expected a name that ends in {suffix}.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{option} {path}: expected a folder that exists, found no {path.parent}.")


def draw_pictures(
    pictures: Pictures | None, job: ViewsJob, items: Sequence[Item], out: Path, options: Options
) -> str | None:
    """What stopped it, or None once the pictures of the data set at `out` are there.

    Raises:
        DataError: the data set is damaged.
        OSError: a picture cannot be written.
    """
    from shapetool.data.reading import open_dataset

    if pictures is None or pictures == Pictures():
        return None
    with open_dataset(out, partial=True) as dataset:
        if not len(dataset):
            options.emit("notice", text="no picture is drawn, for no shape could be rendered.")
            return None
        if pictures.contact_sheet is not None:
            draw_sheet(dataset, pictures.contact_sheet, options)
        chosen = [item for item in items if item.id in set(dataset.shape_ids[:TURNING])]
    return None if pictures.turntable is None else _turning(pictures.turntable, job, chosen, options)


def draw_sheet(dataset: Dataset, path: Path, options: Options) -> None:
    """None, once a table of the first shapes and views of a data set is a PNG at `path`.

    Raises:
        DataError: the data set is damaged.
        OSError: the picture cannot be written.
    """
    from shapetool.render.sheet import SHOWN, contact_sheet, over_white, shown

    column = next(name for name in SHOWN if name in dataset.columns)
    across, count = min(SHEET_VIEWS, dataset.shapes["pose"][1][0]), min(SHEET_SHAPES, len(dataset))

    clear = column == "images" and dataset.recipe.get("background") == "transparent" and "alpha" in dataset.columns

    def rows() -> Iterator[tuple[str, list[Any]]]:
        for number in range(count):
            views = dataset.read(number, column, slice(0, across))
            if clear:
                views = over_white(views, dataset.read(number, "alpha", slice(0, across)))
            yield dataset.shape_ids[number], [shown({column: view}) for view in views]

    write_whole(path, contact_sheet(rows(), count, across, SHEET_TILE))
    if count < len(dataset):
        options.emit("notice", text=f"{path} shows the first {count} of {plural(len(dataset), 'shape')}.")


def _turning(path: Path, job: ViewsJob, items: Sequence[Item], options: Options) -> str | None:
    """What stopped it, or None once these shapes turn in a GIF at `path`; they are rendered anew, from a ring."""
    from shapetool.data.reading import open_dataset
    from shapetool.pipelines.render_views import of_cameras
    from shapetool.render.sheet import shown, turntable

    ring = of_cameras(_plain(job.recipe), ring_of(FRAMES, TURNING_TILE, job.recipe), job.seed)
    quiet = Options(workers=options.workers, item_timeout=options.item_timeout, item_memory=options.item_memory)
    with tempfile.TemporaryDirectory() as place:
        summary = run_job(ring, items, Path(place) / "ring", quiet)
        if summary.stopped is not None:
            return summary.stopped
        with open_dataset(Path(place) / "ring") as dataset:
            if not len(dataset):
                options.emit("notice", text=f"{path} is not drawn, for no shape could be rendered again.")
                return None
            frames = (
                [shown({"images": dataset.read(i, "images", slice(f, f + 1))[0]}) for i in range(len(dataset))]
                for f in range(FRAMES)
            )
            write_whole(path, turntable(dataset.shape_ids, frames, TURNING_TILE))
    return None


def draw_mesh(path: Path, picture: Path) -> None:
    """None, once a PNG at `picture` shows a mesh from all sides.

    Raises:
        MeshError: the mesh cannot be read.
        OSError: the picture cannot be written.
    """
    from shapetool.pipelines.render_views import of_cameras, seen
    from shapetool.render.sheet import contact_sheet

    plain = _plain(ViewsRecipe())
    job = of_cameras(plain, ring_of(INFO_VIEWS, INFO_TILE, plain), 0)
    _, views, _, _ = seen(job, path, path.name)
    write_whole(picture, contact_sheet([(path.name, list(views.channels["rgb"]))], 1, INFO_VIEWS, INFO_TILE))


def ring_of(count: int, pixels: int, recipe: ViewsRecipe) -> Cameras:
    """Cameras around the shape, a little above it, that see the whole unit sphere; the first from front and right."""
    import math

    import numpy as np

    from shapetool.render.cameras import Cameras, directions_of, focal_of, look_at, pinhole

    fov = ViewsRecipe.fov
    turn = np.arange(count) * (360 / count) - 60
    positions = directions_of(turn, np.full(count, ELEVATION), recipe.up) / math.sin(math.radians(fov) / 2)
    matrix = pinhole(focal_of(fov, pixels), (pixels, pixels))
    return Cameras((pixels, pixels), np.tile(matrix, (count, 1, 1)), look_at(positions, up=recipe.up))


def _plain(recipe: ViewsRecipe) -> ViewsRecipe:
    """The light of a recipe with its colour alone, and every shape as large as the picture."""
    if recipe.background == "transparent":
        recipe = replace(recipe, background="white")
    return replace(ViewsRecipe(), **{name: getattr(recipe, name) for name in _LIGHT}, channels=("rgb",))
