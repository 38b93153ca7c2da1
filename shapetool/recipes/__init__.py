"""The recipes: every number of every sampling method, by name. Nothing heavy is imported here."""

from shapetool.recipes.occupancy import BOX_SIZES, OCCUPANCY_RECIPES, PROGRESSIVE, OccupancyRecipe, occupancy_recipe
from shapetool.recipes.sdf import SDF_RECIPES, SdfRecipe, sdf_recipe
from shapetool.recipes.settings import (
    BACKENDS,
    DTYPES,
    FRAME_SIZES,
    REGIONS,
    SIGNS,
    PointRecipe,
    parse_settings,
    share_out,
)
from shapetool.recipes.views import VIEWS_RECIPES, ViewsRecipe, views_recipe

__all__ = [
    "BACKENDS",
    "BOX_SIZES",
    "DTYPES",
    "FRAME_SIZES",
    "OCCUPANCY_RECIPES",
    "PROGRESSIVE",
    "REGIONS",
    "SDF_RECIPES",
    "SIGNS",
    "VIEWS_RECIPES",
    "OccupancyRecipe",
    "PointRecipe",
    "SdfRecipe",
    "ViewsRecipe",
    "occupancy_recipe",
    "parse_settings",
    "sdf_recipe",
    "share_out",
    "views_recipe",
]
