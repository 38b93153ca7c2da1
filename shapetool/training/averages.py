"""Averaged weights: a slow copy of a model, which is kept and shown in its place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def copied(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model as they are now."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def take_in(average: dict[str, Tensor], model: nn.Module, most: float, step: int) -> None:
    """None, once the average has taken in the weights of a step; young averages forget faster than `most` says."""
    keep = min(most, (1 + step) / (10 + step))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor.detach(), 1 - keep)
        else:
            average[name].copy_(tensor)


@contextmanager
def averaged(model: nn.Module, average: dict[str, Tensor]) -> Iterator[None]:
    """A context in which the model evaluates with its averaged weights, if there are any."""
    model.eval()
    own = copied(model) if average else {}
    if average:
        model.load_state_dict(average)
    try:
        yield
    finally:
        if own:
            model.load_state_dict(own)


def is_finite(model: nn.Module) -> bool:
    """Whether every weight is a number."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
