"""Families turned about the z axis; the mesh lies within a known distance of the true shape."""

from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.geometry.families.furniture import Parameters, draw
from shapetool.geometry.solids import arc, turning_error

Profile = Float[np.ndarray, "N 2"]


def draw_sphere(rng: np.random.Generator) -> Parameters:
    """A ball about the origin."""
    return draw(rng, radius=(0.3, 1.0))


def sphere_profile(shape: Parameters) -> Profile:
    """Half a circle from pole to pole."""
    return arc(shape["radius"], (0.0, 0.0), -90.0, 90.0, shape["segments"] // 2)


def draw_torus(rng: np.random.Generator) -> Parameters:
    """A ring whose tube keeps clear of the axis."""
    return draw(rng, ring=(0.5, 1.0), tube=(0.1, 0.4))


def torus_profile(shape: Parameters) -> Profile:
    """A circle away from the axis."""
    return arc(shape["tube"], (shape["ring"], 0.0), 0.0, 360.0, shape["segments"])[:-1]


def draw_capsule(rng: np.random.Generator) -> Parameters:
    """A cylinder with round ends."""
    return draw(rng, half_length=(0.2, 1.0), radius=(0.1, 0.5))


def capsule_profile(shape: Parameters) -> Profile:
    """Two quarter circles, one above the other."""
    radius, half, steps = shape["radius"], shape["half_length"], shape["segments"] // 4
    return np.concatenate([arc(radius, (0.0, -half), -90.0, 0.0, steps), arc(radius, (0.0, half), 0.0, 90.0, steps)])


def draw_cylinder(rng: np.random.Generator) -> Parameters:
    """A cylinder with flat ends."""
    return draw(rng, half_length=(0.1, 1.0), radius=(0.1, 0.6))


def cylinder_profile(shape: Parameters) -> Profile:
    """Three sides of a rectangle; the fourth is the axis."""
    radius, half = shape["radius"], shape["half_length"]
    return np.array([[0.0, -half], [radius, -half], [radius, half], [0.0, half]])


def draw_vase(rng: np.random.Generator) -> Parameters:
    """A hollow vessel, open at the top, whose radius swings between four heights."""
    shape: dict[str, Any] = draw(rng, height=(0.6, 1.4), wall=(0.02, 0.05))
    return shape | {"radii": [round(float(radius), 4) for radius in rng.uniform(0.15, 0.45, 4)]}


def vase_profile(shape: Parameters) -> Profile:
    """Up the outside and down the inside."""
    return _vessel(np.linspace(0, 1, len(shape["radii"])), shape["radii"], shape["height"], shape["wall"])


def draw_bottle(rng: np.random.Generator) -> Parameters:
    """A hollow bottle: a body, a shoulder and a neck."""
    return draw(rng, height=(0.7, 1.2), wall=(0.015, 0.03), radius=(0.15, 0.25), neck=(0.05, 0.09), shoulder=(0.5, 0.7))


def bottle_profile(shape: Parameters) -> Profile:
    """Up the outside and down the inside; the shoulder is a smooth step a fifth of the height long."""
    radius, neck, at = shape["radius"], shape["neck"], shape["shoulder"]
    return _vessel(np.array([0.0, at, at + 0.2, 1.0]), [radius, radius, neck, neck], shape["height"], shape["wall"])


def draw_lamp(rng: np.random.Generator) -> Parameters:
    """A standing lamp: a foot, a pole and a hollow shade, open below."""
    return draw(
        rng, foot=(0.15, 0.3), foot_height=(0.02, 0.06), pole=(0.01, 0.03), height=(0.8, 1.5), shade_height=(0.2, 0.4),
        shade_top=(0.1, 0.2), shade_bottom=(0.2, 0.35), wall=(0.01, 0.02),
    )  # fmt: skip


def lamp_profile(shape: Parameters) -> Profile:
    """Foot, pole, the inside of the shade down, its outside up."""
    top, wall, pole, foot = shape["height"], shape["wall"], shape["pole"], shape["foot"]
    rim, bottom = shape["shade_top"], shape["shade_bottom"]
    return np.array(
        [
            [0.0, 0.0], [foot, 0.0], [foot, shape["foot_height"]], [pole, shape["foot_height"]], [pole, top - wall],
            [rim - wall, top - wall], [bottom - wall, top - shape["shade_height"]],
            [bottom, top - shape["shade_height"]], [rim, top], [0.0, top],
        ]
    )  # fmt: skip


def turned_error(profile: Profile, shape: Parameters, arc_radius: float = 0.0, arc_step: float = 1.0) -> float:
    """The bound on the gap between mesh and true shape: of the turning, and of arcs with this many degrees a side."""
    flat = 2 * arc_radius * float(np.sin(np.radians(arc_step) / 4)) ** 2
    return turning_error(float(profile[:, 0].max()), shape["segments"]) + flat


def _vessel(places: Float[np.ndarray, " K"], radii: list[float], height: float, wall: float) -> Profile:
    """The outline of a hollow vessel whose outer radius goes smoothly through ``radii`` at ``places`` of its height."""
    along = np.linspace(0, 1, 41)
    after = np.clip(np.searchsorted(places, along, side="right"), 1, len(places) - 1)
    part = (along - places[after - 1]) / (places[after] - places[after - 1])
    smooth = part * part * (3 - 2 * part)
    given = np.asarray(radii, dtype=float)
    outer = np.stack([given[after - 1] + smooth * (given[after] - given[after - 1]), along * height], axis=1)
    inner = np.stack([outer[:, 0] - wall, outer[:, 1]], axis=1)
    inner = inner[inner[:, 1] > 2 * wall][::-1]
    floor = [[float(np.interp(2 * wall, outer[:, 1], outer[:, 0])) - wall, 2 * wall], [0.0, 2 * wall]]
    return np.concatenate([[[0.0, 0.0]], outer, inner, floor])
