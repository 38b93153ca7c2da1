"""Procedural families of closed shapes: one row a family, and the exact distance where a closed form exists."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shapetool.errors import ConfigError, suggestion
from shapetool.geometry import analytic
from shapetool.geometry.analytic import Field
from shapetool.geometry.boxes import box_union_mesh
from shapetool.geometry.families import furniture, rounded, turned, worked
from shapetool.geometry.families.furniture import Parameters
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.solids import revolve

SEGMENTS = 96


@dataclass(frozen=True)
class Family:
    """How the shapes of one family are drawn, built and known."""

    draw: Callable[[np.random.Generator], Parameters]
    build: Callable[[Parameters], Mesh]
    exact: str | None  # the function of geometry.analytic that gives the true distance
    truth: Callable[[Parameters], Field] | None
    error: Callable[[Parameters], float] | None  # the bound on the gap between mesh and true surface


def draw_parameters(family: str, rng: np.random.Generator, segments: int = SEGMENTS) -> Parameters:
    """The numbers of one random shape; ``segments`` is how many sides a full circle gets.

    Raises:
        ConfigError: the family is unknown, or ``segments`` is not a multiple of 4 from 24 to 4096.
    """
    if segments % 4 or not 24 <= segments <= 4096:
        raise ConfigError(f"segments is {segments}; expected a multiple of 4 from 24 to 4096.")
    return _family(family).draw(rng) | {"segments": segments}


def build(family: str, parameters: Parameters) -> Mesh:
    """The mesh of these numbers: closed, wound outward, without self-intersection.

    Raises:
        ConfigError: the family is unknown.
    """
    return _family(family).build(parameters)


def true_distance(family: str, parameters: Parameters) -> Field | None:
    """The exact signed distance of the shape that the mesh stands for, negative inside; None where none is known.

    Raises:
        ConfigError: the family is unknown.
    """
    truth = _family(family).truth
    return None if truth is None else truth(parameters)


def tessellation_error(family: str, parameters: Parameters) -> float | None:
    """A bound on how far mesh and true surface lie apart, and so their distances; 0 for flat shapes, None if unknown.

    Raises:
        ConfigError: the family is unknown.
    """
    error = _family(family).error
    return None if error is None else error(parameters)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}{suggestion(name, FAMILIES)}")
    return FAMILIES[name]


def _of_boxes(draw: Callable[[np.random.Generator], Parameters], boxes: Callable[[Parameters], np.ndarray]) -> Family:
    return Family(
        draw, lambda p: box_union_mesh(boxes(p)), "box_union", lambda p: analytic.box_union(boxes(p)), lambda p: 0.0
    )


def _turned(
    draw: Callable[[np.random.Generator], Parameters],
    profile: Callable[[Parameters], np.ndarray],
    solid: Callable[..., Field] | None = None,
    numbers: tuple[str, ...] = (),
    arc: str | None = None,
) -> Family:
    """A family turned about the z axis.

    ``solid`` is the closed form that takes these ``numbers`` of the shape, where the profile is not all that is known.
    ``arc`` is the number that is the radius of arcs in the profile, which are cut as finely as the circle.
    """
    return Family(
        draw,
        lambda p: revolve(profile(p), p["segments"]),
        (solid or analytic.revolution).__name__,
        lambda p: solid(*(p[number] for number in numbers)) if solid else analytic.revolution(profile(p)),
        lambda p: turned.turned_error(profile(p), p, p[arc] if arc else 0.0, 360 / p["segments"]),
    )


FAMILIES: dict[str, Family] = {
    "box": _of_boxes(furniture.draw_box, furniture.box_boxes),
    "bracket": _of_boxes(furniture.draw_bracket, furniture.bracket_boxes),
    "chair": _of_boxes(furniture.draw_chair, furniture.chair_boxes),
    "shelf": _of_boxes(furniture.draw_shelf, furniture.shelf_boxes),
    "table": _of_boxes(furniture.draw_table, furniture.table_boxes),
    "rounded-box": Family(
        rounded.draw_rounded_box,
        rounded.rounded_box_mesh,
        "rounded",
        rounded.rounded_box_truth,
        rounded.rounded_box_error,
    ),
    "sphere": _turned(turned.draw_sphere, turned.sphere_profile, analytic.sphere, ("radius",), arc="radius"),
    "torus": _turned(turned.draw_torus, turned.torus_profile, analytic.torus, ("ring", "tube"), arc="tube"),
    "capsule": _turned(
        turned.draw_capsule, turned.capsule_profile, analytic.capsule, ("half_length", "radius"), arc="radius"
    ),
    "cylinder": _turned(turned.draw_cylinder, turned.cylinder_profile, analytic.cylinder, ("half_length", "radius")),
    "bottle": _turned(turned.draw_bottle, turned.bottle_profile),
    "lamp": _turned(turned.draw_lamp, turned.lamp_profile),
    "vase": _turned(turned.draw_vase, turned.vase_profile),
    "gear": Family(
        worked.draw_gear,
        worked.gear_mesh,
        "extrusion",
        lambda p: analytic.extrusion(worked.gear_outlines(p), p["half_height"]),
        lambda p: 0.0,
    ),
    "knot": Family(worked.draw_knot, worked.knot_mesh, None, None, None),
    "mug": Family(worked.draw_mug, worked.mug_mesh, None, None, None),
}
"""Every family by name."""
