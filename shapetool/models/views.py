"""Views of a shape as an encoder of pictures takes them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from shapetool.models.base import Facts, Shape

COVERS = ("alpha", "silhouette")
"""Columns that say what a shape covers; the first that is there becomes a fourth plane."""


def views_of(shape: Shape, rows: Sequence[int] | np.ndarray) -> Float[np.ndarray, "N A H W"]:
    """Some views of a shape, from 0 to 1: three colours, and what it covers if the data have that."""
    planes = np.moveaxis(shape.read("images")[rows], -1, 1).astype(np.float32) / np.float32(255)
    cover = next((name for name in COVERS if name in shape), None)
    if cover is None:
        return planes
    full = np.float32(255 if cover == "alpha" else 1)
    return np.concatenate([planes, shape.read(cover)[rows][:, None].astype(np.float32) / full], axis=1)


def planes_of(facts: Facts) -> int:
    """How many planes `views_of` gives of these data."""
    return 4 if set(COVERS) & set(facts.sizes) else 3


def picture_size(facts: Facts) -> int:
    """The shorter side of the views in pixels."""
    return min(facts.sizes["images"][1:3])
