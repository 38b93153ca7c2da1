"""The loss of Deep Level Sets: five terms of lattices whose zero level is a surface, negative inside.

`spacing` is the distance of two nodes; a node stands for the cube of that size around it, and an integral is a sum over
nodes. Outermost nodes have no neighbour on one side, so what needs a gradient leaves them out.

Source: Michalkiewicz et al., "Deep Level Sets: Implicit Surface Representations for 3D Shape Inference", 2019, eq. 12.
    Its power, width and weights were not at hand, so those of `LevelSetRecipe` are ours. Differences: to the first
    term comes the mean of |values| at points of the true surface, for without it no surface at all is best of all;
    and the second looks at normals there instead of on the surface that is learned.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Float
from torch import Tensor

from shapetool.errors import ConfigError, suggestion

PROFILES = ("cosine", "arctan")
_LEAST = 1e-12  # added to squares before a root, whose slope at 0 is infinite


@dataclass(frozen=True)
class LevelSetRecipe:
    """How the terms are measured and weighed; all numbers are ours.

    ``power``: of the distance in the first term. ``width``: of the smoothed step, in spacings of the lattice.
    ``profile``: ``arctan`` has a slope everywhere, so that every node learns; ``cosine`` is exactly 0 and 1 beyond the
    width, so that it measures. ``normal``, ``distance``, ``area``, ``volume``: weights beside the first term's 1.
    """

    power: float = 2.0
    width: float = 1.5
    profile: str = "arctan"
    normal: float = 0.1
    distance: float = 0.1
    area: float = 0.01
    volume: float = 0.01


@dataclass(frozen=True)
class Truth:
    """What is known of B shapes: points of surfaces with unit normals outward, and how far each node is from them.

    ``low`` is the first node, ``spacing`` from it to the next along each axis.
    """

    points: Float[Tensor, "B P 3"]
    normals: Float[Tensor, "B P 3"]
    distances: Float[Tensor, "B X Y Z"]
    low: tuple[float, float, float]
    spacing: float


def step(values: Float[Tensor, "*B"], width: float, profile: str = "cosine") -> Float[Tensor, "*B"]:
    """The smoothed Heaviside function: from 0 far below zero to 1 far above, one half at zero.

    Raises:
        ConfigError: an unknown profile, or a width that is not above 0.
    """
    _check(width, profile)
    if profile == "arctan":
        return 0.5 + torch.atan(values / width) / math.pi
    inner = (values / width).clamp(-1, 1)
    return 0.5 * (1 + inner) + torch.sin(math.pi * inner) / (2 * math.pi)


def delta(values: Float[Tensor, "*B"], width: float, profile: str = "cosine") -> Float[Tensor, "*B"]:
    """The derivative of `step`: a bump of integral one around zero.

    Raises:
        ConfigError: an unknown profile, or a width that is not above 0.
    """
    _check(width, profile)
    if profile == "arctan":
        return width / (math.pi * (width**2 + values.square()))
    return (1 + torch.cos(math.pi * (values / width).clamp(-1, 1))) / (2 * width)


def gradients(lattices: Float[Tensor, "B X Y Z"], spacing: float) -> Float[Tensor, "B 3 X Y Z"]:
    """The gradient at each node by central differences.

    Beyond the border, values are those of the border, so that gradients there are half as long as they should be.
    """
    padded = F.pad(lattices[:, None], (1,) * 6, mode="replicate")[:, 0]
    x = padded[:, 2:, 1:-1, 1:-1] - padded[:, :-2, 1:-1, 1:-1]
    y = padded[:, 1:-1, 2:, 1:-1] - padded[:, 1:-1, :-2, 1:-1]
    z = padded[:, 1:-1, 1:-1, 2:] - padded[:, 1:-1, 1:-1, :-2]
    return torch.stack([x, y, z], dim=1) / (2 * spacing)


def steepness(lattices: Float[Tensor, "B X Y Z"], spacing: float) -> Float[Tensor, "B x y z"]:
    """The length of the gradient at each node that is not on the border; 1 of a signed distance."""
    return _length(gradients(lattices, spacing))


def at_points(
    lattices: Float[Tensor, "B *C X Y Z"],
    points: Float[Tensor, "B P 3"],
    low: tuple[float, float, float],
    spacing: float,
) -> Float[Tensor, "B *C P"]:
    """What the lattices are at points, linear along each axis between nodes; beyond the nodes, as on the border."""
    sizes = torch.tensor(lattices.shape[-3:], dtype=points.dtype, device=points.device)
    place = (points - torch.tensor(low, dtype=points.dtype, device=points.device)) / spacing
    # torch counts axes from the last one, and places from -1 at the first node to 1 at the last.
    place = (2 * place / (sizes - 1) - 1).flip(-1)[:, :, None, None]
    channels = lattices.flatten(1, -4) if lattices.ndim > 4 else lattices[:, None]
    found = F.grid_sample(channels, place, padding_mode="border", align_corners=True)[..., 0, 0]
    return found.view(*lattices.shape[:-3], -1)


def area(
    lattices: Float[Tensor, "B X Y Z"], spacing: float, width: float | None = None, profile: str = "cosine"
) -> Float[Tensor, " B"]:
    """E_area, the area of each zero level: the integral of delta(values) |gradient|. None for a width of 1.5 spacings.

    With ``arctan`` it grows with the lattice, for the bump never ends.
    """
    bump = delta(_inner(lattices), 1.5 * spacing if width is None else width, profile)
    return _sum(bump * steepness(lattices, spacing)) * spacing**3


def volume(
    lattices: Float[Tensor, "B X Y Z"], spacing: float, width: float | None = None, profile: str = "cosine"
) -> Float[Tensor, " B"]:
    """E_vol, the volume below zero of each lattice: the integral of step(-values). None for a width of 1.5 spacings."""
    return _sum(step(-lattices, 1.5 * spacing if width is None else width, profile)) * spacing**3


def surface_term(lattices: Float[Tensor, "B X Y Z"], truth: Truth, recipe: LevelSetRecipe) -> Float[Tensor, " B"]:
    """E_X: how far the zero level is from the surface: (integral of distances^p delta(values) |gradient|)^(1/p)."""
    bump = delta(_inner(lattices), recipe.width * truth.spacing, recipe.profile)
    return _far(bump * steepness(lattices, truth.spacing), truth, recipe.power)


def normal_term(lattices: Float[Tensor, "B X Y Z"], truth: Truth) -> Float[Tensor, " B"]:
    """E_N: the mean of one minus the cosine between gradient and normal at points of the true surface.

    It is what tells inside from outside: turning all signs makes it 2 minus itself, and leaves all other terms but the
    volume as they are.
    """
    return _off(gradients(lattices, truth.spacing), truth)


def distance_term(lattices: Float[Tensor, "B X Y Z"], spacing: float) -> Float[Tensor, " B"]:
    """E_sdf: the mean of (|gradient| - 1)^2, 0 of a signed distance."""
    return (steepness(lattices, spacing) - 1).square().mean(dim=(1, 2, 3))


def levelset_loss(
    lattices: Float[Tensor, "B X Y Z"], truth: Truth, recipe: LevelSetRecipe
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The weighted sum of the five terms, a mean over shapes, and the terms by name; slopes are worked out once."""
    width = recipe.width * truth.spacing
    slopes = gradients(lattices, truth.spacing)
    steep = _length(slopes)
    sheet = delta(_inner(lattices), width, recipe.profile) * steep
    on_surface = at_points(lattices, truth.points, truth.low, truth.spacing).abs().mean(dim=1)
    terms = {
        "surface": _far(sheet, truth, recipe.power) + on_surface,
        "normal": _off(slopes, truth),
        "distance": (steep - 1).square().mean(dim=(1, 2, 3)),
        "area": _sum(sheet) * truth.spacing**3,
        "volume": volume(lattices, truth.spacing, width, recipe.profile),
    }
    means = {name: term.mean() for name, term in terms.items()}
    loss = means["surface"] + sum(getattr(recipe, name) * mean for name, mean in means.items() if name != "surface")
    return loss, {name: float(mean.detach()) for name, mean in means.items()}


def _inner(lattices: Float[Tensor, "*B X Y Z"]) -> Float[Tensor, "*B x y z"]:
    """All nodes but those of the border."""
    return lattices[..., 1:-1, 1:-1, 1:-1]


def _length(slopes: Float[Tensor, "B 3 X Y Z"]) -> Float[Tensor, "B x y z"]:
    """The length of gradients away from the border."""
    return (_inner(slopes).square().sum(dim=1) + _LEAST).sqrt()


def _sum(lattices: Float[Tensor, "B X Y Z"]) -> Float[Tensor, " B"]:
    return lattices.sum(dim=(1, 2, 3))


def _far(sheet: Float[Tensor, "B x y z"], truth: Truth, power: float) -> Float[Tensor, " B"]:
    """The root of the integral of distances^power over a smoothed surface."""
    whole = _sum(sheet * _inner(truth.distances).pow(power)) * truth.spacing**3
    return (whole + _LEAST).pow(1 / power)


def _off(slopes: Float[Tensor, "B 3 X Y Z"], truth: Truth) -> Float[Tensor, " B"]:
    """The mean of one minus the cosine between slopes and normals."""
    there = at_points(slopes, truth.points, truth.low, truth.spacing)
    return (1 - F.cosine_similarity(there, truth.normals.transpose(1, 2), dim=1)).mean(dim=1)


def _check(width: float, profile: str) -> None:
    """None, if these smooth a step.

    Raises:
        ConfigError: they do not.
    """
    if profile not in PROFILES:
        raise ConfigError(f"unknown profile {profile!r}{suggestion(profile, PROFILES)}")
    if not 0 < width < math.inf:
        raise ConfigError(f"width is {width}; expected a length above 0.")
