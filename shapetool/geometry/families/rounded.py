"""The family of boxes with round edges: smooth everywhere, with an exact distance in closed form."""

import itertools
import math

import numpy as np
from jaxtyping import Float

from shapetool.geometry import analytic
from shapetool.geometry.analytic import Field
from shapetool.geometry.families.furniture import Parameters, draw
from shapetool.geometry.mesh import Mesh


def draw_rounded_box(rng: np.random.Generator) -> Parameters:
    """The sides of a box, and by which share of its shortest half side its edges are round."""
    shape = draw(rng, width=(0.3, 1.0), depth=(0.3, 1.0), height=(0.3, 1.0), roundness=(0.2, 0.8))
    sides = (shape["width"], shape["depth"], shape["height"])
    return shape | {"radius": shape.pop("roundness") * min(sides) / 2}


def rounded_box_truth(shape: Parameters) -> Field:
    """The distance of the smooth solid."""
    half = _half(shape) - shape["radius"]
    return analytic.rounded(analytic.box(tuple(-half), tuple(half)), shape["radius"])


def rounded_box_mesh(shape: Parameters) -> Mesh:
    """A sphere cut along the coordinate planes, its eight parts moved apart, with faces and quarter pipes between."""
    half, radius, rows = _half(shape), shape["radius"], _rows(shape)
    angles = np.linspace(0, math.pi / 4, rows + 1)
    steps = np.concatenate([-np.tan(angles[::-1]), np.tan(angles)])  # both middle ones are 0: a flat strip between
    sides = np.sign(np.arange(len(steps)) - rows - 0.5)
    u, v = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    side_u, side_v = (axis.ravel() for axis in np.meshgrid(sides, sides, indexing="ij"))
    vertices, faces, start = [], [], 0
    count = len(steps)
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    quads = np.stack([corner, corner + count, corner + count + 1, corner + 1], axis=1)
    for axis, sign in itertools.product(range(3), (-1.0, 1.0)):
        direction, side = np.empty((len(u), 3)), np.empty((len(u), 3))
        for column, (value, of) in enumerate(((np.full_like(u, sign), sign), (u, side_u), (v, side_v))):
            direction[:, (axis + column) % 3], side[:, (axis + column) % 3] = value, of
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        vertices.append(side * (half - radius) + radius * direction)
        turned = quads if sign > 0 else quads[:, ::-1]
        faces.append(np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]]) + start)
        start += len(u)
    return _joined(np.concatenate(vertices), np.concatenate(faces))


def rounded_box_error(shape: Parameters) -> float:
    """How far a face may lie within the sphere: a cell is at most a square of this angle, skewed at corners.

    The circle through three corners of a skewed square has at most 0.8 of its side as its radius.
    """
    step = math.pi / 4 / _rows(shape)
    return float(shape["radius"] * (1 - math.cos(0.8 * step)))


def _half(shape: Parameters) -> Float[np.ndarray, "3"]:
    return np.array([shape["width"], shape["depth"], shape["height"]]) / 2


def _rows(shape: Parameters) -> int:
    """Cells over an eighth of a circle."""
    return max(1, shape["segments"] // 8)


def _joined(vertices: Float[np.ndarray, "N 3"], faces: np.ndarray) -> Mesh:
    """The mesh with vertices at one place merged: where parts of the cube meet, both computed them."""
    _, first, place = np.unique(np.round(vertices, 9), axis=0, return_index=True, return_inverse=True)
    return Mesh(vertices[first], place.reshape(-1)[faces])
