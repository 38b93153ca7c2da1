"""Chamfer with a soft minimum: every point of the other cloud has a say, the nearer the more."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapetool.errors import MetricError, suggestion
from shapetool.metrics.nearest import check_clouds, valid

FORMS = ("logsumexp", "softmax")


def soft_chamfer(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    *,
    temperature: float | int,
    form: str = "logsumexp",
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, " B"]:
    """`chamfer` as `l1_mean`, with a soft minimum over distances d for each nearest one; `temperature` is a length.

    `logsumexp` is -T log(sum of e^(-d/T)), below the minimum by at most T log(M), and below 0 where clouds touch.
    `softmax` is the mean of d with weights e^(-d/T), never below the minimum. Both tend to `chamfer` as T falls. All
    pairs are in memory; the gradient is 0 at coinciding points.

    Raises:
        MetricError: clouds that cannot be compared, a temperature that is not above 0, or an unknown form.
    """
    if form not in FORMS:
        raise MetricError(f"unknown form {form!r} of the soft minimum{suggestion(form, FORMS)}")
    if not 0 < temperature < math.inf:
        raise MetricError(f"expected a temperature above 0, found {temperature}. Give a length, such as the spacing.")
    check_clouds(a, b, lengths_a, lengths_b)
    inside_a, inside_b = valid(a, lengths_a), valid(b, lengths_b)
    # Padding may hold anything, NaN too, and must not reach the gradient.
    a, b = (
        cloud if inside is None else torch.where(inside[..., None], cloud, 0)
        for cloud, inside in ((a, inside_a), (b, inside_b))
    )
    squared = (a[:, :, None] - b[:, None]).square().sum(dim=3)
    apart = squared > 0
    distances = torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)
    there = _soft_minimum(distances, inside_b, temperature, form)
    back = _soft_minimum(distances.transpose(1, 2), inside_a, temperature, form)
    return (_mean(there, inside_a) + _mean(back, inside_b)) / 2


def _soft_minimum(
    distances: Float[Tensor, "B N M"], inside: Bool[Tensor, "B M"] | None, temperature: float | int, form: str
) -> Float[Tensor, "B N"]:
    weights = -distances / temperature
    if inside is not None:
        weights = torch.where(inside[:, None], weights, -torch.inf)
    if form == "logsumexp":
        return -temperature * weights.logsumexp(dim=2)
    return (weights.softmax(dim=2) * distances).sum(dim=2)


def _mean(values: Float[Tensor, "B N"], inside: Bool[Tensor, "B N"] | None) -> Float[Tensor, " B"]:
    if inside is None:
        return values.mean(dim=1)
    return torch.where(inside, values, 0).sum(dim=1) / inside.sum(dim=1)
