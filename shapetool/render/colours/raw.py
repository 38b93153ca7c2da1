"""What every source of colour gives: corners, materials, texture coordinates and colours, triangle by triangle."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.polygons import triangulate
from shapetool.render.colours.texture import Texture

NEUTRAL = 0.7  # the grey of a surface without a colour


@dataclass(frozen=True, eq=False)
class Material:
    """The colour of a part of a surface: `factor` times its texture, times the colours of corners if it uses them."""

    factor: tuple[float, float, float] = (NEUTRAL, NEUTRAL, NEUTRAL)
    texture: Texture | None = None
    corner_colours: bool = False


@dataclass(frozen=True, eq=False)
class RawPaint:
    """The colours of triangles in the order of the file.

    `linear` says that factors and corner colours are light (as in glTF); otherwise they stand as in an image file.
    """

    corners: Float[np.ndarray, "T 3 3"]  # positions
    materials: list[Material]
    material: Int[np.ndarray, " T"]  # an index into the materials
    uv: Float[np.ndarray, "T 3 2"] | None = None
    colours: Float[np.ndarray, "T 3 3"] | None = None
    linear: bool = False


def cut(
    positions: Float[np.ndarray, "C 3"], sizes: Int[np.ndarray, "N"]
) -> tuple[Int[np.ndarray, "T 3"], Int[np.ndarray, " T"]]:
    """The corners of each triangle that the polygons are cut into, and its polygon; each corner has its position.

    The same cuts as of the reader: they depend on positions alone.
    """
    faces, _ = triangulate(positions, np.arange(len(positions)), sizes)
    return faces, np.repeat(np.arange(len(sizes)), sizes)[faces[:, 0]]


def in_unit(colours: np.ndarray) -> Float[np.ndarray, "N 3"]:
    """Colours of 0 to 1: whole numbers by the range of their type, and floats above 1 taken as 0 to 255."""
    if colours.dtype.kind in "iu":
        top = float(np.iinfo(colours.dtype).max) if colours.dtype.itemsize < 4 else 255.0
    else:
        top = 255.0 if colours.size and np.nanmax(colours) > 1 else 1.0
    return np.clip(np.nan_to_num(colours.astype(np.float64) / top), 0, 1)
