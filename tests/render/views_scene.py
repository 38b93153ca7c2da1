"""Surfaces and cameras that the tests of views share."""

from dataclasses import replace

import numpy as np

from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import CHANNELS, ViewsRecipe
from shapetool.render.cameras import Cameras, look_at, pinhole

PLAIN = ViewsRecipe(channels=CHANNELS, samples=1, smooth=False)


def with_settings(**settings) -> ViewsRecipe:
    """All channels, one ray a pixel, flat faces, but for what is given."""
    return replace(PLAIN, **settings)


def wrapped(points: np.ndarray, closed_columns: bool) -> np.ndarray:
    """The two triangles of each cell of (R, C, 3) points whose rows close, and whose columns do if so told."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    along = np.concatenate([index, index[:, :1]], axis=1)
    if closed_columns:
        along = np.concatenate([along, along[:1]])
    a, b, c, d = along[:-1, :-1], along[:-1, 1:], along[1:, 1:], along[1:, :-1]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def sphere(radius: float, steps: int) -> Mesh:
    """A sphere of `steps` rows and twice as many columns, vertices on it, closed at the poles by fans."""
    polar = np.pi * (np.arange(steps) + 0.5) / steps
    turn = np.pi * np.arange(2 * steps) / steps
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    points = np.sin(polar)[:, None, None] * ring + np.cos(polar)[:, None, None] * [0, 0, 1]
    faces = wrapped(points, closed_columns=False)[:, ::-1]
    vertices = radius * np.concatenate([points.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]])
    here = np.arange(2 * steps)
    following, last = np.roll(here, -1), (steps - 1) * 2 * steps
    top = np.stack([np.full_like(here, len(vertices) - 2), here, following], axis=1)
    bottom = np.stack([np.full_like(here, len(vertices) - 1), last + following, last + here], axis=1)
    return Mesh(vertices, np.concatenate([faces, top, bottom]))


def torus(ring: float, tube: float, steps: int) -> Mesh:
    """A torus about the z axis, vertices on it."""
    turn = 2 * np.pi * np.arange(steps) / steps
    around, across = np.meshgrid(turn, turn, indexing="ij")
    out = ring + tube * np.cos(across)
    points = np.stack([out * np.cos(around), out * np.sin(around), tube * np.sin(across)], axis=-1)
    return Mesh(points.reshape(-1, 3), wrapped(points, closed_columns=True)[:, ::-1])


def needles(count: int, seed: int = 1) -> Mesh:
    """Long thin triangles through one middle."""
    rng = np.random.default_rng(seed)
    along = rng.normal(size=(count, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    corners = np.stack([-along, along, along + 0.05 * rng.normal(size=(count, 3))], axis=1)
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def around(count: int, distance: float, size: tuple[int, int], seed: int = 0, flat: bool = False) -> Cameras:
    """Cameras anywhere at one distance that look past the origin, with pixels that are neither square nor centred."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(count, 3))
    positions *= distance / np.linalg.norm(positions, axis=1, keepdims=True)
    poses = np.concatenate([look_at(positions[i : i + 1], (0.1 * rng.normal(size=3)).tolist()) for i in range(count)])
    matrix = pinhole((0.4 if flat else 1.1) * min(size), size)
    matrix[0, 1], matrix[1, 1] = 0.05 * min(size), 1.2 * matrix[1, 1]
    matrix[:2, 2] += [2.3, -1.7]
    return Cameras(size, np.tile(matrix, (count, 1, 1)), poses, flat)


def straight(height: float, focal: float, size: tuple[int, int], flat: bool = False) -> Cameras:
    """One camera on the z axis that looks down it."""
    pose = np.eye(4)
    pose[2, 3] = height
    return Cameras(size, pinhole(focal, size)[None], pose[None], flat)
