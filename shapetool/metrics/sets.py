"""How well a set of generated clouds stands for a set of true ones: MMD, coverage, 1-NNA and JSD."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import MetricError
from shapetool.geometry.cloud import cloud_mesh
from shapetool.geometry.distance import closest_point
from shapetool.metrics.emd_bounds import EmdBounds

Cloud = Float[np.ndarray, "_ 3"]
Distance = Callable[[Cloud, Cloud], float]
# The nearest cloud of the other set, its distance, the nearest of both sets, and the pairs that were asked for.
_Found = tuple[int, float, int, set[tuple[int, int]]]
RESOLUTION = 28  # nodes along each axis of the lattice of JSD
_BEYOND = 1e-6  # how far outside the ball a point may be for having been rounded


@dataclass(frozen=True, eq=False)
class SetScores:
    """MMD (less is better), coverage (1 is best), the accuracy of a nearest neighbour (0.5 is best), and the work.

    Clouds are counted samples first: ``across`` is the nearest cloud of the other set, ``nearest`` of both sets.
    """

    mmd: float
    coverage: float
    nearest_accuracy: float
    pairs: int  # unordered pairs of different clouds
    measured: int  # of these, pairs whose distance had to be computed
    across: Int[np.ndarray, " N"]
    distances: Float[np.ndarray, " N"]  # to `across`
    nearest: Int[np.ndarray, " N"]


def set_scores(
    samples: Sequence[Cloud], references: Sequence[Cloud], distance: Distance, *, emd: bool = False
) -> SetScores:
    """The scores of generated ``samples`` against true ``references`` under a symmetric ``distance`` of two clouds.

    MMD is the mean over references of the distance to the nearest sample. Coverage is the share of references that are
    nearest to some sample. 1-NNA is the share of clouds of both sets whose nearest other cloud is of their own set. Of
    equal distances the first counts: samples before references, each in their order.

    With ``emd=True`` the distance is taken to be at least the mean Euclidean EMD, and pairs that lower bounds decide
    are not computed; the scores are those of all pairs.

    Raises:
        MetricError: a set without clouds, a cloud that is empty, not (N, 3) or not finite, or a distance that is NaN.

    Source: MMD and coverage: Achlioptas et al., "Learning representations and generative models for 3D point clouds",
    ICML 2018. 1-NNA: Yang et al., "PointFlow", ICCV 2019. Their EMD is approximate; here it is what ``distance`` says.
    """
    clouds = [*_checked(samples, "samples"), *_checked(references, "references")]
    search = SetSearch(clouds, distance, emd=emd)
    return search.scores(np.arange(len(samples)), np.arange(len(samples), len(clouds)))


class SetSearch:
    """Scores of sets of clouds out of a list, by distances that are computed when they are needed, and once.

    Raises:
        MetricError: a cloud that is empty, not (N, 3) or not finite.
    """

    def __init__(self, clouds: Sequence[Cloud], distance: Distance, *, emd: bool = False, threads: int = 1) -> None:
        self._clouds = _checked(clouds, "clouds")
        self._distance, self._threads = distance, threads
        self._bounds = EmdBounds(self._clouds) if emd else None
        self._known: dict[tuple[int, int], float] = {}
        self._unwanted = threading.Event()

    def scores(
        self,
        samples: Int[np.ndarray, " S"],
        references: Int[np.ndarray, " R"],
        on_step: Callable[[int, int], None] | None = None,
    ) -> SetScores:
        """What `set_scores` says of the clouds at these places; `on_step` hears how many of how many are done.

        Raises:
            MetricError: a set without clouds, or a distance that is NaN.
        """
        if not (len(samples) and len(references)):
            raise MetricError(f"expected clouds in both sets, found {len(samples)} and {len(references)}.")
        every = np.concatenate([samples, references])
        place = {int(item): at for at, item in enumerate(every)}
        work = [(int(item), references, samples) for item in samples]
        work += [(int(item), samples, references) for item in references]
        found = self._all(work, len(samples), on_step)
        across = np.array([place[one[0]] for one in found])
        distances = np.array([one[1] for one in found])
        nearest = np.array([place[one[2]] for one in found])
        is_sample = np.arange(len(every)) < len(samples)
        count = len(every)
        needed = {pair for one in found for pair in one[3]}
        return SetScores(
            mmd=float(np.mean(distances[~is_sample])),
            coverage=len(set(across[is_sample].tolist())) / len(references),
            nearest_accuracy=float(np.mean(is_sample[nearest] == is_sample)),
            pairs=count * (count - 1) // 2,
            measured=len(needed),
            across=across,
            distances=distances,
            nearest=nearest,
        )

    def _all(
        self,
        work: Sequence[tuple[int, Int[np.ndarray, " _"], Int[np.ndarray, " _"]]],
        samples: int,
        on_step: Callable[[int, int], None] | None,
    ) -> list[_Found]:
        """What `_one` finds for each, by several threads: distances release the interpreter."""
        with ThreadPoolExecutor(self._threads) as pool:
            futures = [pool.submit(self._one, *parts, at < samples) for at, parts in enumerate(work)]
            found = []
            try:
                for future in futures:
                    found.append(future.result())
                    if on_step is not None:
                        on_step(len(found), len(futures))
            except BaseException:
                self._unwanted.set()  # those that run end at their next distance
                pool.shutdown(cancel_futures=True)
                raise
        return found

    def _one(self, item: int, others: Int[np.ndarray, " K"], own: Int[np.ndarray, " L"], is_sample: bool) -> _Found:
        """The nearest of the others, its distance, the nearest of all, and the pairs that it took."""
        asked: set[tuple[int, int]] = set()
        across, far = self._nearest(item, others, asked)
        # Within its own set only a cloud that is nearer matters, or for a sample one that is as near.
        nearer, _ = self._nearest(item, own[own != item], asked, far, or_equal=is_sample)
        return across, far, across if nearer < 0 else nearer, asked

    def _nearest(
        self,
        item: int,
        among: Int[np.ndarray, " K"],
        asked: set[tuple[int, int]],
        limit: float = np.inf,
        or_equal: bool = True,
    ) -> tuple[int, float]:
        """The nearest of `among` within the limit, the first of equals, and its distance; -1 where there is none."""
        best, index = limit, -1
        for low, other in self._by_bound(item, among):
            if low > best:
                break
            if not self._may_be(item, other, best, or_equal or index >= 0):
                continue
            value = self._value(item, other)
            asked.add((min(item, other), max(item, other)))
            if (value, other) < (best, index) if index >= 0 else value < best or (or_equal and value == best):
                best, index = value, other
        return index, best

    def _by_bound(self, item: int, among: Int[np.ndarray, " K"]) -> list[tuple[float, int]]:
        """The candidates with a lower bound of each, rising."""
        if self._bounds is None or not len(among):
            return [(0.0, int(other)) for other in among]
        lows = self._bounds.quick(item, among)
        return sorted(zip(lows.tolist(), among.tolist(), strict=True))

    def _may_be(self, item: int, other: int, limit: float, or_equal: bool) -> bool:
        """Whether a better bound still allows the distance to be within the limit."""
        if self._bounds is None or limit == np.inf:
            return True
        low = self._bounds.close(item, other)
        return low <= limit if or_equal else low < limit

    def _value(self, item: int, other: int) -> float:
        key = (min(item, other), max(item, other))
        if key not in self._known:
            if self._unwanted.is_set():
                raise CancelledError
            value = float(self._distance(self._clouds[key[0]], self._clouds[key[1]]))
            if np.isnan(value):
                raise MetricError(f"clouds {key[0]} and {key[1]}: expected a distance, the function gave NaN.")
            self._known[key] = value
        return self._known[key]


def jsd(samples: Sequence[Cloud], references: Sequence[Cloud], resolution: int = RESOLUTION) -> float:
    """The Jensen-Shannon divergence in bits, 0 to 1, between where the points of the two sets lie.

    Points are counted at the nearest node of a lattice over the cube from -0.5 to 0.5, of which the ball of radius 0.5
    is kept, so the clouds have to lie in that ball.

    Raises:
        MetricError: a set without clouds, a cloud that is empty, not (N, 3) or not finite, a point outside the ball, or
            fewer than 2 nodes along an axis.

    Source: Achlioptas et al., as above, whose code takes points outside the ball too and only warns when it is verbose.
    """
    samples, references = _checked(samples, "samples"), _checked(references, "references")
    return divergence(*(occupancy(side, resolution, name).sum(axis=0) for side, name in _named(samples, references)))


def occupancy(clouds: Sequence[Cloud], resolution: int = RESOLUTION, name: str = "clouds") -> Float[np.ndarray, "S K"]:
    """How many points of each cloud lie nearest to each node of the lattice of `jsd`.

    Raises:
        MetricError: as `jsd`.
    """
    if resolution < 2:
        raise MetricError(f"resolution is {resolution}; expected at least 2 nodes along each axis.")
    axis = np.linspace(-0.5, 0.5, resolution)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= 0.5]
    if not len(nodes):  # two nodes an axis are the corners of the cube
        raise MetricError(f"resolution is {resolution}; expected one with a node in the ball, 3 or more.")
    points = np.concatenate(clouds)
    outside = int((np.linalg.norm(points, axis=1) > 0.5 + _BEYOND).sum())
    if outside:
        raise MetricError(
            f"{name}: expected points in the ball of radius 0.5 about 0, found {outside} of {len(points)} "
            f"outside it. Scale all clouds by one factor."
        )
    found = closest_point(cloud_mesh(nodes), points)[1]
    ends = np.cumsum([len(cloud) for cloud in clouds])[:-1]
    return np.stack([np.bincount(part, minlength=len(nodes)) for part in np.split(found, ends)]).astype(np.float64)


def divergence(first: Float[np.ndarray, " K"], second: Float[np.ndarray, " K"]) -> float:
    """The Jensen-Shannon divergence in bits of two distributions, each given by counts."""
    p, q = first / first.sum(), second / second.sum()
    value = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    return min(max(value, 0.0), 1.0)


def _named(samples: Sequence[Cloud], references: Sequence[Cloud]) -> tuple[tuple[Sequence[Cloud], str], ...]:
    return (samples, "samples"), (references, "references")


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
