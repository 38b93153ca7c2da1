"""The colour of what rays hit: a lamp at the camera and light from all around, with soft shadows and occlusion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras
from shapetool.render.colours.raw import NEUTRAL
from shapetool.render.rays import hits_anything

_LAMP = (-0.35, 0.55, 0.0)  # right, up, back of the camera, in its distances from the scene: where shadows come from
_LAMP_RADIUS = 0.2  # in the same unit
_SHADE = 0.65  # how much of the lamp's light a full shadow takes
_CLEAR = 1e-5  # of the scene's size, off the surface: above the rounding of f4 coordinates
_RAYS = 1 << 20  # traced together

# From the rows of the points, where their rays start, the normals and two shares of each: the directions of the rays.
Aim = Callable[[slice, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@runtime_checkable
class Paint(Protocol):
    """What colour a surface has."""

    def colours(self, faces: Int[np.ndarray, " K"], barycentric: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
        """Red, green and blue, 0 to 1 as in an image file, at points of faces."""


@dataclass(frozen=True, eq=False)
class Light:
    """What decides the colours of one mesh."""

    mesh: Mesh
    recipe: ViewsRecipe
    paint: Paint | None
    threads: int | None

    def wants(self, shape: tuple[int, ...], drawn: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Room for what the kernel has to tell of rays of this shape, beside what is there."""
        names = ["light"]
        if self.paint is not None:
            names.append("weights")
        if self.recipe.shadows or self.recipe.occlusion:
            names += ["coordinates", "normal"]
        return {
            name: np.empty(shape if name == "light" else (*shape, 3), dtype=np.float32)
            for name in names
            if name not in drawn
        }


@dataclass(frozen=True, eq=False)
class Seen:
    """What rays hit: the view and a number within it of each, and what the kernel told of them."""

    cameras: Cameras
    view: Int[np.ndarray, " P"]
    number: Int[np.ndarray, " P"]
    drawn: dict[str, np.ndarray]


def shade(light: Light, seen: Seen, parts: int) -> Float[np.ndarray, "P C"]:
    """The colours of the rays over the background, 0 to 1; a single column where they are grey.

    `parts` rays of a pixel share the rays of shadows and occlusion that the recipe gives a pixel.
    """
    recipe = light.recipe
    face = seen.drawn["face"].reshape(-1)
    ground = np.float32(recipe.background == "white")
    lamp = seen.drawn["light"].reshape(-1)
    ambient = np.float32(recipe.ambient)
    if light.paint is None and not (recipe.shadows or recipe.occlusion):
        grey = np.float32(NEUTRAL)
        return np.where(face >= 0, grey * ambient + grey * (1 - ambient) * lamp, ground)[:, None]
    hit = np.flatnonzero(face >= 0)
    bright = ambient * _open_share(light, seen, hit, parts) + (1 - ambient) * lamp[hit] * _lit(light, seen, hit, parts)
    if light.paint is None:
        colours = np.full((len(face), 1), ground)
        colours[hit, 0] = NEUTRAL * bright
        return colours
    colours = np.full((len(face), 3), ground)
    weights = seen.drawn["weights"].reshape(-1, 3)[hit]
    colours[hit] = np.clip(light.paint.colours(face[hit], weights), 0, 1) * bright[:, None]
    return colours


def _lit(light: Light, seen: Seen, hit: Int[np.ndarray, " K"], parts: int) -> np.ndarray | np.float32:
    """What arrives of the lamp: less where it is hidden, in part where a part of it is."""
    count = -(-light.recipe.shadows // parts)
    if not count:
        return np.float32(1)
    pose, middle = seen.cameras.pose, light.mesh.bounds.mean(axis=0)
    distance = np.linalg.norm(pose[:, :3, 3] - middle, axis=1)[:, None]
    lamps = pose[:, :3, 3] + distance * (pose[:, :3, :3] @ np.array(_LAMP))
    radius = _LAMP_RADIUS * distance[:, 0]
    view = seen.view[hit]

    def towards(rows: slice, origins: np.ndarray, _: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        way = lamps[view[rows]] - origins
        one, other = _across(way / np.linalg.norm(way, axis=1, keepdims=True))
        out, turn = radius[view[rows]] * np.sqrt(first), 2 * np.pi * second
        return way + (out * np.cos(turn))[:, None] * one + (out * np.sin(turn))[:, None] * other

    hidden = _hidden(light, seen, hit, count, towards)
    return (1 - _SHADE * hidden).astype(np.float32)


def _open_share(light: Light, seen: Seen, hit: Int[np.ndarray, " K"], parts: int) -> np.ndarray | np.float32:
    """The share of the sky above the points that nothing hides, by the cosine."""
    count = -(-light.recipe.occlusion // parts)
    if not count:
        return np.float32(1)

    def upwards(_: slice, __: np.ndarray, normals: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        one, other = _across(normals)
        out, turn = np.sqrt(first), 2 * np.pi * second
        aside = (out * np.cos(turn))[:, None] * one + (out * np.sin(turn))[:, None] * other
        return aside + np.sqrt(1 - first)[:, None] * normals

    return (1 - _hidden(light, seen, hit, count, upwards)).astype(np.float32)


def _hidden(light: Light, seen: Seen, hit: Int[np.ndarray, " K"], count: int, aim: Aim) -> Float[np.ndarray, " K"]:
    """The share of `count` rays from each point that meet the surface; `aim` makes their directions from two shares.

    Rays start off the surface by a little more than coordinates are rounded. Those of one point are a Hammersley set,
    turned by a share that its number alone decides, so that neither threads nor order matter.
    """
    size = float(np.ptp(light.mesh.bounds, axis=0).max()) + float(np.abs(light.mesh.bounds).max())
    out = np.zeros(len(hit))
    step = max(1, _RAYS // count)
    for start in range(0, len(hit), step):
        rows = slice(start, start + step)
        normals = seen.drawn["normal"].reshape(-1, 3)[hit[rows]].astype(np.float64)
        origins = seen.drawn["coordinates"].reshape(-1, 3)[hit[rows]] + _CLEAR * size * normals
        turn = _scrambled(seen.number[hit[rows]])
        for k in range(count):
            first = ((k + 0.5) / count + turn[0]) % 1.0
            second = (_inverse(k) + turn[1]) % 1.0
            directions = aim(rows, origins, normals, first, second)
            below = (directions * normals).sum(axis=1) <= 0
            out[rows] += below | hits_anything(light.mesh, origins, directions, light.threads)
    return out / count


def _scrambled(numbers: Int[np.ndarray, " K"]) -> tuple[np.ndarray, np.ndarray]:
    """Two shares in [0, 1) of each number, without a pattern that eyes would find."""
    mixed = numbers.astype(np.uint64) + np.uint64(1)
    shares = []
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9):
        mixed = mixed * np.uint64(factor)
        mixed ^= mixed >> np.uint64(29)
        shares.append((mixed >> np.uint64(11)) * 2.0**-53)
    return shares[0], shares[1]


def _inverse(index: int) -> float:
    """The digits of a number to the base 2 behind the point, the lowest first."""
    out, share = 0.0, 0.5
    while index:
        out += share * (index & 1)
        index, share = index >> 1, share / 2
    return out


def _across(normals: Float[np.ndarray, "K 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across each unit vector, and across each other.

    Source: Duff et al., "Building an orthonormal basis, revisited", JCGT 2017.
    """
    x, y, z = normals.T
    sign = np.copysign(1.0, z)
    a = -1 / (sign + z)
    b = x * y * a
    return np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1), np.stack([b, sign + y * y * a, -y], axis=1)
