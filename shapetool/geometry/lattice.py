"""Signed distances at the nodes of a lattice, equal to the bit to those of scattered points."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError
from shapetool.geometry.backends import load_backend
from shapetool.geometry.flood_sign import FloodField
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField

Box = tuple[tuple[float, float, float], tuple[float, float, float]]


def lattice_distances(
    mesh_or_field: Mesh | SignedField | FloodField,
    box: Box,
    resolution: int,
    sign: str = "auto",
    truncate: float | None = None,
    threads: int | None = None,
) -> Float[np.ndarray, "X Y Z"]:
    """The signed distance at each of `resolution`^3 nodes of `box` (low corner, high corner), negative inside.

    `values[i, j, k]` belongs to (x_i, y_j, z_k), with x_i = low + i * (high - low) / (resolution - 1): the first and
    the last node lie on the faces of the box. The values are those of `SignedField`, to the last bit. With `truncate`
    they are cut at -truncate and truncate. Of a field, its own sign method and threads are used.

    Raises:
        ConfigError: fewer than two nodes along an axis, a box without extent, a truncation that is not above 0, or an
            unknown sign method.
        MeshError: no face.
    """
    axes = lattice_axes(box, resolution)
    if truncate is not None and not (math.isfinite(truncate) and truncate > 0):
        raise ConfigError(f"truncate is {truncate}; expected a distance above 0.")
    field: Any = mesh_or_field
    if isinstance(mesh_or_field, Mesh):
        field = load_backend("native")(mesh_or_field, sign, threads)
    values: np.ndarray = field.at_nodes(*axes)
    return values if truncate is None else np.clip(values, -truncate, truncate, out=values)


def lattice_axes(box: Box, resolution: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The coordinates of the nodes along x, y and z.

    Raises:
        ConfigError: fewer than two nodes, or a box that is not finite or has no extent.
    """
    if resolution < 2:
        raise ConfigError(f"resolution is {resolution}; expected at least 2 nodes along each axis.")
    low, high = np.asarray(box[0], dtype=np.float64), np.asarray(box[1], dtype=np.float64)
    if low.shape != (3,) or high.shape != (3,) or not np.isfinite([low, high]).all() or not (low < high).all():
        raise ConfigError(
            f"box is {low.tolist()} to {high.tolist()}; expected two corners of three finite numbers, low below high."
        )
    nodes = np.arange(resolution)[:, None]
    rows = low + nodes * (high - low) / (resolution - 1)
    rows[-1] = high
    x, y, z = np.ascontiguousarray(rows.T)
    return x, y, z
