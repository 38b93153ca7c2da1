"""Views as pictures for people: tables of shapes with their names, and shapes that turn."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from shapetool.geometry.wording import printable

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = ("images", "normals", "camera_normals", "coordinates", "depth", "ray_length", "silhouette", "alpha")
"""The columns of a shard that a picture can be made of, the best first."""

LABEL = 16  # pixels below a shape for its name
GAP = 4
FRAME_MILLISECONDS = 80


def shown(columns: Mapping[str, np.ndarray]) -> UInt8[np.ndarray, "H W 3"]:
    """One view as a picture: its colour if it has one, else what tells most of its shape."""
    name = next(name for name in SHOWN if name in columns)
    values = columns[name]
    if name == "images":
        return values
    if name == "silhouette":
        return _grey(np.where(values, 0.25, 1.0))
    if name == "alpha":
        return _grey(1 - 0.75 * values.astype(np.float64) / 255)
    if name in ("depth", "ray_length"):
        hit = values > 0
        near, far = (values[hit].min(), values[hit].max()) if hit.any() else (0.0, 1.0)
        return _grey(np.where(hit, 0.2 + 0.6 * (values - near) / max(far - near, 1e-12), 1.0))
    hit = (values != 0).any(axis=-1, keepdims=True)
    picture: np.ndarray = np.rint(255 * np.clip(np.where(hit, (values + 1) / 2, 1.0), 0, 1)).astype(np.uint8)
    return picture


def over_white(views: UInt8[np.ndarray, "N H W 3"], alpha: UInt8[np.ndarray, "N H W"]) -> UInt8[np.ndarray, "N H W 3"]:
    """Straight colours over white."""
    share = alpha[..., None].astype(np.float64) / 255
    picture: np.ndarray = np.rint(share * views + (1 - share) * 255).astype(np.uint8)
    return picture


def contact_sheet(
    rows: Iterable[tuple[str, Sequence[UInt8[np.ndarray, "H W 3"]]]], count: int, across: int, tile: int
) -> bytes:
    """A PNG of `count` shapes, a row each, its name above `across` of its views; pictures fit in `tile` pixels.

    The rows are asked for one at a time.
    """
    from PIL import Image, ImageDraw

    width, height = across * (tile + GAP) + GAP, count * (tile + LABEL + GAP) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, views) in enumerate(rows):
        top = GAP + number * (tile + LABEL + GAP)
        _write(draw, (GAP, top), name, width - 2 * GAP)
        for column, view in enumerate(views[:across]):
            _place(sheet, view, (GAP + column * (tile + GAP), top + LABEL, tile))
    return _png(sheet)


def turntable(names: Sequence[str], frames: Iterable[Sequence[UInt8[np.ndarray, "H W 3"]]], tile: int) -> bytes:
    """A GIF that loops: in each frame a picture of every shape, with its name below; frames are asked for in order."""
    from PIL import Image

    columns = math.ceil(math.sqrt(len(names)))
    rows = math.ceil(len(names) / columns)
    size = columns * (tile + GAP) + GAP, rows * (tile + LABEL + GAP) + GAP

    def drawn() -> Iterator[Image.Image]:
        from PIL import ImageDraw

        for views in frames:
            picture = Image.new("RGB", size, "white")
            draw = ImageDraw.Draw(picture)
            for number, (name, view) in enumerate(zip(names, views, strict=True)):
                left = GAP + number % columns * (tile + GAP)
                top = GAP + number // columns * (tile + LABEL + GAP)
                _place(picture, view, (left, top, tile))
                _write(draw, (left, top + tile + 2), name, tile)
            # One palette for all frames would have to be found before the first is written.
            yield picture.quantize(128, dither=Image.Dither.NONE)

    pictures = drawn()
    out = io.BytesIO()
    first = next(pictures)
    first.save(out, "GIF", save_all=True, append_images=pictures, duration=FRAME_MILLISECONDS, loop=0, optimize=False)
    return out.getvalue()


def _place(sheet: Image, view: UInt8[np.ndarray, "H W 3"], place: tuple[int, int, int]) -> None:
    """Draws a view into the square at (left, top) of a size, in its middle, smaller if it must be."""
    from PIL import Image

    left, top, tile = place
    image = Image.fromarray(np.ascontiguousarray(view))
    share = tile / max(image.size)
    if share < 1:
        image = image.resize(
            (max(1, round(image.width * share)), max(1, round(image.height * share))), Image.Resampling.BOX
        )
    sheet.paste(image, (left + (tile - image.width) // 2, top + (tile - image.height) // 2))


def _write(draw: Any, place: tuple[int, int], name: str, width: int) -> None:
    """Writes a name in at most so many pixels; of one that is longer, its end."""
    from PIL import ImageFont

    font = ImageFont.load_default(11)
    text = printable(name)
    if draw.textlength(text, font) > width:
        while len(text) > 1 and draw.textlength(f"...{text}", font) > width:
            text = text[1:]
        text = f"...{text}"
    draw.text(place, text, fill="black", font=font)


def _grey(values: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    levels = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)


def _png(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
