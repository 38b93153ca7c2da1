"""What must hold for the samples of one shape whatever the mesh was; cheap checks that need no mesh.

A distance to a surface changes by at most the distance walked, |d(p) - d(q)| <= |p - q|, and is at most the distance
to any known surface point. Between closed surfaces this holds with the sign too, so a wrong sign breaks it as soon as a
neighbour lies nearer than the two distances together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

PROBED = 65536  # samples looked at a shape; rows are shuffled, so the first ones are a fair draw
NEAR_PROBED = (512, 4096)  # samples and surface points compared each with each
STEPS = (1, 2, 3, 5, 8)  # neighbours along the curve
# Methods that decide inside by the surfaces alone. The winding number of a mesh that is not consistently oriented may
# change its verdict where no surface is.
SIGNS_OF_SURFACES = ("pseudonormal", "parity", "crossings")


def sdf_problems(row: Mapping[str, Any], *, exact: bool) -> list[str]:
    """One sentence for each law of signed distances that the record of a shape breaks.

    `exact=False` is for distances of an approximate backend: then only normals and the side of the surface are judged.
    """
    points = np.asarray(row["points"][:PROBED], dtype=np.float64)
    distances = np.asarray(row["distances"][:PROBED], dtype=np.float64)
    surface = np.asarray(row["surface_points"][: NEAR_PROBED[1]], dtype=np.float64)
    normals = np.asarray(row["surface_normals"], dtype=np.float32)
    problems = _frame_problems(row) + _normal_problems(normals)
    if not len(points):
        return problems
    slack = rounding(row)
    closed = bool(row["watertight"]) and row["sign_method"] in SIGNS_OF_SURFACES
    if exact:
        problems += _slope_problems(points, distances, slack, signed=closed)
    if len(surface):
        problems += _surface_problems(
            points, distances, surface, normals[: len(surface)], slack, exact=exact, closed=closed
        )
    if len(distances) >= 1000 and not (np.asarray(row["distances"]) < 0).any():
        problems.append("no sample lies inside: nothing told inside from outside")
    return problems


def occupancy_problems(row: Mapping[str, Any], *, frame: Mapping[str, Any]) -> list[str]:
    """One sentence for each law of occupancy that the record of a shape breaks.

    `frame` is the recipe of the shard: its `normalize` and `frame_size` bound a closed shape, and nothing is inside
    beyond them.
    """
    points, inside = np.asarray(row["points"][:PROBED]), np.asarray(row["inside"][:PROBED])
    surface = np.asarray(row["surface_points"][: NEAR_PROBED[1]], dtype=np.float64)
    normals = np.asarray(row["surface_normals"], dtype=np.float32)
    problems = _frame_problems(row) + _normal_problems(normals)
    problems += _twin_problems(points, inside)
    if bool(row["watertight"]) and row["sign_method"] in SIGNS_OF_SURFACES:
        beyond = int((_beyond(points.astype(np.float64), frame) & inside).sum())
        if beyond:
            problems.append(f"{beyond} points are inside and beyond the frame of the shape: labels or frame are wrong")
        problems += _side_problems(points, inside, surface, normals[: len(surface)])
    if len(inside) >= 1000 and not np.asarray(row["inside"]).any():
        problems.append("no sample lies inside: nothing told inside from outside")
    return problems


def lattice_problems(row: Mapping[str, Any]) -> list[str]:
    """One sentence for each law of signed distances that the lattice of a shape breaks: neighbours differ by at most a
    step.
    """
    values = np.asarray(row["lattice"], dtype=np.float64)
    low, high = np.asarray(row["low"]), np.asarray(row["high"])
    problems = _frame_problems(row)
    if min(values.shape) < 2 or not (low < high).all():
        return [*problems, f"a lattice of {values.shape} nodes in a box from {low.tolist()} to {high.tolist()}"]
    if not (bool(row["watertight"]) and row["sign_method"] in SIGNS_OF_SURFACES):
        values = np.abs(values)
    slack = 4 * float(np.finfo(row["lattice"].dtype).eps) * float(np.abs(values).max())
    steps = (high - low) / (np.array(values.shape) - 1)
    broken = sum(int((np.abs(np.diff(values, axis=a)) > steps[a] + slack).sum()) for a in range(3))
    if broken:
        problems.append(f"{broken} pairs of neighbouring nodes differ by more than a step: values or signs are wrong")
    return problems


def rounding(row: Mapping[str, Any]) -> float:
    """How far stored numbers may be from the true ones: a few roundings of the largest of them."""
    largest = max(float(np.abs(row[name]).max(initial=0)) for name in ("points", "distances"))
    surface = float(np.abs(row["surface_points"]).max(initial=0)) * float(np.finfo(np.float32).eps)
    return 4 * (largest * float(np.finfo(row["distances"].dtype).eps) + surface) + 1e-7 * largest


def along_curve(points: Float[np.ndarray, "P 3"]) -> Int[np.ndarray, " P"]:
    """An order of the points in which neighbours in the list are mostly neighbours in space (a Morton curve)."""
    low, high = points.min(axis=0), points.max(axis=0)
    cells = ((points - low) / max(float((high - low).max()), np.finfo(float).tiny) * 1023).astype(np.uint64)
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << np.uint64(shift))) & np.uint64(mask)
    order: Int[np.ndarray, " P"] = np.argsort(
        cells[:, 0] | (cells[:, 1] << np.uint64(1)) | (cells[:, 2] << np.uint64(2))
    )
    return order


def _frame_problems(row: Mapping[str, Any]) -> list[str]:
    """A sentence if the frame cannot be inverted."""
    scale = float(row["scale"])
    return [] if scale > 0 else [f"scale is {scale}, expected a positive number"]


def _normal_problems(normals: Float[np.ndarray, "M 3"]) -> list[str]:
    """A sentence if surface normals are not of unit length."""
    lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals, dtype=np.float64))
    off = int((np.abs(lengths - 1) > 1e-3).sum())
    return [f"{off} of {len(normals)} surface normals are not of unit length"] if off else []


def _slope_problems(
    points: Float[np.ndarray, "P 3"], distances: Float[np.ndarray, " P"], slack: float, *, signed: bool
) -> list[str]:
    """A sentence if distances change faster than one walks."""
    order = along_curve(points)
    points, distances = points[order], distances[order] if signed else np.abs(distances[order])
    broken = 0
    for step in STEPS:
        walked = np.linalg.norm(points[step:] - points[:-step], axis=1)
        broken += int((np.abs(distances[step:] - distances[:-step]) > walked + slack).sum())
    if not broken:
        return []
    word = "signed distances" if signed else "distances"
    return [
        f"{word} of {broken} pairs of neighbours differ by more than the pairs are apart: values or signs are wrong"
    ]


def _surface_problems(
    points: Float[np.ndarray, "P 3"],
    distances: Float[np.ndarray, " P"],
    surface: Float[np.ndarray, "M 3"],
    normals: Float[np.ndarray, "M 3"],
    slack: float,
    *,
    exact: bool,
    closed: bool,
) -> list[str]:
    """A sentence if samples are farther from the surface than its points are, or on the wrong side of it."""
    points, distances = points[: NEAR_PROBED[0]], distances[: NEAR_PROBED[0]]
    apart_sq = (points**2).sum(1)[:, None] - 2 * points @ surface.T + (surface**2).sum(1)
    nearest = np.argmin(apart_sq, axis=1)
    away = points - surface[nearest]
    apart = np.linalg.norm(away, axis=1)
    problems = []
    too_far = int((np.abs(distances) > apart + slack).sum())
    if exact and too_far:
        problems.append(f"{too_far} of {len(points)} distances exceed the distance to a known surface point")
    # Where the nearest known surface point is about the closest one, its normal tells the side. A vote, for at sharp
    # edges single answers may differ.
    judged = (apart < 1.05 * np.abs(distances)) & (np.abs(distances) > 10 * slack)
    side = np.einsum("ij,ij->i", away, normals[nearest])[judged]
    wrong = int((np.sign(side) != np.sign(distances[judged])).sum())
    if closed and judged.sum() >= 20 and wrong > judged.sum() / 2:
        problems.append("signs and surface normals disagree: inside and outside are exchanged, or normals point inward")
    return problems


def _twin_problems(points: Float[np.ndarray, "P 3"], inside: Bool[np.ndarray, " P"]) -> list[str]:
    """A sentence if one and the same point is inside and outside: labels of points before they were rounded."""
    order = np.lexsort(points.T)
    twins = (points[order[1:]] == points[order[:-1]]).all(axis=1)
    differ = int((twins & (inside[order[1:]] != inside[order[:-1]])).sum())
    return [f"{differ} points are stored twice, once inside and once outside"] if differ else []


def _beyond(points: Float[np.ndarray, "P 3"], frame: Mapping[str, Any]) -> Bool[np.ndarray, " P"]:
    """Which points no shape in this frame can reach."""
    size = float(frame.get("frame_size", np.inf)) * (1 + 1e-9)
    if frame.get("normalize") in ("box", "diagonal"):
        return (np.abs(points) > size / 2).any(axis=1)
    if frame.get("normalize") in ("sphere", "centroid"):
        return (points**2).sum(axis=1) > size**2
    return np.zeros(len(points), dtype=bool)


def _side_problems(
    points: Float[np.ndarray, "P 3"],
    inside: Bool[np.ndarray, " P"],
    surface: Float[np.ndarray, "M 3"],
    normals: Float[np.ndarray, "M 3"],
) -> list[str]:
    """A sentence if most labels are not on the side that the normal of the nearest known surface point has them.

    Only points right above or below that point are judged. Through a plate thinner than its known points are apart the
    nearest one may be of the far side, half of the time; so three quarters must be wrong.
    """
    points, inside = points[: NEAR_PROBED[0]].astype(np.float64), inside[: NEAR_PROBED[0]]
    if not len(points) or not len(surface):
        return []
    apart_sq = (points**2).sum(1)[:, None] - 2 * points @ surface.T + (surface**2).sum(1)
    nearest = np.argmin(apart_sq, axis=1)
    away = points - surface[nearest]
    height = np.einsum("ij,ij->i", away, normals[nearest])
    judged = np.abs(height) > 0.95 * np.linalg.norm(away, axis=1)
    wrong = int(((height < 0) != inside)[judged].sum())
    if judged.sum() >= 20 and wrong > 0.75 * judged.sum():
        return ["labels and surface normals disagree: inside and outside are exchanged, or normals point inward"]
    return []
