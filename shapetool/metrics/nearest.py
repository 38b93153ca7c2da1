"""Nearest neighbours between batches of clouds: a k-d tree on the CPU, tiled brute force on CUDA and for small ones.

Distances are those of direct differences, never of an expanded square, so clouds far from the origin lose nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapetool.errors import MetricError
from shapetool.metrics.tree import Tree

# Pairs of points in two clouds above which a tree beats brute force on the CPU: `benchmarks/points.py --crossover`.
TREE_ABOVE = 1 << 14
_TILE = {"cpu": 1 << 16, "cuda": 1 << 26}  # pairs at once: what a core's cache holds, what fills a device
_REMEMBERED = 1 << 22  # coordinates of a pair of batches whose neighbours are kept for the next metric


@dataclass(frozen=True)
class Neighbours:
    """Nearest neighbours both ways; beyond the length of a ragged cloud the distance is 0 and the index -1."""

    forward_sq: Float[Tensor, "B N"]  # of each point of a to b
    forward_index: Int[Tensor, "B N"]  # which point of b
    backward_sq: Float[Tensor, "B M"]
    backward_index: Int[Tensor, "B M"]


def nearest(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    *,
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
) -> tuple[Float[Tensor, "B N"], Int[Tensor, "B N"]]:
    """The squared distance from each point of `a` to its nearest point of `b`, and which one that is.

    Differentiable in both; the gradient is the same whenever it is asked for. Of several at the same distance, brute
    force names the first, a tree any. Beyond the lengths the distance is 0 and the index -1.

    Raises:
        MetricError: a wrong shape, type or device, an empty cloud, or a point that is not finite; it names the row.
    """
    check_clouds(a, b, lengths_a, lengths_b)
    squared, index = _found(a.detach(), b.detach(), lengths_a, lengths_b)
    return (_squared(a, b, index, lengths_a) if _wants_gradient(a, b) else squared), index


def both_ways(
    a: Float[Tensor, "B N 3"],
    b: Float[Tensor, "B M 3"],
    *,
    lengths_a: Int[Tensor, " B"] | None = None,
    lengths_b: Int[Tensor, " B"] | None = None,
) -> Neighbours:
    """`nearest` from `a` to `b` and from `b` to `a`.

    Raises:
        MetricError: a wrong shape, type or device, an empty cloud, or a point that is not finite; it names the row.
    """
    found = _last.neighbours(a.detach(), b.detach(), lengths_a, lengths_b)
    if not _wants_gradient(a, b):
        return found
    forward, backward = found.forward_index, found.backward_index
    return Neighbours(_squared(a, b, forward, lengths_a), forward, _squared(b, a, backward, lengths_b), backward)


def check_clouds(a: Tensor, b: Tensor, lengths_a: Tensor | None, lengths_b: Tensor | None) -> None:
    """Nothing, when two batches of clouds can be compared.

    Raises:
        MetricError: a wrong shape, type or device, an empty cloud, or a point that is not finite; it names the row.
    """
    for name, cloud, lengths in (("a", a, lengths_a), ("b", b, lengths_b)):
        if cloud.ndim != 3 or cloud.shape[2] != 3:
            raise MetricError(f"{name}: expected points of shape (B, N, 3), found {tuple(cloud.shape)}. Add the batch.")
        if cloud.dtype not in (torch.float32, torch.float64):
            raise MetricError(f"{name}: expected float32 or float64, found {cloud.dtype}. Convert it with .float().")
        _check_lengths(name, cloud, lengths)
        _check_finite(name, cloud, lengths)
    for what in ("dtype", "device"):
        if getattr(a, what) != getattr(b, what):
            found = f"{getattr(a, what)} and {getattr(b, what)}"
            raise MetricError(f"expected a and b of one {what}, found {found}. Convert one with .to().")
    if a.shape[0] != b.shape[0]:
        raise MetricError(
            f"expected as many clouds in a as in b, found {a.shape[0]} and {b.shape[0]}. Pair them first."
        )


def valid(cloud: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Which points of a padded batch are points (B, N); None where all are."""
    if lengths is None:
        return None
    return torch.arange(cloud.shape[1], device=cloud.device) < lengths.to(cloud.device)[:, None]


def take(points: Float[Tensor, "B M C"], index: Int[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
    """The rows of each batch that `index` names, with a gradient that is summed in a fixed order."""
    rows = index.clamp(min=0)
    if len(points) > 1:
        rows = rows + torch.arange(len(points), device=points.device)[:, None] * points.shape[1]
    taken: Tensor = _Take.apply(points.reshape(-1, points.shape[2]), rows.reshape(-1))  # type: ignore[no-untyped-call]
    return taken.reshape(*index.shape, points.shape[2])


class _Take(torch.autograd.Function):
    """`points[index]` whose backward is bitwise repeatable: that of `gather` adds in any order on CUDA."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(points)
        return points[index]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,), gradient = ctx.saved_tensors, gradients[0]
        total = gradient.new_zeros(ctx.rows, gradient.shape[1])
        if gradient.is_cuda:
            return total.index_put_((index,), gradient, accumulate=True), None  # sorts, then adds
        return total.index_add_(0, index, gradient), None  # one after the other


class _Last:
    """The neighbours of the last pair of batches, so that several metrics of one pair ask the trees once.

    They are kept for equal numbers, compared one by one, never for an equal name: a cloud changed in place is asked
    again. What has a gradient computes its distances anew from the indices.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[Tensor | None, ...], Neighbours] | None = None

    def neighbours(self, a: Tensor, b: Tensor, lengths_a: Tensor | None, lengths_b: Tensor | None) -> Neighbours:
        """Both ways, without a gradient."""
        asked, kept = (a, b, lengths_a, lengths_b), self._kept  # read once: threads may replace it
        if kept is not None and all(map(_same, asked, kept[0])):
            return kept[1]  # equal to clouds that were checked
        check_clouds(a, b, lengths_a, lengths_b)
        if not _uses_tree(a, b):
            return Neighbours(*_found(a, b, lengths_a, lengths_b), *_found(b, a, lengths_b, lengths_a))
        trees = _planted(a, lengths_a), _planted(b, lengths_b)
        found = Neighbours(*_by_trees(a, *trees), *_by_trees(b, *trees[::-1]))
        if a.numel() + b.numel() <= _REMEMBERED:
            self._kept = tuple(map(_copy, asked)), found
        return found


_last = _Last()


def _copy(given: Tensor | None) -> Tensor | None:
    if given is None or given.device.type != "cpu":
        return None if given is None else given.clone()
    return torch.from_numpy(given.numpy().copy())  # with no thread of torch: see `_by_trees`


def _same(given: Tensor | None, kept: Tensor | None) -> bool:
    if given is None or kept is None:
        return given is kept
    if given.device.type == "cpu" and kept.device.type == "cpu":
        return given.dtype == kept.dtype and np.array_equal(given.numpy(), kept.numpy())
    return given.dtype == kept.dtype and given.device == kept.device and torch.equal(given, kept)


def _wants_gradient(a: Tensor, b: Tensor) -> bool:
    return torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)


def _check_lengths(name: str, cloud: Tensor, lengths: Tensor | None) -> None:
    batch, room = cloud.shape[:2]
    if lengths is None:
        if batch and not room:
            raise MetricError(f"{name}: expected at least one point a cloud, found none in batch row 0. Leave it out.")
        return
    if lengths.shape != (batch,) or lengths.is_floating_point():
        found = f"{tuple(lengths.shape)} of {lengths.dtype}"
        raise MetricError(f"lengths_{name}: expected {batch} whole numbers, found {found}. Give one for each cloud.")
    for row, length in enumerate(lengths.tolist()):
        if not 1 <= length <= room:
            raise MetricError(
                f"{name}: expected 1 to {room} points in batch row {row}, found {length}. "
                "An empty cloud has no distance: leave it out and count it as a failure."
            )


def _check_finite(name: str, cloud: Tensor, lengths: Tensor | None) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        total = cloud.detach().numpy().sum() if cloud.device.type == "cpu" else cloud.detach().sum().item()
    if np.isfinite(total):
        return  # one pass for what is usual; a sum that overflows is looked at in full
    finite = torch.isfinite(cloud.detach()).all(dim=2)
    inside = valid(cloud, lengths)
    bad = ~finite if inside is None else ~finite & inside
    if bool(bad.any()):
        row, point = (int(number) for number in bad.nonzero()[0])
        values = cloud[row, point].tolist()
        raise MetricError(
            f"{name}: expected finite points, found {values} in batch row {row}, point {point}. Remove it."
        )


def _squared(a: Tensor, b: Tensor, index: Tensor, lengths: Tensor | None) -> Tensor:
    """The squared length of the difference to the chosen neighbour; 0 beyond the lengths."""
    inside = valid(a, lengths)
    if inside is not None:  # padding may hold anything, NaN too, and must not reach the gradient
        a = torch.where(inside[..., None], a, 0)
        b = torch.where(torch.isfinite(b), b, 0)
    squared = (a - take(b, index)).square().sum(dim=2)
    return squared if inside is None else torch.where(inside, squared, 0)


def _uses_tree(a: Tensor, b: Tensor) -> bool:
    return a.device.type == "cpu" and a.shape[1] * b.shape[1] >= TREE_ABOVE


def _found(a: Tensor, b: Tensor, lengths_a: Tensor | None, lengths_b: Tensor | None) -> tuple[Tensor, Tensor]:
    """The squared distance to the nearest point of `b`, without a gradient, and which one it is."""
    if _uses_tree(a, b):
        return _by_trees(a, _planted(a, lengths_a), _planted(b, lengths_b))
    index = _by_force(a, b, lengths_b)
    inside = valid(a, lengths_a)
    index = index if inside is None else torch.where(inside, index, -1)
    return _squared(a, b, index, lengths_a), index


def _planted(cloud: Tensor, lengths: Tensor | None) -> list[tuple[int, Tree]]:
    """How many points each cloud of a batch has, and their tree."""
    counts = [cloud.shape[1]] * len(cloud) if lengths is None else lengths.tolist()
    return [(count, Tree(points[:count])) for points, count in zip(cloud.numpy(), counts, strict=True)]


def _by_trees(a: Tensor, trees_a: list[tuple[int, Tree]], trees_b: list[tuple[int, Tree]]) -> tuple[Tensor, Tensor]:
    """The index, and the squared distance that the tree found with it.

    Between tree and tree nothing is asked of torch: its threads and the tree's would wait for each other's cores.
    """
    squared = np.zeros(a.shape[:2], dtype=a.numpy().dtype)
    index = np.full(a.shape[:2], -1, dtype=np.int64)
    for row, ((count, asked), (_, tree)) in enumerate(zip(trees_a, trees_b, strict=True)):
        near_sq, which = tree.nearest_of(asked)
        squared[row, :count], index[row, :count] = near_sq[:, 0], which[:, 0]
    return torch.from_numpy(squared), torch.from_numpy(index)


def _by_force(a: Tensor, b: Tensor, lengths_b: Tensor | None) -> Tensor:
    """All pairs, tile by tile: tiles of points of `a`, and within them of `b`, where the earlier wins a tie."""
    batch, n, m = a.shape[0], a.shape[1], b.shape[1]
    tile = _TILE.get(a.device.type, _TILE["cpu"])
    width = max(1, min(m, 2048 if a.device.type == "cpu" else 16384))
    height = max(1, min(n, tile // width))
    rows = max(1, tile // (width * height))
    index = torch.zeros(batch, n, dtype=torch.int64, device=a.device)
    inside = valid(b, lengths_b)
    for row in range(0, batch, rows):
        for top in range(0, n, height):
            some = a[row : row + rows, top : top + height]
            least = torch.full(some.shape[:2], torch.inf, dtype=a.dtype, device=a.device)
            which = torch.zeros(some.shape[:2], dtype=torch.int64, device=a.device)
            for left in range(0, m, width):
                squared = _pairs(some, b[row : row + rows, left : left + width])
                if inside is not None:
                    squared.masked_fill_(~inside[row : row + rows, None, left : left + width], torch.inf)
                found, place = squared.min(dim=2)
                nearer = found < least
                least, which = torch.where(nearer, found, least), torch.where(nearer, place + left, which)
            index[row : row + rows, top : top + height] = which
    return index


def _pairs(a: Tensor, b: Tensor) -> Tensor:
    """The squared distance of every pair (B, N, M)."""
    squared = (a[:, :, None, 0] - b[:, None, :, 0]).square_()
    for axis in (1, 2):
        squared += (a[:, :, None, axis] - b[:, None, :, axis]).square_()
    return squared
