"""How well a set of generated clouds stands for a set of true ones: MMD, coverage, 1-NNA and JSD."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MetricError
from shapetool.geometry.cloud import cloud_mesh
from shapetool.geometry.distance import closest_point
from shapetool.metrics.emd_bounds import EmdBounds

Cloud = Float[np.ndarray, "_ 3"]
Distance = Callable[[Cloud, Cloud], float]
RESOLUTION = 28  # nodes along each axis of the lattice of JSD
_BEYOND = 1e-6  # how far outside the ball a point may be for having been rounded


@dataclass(frozen=True)
class SetScores:
    """MMD (less is better), coverage (1 is best), the accuracy of a nearest neighbour (0.5 is best), and the work."""

    mmd: float
    coverage: float
    nearest_accuracy: float
    pairs: int  # unordered pairs of different clouds
    measured: int  # of these, pairs whose distance had to be computed


def set_scores(
    samples: Sequence[Cloud], references: Sequence[Cloud], distance: Distance, *, emd: bool = False
) -> SetScores:
    """The scores of generated ``samples`` against true ``references`` under a symmetric ``distance`` of two clouds.

    MMD is the mean over references of the distance to the nearest sample. Coverage is the share of references that are
    nearest to some sample. 1-NNA is the share of clouds of both sets whose nearest other cloud is of their own set. Of
    equal distances the first counts: samples before references, each in their order.

    With ``emd=True`` the distance is taken to be the exact mean Euclidean EMD, and pairs that lower bounds decide are
    not computed; the scores are those of all pairs.

    Raises:
        MetricError: a set without clouds, a cloud that is empty, not (N, 3) or not finite, or a distance that is NaN.

    Source: MMD and coverage: Achlioptas et al., "Learning representations and generative models for 3D point clouds",
    ICML 2018. 1-NNA: Yang et al., "PointFlow", ICCV 2019. Their EMD is approximate; here it is what ``distance`` says.
    """
    clouds = _checked(samples, "samples") + _checked(references, "references")
    search = _Search(clouds, distance, EmdBounds(clouds) if emd else None)
    own = np.arange(len(samples))
    others = np.arange(len(samples), len(clouds))
    covered, right, nearest = set(), 0, []
    for item in range(len(clouds)):
        is_sample = item < len(samples)
        across, far = search.nearest(item, others if is_sample else own)
        if is_sample:
            covered.add(across)
        else:
            nearest.append(far)
        # Within its own set only a cloud that is nearer matters, or for a sample one that is as near.
        mine = own if is_sample else others
        right += search.has_nearer(item, mine[mine != item], far, or_equal=is_sample)
    count = len(clouds)
    return SetScores(
        mmd=float(np.mean(nearest)),
        coverage=len(covered) / len(references),
        nearest_accuracy=right / count,
        pairs=count * (count - 1) // 2,
        measured=len(search.known),
    )


def jsd(samples: Sequence[Cloud], references: Sequence[Cloud], resolution: int = RESOLUTION) -> float:
    """The Jensen-Shannon divergence in bits, 0 to 1, between where the points of the two sets lie.

    Points are counted at the nearest node of a lattice over the cube from -0.5 to 0.5, of which the ball of radius 0.5
    is kept, so the clouds have to lie in that ball.

    Raises:
        MetricError: a set without clouds, a cloud that is empty, not (N, 3) or not finite, a point outside the ball, or
            fewer than 2 nodes along an axis.

    Source: Achlioptas et al., as above, whose code takes points outside the ball too and only warns when it is verbose.
    """
    if resolution < 2:
        raise MetricError(f"resolution is {resolution}; expected at least 2 nodes along each axis.")
    axis = np.linspace(-0.5, 0.5, resolution)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= 0.5]
    if not len(nodes):  # two nodes an axis are the corners of the cube
        raise MetricError(f"resolution is {resolution}; expected one with a node in the ball, 3 or more.")
    lattice = cloud_mesh(nodes)
    shares = []
    for clouds, name in ((samples, "samples"), (references, "references")):
        points = np.concatenate(_checked(clouds, name))
        outside = int((np.linalg.norm(points, axis=1) > 0.5 + _BEYOND).sum())
        if outside:
            raise MetricError(
                f"{name}: expected points in the ball of radius 0.5 about 0, found {outside} of {len(points)} "
                f"outside it. Scale all clouds by one factor."
            )
        counts = np.bincount(closest_point(lattice, points)[1], minlength=len(nodes))
        shares.append(counts / counts.sum())
    middle = (shares[0] + shares[1]) / 2
    value = _entropy(middle) - (_entropy(shares[0]) + _entropy(shares[1])) / 2
    return min(max(value, 0.0), 1.0)


class _Search:
    """Nearest clouds by distances that are computed when they are needed, and once."""

    def __init__(self, clouds: Sequence[Cloud], distance: Distance, bounds: EmdBounds | None) -> None:
        self.clouds, self.distance, self.bounds = clouds, distance, bounds
        self.known: dict[tuple[int, int], float] = {}

    def nearest(self, item: int, among: Int[np.ndarray, " K"]) -> tuple[int, float]:
        """The nearest of `among`, the first of equals, and its distance."""
        best, index = np.inf, -1
        for low, other in self._by_bound(item, among):
            if low > best:
                break
            if self._may_be(item, other, best, or_equal=True):
                value = self._value(item, other)
                if (value, other) < (best, index) or index < 0:
                    best, index = value, other
        return index, best

    def has_nearer(self, item: int, among: Int[np.ndarray, " K"], limit: float, or_equal: bool) -> bool:
        """Whether one of `among` is nearer than `limit`."""
        for low, other in self._by_bound(item, among):
            if low > limit:
                return False
            if self._may_be(item, other, limit, or_equal):
                value = self._value(item, other)
                if value < limit or (or_equal and value == limit):
                    return True
        return False

    def _by_bound(self, item: int, among: Int[np.ndarray, " K"]) -> list[tuple[float, int]]:
        """The candidates with a lower bound of each, rising."""
        if self.bounds is None:
            return [(0.0, int(other)) for other in among]
        lows = self.bounds.quick(item, among)
        return sorted(zip(lows.tolist(), among.tolist(), strict=True))

    def _may_be(self, item: int, other: int, limit: float, or_equal: bool) -> bool:
        """Whether a better bound still allows the distance to be within the limit."""
        if self.bounds is None or (min(item, other), max(item, other)) in self.known:
            return True
        low = self.bounds.close(item, other)
        return low <= limit if or_equal else low < limit

    def _value(self, item: int, other: int) -> float:
        key = (min(item, other), max(item, other))
        if key not in self.known:
            value = float(self.distance(self.clouds[key[0]], self.clouds[key[1]]))
            if np.isnan(value):
                raise MetricError(f"clouds {key[0]} and {key[1]}: expected a distance, the function gave NaN.")
            self.known[key] = value
        return self.known[key]


def _entropy(shares: Float[np.ndarray, " N"]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def _checked(clouds: Sequence[Cloud], name: str) -> list[Cloud]:
    if not len(clouds):
        raise MetricError(f"{name}: expected at least one cloud, found none.")
    found = []
    for index, cloud in enumerate(clouds):
        points = np.ascontiguousarray(cloud, np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
            raise MetricError(
                f"{name}[{index}]: expected points (N, 3), one or more, finite, found shape {points.shape} with "
                f"{int((~np.isfinite(points)).sum())} numbers that are not finite. Leave the cloud out, and say so."
            )
        found.append(points)
    return found
