"""The recipes of occupancy: points that know no distance, only whether they are inside."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from shapetool.errors import ConfigError, suggestion
from shapetool.recipes.settings import PointRecipe, find_recipe, share_out

LARGEST_VOXELS = 512
PROGRESSIVE = {
    "v1": {16: 16**3, 32: 2 * 16**3, 64: 32**3},
    "v2": {16: 16**3, 32: 16**3, 64: 4 * 16**3},
}
"""The progressive sets of IM-NET's two generations: cells along an edge of the cube, and points in the set."""

BOX_SIZES = {"sphere": 2.0, "box": 1.0, "diagonal": 1.0, "centroid": 2.0, "none": 2.0}
"""Frames and the edge of the cube about the origin that a shape of the usual size in them just fits."""


@dataclass(frozen=True)
class OccupancyRecipe(PointRecipe):
    """Where the points of one shape go, how many there are, and what decides inside.

    Uniform points fill the cube about the origin whose edge is ``box_size * (1 + padding)``, as ONet counts padding;
    the other parts are those of every recipe, and one more:
    ``centre_weight``: centres of different cells, ``centre_cells`` along each edge of that cube, in a random choice.
    ``voxels``: where it is above 0, that many cells along each edge of the cube of edge ``box_size``, without padding,
    are stored as well: those whose centre is inside, and those that the surface meets.
    ``progressive``: ``v1`` or ``v2`` for the sets of IM-NET in place of all other points, see ``PROGRESSIVE``.
    """

    box_size: float = 1.0
    padding: float = 0.0
    centre_weight: float = 0.0
    centre_cells: int = 32
    voxels: int = 0
    progressive: str = ""

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of all parts in the order near, uniform, sharp, centres."""
        return (*super().weights, self.centre_weight)

    def set_counts(self) -> dict[int, int]:
        """The number of points of each progressive set, by its cells along an edge; together ``count``."""
        sizes = PROGRESSIVE[self.progressive]
        return dict(zip(sizes, share_out(self.count, [float(size) for size in sizes.values()]), strict=True))

    @property
    def uniform_size(self) -> float:
        """Half of the padded edge: coordinates of uniform points lie between this and its negative."""
        return self.box_size * (1 + self.padding) / 2

    def in_frame(self, kind: str) -> dict[str, Any]:
        """The settings that another frame brings with it: its own size, and the cube that holds it."""
        own, box = super().in_frame(kind)["frame_size"], BOX_SIZES.get(kind, 1.0)
        if self.progressive:  # its cube is part of the method: the shape fills it instead
            return {"frame_size": own * self.box_size / box}
        return {"frame_size": own, "box_size": box}

    def check(self, where: str) -> None:
        """Nothing, if every setting makes sense, alone and together.

        Raises:
            ConfigError: one does not.
        """
        super().check(where)
        self.check_lengths(where, "box_size")
        if not 0 <= self.padding < math.inf:
            raise ConfigError(f"{where}padding is {self.padding}; expected 0 or more, such as 0.1 for a tenth more.")
        if not (self.voxels == 0 or 2 <= self.voxels <= LARGEST_VOXELS):
            raise ConfigError(
                f"{where}voxels is {self.voxels}; expected 2 to {LARGEST_VOXELS} cells along each edge "
                f"(two bytes a cell are stored), or 0 for none."
            )
        if not 1 <= self.centre_cells <= LARGEST_VOXELS:
            raise ConfigError(f"{where}centre_cells is {self.centre_cells}; expected 1 to {LARGEST_VOXELS}.")
        if self.progressive and self.progressive not in PROGRESSIVE:
            raise ConfigError(
                f"{where}unknown progressive {self.progressive!r}{suggestion(self.progressive, PROGRESSIVE)}"
            )


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

# Chen and Zhang, "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, and its first code,
# implicit-decoder: centres of cells of [-1, 1]^3 cut into 16, 32 and 64 along an edge, a box diagonal of half the edge
# of the cube in both generations. Differences: the voxels are of the mesh itself, not of a hierarchical surface
# prediction; a label is that of the point, not whether anything in its cell is filled; rows are shuffled.
_IMNET_V1 = OccupancyRecipe(
    name="imnet-v1",
    count=sum(PROGRESSIVE["v1"].values()),
    uniform_weight=1.0,
    normalize="diagonal",
    frame_size=2.0,
    box_size=2.0,
    progressive="v1",
)

# Its second code, IM-NET and IM-NET-pytorch: in each chosen cell one random voxel of 256^3 that is filled if any is.
# Differences: as above, but for labels; no carving of the voxels from the side, which mended open ones.
_IMNET_V2 = dataclasses.replace(
    _IMNET_V1,
    name="imnet-v2",
    count=sum(PROGRESSIVE["v2"].values()),
    frame_size=1.0,
    box_size=1.0,
    progressive="v2",
)

OCCUPANCY_RECIPES: dict[str, OccupancyRecipe] = {
    recipe.name: recipe for recipe in (_ONET, _CONVONET, _IMNET_V1, _IMNET_V2, _VECSET)
}
"""Every recipe of occupancy by name."""
