"""What the recipes of all sampling commands share: settings that go to JSON and back, are overridden and checked."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from shapetool.errors import ConfigError, suggestion

FRAME_SIZES = {"sphere": 1 / 1.03, "box": 1.0, "diagonal": 1.0, "centroid": 1.0, "none": 1.0}
"""Frames and the size that a shape gets in them: radius, longest edge, box diagonal, radius, and no change."""

SIGNS = ("auto", "pseudonormal", "winding", "parity", "flood")
FLOOD_SETTINGS = ("flood_resolution", "flood_gap")
BACKENDS = ("native", "pysdf")
DTYPES = ("f32", "f16")
REGIONS = ("box", "ball")

Kind = TypeVar("Kind", bound="PointRecipe")
Named = TypeVar("Named")


@dataclass(frozen=True)
class PointRecipe:
    """Where the points of one shape go, how many there are, and what tells their inside from their outside.

    A recipe is a mixture. Each part has a weight; the counts of the parts are ``count`` shared out by weight with
    the largest remainders rounded up, so that they always add up to ``count``.

    ``near_*``: a surface point plus a normal offset with this standard deviation in each coordinate.
    ``sharp_*``: the same, starting from points on edges whose dihedral angle exceeds ``sharp_angle`` degrees.
    ``uniform_*``: uniform in the box [-size, size]^3, or in the ball of radius size, about the origin.
    ``flood_*``: of the sign ``flood``, the cells along the longest side of the shape, and the share of that side below
    which openings are closed, 0 for two cells.
    All lengths are in the unit frame that ``normalize`` and ``frame_size`` make.
    """

    name: str
    count: int
    surface_count: int = 30_000
    near_stds: tuple[float, ...] = ()
    near_weights: tuple[float, ...] = ()
    uniform_weight: float = 0.0
    uniform_region: str = "box"
    sharp_stds: tuple[float, ...] = ()
    sharp_weights: tuple[float, ...] = ()
    sharp_angle: float = 15.0
    normalize: str = "sphere"
    frame_size: float = FRAME_SIZES["sphere"]
    dtype: str = "f32"
    sign: str = "auto"
    backend: str = "native"
    flood_resolution: int = 256
    flood_gap: float = 0.0

    def __post_init__(self) -> None:
        self.check(f"recipe {self.name}: ")

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of all parts in the order near, uniform, sharp."""
        return (*self.near_weights, self.uniform_weight, *self.sharp_weights)

    def part_counts(self) -> dict[str, tuple[int, ...]]:
        """The number of points of each part (near, uniform, sharp, and band for the rest); together ``count``."""
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
        """Every setting that counts as plain JSON values; ``from_dict`` reads it back."""
        settings = dataclasses.asdict(self)
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in settings.items()
            if self.sign == "flood" or key not in FLOOD_SETTINGS
        }

    @classmethod
    def from_dict(cls: type[Kind], settings: dict[str, Any]) -> Kind:
        """The recipe that ``to_dict`` wrote.

        Raises:
            ConfigError: a setting is unknown, missing or out of range.
        """
        missing = [key for key in ("name", "count") if key not in settings]
        if missing:
            raise ConfigError(f"recipe: expected the settings name and count, found no {' and no '.join(missing)}.")
        base = cls(name=str(settings["name"]), count=1, uniform_weight=1.0)
        return base.replace(**{key: value for key, value in settings.items() if key != "name"})

    def replace(self: Kind, **overrides: Any) -> Kind:
        """This recipe with some settings changed and all of them checked again; None leaves a setting as it is.

        A changed ``normalize`` brings with it what it does for lengths, see ``in_frame``, unless these are given.

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
        if kind != self.normalize:
            changes = {**self.in_frame(kind), **changes}
        return dataclasses.replace(self, **changes)

    def in_frame(self, kind: str) -> dict[str, Any]:
        """The settings that another frame brings with it: its own size."""
        return {"frame_size": FRAME_SIZES.get(kind, 1.0)}

    def check(self, where: str) -> None:
        """Nothing, if every setting makes sense, alone and together; ``where`` begins the message otherwise.

        Raises:
            ConfigError: one does not.
        """
        _check_names(self, where)
        if self.count < 1:
            raise ConfigError(f"{where}count is {self.count}; expected at least 1 point a shape.")
        if self.surface_count < 0:
            raise ConfigError(f"{where}surface_count is {self.surface_count}; expected 0 or more.")
        for part in ("near", "sharp"):
            _check_noise(getattr(self, f"{part}_stds"), getattr(self, f"{part}_weights"), part, where)
        if not all(math.isfinite(weight) and weight >= 0 for weight in self.weights) or not sum(self.weights) > 0:
            raise ConfigError(f"{where}the weights are {self.weights}; expected 0 or more each and not all 0.")
        self.check_lengths(where, "frame_size")
        _check_flood(self, where)
        if not 0 < self.sharp_angle < 180:
            raise ConfigError(f"{where}sharp_angle is {self.sharp_angle}; expected degrees between 0 and 180.")

    def check_lengths(self, where: str, *keys: str) -> None:
        """Nothing, if these settings are lengths above 0.

        Raises:
            ConfigError: one is not.
        """
        for key in keys:
            if not (math.isfinite(getattr(self, key)) and getattr(self, key) > 0):
                raise ConfigError(f"{where}{key} is {getattr(self, key)}; expected a length above 0.")


def find_recipe(name: str, known: Mapping[str, Named]) -> Named:
    """The recipe of this name among those that are known.

    Raises:
        ConfigError: there is none; the message names the nearest and all that are known.
    """
    if name not in known:
        raise ConfigError(f"unknown recipe {name!r}{suggestion(name, known)}")
    return known[name]


def share_out(total: int, weights: Sequence[float]) -> tuple[int, ...]:
    """``total`` split in proportion to the weights into whole numbers that add up to it (largest remainders)."""
    whole = math.fsum(weights)
    exact = [total * weight / whole for weight in weights]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """``key=value`` words as a dict for a recipe's ``replace``; commas make a list: ``near_stds=0.05,0.0158``.

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


def _coerce(recipe: PointRecipe, key: str, value: Any) -> Any:
    """The value in the type of the setting; strings are read as numbers where a number is wanted."""
    current = getattr(recipe, key)
    if isinstance(current, str):
        return str(value)
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    try:
        numbers = [float(item) for item in items]
    except (TypeError, ValueError, OverflowError):
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


def _check_noise(stds: tuple[float, ...], weights: tuple[float, ...], part: str, where: str) -> None:
    if len(stds) != len(weights):
        raise ConfigError(
            f"{where}{part}_stds has {len(stds)} numbers and {part}_weights {len(weights)}; give one weight each."
        )
    if not all(math.isfinite(std) and std >= 0 for std in stds):
        raise ConfigError(f"{where}{part}_stds is {stds}; expected standard deviations of 0 or more.")


def _check_flood(recipe: PointRecipe, where: str) -> None:
    if not 8 <= recipe.flood_resolution <= 1024:
        raise ConfigError(f"{where}flood_resolution is {recipe.flood_resolution}; expected 8 to 1024 cells.")
    if not 0 <= recipe.flood_gap <= 0.5:
        raise ConfigError(f"{where}flood_gap is {recipe.flood_gap}; expected a share of the longest side up to 0.5.")
    if recipe.sign != "flood" and (recipe.flood_resolution, recipe.flood_gap) != (256, 0.0):
        raise ConfigError(f"{where}flood_resolution and flood_gap are settings of --sign flood; give that as well.")


def _check_names(recipe: PointRecipe, where: str) -> None:
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
