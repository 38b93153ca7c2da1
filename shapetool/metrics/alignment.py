"""Moving a prediction onto the truth before it is measured, and saying how it was moved."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError, MetricError, suggestion
from shapetool.metrics.errors import gaps

MOST_STEPS = 200
_STEADY = 1e-13


@dataclass(frozen=True, eq=False)
class Motion:
    """`moved = scale * points @ rotation.T + shift`."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, "3"]

    def __call__(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """The points where they belong."""
        moved: Float[np.ndarray, "N 3"] = self.scale * points @ self.rotation.T + self.shift
        return moved

    @property
    def matrix(self) -> list[float]:
        """The 16 numbers of the matrix for columns, row after row."""
        whole = np.eye(4)
        whole[:3, :3], whole[:3, 3] = self.scale * self.rotation, self.shift
        return [float(number) for number in whole.ravel()]


STAY = Motion(1.0, np.eye(3), np.zeros(3))


def align(
    method: str, pred: Float[np.ndarray, "N 3"], true: Float[np.ndarray, "M 3"], *, paired: bool = False
) -> Motion:
    """The motion that brings `pred` to `true`.

    ``center`` moves the mean to the mean; ``scale`` brings the root mean square distance from it in line, too;
    ``icp`` turns and shifts, ``similarity`` turns, shifts and scales, both by nearest neighbours again and again from
    where ``center`` and ``scale`` leave off. They find the nearest minimum: a shape turned by more than about a
    quarter may stay so. With ``paired`` point i belongs to point i, and one step is exact.

    Raises:
        ConfigError: an unknown method.
        MetricError: a side without points, or without extent where the size is asked for.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI, 1991;
        Besl and McKay, "A method for registration of 3-D shapes", PAMI, 1992.
    """
    if method == "none":
        return STAY
    if method not in ("center", "scale", "similarity", "icp"):
        raise ConfigError(
            f"unknown alignment {method!r}{suggestion(method, ['none', 'center', 'scale', 'similarity', 'icp'])}"
        )
    if not len(pred) or not len(true):
        raise MetricError(f"align: expected points on both sides, found {len(pred)} and {len(true)}.")
    scales = method in ("scale", "similarity")
    if paired and method in ("similarity", "icp"):
        return best_motion(pred, true, scales=scales)
    size = _size(true) / _size(pred) if scales else 1.0
    motion = Motion(size, np.eye(3), true.mean(axis=0) - size * pred.mean(axis=0))
    if method in ("center", "scale"):
        return motion
    error = np.inf
    for _ in range(MOST_STEPS):
        found = gaps(motion(pred), true)
        now = float((found.distances[:, 0] ** 2).mean())
        if error - now <= _STEADY * max(now, np.finfo(float).tiny):
            break
        error, motion = now, best_motion(pred, true[found.index[:, 0]], scales=scales)
    return motion


def best_motion(pred: Float[np.ndarray, "N 3"], true: Float[np.ndarray, "N 3"], *, scales: bool) -> Motion:
    """The motion that makes the sum of squared distances between paired points least.

    Raises:
        MetricError: the size is asked for, and the points have none.
    """
    from_mean, to_mean = pred.mean(axis=0), true.mean(axis=0)
    moments = (true - to_mean).T @ (pred - from_mean)
    u, singular, vt = np.linalg.svd(moments)
    turn = np.ones(3)
    turn[2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * turn) @ vt
    spread = float(((pred - from_mean) ** 2).sum())
    if scales and not spread > 0:
        raise MetricError("align: expected a prediction with an extent, found one point. Use --align center.")
    size = float((singular * turn).sum()) / spread if scales else 1.0
    return Motion(size, rotation, to_mean - size * rotation @ from_mean)


def _size(points: Float[np.ndarray, "N 3"]) -> float:
    size = float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum() / len(points)))
    if not size > 0:
        raise MetricError("align: expected shapes with an extent, found one point. Use --align center.")
    return size
