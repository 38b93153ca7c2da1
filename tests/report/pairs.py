"""Pairs of procedural shapes with a prediction that is wrong in a known way, scored by the kernel itself."""

import numpy as np

from shapetool.geometry import families
from shapetool.geometry.distance import closest_point
from shapetool.geometry.mesh import Mesh
from shapetool.report.pictures import Shown
from shapetool.sampling.seed import shape_rng
from shapetool.sampling.surface import sample_surface

THRESHOLDS = (0.005, 0.01, 0.02, 0.05, 0.1)
FAMILIES = ("chair", "lamp", "mug")


def family_mesh(family: str, k: int) -> Mesh:
    return families.build(family, families.draw_parameters(family, shape_rng(0, f"{family}/{k}"), 48))


def spoiled(mesh: Mesh, k: int) -> Mesh:
    """The mesh grown unevenly, by more for a larger k; every fifth has lost its upper part too."""
    span = mesh.bounds[1] - mesh.bounds[0]
    waves = np.sin(9 * mesh.vertices[:, [1, 2, 0]] / span.max() + k)
    moved = Mesh(mesh.vertices + 0.004 * (1 + k) * waves * span.max(), mesh.faces)
    if k % 5 != 4:
        return moved
    low = moved.triangles[:, :, 2].mean(axis=1) < mesh.bounds[0, 2] + 0.7 * span[2]
    return Mesh(moved.vertices, moved.faces[low])


def scored_row(shape_id: str, pred: Mesh, true: Mesh, count: int = 2000) -> dict[str, object]:
    rng = np.random.default_rng(5)
    forth = closest_point(true, sample_surface(pred, count, rng)[0])[0]
    back = closest_point(pred, sample_surface(true, count, rng)[0])[0]
    row: dict[str, object] = {
        "shape_id": shape_id,
        "status": "ok",
        "chamfer_l1_mean": (forth.mean() + back.mean()) / 2,
        "chamfer_l2sq_sum": (forth**2).mean() + (back**2).mean(),
        "hausdorff": max(forth.max(), back.max()),
    }
    for step in THRESHOLDS:
        p, r = float((forth < step).mean()), float((back < step).mean())
        row |= {f"fscore@{step:g}": 2 * p * r / (p + r) if p + r else 0.0}
        row |= {f"precision@{step:g}": p, f"recall@{step:g}": r}
    return row


def sample_pairs(each: int) -> tuple[list[dict[str, object]], dict[str, tuple[Mesh, Mesh]]]:
    """Rows as per_shape.csv has them, failures and an odd name among them, and the meshes by id."""
    rows, pairs = [], {}
    for family in FAMILIES:
        for k in range(each):
            true = family_mesh(family, k)
            shape_id = f"{family}/{k:03d}"
            pairs[shape_id] = (spoiled(true, k), true)
            rows.append(scored_row(shape_id, *pairs[shape_id]))
    rows.append({"shape_id": "chair/<b>bold</b>&co", "status": "missing", "error": "no file in the predictions"})
    rows.append(
        {"shape_id": "mug/empty", "status": "invalid", "error": "mug/empty.obj: expected a face, found <none>."}
    )
    return rows, pairs


def shown_of(chosen: list[tuple[str, str]], pairs: dict[str, tuple[Mesh, Mesh]]) -> list[Shown]:
    return [Shown(shape_id, reason, *pairs[shape_id]) for shape_id, reason in chosen]
