"""Views in a layout of others, read into shards for `convert`.

The numerical modules are imported where they are used, as in `sample_sdf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError, DataError
from shapetool.pipelines.export import Conversion
from shapetool.pipelines.preload import PRELOAD
from shapetool.runner.items import Item
from shapetool.runner.job import Record

if TYPE_CHECKING:
    from shapetool.data.formats.view_rows import ViewSizes


@dataclass(frozen=True)
class ImportViewsJob:
    """Reads the views of one shape of a foreign layout, for the runner. All shapes have equally many, of one size."""

    layout: str
    views: int
    height: int
    width: int
    columns: tuple[str, ...]
    seed: int = 0
    kind: str = "views"
    preload: tuple[str, ...] = PRELOAD["convert"]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the bytes, as JSON, in the words of a recipe of views; colours with opacity are over white."""
        from shapetool.data.formats.view_rows import CHANNELS

        sizes = {"views": self.views, "height": self.height, "width": self.width}
        said = {"name": f"import-{self.layout}", "backend": "imported", "cameras": "file", "projection": "perspective"}
        said |= {"background": "white"} if "alpha" in self.columns else {}
        return said | sizes | {"channels": [CHANNELS[name] for name in self.columns]}

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        from shapetool.data.formats.view_rows import PIXEL_BYTES

        pixel = sum(PIXEL_BYTES[name] for name in self.columns)
        return self.views * (self.height * self.width * pixel + 8 * (9 + 16))

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one shape.

        Raises:
            ConfigError: a camera is none; the message names it.
            DataError: its files are missing, not of the layout, or hold other views than those of the other shapes.
        """
        from shapetool.data.formats import load_format
        from shapetool.render.cameras import Cameras

        columns = load_format(self.layout).read(item.path, item.root)
        held = columns["images"].shape
        wanted = f"{self.views} views of {self.height}x{self.width} with {', '.join(self.columns)}"
        if held[0] < self.views or held[1:3] != (self.height, self.width) or not set(self.columns) <= set(columns):
            found = (
                f"{held[0]} of {held[1]}x{held[2]} with {', '.join(name for name in self.columns if name in columns)}"
            )
            raise DataError(f"{item.path}: expected {wanted} as in the other shapes, found {found}. Convert it alone.")
        Cameras((self.height, self.width), columns["intrinsics"], columns["pose"])
        kept = {name: columns[name][: self.views] for name in ("intrinsics", "pose", *self.columns)}
        frame = {name: columns[name] for name in ("scale", "offset", "watertight", "sign_method")}
        return Record({**frame, **kept, "shape_id": item.id, "source": item.source}, {"warnings": []})


def views_job(layout: str, sizes: Sequence[ViewSizes], conversion: Conversion) -> ImportViewsJob:
    """The job that reads as many views of each shape as every shape has, in the size of the first.

    Raises:
        ConfigError: a number of points was asked for.
    """
    if conversion.count is not None or conversion.surface_count is not None:
        raise ConfigError(f"--count: {layout} holds views, not points. Leave it out, and --surface-count too.")
    columns = tuple(name for name in sizes[0].columns if all(name in size.columns for size in sizes))
    views = min(size.views for size in sizes)
    return ImportViewsJob(layout, views, sizes[0].height, sizes[0].width, columns, conversion.seed)
