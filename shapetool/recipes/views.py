"""What `render-views` draws: cameras, channels and light, as settings that go to JSON and back."""

from dataclasses import asdict, dataclass
from typing import Any

from shapetool.errors import ConfigError, suggestion
from shapetool.recipes.settings import FRAME_SIZES

CAMERAS = ("r2n2", "sphere", "hammersley")
CHANNELS = ("rgb", "alpha", "depth", "ray_length", "normal", "camera_normal", "silhouette", "face", "coordinates")
DEFAULT_CHANNELS = ("rgb", "depth", "normal", "silhouette")
PROJECTIONS = ("perspective", "orthographic")
VIEW_LAYOUTS = ("h5", "nerf", "nerfstudio", "r2n2", "neus")
UPS = ("y", "z")
BACKGROUNDS = ("white", "black")


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
                raise ConfigError(f"{name}: unknown {word!r}{suggestion(word, known)}; known: {', '.join(known)}")
        if self.normalize not in FRAME_SIZES:
            raise ConfigError(f"normalize: unknown {self.normalize!r}{suggestion(self.normalize, tuple(FRAME_SIZES))}")
        for channel in self.channels:
            if channel not in CHANNELS:
                raise ConfigError(
                    f"channels: unknown {channel!r}{suggestion(channel, CHANNELS)}; known: {', '.join(CHANNELS)}"
                )
        if not self.channels:
            raise ConfigError(f"channels: expected at least one of {', '.join(CHANNELS)}, found none.")
        least = {"views": 1, "height": 1, "width": 1, "samples": 1, "shadows": 0, "occlusion": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: expected at least {low}, found {getattr(self, name)}.")
        if not 0 < self.fov < 180:
            raise ConfigError(f"fov: expected degrees between 0 and 180, found {self.fov}.")
        if not (self.radius >= 0 and self.frame_size > 0 and 0 <= self.ambient <= 1 and 0 <= self.crease <= 180):
            raise ConfigError(
                "expected a radius of at least 0, a frame above 0, ambient in 0..1 and a crease in 0..180."
            )

    def to_dict(self) -> dict[str, Any]:
        """Every setting, as JSON."""
        return asdict(self)


VIEWS_RECIPES: dict[str, ViewsRecipe] = {
    "default": ViewsRecipe(),
    # Choy et al., "3D-R2N2", ECCV 2016: 24 views of 137 pixels; where the cameras stand is in shapetool.render.placing.
    "r2n2": ViewsRecipe(cameras="r2n2", height=137, width=137, normalize="diagonal", frame_size=1.0),
}
