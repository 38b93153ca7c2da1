"""Many earth mover's distances at once, nearly: an auction in torch that says how near."""

from typing import NamedTuple

import torch
from torch import Tensor

from shapetool.errors import MetricError

_AT_ONCE = 1 << 28  # costs held at a time
_PHASES = 12
_SHRINK = 4.0
_LOOK = 16  # rounds between two questions to the device whether all is sold


class ApproximateEmd(NamedTuple):
    """The mean distance (B,) of a one-to-one pairing, bounds (B,) of the least, and the pairing.

    `assignment` (B, N) is the index in b of each point of a. `value` carries gradients to both clouds; `upper` is the
    same number without them, in float64.
    """

    value: Tensor
    lower: Tensor
    upper: Tensor
    assignment: Tensor


def approximate_emd(a: Tensor, b: Tensor, *, rtol: float = 0.01, rounds: int = 2000) -> ApproximateEmd:
    """The mean distance over a nearly best pairing of each a[k] with b[k], (B, N, 3) both, on any device.

    An auction whose step shrinks until `upper - lower <= rtol * upper` for all, for at most `rounds` rounds of each
    step. Who is still unpaired then gets what is left, in order, so the pairing is always one to one and `upper` is
    attained; `lower` holds for whatever prices the auction ended with, computed in float64 with its rounding taken
    off. Where the bounds are too far apart, take `emd`.

    Raises:
        MetricError: other shapes, no point, a number that is not finite, or `rtol` or `rounds` not above 0.

    Source: Bertsekas, The auction algorithm, Ann. Oper. Res. 14, 1988, in its Jacobi form: all bid at once.
    """
    if a.ndim != 3 or a.shape != b.shape or a.shape[2] != 3 or not a.numel():
        raise MetricError(
            f"approximate_emd: expected two batches of one shape (B, N, 3) with points, found {tuple(a.shape)} and "
            f"{tuple(b.shape)}. For other sizes use emd."
        )
    if not (rtol > 0 and rounds > 0):
        raise MetricError(f"approximate_emd: expected rtol and rounds above 0, found {rtol} and {rounds}.")
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise MetricError("approximate_emd: expected finite coordinates, found others. Remove those points.")
    each = max(1, _AT_ONCE // a.shape[1] ** 2)
    parts = [
        _paired(x, y, rtol, rounds)
        for x, y in zip(torch.split(a.detach(), each), torch.split(b.detach(), each), strict=True)
    ]
    lower, assignment = (torch.cat(part) for part in zip(*parts, strict=True))
    value = torch.linalg.vector_norm(a - _chosen(b, assignment), dim=2).mean(dim=1)
    upper = torch.linalg.vector_norm(a.detach().double() - _chosen(b.detach().double(), assignment), dim=2).mean(dim=1)
    return ApproximateEmd(value, torch.minimum(lower, upper), upper, assignment)


def _chosen(b: Tensor, assignment: Tensor) -> Tensor:
    """b[k, assignment[k]] for each k."""
    return b.gather(1, assignment[:, :, None].expand(-1, -1, 3))


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """All distances (B, N, N), of differences, one axis after the other to spare memory."""
    total = torch.zeros(a.shape[0], a.shape[1], b.shape[1], dtype=a.dtype, device=a.device)
    for axis in range(3):
        total += (a[:, :, None, axis] - b[:, None, :, axis]).square_()
    return total.sqrt_()


def _paired(a: Tensor, b: Tensor, rtol: float, rounds: int) -> tuple[Tensor, Tensor]:
    """The lower bound (B,) and the pairing (B, N) of one part of the batch."""
    costs = _distances(a, b)
    prices = torch.zeros_like(costs[:, 0])
    step = costs.mean(dim=(1, 2), keepdim=True)[:, 0] / 8
    for phase in range(_PHASES):
        owner = _sold(costs, prices, step, rounds)
        assignment = _completed(owner)
        lower = _dual_bound(a, b, prices)
        upper = costs.gather(2, assignment[:, :, None]).mean(dim=(1, 2)).double()
        if phase + 1 == _PHASES or bool((upper - lower <= rtol * upper).all()):
            break
        step = step / _SHRINK
    return lower, assignment


def _sold(costs: Tensor, prices: Tensor, step: Tensor, rounds: int) -> Tensor:
    """The row that holds each column (B, N), -1 for none, after an auction with this step; lowers `prices` in place."""
    batch, n, _ = costs.shape
    owner = torch.full((batch, n), -1, device=costs.device)
    held = torch.zeros((batch, n + 1), dtype=torch.bool, device=costs.device)  # rows; the last is nobody
    rows = torch.arange(n, device=costs.device).expand(batch, n)
    for turn in range(rounds):
        if turn % _LOOK == 0 and bool((owner >= 0).all()):
            break
        values = costs - prices[:, None]
        first, column = values.min(dim=2)
        second = values.scatter_(2, column[:, :, None], torch.inf).amin(dim=2)
        rise = torch.where(torch.isfinite(second), second - first, 0.0) + step
        wanting = ~held[:, :n]
        bid = torch.where(wanting, prices.gather(1, column) - rise, torch.inf)
        best = torch.full_like(prices, torch.inf).scatter_reduce_(1, column, bid, "amin")
        wins = wanting & (bid == best.gather(1, column))
        first_row = torch.full_like(owner, n).scatter_reduce_(1, column, torch.where(wins, rows, n), "amin")
        changed = first_row < n
        held.scatter_(1, torch.where(changed & (owner >= 0), owner, n), False)
        held.scatter_(1, torch.where(changed, first_row, n), True)
        owner = torch.where(changed, first_row, owner)
        prices.copy_(torch.where(changed, best, prices))
    return owner


def _completed(owner: Tensor) -> Tensor:
    """The column of each row: what it holds, or, in order, what nobody holds."""
    batch, n = owner.shape
    assignment = torch.full((batch, n + 1), -1, device=owner.device)
    columns = torch.arange(n, device=owner.device).expand(batch, n)
    assignment.scatter_(1, torch.where(owner >= 0, owner, n), columns)
    assignment = assignment[:, :n].contiguous()
    # Stable sorts put free rows and free columns first, in order; both are as many.
    free_rows = torch.sort((assignment >= 0).int(), dim=1, stable=True)
    free_columns = torch.sort((owner >= 0).int(), dim=1, stable=True)
    given = torch.where(free_rows.values == 0, free_columns.indices, assignment.gather(1, free_rows.indices))
    return assignment.scatter_(1, free_rows.indices, given)


def _dual_bound(a: Tensor, b: Tensor, prices: Tensor) -> Tensor:
    """mean_i min_j(distance_ij - price_j) + mean price, in float64, less what rounding may have added."""
    a, b, prices = a.double(), b.double(), prices.double()
    rows = max(1, _AT_ONCE // 8 // (a.shape[0] * a.shape[1]))
    least = torch.cat(
        [(_distances(part, b) - prices[:, None]).amin(dim=2) for part in torch.split(a, rows, dim=1)], dim=1
    )
    noise = 8 * torch.finfo(torch.float64).eps * (least.abs().amax(dim=1) + prices.abs().amax(dim=1))
    summing = torch.finfo(torch.float64).eps * a.shape[1] * (least.abs().mean(dim=1) + prices.abs().mean(dim=1))
    return (least.mean(dim=1) + prices.mean(dim=1) - noise - summing).clamp(min=0)
