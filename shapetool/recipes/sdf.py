"""The recipes of signed distances: every number of every method, by name."""

import dataclasses
import itertools
import math
from dataclasses import dataclass

from shapetool.errors import ConfigError
from shapetool.recipes.settings import PointRecipe, find_recipe

LARGEST_LATTICE = 1024


@dataclass(frozen=True)
class SdfRecipe(PointRecipe):
    """Where the points of one shape go, how many there are, and how their distances are found.

    Beside the parts of every recipe:
    ``band_*``: uniform over the part of [-band_box, band_box]^3 where ``distance - band_iso`` lies between two
    neighbouring ``band_edges``; what one band cannot hold goes to the next.
    ``lattice``: where it is above 0, distances at that many nodes along each axis of [-lattice_box, lattice_box]^3 in
    place of all points, cut at -truncate and truncate unless that is 0.
    """

    uniform_size: float = 1.0
    band_edges: tuple[float, ...] = ()
    band_weights: tuple[float, ...] = ()
    band_iso: float = 0.0
    band_box: float = 1.2
    lattice: int = 0
    lattice_box: float = 1.0
    truncate: float = 0.0

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of all parts in the order near, uniform, sharp, band."""
        return (*super().weights, *self.band_weights)

    def check(self, where: str) -> None:
        """Nothing, if every setting makes sense, alone and together.

        Raises:
            ConfigError: one does not.
        """
        super().check(where)
        self.check_lengths(where, "uniform_size", "band_box", "lattice_box")
        _check_bands(self, where)
        _check_lattice(self, where)


def sdf_recipe(name: str) -> SdfRecipe:
    """The recipe of this name.

    Raises:
        ConfigError: there is none; the message names the nearest and all that are known.
    """
    return find_recipe(name, SDF_RECIPES)


def _check_lattice(recipe: SdfRecipe, where: str) -> None:
    if not (math.isfinite(recipe.truncate) and recipe.truncate >= 0):
        raise ConfigError(f"{where}truncate is {recipe.truncate}; expected a distance above 0, or 0 for none.")
    if recipe.lattice == 0:
        if recipe.truncate:
            raise ConfigError(f"{where}truncate cuts the distances of a lattice; give --grid N as well.")
        return
    if not 2 <= recipe.lattice <= LARGEST_LATTICE:
        needed = (
            f", which would need {20 * recipe.lattice**3 / 2**30:.0f} GiB a shape"
            if recipe.lattice > LARGEST_LATTICE
            else ""
        )
        raise ConfigError(
            f"{where}lattice is {recipe.lattice}{needed}; expected 2 to {LARGEST_LATTICE} nodes along each axis "
            f"({LARGEST_LATTICE} need {20 * LARGEST_LATTICE**3 / 2**30:.0f} GiB a shape), or 0 for points."
        )
    if recipe.backend != "native":
        raise ConfigError(f"{where}--grid is measured by the native backend; leave --backend {recipe.backend} out.")


def _check_bands(recipe: SdfRecipe, where: str) -> None:
    edges, weights = recipe.band_edges, recipe.band_weights
    if not edges and not weights:
        return
    if len(edges) != len(weights) + 1:
        raise ConfigError(f"{where}{len(weights)} bands need {len(weights) + 1} band_edges, found {len(edges)}.")
    if not all(low < high for low, high in itertools.pairwise(edges)):
        raise ConfigError(f"{where}band_edges is {edges}; expected numbers that rise.")


# Park et al., "DeepSDF", CVPR 2019. The released code takes the variances 0.005 and 0.0005 and draws 6 % in the cube
# [-1, 1]^3. Differences: exact distances to the triangles instead of to rendered points, the sign from the whole
# surface instead of a vote (which drops samples at creases), and therefore exact counts.
_DEEPSDF_CODE = SdfRecipe(
    name="deepsdf-code",
    count=500_000,
    near_stds=(math.sqrt(0.005), math.sqrt(0.0005)),
    near_weights=(235_000.0, 235_000.0),
    uniform_weight=30_000.0,
)

# The text of the paper gives the variances 0.0025 and 0.00025; everything else as in the code.
_DEEPSDF_PAPER = dataclasses.replace(
    _DEEPSDF_CODE, name="deepsdf-paper", near_stds=(math.sqrt(0.0025), math.sqrt(0.00025))
)

# The `-t` mode of the released code: half the points, variances 0.05 and 0.0005.
_DEEPSDF_TEST = dataclasses.replace(
    _DEEPSDF_CODE,
    name="deepsdf-test",
    count=250_000,
    near_stds=(math.sqrt(0.05), math.sqrt(0.0005)),
    near_weights=(117_500.0, 117_500.0),
    uniform_weight=15_000.0,
)

# marian42/mesh_to_sdf, `sample_sdf_near_surface`: the paper's variances used as standard deviations, the rest uniform
# in the unit ball, the shape in the unit sphere without a margin. Difference: no point is dropped.
_MESH_TO_SDF = dataclasses.replace(
    _DEEPSDF_CODE, name="mesh-to-sdf", near_stds=(0.0025, 0.00025), uniform_region="ball", frame_size=1.0
)

# Xu et al., "DISN", NeurIPS 2019: four bands about the iso value 0.003. Differences: the candidates are uniform in
# space instead of the nodes of a 257^3 lattice, none is drawn twice, and the frame is exact (see geometry.frame).
_DISN = SdfRecipe(
    name="disn",
    count=32_768,
    surface_count=16_384,
    band_edges=(-0.1, -0.03, 0.0, 0.03, 0.1),
    band_weights=(8_192.0, 8_192.0, 8_192.0, 8_192.0),
    band_iso=0.003,
    normalize="centroid",
    frame_size=1.0,
)

# Zhang et al., "3DShape2VecSet", SIGGRAPH 2023, and 1zb/sdf_gen: the box with 0.99 as the largest coordinate, half of
# the points in [-1, 1]^3, half near 125,000 surface points. Difference: the sign needs no watertight remesh.
_VECSET = SdfRecipe(
    name="vecset",
    count=500_000,
    surface_count=125_000,
    near_stds=(0.005, 0.05),
    near_weights=(125_000.0, 125_000.0),
    uniform_weight=250_000.0,
    normalize="box",
    frame_size=1.98,
)

# Chen et al., "Dora", CVPR 2025: 200,000 surface points twice, 200,000 in [-1.05, 1.05]^3 and 32,768 points on sharp
# edges four times. Differences: the mesh itself instead of a remesh inflated by 2/256; sharp points uniform by length
# instead of spaced along each edge; no farthest-point choice of the surface points; negative inside, not truncated;
# a mesh without a sharp edge takes ordinary surface points in their place instead of being skipped.
_DORA = SdfRecipe(
    name="dora",
    count=731_072,
    surface_count=32_768,
    near_stds=(0.001, 0.005),
    near_weights=(200_000.0, 200_000.0),
    uniform_weight=200_000.0,
    uniform_size=1.05,
    sharp_stds=(0.001, 0.005, 0.007, 0.01),
    sharp_weights=(32_768.0, 32_768.0, 32_768.0, 32_768.0),
    normalize="box",
    frame_size=2.0,
)

# The cube [-1, 1]^3 and nothing else: the unbiased draw that evaluation wants.
_UNIFORM = SdfRecipe(name="uniform", count=500_000, uniform_weight=1.0)

SDF_RECIPES: dict[str, SdfRecipe] = {
    recipe.name: recipe
    for recipe in (_DEEPSDF_CODE, _DEEPSDF_PAPER, _DEEPSDF_TEST, _MESH_TO_SDF, _DISN, _VECSET, _DORA, _UNIFORM)
}
"""Every sampling recipe by name."""
