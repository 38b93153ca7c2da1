"""The recipes: every number of every sampling method, by name. Nothing heavy is imported here."""

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

__all__ = [
    "BACKENDS",
    "DTYPES",
    "FRAME_SIZES",
    "REGIONS",
    "SDF_RECIPES",
    "SIGNS",
    "PointRecipe",
    "SdfRecipe",
    "parse_settings",
    "sdf_recipe",
    "share_out",
]
