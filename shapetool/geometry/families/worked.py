"""Families that are stretched or swept: gears, mugs and knots."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from shapetool.geometry.families.furniture import Parameters, draw
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.solids import closed_tube, revolve_with_handle, ring_prism

_WALL_ROWS = 24


def draw_gear(rng: np.random.Generator) -> Parameters:
    """A gear wheel with straight-sided teeth and a round bore."""
    shape = draw(rng, radius=(0.4, 0.7), tooth=(0.08, 0.15), bore=(0.1, 0.25), half_height=(0.05, 0.2))
    return shape | {"teeth": int(rng.integers(8, 25))}


def gear_outlines(shape: Parameters) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
    """The toothed outline, and the polygon of the bore with as many corners on the same rays."""
    steps = np.array([0.0, 0.35, 0.5, 0.85])
    angles = (np.arange(shape["teeth"])[:, None] + steps).ravel() * (2 * np.pi / shape["teeth"])
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reach = np.tile([0.0, 0.0, shape["tooth"], shape["tooth"]], shape["teeth"]) + shape["radius"]
    return rays * reach[:, None], rays * shape["bore"]


def gear_mesh(shape: Parameters) -> Mesh:
    """The gear itself: its outlines are polygons."""
    return ring_prism(*gear_outlines(shape), shape["half_height"])


def draw_mug(rng: np.random.Generator) -> Parameters:
    """A cup with a handle."""
    return draw(rng, radius=(0.3, 0.45), height=(0.7, 1.0), wall=(0.03, 0.06), handle_depth=(0.25, 0.35))


def mug_mesh(shape: Parameters) -> Mesh:
    """A straight cup; the handle grows out of two places of its wall."""
    radius, height, wall = shape["radius"], shape["height"], shape["wall"]
    outside = [[radius, height * k / _WALL_ROWS] for k in range(_WALL_ROWS + 1)]
    inside = [[radius - wall, height], [radius - wall, 2 * wall], [0.0, 2 * wall]]
    profile = np.array([[0.0, 0.0], *outside, *inside])
    row = 1  # the first corner of the outside wall
    places = ((row + 17, row + 20), (row + 4, row + 7))
    half_width = max(1, round(shape["segments"] / 48))
    return revolve_with_handle(profile, shape["segments"], places, half_width, shape["handle_depth"])


def draw_knot(rng: np.random.Generator) -> Parameters:
    """A torus knot: twice around one way and an odd number of times around the other."""
    shape = draw(rng, ring=(0.8, 1.0), swing=(0.3, 0.45), fullness=(0.4, 0.8))
    return shape | {"twists": int(rng.choice([3, 5]))}


def knot_mesh(shape: Parameters) -> Mesh:
    """A tube about the knot, ``fullness`` times as thick as would make two strands touch."""
    ring, swing, twists = shape["ring"], shape["swing"], shape["twists"]
    steps = 4 * shape["segments"]
    path, outward = _torus_knot(ring, swing, twists, steps)
    return closed_tube(path, outward, shape["fullness"] * _clearance(ring, swing, twists), shape["segments"] // 2)


def _torus_knot(
    ring: float, swing: float, twists: int, steps: int
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"]]:
    """Points of the knot, and the normals there of the torus that it lies on, which cross the knot at a right angle."""
    turn = np.arange(steps) * (2 * np.pi / steps)
    around, over = 2 * turn, twists * turn
    outward = np.stack([np.cos(around) * np.cos(over), np.sin(around) * np.cos(over), np.sin(over)], axis=1)
    circle = np.stack([np.cos(around), np.sin(around), np.zeros(steps)], axis=1)
    return ring * circle + swing * outward, outward


@lru_cache(maxsize=64)
def _clearance(ring: float, swing: float, twists: int) -> float:
    """The largest radius at which the tube meets neither another strand nor its own inner bend, found on 720 points."""
    path, _ = _torus_knot(ring, swing, twists, 720)
    apart = np.linalg.norm(path[:, None] - path[None], axis=2)
    along = np.abs(np.arange(720)[:, None] - np.arange(720)[None])
    strands = apart[np.minimum(along, 720 - along) > 60].min() / 2
    ahead, behind = np.roll(path, -1, axis=0), np.roll(path, 1, axis=0)
    step = (ahead - behind) / 2
    bend = np.linalg.norm(np.cross(step, ahead - 2 * path + behind), axis=1) / np.linalg.norm(step, axis=1) ** 3
    return float(min(strands, 1 / bend.max()))
