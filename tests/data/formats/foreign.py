"""Rows of a shard whose truth is known, a sphere, for the layouts of others."""

from typing import Any

import numpy as np

RADIUS = 0.6


def sphere_row(shape_id: str, kind: str = "sdf", count: int = 900, dtype: str = "f4") -> dict[str, Any]:
    """One shape as a data set hands it over, with a frame that is no round number."""
    rng = np.random.default_rng(list(shape_id.encode()))
    points = rng.uniform(-1, 1, (count, 3)).astype(dtype)
    distances = (np.linalg.norm(points.astype("f8"), axis=1) - RADIUS).astype(dtype)
    normals = rng.standard_normal((300, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype("f4")
    row = {
        "shape_id": shape_id,
        "source": f"{shape_id}.obj",
        "scale": 0.37,
        "offset": np.array([0.1, -2.3, 5.7]),
        "watertight": True,
        "sign_method": "pseudonormal",
        "points": points,
        "surface_points": RADIUS * normals,
        "surface_normals": normals,
    }
    return row | ({"distances": distances} if kind == "sdf" else {"inside": distances < 0})


def imnet_row(shape_id: str, method: str) -> dict[str, Any]:
    """The same sphere with IM-NET's sets of points, by its counts and its cubes: cells drawn at random here."""
    rng = np.random.default_rng(list(f"{method}{shape_id}".encode()))
    counts = {"v1": (4096, 8192, 32768), "v2": (4096, 4096, 16384)}[method]
    half, points = {"v1": 1.0, "v2": 0.5}[method], []
    for level, count in zip((16, 32, 64), counts, strict=True):
        across = level if method == "v1" else 256
        points.append((rng.integers(across, size=(count, 3)) + 0.5) / across * 2 * half - half)
    order = rng.permutation(sum(counts)).astype("i4")
    shuffled = np.concatenate(points)[order].astype("f4")
    inside = np.linalg.norm(shuffled.astype("f8"), axis=1) < RADIUS * half
    voxels = np.kron(rng.random((16, 16, 16)) < 0.1, np.ones((4, 4, 4), dtype=bool))
    more = {"points": shuffled, "inside": inside, "order": order, "voxels": voxels}
    return {name: value for name, value in sphere_row(shape_id).items() if name != "distances"} | more


def by_point(points: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Points and what belongs to them as rows in one order, whatever order they came in."""
    rows = np.column_stack([points, *more])
    return rows[np.lexsort(rows.T)]
