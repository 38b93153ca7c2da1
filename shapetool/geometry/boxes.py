"""The surface of a union of boxes along the axes, worked out on the lattice of their own coordinates."""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh


def box_union_mesh(boxes: Float[np.ndarray, "N 2 3"]) -> Mesh:
    """The closed surface of the union of boxes, wound outward, without the walls that the boxes share.

    Every plane of a box cuts all the others, so neighbouring rectangles meet corner to corner.

    Raises:
        ConfigError: the boxes meet only along an edge or at a corner somewhere, which no closed surface allows.
    """
    axes, filled = _lattice(boxes)
    quads = []
    for axis in range(3):
        for side in (0, 1):
            cells = np.argwhere(_exposed(filled, axis, side))
            quads.append(_quads(cells, axis, side))
    corners = np.concatenate(quads)
    shape = tuple(len(values) for values in axes)
    numbers = np.ravel_multi_index(tuple(np.moveaxis(corners, -1, 0)), shape)
    used, quad = np.unique(numbers, return_inverse=True)
    i, j, k = np.unravel_index(used, shape)
    vertices = np.stack([axes[0][i], axes[1][j], axes[2][k]], axis=1)
    quad = quad.reshape(-1, 4)
    faces = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    _check_edges(faces)
    return Mesh(vertices, faces)


def boundary_rectangles(
    boxes: Float[np.ndarray, "N 2 3"],
) -> tuple[Float[np.ndarray, "R 3"], Float[np.ndarray, "R 3"]]:
    """The low and the high corners of the rectangles that bound the union; one extent of each is zero."""
    axes, filled = _lattice(boxes)
    low, high = [], []
    for axis in range(3):
        for side in (0, 1):
            cells = np.argwhere(_exposed(filled, axis, side))
            first = np.stack([axes[a][cells[:, a]] for a in range(3)], axis=1)
            last = np.stack([axes[a][cells[:, a] + 1] for a in range(3)], axis=1)
            (first if side else last)[:, axis] = (last if side else first)[:, axis]
            low.append(first)
            high.append(last)
    return np.concatenate(low), np.concatenate(high)


def _lattice(boxes: Float[np.ndarray, "N 2 3"]) -> tuple[list[Float[np.ndarray, "_"]], Bool[np.ndarray, "X Y Z"]]:
    """The sorted coordinates along each axis, and which cells between them some box fills."""
    axes = [np.unique(boxes[:, :, axis]) for axis in range(3)]
    filled = np.zeros([len(values) - 1 for values in axes], dtype=bool)
    for corners in boxes:
        start, end = (
            [int(np.searchsorted(values, corner)) for values, corner in zip(axes, row, strict=True)] for row in corners
        )
        filled[start[0] : end[0], start[1] : end[1], start[2] : end[2]] = True
    return axes, filled


def _exposed(filled: Bool[np.ndarray, "X Y Z"], axis: int, side: int) -> Bool[np.ndarray, "X Y Z"]:
    """The filled cells whose neighbour on that side along the axis is empty or outside of the lattice."""
    moved = np.moveaxis(filled, axis, 0)
    neighbour = np.zeros_like(moved)
    if side:
        neighbour[:-1] = moved[1:]
    else:
        neighbour[1:] = moved[:-1]
    return np.moveaxis(moved & ~neighbour, 0, axis)


def _quads(cells: Int[np.ndarray, "Q 3"], axis: int, side: int) -> Int[np.ndarray, "Q 4 3"]:
    """The lattice corners of one side of each cell, against the clock seen from outside."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    steps = np.zeros((4, 3), dtype=np.int64)
    steps[:, axis] = side
    steps[[1, 2], u] = 1
    steps[[2, 3], v] = 1
    return cells[:, None] + (steps if side else steps[::-1])


def _check_edges(faces: Int[np.ndarray, "F 3"]) -> None:
    pairs = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts != 2).any():
        raise ConfigError(
            f"boxes: expected solids that meet along whole walls, found {int((counts != 2).sum())} edges where they "
            "only touch. Let the boxes overlap."
        )
