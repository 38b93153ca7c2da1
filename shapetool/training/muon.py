"""Muon: steps along matrices whose singular values are made alike."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a quintic that lifts small singular values fast, to between 0.7 and 1.2
ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, then every matrix orthogonalised, times `lr` and the root of its rows over its columns.

    The weights of a convolution are a matrix with one row for each channel that comes out.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, as `torch.optim.Muon` has it
        with `weight_decay=0`. Differences: matrices of one shape go together, and on the CPU in float32 instead of
        bfloat16, which CPUs without such units emulate at a twentieth of the speed.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float = 1e-3, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """None, once the matrices that have a gradient moved; there is no closure."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(tuple(matrix.shape), []).append(matrix)
            for shape, matrices in alike.items():
                along = torch.stack([self._along(matrix, group["momentum"]) for matrix in matrices]).flatten(2)
                rows, columns = along.shape[1:]
                size = group["lr"] * max(1.0, rows / columns) ** 0.5
                for matrix, step in zip(matrices, orthogonalised(along), strict=True):
                    matrix.sub_(step.view(shape), alpha=size)

    def _along(self, matrix: Tensor, momentum: float) -> Tensor:
        """The gradient with its momentum, which takes it in."""
        assert matrix.grad is not None
        if not self.state[matrix]:
            self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        memory: Tensor = self.state[matrix]["momentum_buffer"]
        memory.lerp_(matrix.grad, 1 - momentum)
        return torch.lerp(matrix.grad, memory, momentum)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (B, rows, columns) with their singular values brought near to 1, by Newton-Schulz steps."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x.to(torch.bfloat16) if x.is_cuda else x
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    for _ in range(ROUNDS):
        squares = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(squares, squares, squares, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)
