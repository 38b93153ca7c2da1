"""Families made of boxes: the mesh is the shape itself, without an error of tessellation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Parameters = dict[str, Any]
Rows = list[tuple[float, ...]]

_DIGITS = 6  # equal places get equal coordinates, whichever way they were added up


def draw(rng: np.random.Generator, **ranges: tuple[float, float]) -> Parameters:
    """One number between the ends of each range, rounded to four digits."""
    return {name: round(float(rng.uniform(low, high)), 4) for name, (low, high) in ranges.items()}


def draw_box(rng: np.random.Generator) -> Parameters:
    """The sides of a box."""
    return draw(rng, width=(0.3, 1.0), depth=(0.3, 1.0), height=(0.3, 1.0))


def box_boxes(shape: Parameters) -> Float[np.ndarray, "N 2 3"]:
    """One box about the origin."""
    w, d, h = shape["width"] / 2, shape["depth"] / 2, shape["height"] / 2
    return _boxes([(-w, w, -d, d, -h, h)])


def draw_chair(rng: np.random.Generator) -> Parameters:
    """A chair: its seat, four legs, a back of slats or of one board, and perhaps arms and stretchers."""
    shape = draw(
        rng, width=(0.4, 0.6), depth=(0.4, 0.55), seat_height=(0.38, 0.5), seat=(0.03, 0.08), leg=(0.03, 0.06),
        back_height=(0.3, 0.6), arm_height=(0.15, 0.22), stretcher_height=(0.08, 0.2),
    )  # fmt: skip
    return shape | {
        "slats": int(rng.integers(0, 5)),
        "arms": bool(rng.random() < 0.4),
        "stretchers": bool(rng.random() < 0.5),
    }


def chair_boxes(shape: Parameters) -> Float[np.ndarray, "N 2 3"]:
    """The seat looks to +y; slats 0 is a back of one board."""
    w, d, leg = shape["width"] / 2, shape["depth"] / 2, shape["leg"]
    under, over = shape["seat_height"] - shape["seat"], shape["seat_height"]
    top, thin = over + shape["back_height"], leg / 4
    boxes: Rows = [(-w, w, -d, d, under, over), *_legs(w, d, leg, under)]
    if shape["slats"] == 0:
        boxes.append((-w, w, -d, -d + leg, over, top))
    else:
        boxes += [(-w, -w + leg, -d, -d + leg, over, top), (w - leg, w, -d, -d + leg, over, top)]
        boxes.append((-w + leg, w - leg, -d + thin, -d + 3 * thin, top - leg, top))
        gap = (2 * w - 2 * leg) / shape["slats"]
        for k in range(shape["slats"]):
            left = -w + leg + gap * (k + 0.3)
            boxes.append((left, left + 0.4 * gap, -d + thin, -d + 3 * thin, over, top - leg))
    if shape["arms"]:
        arm = over + shape["arm_height"]
        for left in (-w, w - leg):
            boxes.append((left, left + leg, -d + leg, d - leg, arm - leg, arm))
            boxes.append((left, left + leg, d - 3 * leg, d - 2 * leg, over, arm - leg))
    if shape["stretchers"]:
        low = shape["stretcher_height"]
        for left in (-w, w - leg):
            boxes.append((left + thin, left + 3 * thin, -d + leg, d - leg, low, low + 2 * thin))
    return _boxes(boxes)


def draw_table(rng: np.random.Generator) -> Parameters:
    """A table on four legs or on one column, perhaps with a board below."""
    shape = draw(
        rng, width=(0.8, 1.6), depth=(0.5, 0.9), height=(0.4, 0.8), top=(0.02, 0.06), leg=(0.04, 0.08),
        inset=(0.01, 0.05), board_height=(0.1, 0.2),
    )  # fmt: skip
    return shape | {"column": bool(rng.random() < 0.3), "board": bool(rng.random() < 0.4)}


def table_boxes(shape: Parameters) -> Float[np.ndarray, "N 2 3"]:
    """The top and what carries it."""
    w, d, top, leg = shape["width"] / 2, shape["depth"] / 2, shape["height"], shape["leg"]
    under = top - shape["top"]
    boxes: Rows = [(-w, w, -d, d, under, top)]
    if shape["column"]:
        boxes += [(-leg, leg, -leg, leg, 0.02, under), (-w / 2, w / 2, -d / 2, d / 2, 0.0, 0.02)]
        return _boxes(boxes)
    x, y = w - shape["inset"], d - shape["inset"]
    boxes += _legs(x, y, leg, under)
    if shape["board"]:
        low, half = shape["board_height"], leg / 2
        boxes.append((-x + half, x - half, -y + half, y - half, low, low + 0.02))
    return _boxes(boxes)


def draw_shelf(rng: np.random.Generator) -> Parameters:
    """A bookcase: two sides, boards, and perhaps a back."""
    shape = draw(rng, width=(0.5, 1.2), depth=(0.2, 0.4), height=(0.6, 1.8), board=(0.015, 0.035))
    return shape | {"boards": int(rng.integers(2, 7)), "back": bool(rng.random() < 0.6)}


def shelf_boxes(shape: Parameters) -> Float[np.ndarray, "N 2 3"]:
    """The boards stand evenly from the floor to the top."""
    w, d, h, t = shape["width"] / 2, shape["depth"] / 2, shape["height"], shape["board"]
    boxes: Rows = [(-w, -w + t, -d, d, 0.0, h), (w - t, w, -d, d, 0.0, h)]
    for k in range(shape["boards"]):
        low = (h - t) * k / (shape["boards"] - 1)
        boxes.append((-w + t, w - t, -d, d, low, low + t))
    if shape["back"]:
        boxes.append((-w + t, w - t, -d, -d + t / 2, t, h - t))
    return _boxes(boxes)


def draw_bracket(rng: np.random.Generator) -> Parameters:
    """An angle bracket: two plates at a right angle and ribs between them."""
    shape = draw(rng, length=(0.6, 1.0), foot=(0.3, 0.6), wall=(0.3, 0.6), plate=(0.03, 0.08), rib=(0.02, 0.05))
    return shape | {"ribs": int(rng.integers(1, 4)), "rib_size": round(float(rng.uniform(0.3, 0.8)), 4)}


def bracket_boxes(shape: Parameters) -> Float[np.ndarray, "N 2 3"]:
    """A foot along y, a wall along z, and ribs in steps where they meet."""
    length, foot, wall, t = shape["length"] / 2, shape["foot"], shape["wall"], shape["plate"]
    boxes: Rows = [(-length, length, 0.0, foot, 0.0, t), (-length, length, 0.0, t, 0.0, wall)]
    reach = shape["rib_size"] * (min(foot, wall) - t)
    for k in range(shape["ribs"]):
        centre = -length + 2 * length * (k + 0.5) / shape["ribs"]
        left, right = centre - shape["rib"] / 2, centre + shape["rib"] / 2
        for step in range(1, 5):
            boxes.append((left, right, t, t + reach * step / 4, t, t + reach * (5 - step) / 4))
    return _boxes(boxes)


def _legs(x: float, y: float, leg: float, height: float) -> Rows:
    """Four square legs in the corners of the rectangle of these half sides."""
    return [(left, left + leg, front, front + leg, 0.0, height) for left in (-x, x - leg) for front in (-y, y - leg)]


def _boxes(rows: Sequence[tuple[float, ...]]) -> Float[np.ndarray, "N 2 3"]:
    """Rows of x, y and z spans as low and high corners."""
    spans = np.round(np.array(rows, dtype=float), _DIGITS).reshape(-1, 3, 2)
    return np.ascontiguousarray(spans.transpose(0, 2, 1))
