"""The recipes of occupancy: points that know no distance, only whether they are inside."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from shapetool.errors import ConfigError
from shapetool.recipes.settings import PointRecipe, find_recipe

BOX_SIZES = {"sphere": 2.0, "box": 1.0, "diagonal": 1.0, "centroid": 2.0, "none": 2.0}
"""Frames and the edge of the cube about the origin that a shape of the usual size in them just fits."""


@dataclass(frozen=True)
class OccupancyRecipe(PointRecipe):
    """Where the points of one shape go, how many there are, and what decides inside.

    Uniform points fill the cube about the origin whose edge is ``box_size * (1 + padding)``, as ONet counts padding;
    the other parts are those of every recipe.
    """

    box_size: float = 1.0
    padding: float = 0.0

    @property
    def uniform_size(self) -> float:
        """Half of the padded edge: coordinates of uniform points lie between this and its negative."""
        return self.box_size * (1 + self.padding) / 2

    def in_frame(self, kind: str) -> dict[str, Any]:
        """The settings that another frame brings with it: its own size, and the cube that holds it."""
        return {**super().in_frame(kind), "box_size": BOX_SIZES.get(kind, 1.0)}

    def check(self, where: str) -> None:
        """Nothing, if every setting makes sense, alone and together.

        Raises:
            ConfigError: one does not.
        """
        super().check(where)
        self.check_lengths(where, "box_size")
        if not 0 <= self.padding < math.inf:
            raise ConfigError(f"{where}padding is {self.padding}; expected 0 or more, such as 0.1 for a tenth more.")


def occupancy_recipe(name: str) -> OccupancyRecipe:
    """The recipe of this name.

    Raises:
        ConfigError: there is none; the message names the nearest and all that are known.
    """
    return find_recipe(name, OCCUPANCY_RECIPES)


# Mescheder et al., "Occupancy Networks", CVPR 2019, and the script that made its data: longest edge 1, all points
# uniform in [-0.55, 0.55]^3, float16. Differences: labels are decided after the rounding to float16 instead of before;
# the frame is that of the mesh itself, and no watertight remesh thickens it; open meshes are not skipped.
_ONET = OccupancyRecipe(
    name="onet",
    count=100_000,
    surface_count=100_000,
    uniform_weight=1.0,
    normalize="box",
    frame_size=1.0,
    box_size=1.0,
    padding=0.1,
    dtype="f16",
)

# Peng et al., "Convolutional Occupancy Networks", ECCV 2020: its ShapeNet data are ONet's. (Its rooms are scenes of
# several meshes, which are not made here.)
_CONVONET = dataclasses.replace(_ONET, name="convonet")

# Zhang et al., "3DShape2VecSet", SIGGRAPH 2023, and 1zb/sdf_gen: the box with 0.99 as the largest coordinate, half of
# the points in [-1, 1]^3, half near 125,000 surface points. Difference: the sign needs no watertight remesh.
_VECSET = OccupancyRecipe(
    name="vecset",
    count=500_000,
    surface_count=125_000,
    near_stds=(0.005, 0.05),
    near_weights=(125_000.0, 125_000.0),
    uniform_weight=250_000.0,
    normalize="box",
    frame_size=1.98,
    box_size=2.0,
)

OCCUPANCY_RECIPES: dict[str, OccupancyRecipe] = {recipe.name: recipe for recipe in (_ONET, _CONVONET, _VECSET)}
"""Every recipe of occupancy by name."""
