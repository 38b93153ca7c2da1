"""The clouds that truths are told of: on a line, at random, and on spheres."""

import numpy as np
import torch
from torch import Tensor


def line(*places: float | int) -> Tensor:
    """One cloud on the x axis, in float64."""
    return torch.tensor([[[place, 0, 0] for place in places]], dtype=torch.float64)


def cloud(count: int, seed: int) -> Tensor:
    """One cloud drawn from the normal distribution."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, count, 3)))


def sphere(count: int, seed: int, radius: float) -> Tensor:
    """One cloud spread evenly at random over a sphere."""
    points = np.random.default_rng(seed).normal(size=(1, count, 3))
    return torch.from_numpy(points / np.linalg.norm(points, axis=2, keepdims=True) * radius)
