"""Where the cameras of a recipe stand."""

import math

import numpy as np
from jaxtyping import Float

from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras, directions_of, focal_of, look_at, pinhole

R2N2_NOMINAL_FOV = 25.0  # degrees: what the metadata of R2N2 say; the images themselves have 49.13
R2N2_FOCAL = 35 / 32  # of the image's width: a lens of 35 mm before a sensor of 32 mm
R2N2_FARTHEST = 1.75  # the distance that a ratio of 1 stands for
R2N2_ELEVATIONS, R2N2_RATIOS = (25.0, 30.0), (0.65, 0.95)


def placed(recipe: ViewsRecipe, rng: np.random.Generator) -> Cameras:
    """The cameras of one shape: the distribution that the recipe names, drawn from `rng`.

    `sphere` draws directions uniformly; `hammersley` spreads them evenly, from a start that is drawn; `r2n2` draws as
    Choy et al. did, azimuth uniform, elevation 25 to 30 degrees, distance 0.65 to 0.95 of 1.75, and has the intrinsics
    that their images have, not the 25 degrees that their metadata state.

    Source: Choy et al., "3D-R2N2", ECCV 2016; Wong, Luk and Heng, "Sampling with Hammersley and Halton points", JGT
        1997.
    """
    size = recipe.height, recipe.width
    if recipe.cameras == "r2n2":
        azimuth, elevation, ratio = r2n2_angles(recipe.views, rng)
        positions = directions_of(azimuth, elevation, recipe.up) * (ratio * R2N2_FARTHEST)[:, None]
        matrix = pinhole(R2N2_FOCAL * recipe.width, size)
        return Cameras(size, np.tile(matrix, (recipe.views, 1, 1)), look_at(positions, up=recipe.up))
    height, turn = _even(recipe.views, rng) if recipe.cameras == "hammersley" else rng.random((2, recipe.views))
    directions = directions_of(360 * turn, np.degrees(np.arcsin(2 * height - 1)), recipe.up)
    half = math.radians(recipe.fov) / 2
    radius = recipe.radius or 1 / math.sin(half)
    if recipe.projection == "orthographic":
        matrix = pinhole(min(size) / 2, size)  # the unit sphere just fits
    else:
        matrix = pinhole(focal_of(recipe.fov, min(size)), size)
    poses = look_at(directions * radius, up=recipe.up)
    return Cameras(size, np.tile(matrix, (recipe.views, 1, 1)), poses, recipe.projection == "orthographic")


def r2n2_angles(
    count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Azimuth and elevation in degrees, and the ratio of the distance, as R2N2's metadata list them."""
    return rng.uniform(0, 360, count), rng.uniform(*R2N2_ELEVATIONS, count), rng.uniform(*R2N2_RATIOS, count)


def _even(count: int, rng: np.random.Generator) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The Hammersley points in the unit square, moved along both axes by a draw."""
    index, inverse, share = np.arange(count), np.zeros(count), 0.5
    while index.any():
        inverse += share * (index & 1)
        index, share = index >> 1, share / 2
    start = rng.random(2)
    return (np.arange(count) + start[0]) / count, (inverse + start[1]) % 1.0
