"""What must hold between the voxels of a shape, its points, and the sets that these make up, whatever the mesh was.

From one side of a closed surface to the other one crosses it: between the centres of two neighbouring cells that
crossing lies in one of the two, and between a point and the centre of its cell in that cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from shapetool.data.laws import PROBED, SIGNS_OF_SURFACES
from shapetool.recipes import PROGRESSIVE

FINEST = 256
_STRAY = 1e-3  # of a cell, beside the rounding of the points


def voxel_problems(row: Mapping[str, Any], *, recipe: Mapping[str, Any]) -> list[str]:
    """One sentence for each law that the voxels or the sets of the record of a shape break; none where it has none."""
    problems = _solid_problems(row) if "solid" in row else []
    if ("order" in row) != ("voxels" in row):
        problems.append("it has the order of progressive sets without their voxels, or the other way round")
    elif "order" in row:
        problems += _set_problems(row, recipe)
    return problems


def _solid_problems(row: Mapping[str, Any]) -> list[str]:
    """A sentence for each law of solid and surface voxels that is broken."""
    solid = np.asarray(row["solid"])
    if "low" not in row or "high" not in row or not (np.asarray(row["low"]) < np.asarray(row["high"])).all():
        return ["it has solid voxels and no cube that they fill"]
    closed = bool(row["watertight"]) and row["sign_method"] in SIGNS_OF_SURFACES
    if not closed or "surface" not in row:
        return []
    surface, problems, alone = np.asarray(row["surface"]), [], 0
    for axis in range(3):
        near, far = (np.moveaxis(solid, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        here, there = (np.moveaxis(surface, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        alone += int(((near != far) & ~here & ~there).sum())
    if alone:
        problems.append(f"{alone} pairs of neighbouring voxels lie on two sides of a surface that meets neither")
    points, inside = np.asarray(row["points"][:PROBED], dtype=np.float64), np.asarray(row["inside"][:PROBED])
    cells, within = _cells_of(points, row["low"], row["high"], len(solid))
    plain = within & ~surface[tuple(cells.T)]
    wrong = int((plain & (inside != solid[tuple(cells.T)])).sum())
    if wrong:
        problems.append(f"{wrong} points are not on the side of their voxel, which no surface meets")
    return problems


def _cells_of(points: Float[np.ndarray, "P 3"], low: Any, high: Any, count: int) -> tuple[Any, Bool[np.ndarray, " P"]]:
    """The cell of each point, and which points lie in the cube and clear of the planes between cells."""
    place = (points - low) * (count / (np.asarray(high) - low))
    clear = (np.abs(place - np.rint(place)) > 1e-6).all(axis=1)
    within = clear & (place > 0).all(axis=1) & (place < count).all(axis=1)
    return np.clip(np.floor(place), 0, count - 1).astype(np.int64), within


def _set_problems(row: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """A sentence for each law of progressive sets that is broken."""
    order, count = np.asarray(row["order"]), len(row["points"])
    if not np.array_equal(np.sort(order), np.arange(count)):
        return [f"the order of its points is no order of {count} points"]
    method = str(recipe.get("progressive", ""))
    sizes = PROGRESSIVE.get(method, {})
    if count != sum(sizes.values()) or recipe.get("padding"):
        return []  # imported, or of other sizes than the laws know
    place = np.argsort(order)
    points, inside = np.asarray(row["points"], dtype=np.float64)[place], np.asarray(row["inside"])[place]
    half, problems = float(recipe["box_size"]) / 2, []
    ends = np.cumsum(list(sizes.values()))
    for (level, size), end in zip(sizes.items(), ends.tolist(), strict=True):
        across = FINEST if method == "v2" else level
        exact = (points[end - size : end] + half) * (across / (2 * half)) - 0.5
        cells = np.rint(exact).astype(np.int64)
        stray = _STRAY + across * float(np.finfo(row["points"].dtype).eps)
        if np.abs(exact - cells).max() > stray or cells.min() < 0 or cells.max() >= across:
            problems.append(f"points of the set of {level} are no centres of {across}^3 cells")
            continue
        coarse = cells // (across // level)
        if len(np.unique(coarse, axis=0)) != size:
            problems.append(f"points of the set of {level} share cells")
        exactly = np.frexp(half)[0] == 0.5  # centres are stored as they are, and have the labels of the voxels
        if method == "v2" and exactly and level == len(row["voxels"]):
            wrong = int((np.asarray(row["voxels"])[tuple(coarse.T)] != inside[end - size : end]).sum())
            if wrong:
                problems.append(f"{wrong} points of the set of {level} are not as their voxel is")
    return problems
