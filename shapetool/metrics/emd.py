"""The earth mover's distance of two point clouds, with the plan that attains it and prices that prove it."""

import math
from typing import Any, NamedTuple

import numpy as np

from shapetool.errors import MetricError, suggestion
from shapetool.metrics.auction import ApproximateEmd, approximate_emd
from shapetool.native._kernel import transport

__all__ = ["ApproximateEmd", "Emd", "Flow", "approximate_emd", "emd"]

COSTS = ("distance", "distance_sq")
_EPSILON = float(np.finfo(np.float64).eps)
_UNITS = 1 << 60  # the mass of a weighted cloud, in parts that are moved whole


class Flow(NamedTuple):
    """What moves where: `mass[k]` of point `a_index[k]` to point `b_index[k]`; all masses sum to 1."""

    a_index: np.ndarray
    b_index: np.ndarray
    mass: np.ndarray


class Emd(NamedTuple):
    """The cost of the plan, an interval that holds the optimum, and the plan.

    `assignment` is the index in b of each point of a, (N,) int64, where the clouds are of one size and without weights;
    otherwise a `Flow`.
    """

    value: float
    lower: float
    upper: float
    assignment: np.ndarray | Flow

    @property
    def gap(self) -> float:
        """How much of `upper` is not certified; 0 where both bounds are 0."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0


def emd(
    a: Any,
    b: Any,
    *,
    a_weights: Any = None,
    b_weights: Any = None,
    cost: str = "distance",
    rtol: float = 0.0,
    threads: int | None = None,
) -> Emd:
    """The least mean distance between paired points of a (N, 3) and b (M, 3), numpy or torch, computed in float64.

    Clouds of one size are matched one to one. Otherwise, or with weights (which are divided by their sum), mass is
    moved: each point of a cloud without weights holds as much as any other. With `cost="distance_sq"` it is the least
    mean squared distance; no root is taken.

    `lower` comes from prices v of b: mean over a of min_j(cost - v_j), all pairs checked, plus the mean of v. No
    prices exceed the optimum (Kantorovich), and what float64 may have rounded is taken off. `upper` is the cost of the
    plan, with the same care. The plan does not depend on the number of threads.

    With `rtol` above 0 the search ends as soon as `gap <= rtol`; the plan is a plan, and the bounds hold, all the same.

    Without weights, equal sizes and sizes of which one divides the other are matched by an auction and shortest
    augmenting paths; the rest by the network simplex. Ctrl-C ends the search.

    Raises:
        MetricError: no point, a wrong shape, a number that is not finite, weights that do not fit, an unknown cost, or
            an `rtol` that is not from 0 to below 1.

    Source: Bertsekas, The auction algorithm, Ann. Oper. Res. 14, 1988; Jonker and Volgenant, A shortest augmenting path
    algorithm for dense and sparse linear assignment problems, Computing 38, 1987; Cunningham, A network simplex method,
    Math. Program. 11, 1976. Differs in that rows remember their cheapest columns and look at all of them only when
    these have become too dear, and that the simplex gets its first prices from fewer points.
    """
    if cost not in COSTS:
        raise MetricError(f"unknown cost {cost!r}{suggestion(cost, COSTS)}")
    if not 0 <= rtol < 1:
        raise MetricError(f"emd: expected rtol from 0 (exact) to below 1, found {rtol}. 0.01 is within one percent.")
    clouds = [_cloud(a, "a"), _cloud(b, "b")]
    weights = [_weights(a_weights, len(clouds[0]), "a"), _weights(b_weights, len(clouds[1]), "b")]
    kept = [np.arange(len(x)) if w is None else np.flatnonzero(w) for x, w in zip(clouds, weights, strict=True)]
    clouds, exponent, extent = _scaled([x[k] for x, k in zip(clouds, kept, strict=True)])
    shares, amounts = _amounts(clouds, [w if w is None else w[k] for w, k in zip(weights, kept, strict=True)])
    squared = cost == "distance_sq"
    search = {"squared": squared, "rtol": float(rtol), "threads": threads or 0}
    pairs, units, duals = _moved(clouds, amounts, search)
    each = ((clouds[0][pairs[0]] - clouds[1][pairs[1]]) ** 2).sum(axis=1)
    each = each if squared else np.sqrt(each)
    mass = units / int(amounts[0].sum())
    value = math.fsum(each * mass)
    # What weights lost by becoming whole units may have to travel across everything.
    lost = sum(math.fsum(np.abs(s - n / int(n.sum()))) for s, n in zip(shares, amounts, strict=True))
    upper = value * (1 + 8 * _EPSILON) + lost * (extent**2 if squared else extent)
    lower = _dual_bound(shares, duals)
    scale = 2 * exponent if squared else exponent
    value, lower, upper = (math.ldexp(x, scale) for x in (value, min(lower, value), upper))
    if all(w is None for w in weights) and len(clouds[0]) == len(clouds[1]):
        return Emd(value, lower, upper, pairs[1][np.argsort(pairs[0])])
    order = np.lexsort((pairs[1], pairs[0]))
    return Emd(value, lower, upper, Flow(kept[0][pairs[0][order]], kept[1][pairs[1][order]], mass[order]))


def _moved(
    clouds: list[np.ndarray], amounts: list[np.ndarray], search: dict[str, Any]
) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """The pairs of points between which units move, how many, and the prices of both clouds."""
    if all((x == 1).all() for x in amounts):
        places, counts, inverse = [], [], []
        for cloud in clouds:
            unique, of, count = np.unique(cloud, axis=0, return_inverse=True, return_counts=True)
            places.append(np.ascontiguousarray(unique))
            inverse.append(of.ravel())
            counts.append(count.astype(np.int64))
        if 2 * min(len(x) for x in places) <= len(clouds[0]):  # as of a network that collapsed: search each place once
            several = int(np.gcd.reduce(np.concatenate(counts)))
            ends, units, duals = _solved(places, [x // several for x in counts], search)
            pairs = []
            for end, of in zip(ends, inverse, strict=True):
                # One entry a unit; the points of a place are served in the order in which they stand.
                each = np.repeat(end, units * several)
                point = np.empty_like(each)
                point[np.argsort(each, kind="stable")] = np.argsort(of, kind="stable")
                pairs.append(point)
            return pairs, np.ones(len(clouds[0]), np.int64), [x[of] for x, of in zip(duals, inverse, strict=True)]
    # The auction wants columns of one unit; where only the rows are so, they are the columns.
    if int(amounts[1].max()) > 1 and int(amounts[0].max()) == 1:
        ends, units, duals = _solved(clouds[::-1], amounts[::-1], search)
        return ends[::-1], units, duals[::-1]
    return _solved(clouds, amounts, search)


def _solved(
    clouds: list[np.ndarray], amounts: list[np.ndarray], search: dict[str, Any]
) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """What `_moved` returns, by the kernel, whose integers come as numpy's `longlong`."""
    moved = transport(clouds[0], amounts[0], clouds[1], amounts[1], **search)
    rows, columns, units = (np.asarray(x).view(np.int64) for x in moved[:3])
    return [rows, columns], units, [moved[3], moved[4]]


def _cloud(points: Any, name: str) -> np.ndarray:
    """The points as C-contiguous float64, checked."""
    if hasattr(points, "detach"):
        points = points.detach().cpu()
    cloud = np.ascontiguousarray(points, dtype=np.float64)
    if cloud.ndim != 2 or cloud.shape[1] != 3:
        raise MetricError(f"emd: expected {name} of shape (N, 3), found {cloud.shape}. Pass one cloud at a time.")
    if not len(cloud):
        raise MetricError(f"emd: expected at least one point in {name}, found none. An empty cloud has no distance.")
    finite = np.isfinite(cloud).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise MetricError(
            f"emd: {name} row {row}: expected finite coordinates, found {cloud[row].tolist()}. Remove it."
        )
    return cloud


def _weights(weights: Any, count: int, name: str) -> np.ndarray | None:
    """The weights as shares of their sum, checked; None for equal ones."""
    if weights is None:
        return None
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu()
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (count,):
        raise MetricError(f"emd: expected {count} weights of {name}, one a point, found shape {given.shape}.")
    if not (np.isfinite(given).all() and (given >= 0).all() and given.max() > 0):
        raise MetricError(f"emd: expected finite weights of {name} from 0, one above it, found others. Mend them.")
    shares: np.ndarray = given / given.max()
    return shares / math.fsum(shares)


def _scaled(clouds: list[np.ndarray]) -> tuple[list[np.ndarray], int, float]:
    """The clouds at a size about 1, by a power of two, so that no square overflows; the exponent; the diagonal."""
    both = np.concatenate(clouds)
    halves = both.max(axis=0) / 2 - both.min(axis=0) / 2
    exponent = math.frexp(float(halves.max()))[1] if halves.max() > 0 else 0
    sides = 2 * np.ldexp(halves, -exponent)
    return [np.ldexp(x, -exponent) for x in clouds], exponent, float(np.sqrt((sides**2).sum())) * (1 + 8 * _EPSILON)


def _amounts(clouds: list[np.ndarray], weights: list[np.ndarray | None]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The share of each point, and the same in whole units of which both clouds have as many."""
    sizes = [len(x) for x in clouds]
    shares = [np.full(n, 1 / n) if w is None else w for n, w in zip(sizes, weights, strict=True)]
    if all(w is None for w in weights):
        common = math.gcd(*sizes)
        return shares, [np.full(n, other // common) for n, other in zip(sizes, sizes[::-1], strict=True)]
    amounts = []
    for share in shares:
        whole = np.maximum(1, np.rint(share * _UNITS)).astype(np.int64)
        whole[np.argmax(whole)] += _UNITS - int(whole.sum())
        amounts.append(whole)
    return shares, amounts


def _dual_bound(shares: list[np.ndarray], duals: list[np.ndarray]) -> float:
    """What the prices prove, less what rounding may have added to it."""
    u, v = duals
    noise = 8 * _EPSILON * (float(np.abs(u).max()) + float(np.abs(v).max()))
    return max(0.0, math.fsum(shares[0] * u) + math.fsum(shares[1] * v) - noise)
