"""Where rays first meet the surface of a signed-distance field, and pictures of it.

A field is a callable (P, 3) -> (P,), negative inside. One of torch is wrapped in a `TorchField`; one that knows its
gradients has a method `gradients` of points (P, 3) -> (P, 3), and central differences serve for the others.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from shapetool.errors import ConfigError
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras
from shapetool.render.colours.raw import NEUTRAL
from shapetool.render.views import Views

Field = Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]]
Box = tuple[tuple[float, float, float], tuple[float, float, float]]

DIFFERENCE = 1e-4  # half the width of central differences: float32 leaves them about three digits
WHOLE = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class March:
    """How rays advance through a field.

    `lipschitz` is the most that the field changes over a length of one: 1 for a distance, k for one that is k times
    too large. `clamp` is the value beyond which the field says nothing (DeepSDF's 0.1), so that no step trusts more.
    `least` is the shortest step: where the bound holds, nothing thicker along the ray is stepped over, and a smaller
    one takes longer beside surfaces. A change of sign is then halved until it is located to `tolerance`.
    """

    lipschitz: float | int = 1.0
    clamp: float | int | None = None
    least: float | int = 1e-4
    tolerance: float | int = 1e-9
    steps: int = 4096
    batch: int = 1 << 18  # points a call of the field

    def __post_init__(self) -> None:
        """Nothing, when every number makes sense.

        Raises:
            ConfigError: one that is not above 0; the message names it.
        """
        for name in ("lipschitz", "clamp", "least", "tolerance", "steps", "batch"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name}: expected a number above 0, found {value}.")


@dataclass(frozen=True, eq=False)
class Traced:
    """`origin + t * direction` is on the surface where `hit`; t is inf elsewhere.

    `undecided` are rays that had neither met the surface nor left the box after all steps: no hit, and not known to be
    a miss.
    """

    t: Float[np.ndarray, " R"]
    hit: Bool[np.ndarray, " R"]
    undecided: Bool[np.ndarray, " R"]


@dataclass(frozen=True, eq=False)
class TracedViews(Views):
    """Views of a field, and how many of the rays behind them were undecided."""

    undecided: int


class TorchField:
    """A torch function or module (P, 3) -> (P,) or (P, 1) as a field, with gradients by autograd.

    `dtype` and `device` None are those of the module's parameters; a function without any gets float64 on the CPU.
    """

    def __init__(self, function: Callable[..., Any], device: Any = None, dtype: Any = None) -> None:
        import torch

        first = next(iter(function.parameters()), None) if isinstance(function, torch.nn.Module) else None
        self.function = function
        self.device = device or (torch.device("cpu") if first is None else first.device)
        self.dtype = dtype or (torch.float64 if first is None else first.dtype)

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """The values at points."""
        import torch

        with torch.no_grad():
            values: np.ndarray = self._values(self._points(points)).double().cpu().numpy()
        return values

    def gradients(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
        """The gradients at points."""
        import torch

        with torch.enable_grad():
            given = self._points(points).requires_grad_(True)
            (found,) = torch.autograd.grad(self._values(given).sum(), given)
        gradients: np.ndarray = found.double().cpu().numpy()
        return gradients

    def _points(self, points: np.ndarray) -> Any:
        import torch

        return torch.as_tensor(points, dtype=self.dtype, device=self.device)

    def _values(self, points: Any) -> Any:
        return self.function(points).reshape(len(points))


def as_field(field: Callable[..., Any]) -> Field:
    """The field itself, or a `TorchField` of a torch module."""
    import sys

    torch = sys.modules.get("torch")  # where it was never imported, nothing is a module of it
    return TorchField(field) if torch is not None and isinstance(field, torch.nn.Module) else field


def trace(
    field: Callable[..., Any],
    origins: Float[np.ndarray, "R 3"],
    directions: Float[np.ndarray, "R 3"],
    box: Box = WHOLE,
    march: March | None = None,
) -> Traced:
    """The first change of sign of a field along each ray within the box.

    A ray that starts inside hits where it leaves the solid, as rays hit both sides of a face; one that enters the box
    within a solid that reaches beyond it likewise. Directions need not be unit vectors; a zero direction hits nothing.

    Raises:
        ConfigError: a field that does not return a finite number a point.
    Source: Hart, "Sphere tracing: a geometric method for the antialiased ray tracing of implicit surfaces", The Visual
        Computer 1996; with a least step, and bisection where the sign has changed.
    """
    march, field = march or March(), as_field(field)
    length = np.linalg.norm(directions, axis=1)
    units = directions / np.where(length > 0, length, 1)[:, None]
    near, far = _span(origins, units, box)
    t, state = np.full(len(origins), np.inf), np.zeros(len(origins), np.int8)
    # The starts of a ray's last free step and what the field was there; all over the active rays only.
    active = np.flatnonzero((near <= far) & (length > 0))
    at = near[active]
    value = _values(field, origins[active] + at[:, None] * units[active], march)
    inside = value <= 0
    for _ in range(march.steps):
        if not len(active):
            break
        ahead = np.minimum(at + np.maximum(_reach(value, march), march.least), far[active])
        value = _values(field, origins[active] + ahead[:, None] * units[active], march)
        met = (value <= 0) != inside
        if met.any():
            rays = active[met]
            bracket = at[met], ahead[met], inside[met]
            t[rays] = _bisected(field, origins[rays], units[rays], bracket, march) / length[rays]
            state[rays] = 1
        going = ~met & (ahead < far[active])
        active, at, value, inside = active[going], ahead[going], value[going], inside[going]
    state[active] = 2
    return Traced(t, state == 1, state == 2)


def normals_of(
    field: Callable[..., Any], points: Float[np.ndarray, "P 3"], march: March | None = None
) -> Float[np.ndarray, "P 3"]:
    """The unit gradients of a field: its own, or central differences over `DIFFERENCE` both ways; 0 where it is flat.

    Raises:
        ConfigError: a field that does not return a finite number a point.
    """
    field, march = as_field(field), march or March()
    own = getattr(field, "gradients", None)
    gradients = np.empty((len(points), 3))
    if own is not None:
        for start in range(0, len(points), march.batch):
            gradients[start : start + march.batch] = own(points[start : start + march.batch])
    else:
        for axis, step in enumerate(DIFFERENCE * np.eye(3)):
            gradients[:, axis] = _values(field, points + step, march) - _values(field, points - step, march)
    length = np.linalg.norm(gradients, axis=1, keepdims=True)
    return np.divide(gradients, length, out=np.zeros_like(gradients), where=length > 0)


def sphere_traced_views(
    field: Callable[..., Any], cameras: Cameras, recipe: ViewsRecipe, box: Box = WHOLE, march: March | None = None
) -> TracedViews:
    """The channels of the recipe, of a field as all cameras see it, in grey; as `render_views` does of a mesh.

    Raises:
        ConfigError: the channel `face`, shadows or occlusion, which a field has not, or values that are not finite.
    """
    if "face" in recipe.channels or recipe.shadows or recipe.occlusion:
        raise ConfigError("views of a field: expected no channel `face`, no shadows and no occlusion. Leave them out.")
    seen = _Scene(as_field(field), cameras, recipe, box, march or March())
    found = [_one(seen, number) for number in range(len(cameras))]
    channels = {name: np.stack([view[name] for view, _ in found]) for name in recipe.channels}
    return TracedViews(cameras, channels, sum(undecided for _, undecided in found))


@dataclass(frozen=True, eq=False)
class _Scene:
    field: Field
    cameras: Cameras
    recipe: ViewsRecipe
    box: Box
    march: March


def _one(seen: _Scene, number: int) -> tuple[dict[str, np.ndarray], int]:
    cameras, recipe = seen.cameras, seen.recipe
    centres = cameras.pixel_centres()
    origins, directions = cameras.rays(centres, number)
    traced, normals = _surface(seen, origins, directions)
    undecided = int(traced.undecided.sum())
    hit, depth = traced.hit, np.where(traced.hit, traced.t, 0.0)
    points = origins + depth[:, None] * directions
    channels = {
        "depth": depth.astype(np.float32),
        "ray_length": (depth * np.linalg.norm(directions, axis=1)).astype(np.float32),
        "normal": normals.astype(np.float32),
        "camera_normal": (normals @ cameras.pose[number, :3, :3]).astype(np.float32),
        "coordinates": np.where(hit[:, None], points, 0.0).astype(np.float32),
    }
    if {"rgb", "alpha", "silhouette"} & set(recipe.channels):
        light, cover = np.zeros(len(centres)), np.zeros(len(centres))
        for shift in _shifts(recipe.samples):
            if shift.any():
                origins, directions = cameras.rays(centres + shift, number)
                traced, normals = _surface(seen, origins, directions)
                undecided += int(traced.undecided.sum())
            facing = np.abs((normals * directions).sum(axis=1)) / np.linalg.norm(directions, axis=1)
            light += np.where(traced.hit, NEUTRAL * (recipe.ambient + (1 - recipe.ambient) * facing), 0.0)
            cover += traced.hit
        light, cover = light / recipe.samples**2, cover / recipe.samples**2
        ground = 1.0 if recipe.background == "white" else 0.0
        colour = light + (1 - cover) * ground
        if recipe.background == "transparent":
            colour = light / np.maximum(cover, 1 / recipe.samples**2)
        channels["rgb"] = np.rint(255 * colour[:, None] * np.ones(3)).astype(np.uint8)
        channels["silhouette"] = cover >= 0.5
        channels["alpha"] = np.rint(255 * cover).astype(np.uint8)
    shaped = {name: value.reshape(*cameras.size, *value.shape[1:]) for name, value in channels.items()}
    return shaped, undecided


def _shifts(samples: int) -> Float[np.ndarray, "K 2"]:
    """Where the rays of a pixel are from its centre; exactly 0 for the one in the middle."""
    along = (np.arange(samples) - (samples - 1) / 2) / samples
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)


def _surface(
    seen: _Scene, origins: Float[np.ndarray, "R 3"], directions: Float[np.ndarray, "R 3"]
) -> tuple[Traced, Float[np.ndarray, "R 3"]]:
    """Hits, and normals turned to the camera, 0 on a miss."""
    traced = trace(seen.field, origins, directions, seen.box, seen.march)
    rays = np.flatnonzero(traced.hit)
    normals = np.zeros((len(origins), 3))
    points = origins[rays] + traced.t[rays, None] * directions[rays]
    normals[rays] = normals_of(seen.field, points, seen.march)
    normals *= np.where((normals * directions).sum(axis=1, keepdims=True) > 0, -1.0, 1.0)
    return traced, normals


def _span(
    origins: Float[np.ndarray, "R 3"], units: Float[np.ndarray, "R 3"], box: Box
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """The lengths at which rays enter and leave the box, from 0 on; a ray beside it leaves before it enters."""
    low, high = np.asarray(box, dtype=np.float64)
    still = units == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - origins) / units, (high - origins) / units
    within = (origins >= low) & (origins <= high)
    first = np.where(still, np.where(within, -np.inf, np.inf), np.minimum(one, other))
    last = np.where(still, np.where(within, np.inf, -np.inf), np.maximum(one, other))
    return np.maximum(first.max(axis=1), 0), last.min(axis=1)


def _reach(value: Float[np.ndarray, " A"], march: March) -> Float[np.ndarray, " A"]:
    """How far the surface is at least."""
    known = np.abs(value) if march.clamp is None else np.minimum(np.abs(value), march.clamp)
    return known / march.lipschitz


def _values(field: Field, points: Float[np.ndarray, "P 3"], march: March) -> Float[np.ndarray, " P"]:
    """The values at points, in batches.

    Raises:
        ConfigError: another shape than (P,), or a value that is not finite.
    """
    values = np.empty(len(points))
    for start in range(0, len(points), march.batch):
        part = slice(start, start + march.batch)
        found = np.asarray(field(points[part]))
        if found.shape != points[part].shape[:1]:
            raise ConfigError(
                f"field: expected one value for each of {len(points[part])} points, found an array {found.shape}. "
                "Wrap a function of torch in a TorchField."
            )
        values[part] = found
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise ConfigError(f"field: expected finite values, found {values[row]} at {points[row].tolist()}.")
    return values


def _bisected(
    field: Field,
    origins: Float[np.ndarray, "K 3"],
    units: Float[np.ndarray, "K 3"],
    bracket: tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"], Bool[np.ndarray, " K"]],
    march: March,
) -> Float[np.ndarray, " K"]:
    """The length at which the sign changes between the ends of the bracket, whose first one is inside or not."""
    low, high, inside = bracket
    width = float((high - low).max())
    for _ in range(max(0, math.ceil(math.log2(width / march.tolerance))) if width > 0 else 0):
        middle = (low + high) / 2
        same = (_values(field, origins + middle[:, None] * units, march) <= 0) == inside
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.asarray((low + high) / 2)
