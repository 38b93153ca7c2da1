"""The code of a shape that an auto-decoder has not seen, from distances or from a part of its surface."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapetool.errors import ConfigError
from shapetool.models.deepsdf import DeepSDF

STARTS = ("nearest", "mean", "zero")


@dataclass(frozen=True, eq=False)
class Observations:
    """What is known of B shapes: distances at points, and points known to be free.

    At a `free` point the distance is at least what stands there: only a prediction below it is wrong.
    """

    points: Float[Tensor, "B P 3"]
    distances: Float[Tensor, "B P"]
    free: Bool[Tensor, "B P"] | None = None

    def to(self, device: torch.device) -> "Observations":
        """The same on a device."""
        free = None if self.free is None else self.free.to(device)
        return Observations(self.points.to(device), self.distances.to(device), free)


@dataclass(frozen=True)
class Fit:
    """How codes are found: Adam for `steps` at `lr`, a tenth of it in the second half, `points` a step.

    `start`: the code of the training shape that explains the observations best (`nearest`), the mean code, or 0.
    `penalty`: of the square of a code in units of the spread of the codes that were trained (`spread`), or of the
    square of the code itself, as published.
    """

    steps: int = 300
    lr: float = 5e-3
    points: int = 2048
    penalty: float = 1e-4
    start: str = "nearest"
    spread: bool = True
    seed: int = 0


def partial_observations(
    points: Float[Tensor, "P 3"],
    normals: Float[Tensor, "P 3"],
    offset: float = 0.01,
    camera: Float[Tensor, "3"] | None = None,
    free_count: int = 4,
) -> Observations:
    """Observations of one shape from points on its surface: on both sides of each at `offset` along the normal.

    With a `camera`, `free_count` points on the ray to each surface point are free: the distance there is above 0.

    Source: Park et al., DeepSDF, CVPR 2019, section 6.3; the code was not released. Surface points alone do not do: a
        field that is 0 everywhere explains them.
    """
    outside, inside = points + offset * normals, points - offset * normals
    where = [points, outside, inside]
    count = len(points)
    distances = [torch.zeros(count), torch.full((count,), offset), torch.full((count,), -offset)]
    free = [torch.zeros(3 * count, dtype=torch.bool)]
    if camera is not None:
        share = torch.linspace(0, 1, free_count + 2)[1:-1]
        # Denser towards the surface, where a wrong shape would stand in the way.
        share = 1 - (1 - share) ** 2 * 0.9
        along = camera + share[:, None, None] * (points - camera)
        gap = (points - camera).norm(dim=1) * 0
        where.append(along.reshape(-1, 3))
        distances.append(gap.repeat(free_count))
        free.append(torch.ones(free_count * count, dtype=torch.bool))
    return Observations(torch.cat(where)[None], torch.cat(distances)[None].float(), torch.cat(free)[None])


def fit_codes(model: DeepSDF, seen: Observations, fit: Fit | None = None) -> Float[Tensor, "B C"]:
    """The most likely code of each of B shapes; the network stays as it is.

    Raises:
        ConfigError: an unknown start.
    Source: Park et al., DeepSDF, CVPR 2019, equation 10. Differences: the start, and the penalty by the spread of the
        trained codes, which is the Gaussian that they are taken to come from.
    """
    config = model.config
    fit = fit or Fit(config.fit_steps, config.fit_lr, config.fit_points, config.fit_penalty)
    if fit.start not in STARTS:
        raise ConfigError(f"start is {fit.start!r}; expected {', '.join(STARTS)}.")
    model.eval()
    known = model.codes_of({"index": torch.arange(len(model.facts.shape_ids), device=model.device)}).detach()
    mean, spread = known.mean(dim=0), known.std(dim=0).clamp_min(1e-4) if len(known) > 1 else torch.ones_like(known[0])
    if not fit.spread:
        mean, spread = torch.zeros_like(mean), torch.ones_like(mean)
    codes = _starts(model, seen, known, fit).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([codes], lr=fit.lr)
    draws = torch.Generator().manual_seed(fit.seed)
    for step in range(fit.steps):
        for group in optimizer.param_groups:
            group["lr"] = fit.lr * (1.0 if step < fit.steps // 2 else 0.1)
        wrong = _wrong(model, _some(seen, fit.points, draws), codes)
        loss = wrong.sum() + fit.penalty * (((codes - mean) / spread) ** 2).mean(dim=1).sum()
        optimizer.zero_grad()
        (codes.grad,) = torch.autograd.grad(loss, [codes])
        optimizer.step()
    return codes.detach()


def _wrong(model: DeepSDF, seen: Observations, codes: Tensor) -> Float[Tensor, " B"]:
    """The mean error of each shape."""
    found = model.values(seen.points, codes)
    wrong = model.clamped_error(found, seen.distances)
    if seen.free is not None:
        wrong = torch.where(seen.free, torch.relu(seen.distances - found), wrong)
    return wrong.mean(dim=1)


def _some(seen: Observations, count: int, draws: torch.Generator) -> Observations:
    """A random choice of the points, the same ones of every shape."""
    total = seen.points.shape[1]
    if count >= total:
        return seen
    rows = torch.randint(total, (count,), generator=draws).to(seen.points.device)
    free = None if seen.free is None else seen.free[:, rows]
    return Observations(seen.points[:, rows], seen.distances[:, rows], free)


def _starts(model: DeepSDF, seen: Observations, known: Tensor, fit: Fit) -> Float[Tensor, "B C"]:
    """Where the search of each shape begins."""
    count = len(seen.points)
    if fit.start == "zero":
        return torch.zeros_like(known[:1]).expand(count, -1)
    mean = known.mean(dim=0, keepdim=True)
    if fit.start == "mean":
        return mean.expand(count, -1)
    tried = torch.cat([known, mean])
    some = _some(seen, 512, torch.Generator().manual_seed(fit.seed))
    with torch.no_grad():
        errors = torch.stack([_wrong(model, some, code.expand(count, -1)) for code in tried])
    return tried[errors.argmin(dim=0)]
