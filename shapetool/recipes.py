"""The recipes: every number of every sampling method, by name. Nothing heavy is imported here."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shapetool.errors import ConfigError, suggestion

FRAME_SIZES = {"sphere": 1 / 1.03, "box": 1.0, "diagonal": 1.0, "centroid": 1.0, "none": 1.0}
"""Frames and the size that a shape gets in them: radius, longest edge, box diagonal, radius, and no change."""

SIGNS = ("auto", "pseudonormal", "winding", "parity")
BACKENDS = ("native", "pysdf")
DTYPES = ("f32", "f16")
REGIONS = ("box", "ball")


@dataclass(frozen=True)
class SdfRecipe:
    """Where the points of one shape go, how many there are, and how their distances are found.

    A recipe is a mixture. Each part has a weight; the counts of the parts are ``count`` shared out by weight with
    the largest remainders rounded up, so that they always add up to ``count``.

    ``near_*``: a surface point plus a normal offset with this standard deviation in each coordinate.
    ``sharp_*``: the same, starting from points on edges whose dihedral angle exceeds ``sharp_angle`` degrees.
    ``uniform_*``: uniform in the box [-size, size]^3, or in the ball of radius size, about the origin.
    ``band_*``: uniform over the part of [-band_box, band_box]^3 where ``distance - band_iso`` lies between two
    neighbouring ``band_edges``; what one band cannot hold goes to the next.
    All lengths are in the unit frame that ``normalize`` and ``frame_size`` make.
    """

    name: str
    count: int
    surface_count: int = 30_000
    near_stds: tuple[float, ...] = ()
    near_weights: tuple[float, ...] = ()
    uniform_weight: float = 0.0
    uniform_region: str = "box"
    uniform_size: float = 1.0
    sharp_stds: tuple[float, ...] = ()
    sharp_weights: tuple[float, ...] = ()
    sharp_angle: float = 15.0
    band_edges: tuple[float, ...] = ()
    band_weights: tuple[float, ...] = ()
    band_iso: float = 0.0
    band_box: float = 1.2
    normalize: str = "sphere"
    frame_size: float = FRAME_SIZES["sphere"]
    dtype: str = "f32"
    sign: str = "auto"
    backend: str = "native"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of all parts in the order near, uniform, sharp, band."""
        return (*self.near_weights, self.uniform_weight, *self.sharp_weights, *self.band_weights)

    def part_counts(self) -> dict[str, tuple[int, ...]]:
        """The number of points of each part (near, uniform, sharp, band); together they are ``count``."""
        counts = share_out(self.count, self.weights)
        near = len(self.near_weights)
        sharp = near + 1 + len(self.sharp_weights)
        return {
            "near": counts[:near],
            "uniform": counts[near : near + 1],
            "sharp": counts[near + 1 : sharp],
            "band": counts[sharp:],
        }

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain JSON values; ``SdfRecipe.from_dict`` reads it back."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "SdfRecipe":
        """The recipe that ``to_dict`` wrote.

        Raises:
            ConfigError: a setting is unknown, missing or out of range.
        """
        missing = [key for key in ("name", "count") if key not in settings]
        if missing:
            raise ConfigError(f"recipe: expected the settings name and count, found no {' and no '.join(missing)}.")
        base = cls(name=str(settings["name"]), count=1, uniform_weight=1.0)
        return base.replace(**{key: value for key, value in settings.items() if key != "name"})

    def replace(self, **overrides: Any) -> "SdfRecipe":
        """This recipe with some settings changed and all of them checked again; None leaves a setting as it is.

        A changed ``normalize`` without a ``frame_size`` brings the frame's own size with it.

        Raises:
            ConfigError: a setting is unknown, of the wrong type or out of range.
        """
        changes = {key: value for key, value in overrides.items() if value is not None}
        known = {field.name: field for field in dataclasses.fields(self)}
        for key in changes:
            if key not in known or key == "name":
                others = suggestion(key, [other for other in known if other != "name"])
                raise ConfigError(f"recipe {self.name}: unknown setting {key!r}{others}")
            changes[key] = _coerce(self, key, changes[key])
        kind = changes.get("normalize", self.normalize)
        if kind != self.normalize and "frame_size" not in changes:
            changes["frame_size"] = FRAME_SIZES.get(kind, 1.0)
        return dataclasses.replace(self, **changes)


def share_out(total: int, weights: Sequence[float]) -> tuple[int, ...]:
    """``total`` split in proportion to the weights into whole numbers that add up to it (largest remainders)."""
    whole = math.fsum(weights)
    exact = [total * weight / whole for weight in weights]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def sdf_recipe(name: str) -> SdfRecipe:
    """The recipe of this name.

    Raises:
        ConfigError: there is none; the message names the nearest and all that are known.
    """
    if name not in SDF_RECIPES:
        raise ConfigError(f"unknown recipe {name!r}{suggestion(name, SDF_RECIPES)}")
    return SDF_RECIPES[name]


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """``key=value`` words as a dict for ``SdfRecipe.replace``; commas make a list: ``near_stds=0.05,0.0158``.

    Raises:
        ConfigError: a word has no ``=`` or no value.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise ConfigError(f"setting {word!r}: expected key=value, for example near_stds=0.05,0.0158.")
        parts = [part.strip() for part in value.split(",") if part.strip()]
        settings[key.strip()] = parts if "," in value else value.strip()
    return settings


def _coerce(recipe: SdfRecipe, key: str, value: Any) -> Any:
    """The value in the type of the setting; strings are read as numbers where a number is wanted."""
    current = getattr(recipe, key)
    if isinstance(current, str):
        return str(value)
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    try:
        numbers = [float(item) for item in items]
    except (TypeError, ValueError):
        wanted = "numbers with commas between" if isinstance(current, tuple) else "a number"
        raise ConfigError(f"recipe {recipe.name}: {key} is {value!r}; expected {wanted}.") from None
    if isinstance(current, tuple):
        return tuple(numbers)
    if len(numbers) != 1:
        raise ConfigError(f"recipe {recipe.name}: {key} is {value!r}; expected one number.")
    if not isinstance(current, int):
        return numbers[0]
    if not numbers[0].is_integer():
        raise ConfigError(f"recipe {recipe.name}: {key} is {value!r}; expected a whole number.")
    return int(numbers[0])


def _check(recipe: SdfRecipe) -> None:
    """Raises ConfigError unless every setting makes sense, alone and together."""
    where = f"recipe {recipe.name}: "
    _check_names(recipe, where)
    if recipe.count < 1:
        raise ConfigError(f"{where}count is {recipe.count}; expected at least 1 point a shape.")
    if recipe.surface_count < 0:
        raise ConfigError(f"{where}surface_count is {recipe.surface_count}; expected 0 or more.")
    for part in ("near", "sharp"):
        stds, weights = getattr(recipe, f"{part}_stds"), getattr(recipe, f"{part}_weights")
        if len(stds) != len(weights):
            raise ConfigError(
                f"{where}{part}_stds has {len(stds)} numbers and {part}_weights {len(weights)}; give one weight each."
            )
        if not all(math.isfinite(std) and std >= 0 for std in stds):
            raise ConfigError(f"{where}{part}_stds is {stds}; expected standard deviations of 0 or more.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in recipe.weights) or not sum(recipe.weights) > 0:
        raise ConfigError(f"{where}the weights are {recipe.weights}; expected 0 or more each and not all 0.")
    for key in ("uniform_size", "frame_size", "band_box"):
        if not (math.isfinite(getattr(recipe, key)) and getattr(recipe, key) > 0):
            raise ConfigError(f"{where}{key} is {getattr(recipe, key)}; expected a length above 0.")
    if not 0 < recipe.sharp_angle < 180:
        raise ConfigError(f"{where}sharp_angle is {recipe.sharp_angle}; expected degrees between 0 and 180.")
    _check_bands(recipe, where)


def _check_names(recipe: SdfRecipe, where: str) -> None:
    if recipe.sign == "flood":
        raise ConfigError(
            f"{where}--sign flood comes with `shapetool repair` in a later release; "
            "use auto, or winding for meshes with holes."
        )
    if recipe.backend == "warp":
        raise ConfigError(f"{where}backend 'warp' comes with the gpu extra in a later release; use native.")
    if recipe.backend == "pysdf" and recipe.sign not in ("auto", "parity"):
        raise ConfigError(f"{where}backend 'pysdf' decides the sign by parity; leave --sign {recipe.sign} out.")
    for key, known in (
        ("normalize", tuple(FRAME_SIZES)),
        ("dtype", DTYPES),
        ("sign", SIGNS),
        ("backend", BACKENDS),
        ("uniform_region", REGIONS),
    ):
        name = getattr(recipe, key)
        if name not in known:
            raise ConfigError(f"{where}unknown {key} {name!r}{suggestion(name, known)}")


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
