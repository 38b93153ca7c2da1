"""The approximate matching that several papers print as EMD."""

import numpy as np
from jaxtyping import Float

from shapetool.errors import MetricError

LEVELS = (*(-(4.0**power) for power in range(7, -2, -1)), 0.0)
TINY = 1e-9


def approximate_matching_cost(a: Float[np.ndarray, "N 3"], b: Float[np.ndarray, "M 3"]) -> float:
    """The sum of distances under a matching that is annealed in ten levels and is neither optimal nor a bijection.

    It says how large, never how much too large: 1.2 to 1.4 times the optimum where that was compared. In float64.

    Raises:
        MetricError: a cloud without points, or sizes of which none divides the other.

    Source: Fan, Su and Guibas, "A point set generation network for 3D object reconstruction from a single image",
        CVPR 2017; the released tf_approxmatch, whose CUDA variant this follows.
    """
    n, m = len(a), len(b)
    if not n or not m or max(n, m) % min(n, m):
        raise MetricError(f"expected sizes of which one divides the other, found {n} and {m}. Draw as many of both.")
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    left, right = np.full(n, max(n, m) / n), np.full(m, max(n, m) / m)
    match = np.zeros((n, m))
    for level in LEVELS:
        weight = np.exp(level * squared)
        share = left / (weight @ right + TINY)
        wanted = right * (share @ weight)
        taken = np.minimum(right / (wanted + TINY), 1.0) * right
        right = np.maximum(right - wanted, 0.0)
        weight *= share[:, None]
        weight *= taken[None]
        match += weight
        left = np.maximum(left - weight.sum(axis=1), 0.0)
    return float((match * np.sqrt(squared)).sum())
