"""What `render-views` draws: cameras, channels and light, as settings that go to JSON and back."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from shapetool.errors import ConfigError, suggestion
from shapetool.recipes.settings import FRAME_SIZES, find_recipe

CAMERAS = ("r2n2", "sphere", "hammersley")
CHANNELS = ("rgb", "alpha", "depth", "ray_length", "normal", "camera_normal", "silhouette", "face", "coordinates")
DEFAULT_CHANNELS = ("rgb", "depth", "normal", "silhouette")
PROJECTIONS = ("perspective", "orthographic")
VIEW_LAYOUTS = ("h5", "nerf", "nerfstudio", "r2n2", "neus")
UPS = ("y", "z")
BACKGROUNDS = ("white", "black", "transparent")  # transparent: straight colours, black where nothing is
FROM_FILE = "file"  # what `cameras` says where they were read from one
LARGEST_EDGE = 16384  # pixels: the normals of one view are then 3 GiB, and a chunk of HDF5 ends at 4
LENS = ("fov", "radius")  # settings of the distributions that have no lens of their own
COLUMNS = {"rgb": "images", "normal": "normals", "camera_normal": "camera_normals"}
"""The channels that have another name as a column of a shard."""
PIXEL_BYTES = {
    **{"rgb": 3, "alpha": 1, "depth": 4, "ray_length": 4, "normal": 12},
    **{"camera_normal": 12, "silhouette": 1, "face": 4, "coordinates": 12},
}
"""What a pixel of each channel takes in a shard."""


@dataclass(frozen=True)
class ViewsRecipe:
    """How the views of one shape are made.

    `radius` is the distance of the cameras from the origin of the unit frame; 0 means that the unit sphere just fits.
    `fov` is in degrees and holds for the shorter side of the image. `samples` are rays a pixel and axis for colour,
    alpha and silhouette; depth, normals, faces and coordinates are of the one ray through the middle of the pixel.
    `cameras` is a distribution or the path of a JSON file.
    """

    cameras: str = "sphere"
    views: int = 24
    height: int = 224
    width: int = 224
    fov: float = 40.0
    radius: float = 0.0
    projection: str = "perspective"
    up: str = "y"
    channels: tuple[str, ...] = DEFAULT_CHANNELS
    samples: int = 3
    background: str = "white"
    ambient: float = 0.35
    shadows: int = 0  # rays of any hit towards the light for each pixel; 0 is none
    occlusion: int = 0  # rays of any hit over the hemisphere for each pixel; 0 is none
    smooth: bool = True  # normals between vertices, but across edges sharper than `crease`
    crease: float = 30.0  # degrees
    normalize: str = "sphere"
    frame_size: float = FRAME_SIZES["sphere"]

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Nothing, when every setting makes sense.

        Raises:
            ConfigError: a setting that does not; the message names it.
        """
        for name, known in (("projection", PROJECTIONS), ("up", UPS), ("background", BACKGROUNDS)):
            if getattr(self, name) not in known:
                word = getattr(self, name)
                raise ConfigError(f"{name}: unknown {word!r}{suggestion(word, known)}")
        if self.normalize not in FRAME_SIZES:
            raise ConfigError(f"normalize: unknown {self.normalize!r}{suggestion(self.normalize, tuple(FRAME_SIZES))}")
        for channel in self.channels:
            if channel not in CHANNELS:
                raise ConfigError(f"channels: unknown {channel!r}{suggestion(channel, CHANNELS)}")
        if len(set(self.channels)) != len(self.channels):
            raise ConfigError(f"channels: expected each once, found {', '.join(self.channels)}.")
        if not self.channels:
            raise ConfigError(f"channels: expected at least one of {', '.join(CHANNELS)}, found none.")
        least = {"views": 1, "height": 1, "width": 1, "samples": 1, "shadows": 0, "occlusion": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: expected at least {low}, found {getattr(self, name)}.")
        if self.background == "transparent" and "rgb" in self.channels and "alpha" not in self.channels:
            raise ConfigError(
                "background: transparent colours mean something beside alpha alone. Add it to the channels."
            )
        if max(self.height, self.width) > LARGEST_EDGE:
            raise ConfigError(f"size: expected at most {LARGEST_EDGE} pixels, found {self.height}x{self.width}.")
        if not 0 < self.fov < 180:
            raise ConfigError(f"fov: expected degrees between 0 and 180, found {self.fov}.")
        for name, high in (("radius", math.inf), ("ambient", 1), ("crease", 180)):
            if not 0 <= getattr(self, name) <= high or math.isinf(getattr(self, name)):
                raise ConfigError(f"{name}: expected a number from 0 to {high}, found {getattr(self, name)}.")
        if not 0 < self.frame_size < math.inf:
            raise ConfigError(f"frame_size: expected a length above 0, found {self.frame_size}.")
        if self.cameras == "r2n2" and self.projection != "perspective":
            raise ConfigError("projection: the cameras of r2n2 are perspective. Use --cameras sphere or hammersley.")

    @property
    def bytes_per_shape(self) -> int:
        """What the channels and the cameras of one shape take."""
        pixel = sum(PIXEL_BYTES[channel] for channel in self.channels)
        return self.views * (self.height * self.width * pixel + 8 * (9 + 16))

    def to_dict(self) -> dict[str, Any]:
        """Every setting that counts, as JSON; `from_dict` reads it back."""
        settings = asdict(self) | {"channels": list(self.channels)}
        unused = LENS if self.cameras in ("r2n2", FROM_FILE) else ()
        return {name: value for name, value in settings.items() if name not in unused}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "ViewsRecipe":
        """The recipe that `to_dict` wrote; what else a shard says of its views is passed over.

        Raises:
            ConfigError: a setting makes no sense.
        """
        known = {field.name for field in fields(cls)}
        return cls().replace(**{name: value for name, value in settings.items() if name in known})

    def replace(self, **overrides: Any) -> "ViewsRecipe":
        """This recipe with some settings changed and all checked again; None leaves a setting as it is.

        A changed `normalize` brings the size of its frame with it, unless `frame_size` is given.

        Raises:
            ConfigError: a setting is unknown, of the wrong type or out of range.
        """
        known = [field.name for field in fields(self)]
        changes = {name: value for name, value in overrides.items() if value is not None}
        for name, value in changes.items():
            if name not in known:
                raise ConfigError(f"views: unknown setting {name!r}{suggestion(name, known)}")
            changes[name] = _read(name, getattr(self, name), value)
        frame = changes.get("normalize", self.normalize)
        if frame != self.normalize and frame in FRAME_SIZES:
            changes = {"frame_size": FRAME_SIZES[frame], **changes}
        return replace(self, **changes)


def views_recipe(name: str) -> ViewsRecipe:
    """The recipe of views with this name.

    Raises:
        ConfigError: there is none; the message names the nearest and all that are known.
    """
    return find_recipe(name, VIEWS_RECIPES)


def _read(name: str, current: Any, value: Any) -> Any:
    """The value in the type of the setting; words are read as numbers where a number is wanted."""
    if isinstance(current, tuple):
        words = value.split(",") if isinstance(value, str) else value
        return tuple(str(word).strip() for word in words)
    if isinstance(current, bool):
        if str(value).lower() not in ("true", "false", "1", "0"):
            raise ConfigError(f"{name}: expected true or false, found {value!r}.")
        return str(value).lower() in ("true", "1")
    if isinstance(current, str):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name}: expected a number, found {value!r}.") from None
    if isinstance(current, int):
        if not number.is_integer():
            raise ConfigError(f"{name}: expected a whole number, found {value!r}.")
        return int(number)
    return number


VIEWS_RECIPES: dict[str, ViewsRecipe] = {
    "default": ViewsRecipe(),
    # Choy et al., "3D-R2N2", ECCV 2016: 24 views of 137 pixels; where the cameras stand is in shapetool.render.placing.
    "r2n2": ViewsRecipe(cameras="r2n2", height=137, width=137, normalize="diagonal", frame_size=1.0),
}
