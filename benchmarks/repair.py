"""What repair does to real meshes, beside the surface at one cell's unsigned distance that most pipelines take instead.

    python benchmarks/repair.py ../shared/data/dirty ../shared/data/chairs ../shared/data/tables --resolution 256

Deviations are in percent of the diagonal of the input's box, both ways, of points spread over the area of input and
result; the signed mean is above 0 where the result is the thicker one. Parts of the input that outside does not come
near are not compared. Pairs of faces that meet are counted exactly by libigl's CGAL. Each mesh is a line of
bench-results/repair.jsonl as soon as it is done, and a rerun goes on with the others; the table is in repair.md there.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sdf import installed

from shapetool.errors import MeshError
from shapetool.geometry.deviation import spread_points
from shapetool.geometry.flood import distances_near, lattice_around, regions_of, sink
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.repair import RepairRecipe, repair
from shapetool.geometry.sdf import SignedField
from shapetool.geometry.suffixes import MESH_SUFFIXES

POINTS = 100_000
COLUMNS = ("mesh", "faces", "done", "max", "mean", "signed", "Euler", "pieces", "pairs", "seconds")
PEER = ("max", "mean", "signed", "seconds")


def visible(mesh: Mesh, points: np.ndarray, resolution: int) -> np.ndarray:
    """Which points of the mesh a flood from outside comes near, at the default gap of repair."""
    lattice = lattice_around(mesh, resolution, 1.5)
    distances = distances_near(mesh, lattice, 2.5, 0)
    regions = regions_of(distances > 1.5)
    first = np.arange(regions.count) == 0
    outside = sink(regions.nodes_of(first), distances, 0.87)
    corner = np.floor((points - lattice.origin) / lattice.step).astype(np.int64)
    seen = np.zeros(len(points), bool)
    for step in np.ndindex(4, 4, 4):
        seen |= outside[tuple((corner + np.array(step) - 1).T)]
    return seen


def bordering(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Which points of a closed mesh have space beside them around which it does not wind."""
    kernel = kernel_of(mesh)
    away = 1e-6 * float(np.linalg.norm(np.ptp(mesh.bounds, axis=0))) * mesh.face_normals[kernel.closest(points, 0)[1]]
    sides = [kernel.winding(np.ascontiguousarray(points + sign * away), "fast", 0) for sign in (1, -1)]
    return np.any([np.abs(side) < 0.5 for side in sides], axis=0)


def deviations(mesh: Mesh, shown: np.ndarray, result: Mesh) -> dict[str, float]:
    """How far the result is from the points of the mesh that are shown, and its own points from the mesh."""
    percent = 100 / float(np.linalg.norm(np.ptp(mesh.bounds, axis=0)))
    out = kernel_of(mesh).closest(spread_points(result, POINTS), 0)[0]
    signed = SignedField(result)(shown) if len(shown) else np.zeros(1)
    return {
        "max": float(max(out.max(), np.abs(signed).max())) * percent,
        "mean": float(out.mean() + np.abs(signed).mean()) / 2 * percent,
        "signed": -float(signed.mean()) * percent,
    }


def pairs_of(mesh: Mesh) -> int | None:
    """How many pairs of faces meet, as libigl counts them; None where it is not installed."""
    if not installed("igl"):
        return None
    from peers.self_intersections import intersecting_pairs

    return intersecting_pairs(mesh.vertices, mesh.faces)


def measured(path: Path, recipe: RepairRecipe) -> dict[str, Any]:
    """The line of one mesh, without its name."""
    try:
        mesh = load_mesh(path)
        began = time.perf_counter()
        result, report = repair(mesh, recipe)
        seconds = time.perf_counter() - began
    except MeshError as error:
        return {"error": str(error).replace(str(path), path.name)}
    points = spread_points(mesh, POINTS)
    seen = bordering(mesh, points) if report.method in ("kept", "cut") else visible(mesh, points, recipe.resolution)
    shown = points[seen]
    line: dict[str, Any] = {
        "faces": len(mesh.faces),
        "done": report.method,
        **deviations(mesh, shown, result),
        "Euler": report.euler,
        "pieces": report.components,
        "pairs": pairs_of(result),
        "seconds": seconds,
        "result_faces": len(result.faces),
        "own_report": asdict(report.deviation),
    }
    if installed("skimage"):
        from peers.inflate import inflate

        began = time.perf_counter()
        inflated = inflate(mesh, recipe.resolution)
        line["inflated"] = {"seconds": time.perf_counter() - began, **deviations(mesh, shown, inflated)}
    return line


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as markdown."""
    head = [*COLUMNS, *(f"inflated: {name}" for name in PEER)]
    rows = [head, ["---"] * len(head)]
    for line in lines:
        cells = [line.get(name) for name in COLUMNS] + [line.get("inflated", {}).get(name) for name in PEER]
        if "error" in line:
            cells[2] = "refused"
        rows.append([_cell(cell) for cell in cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def summary(lines: list[dict[str, Any]]) -> str:
    """What the table comes to."""
    done = [line for line in lines if "error" not in line]
    said = [f"{len(lines)} meshes, {len(done)} closed."]
    for method in ("cut", "rebuilt"):
        ours = [line for line in done if line["done"] == method]
        inflated = [line["inflated"] for line in ours if "inflated" in line]
        for title, some in ((f"{len(ours)} {method}", ours), ("inflated, of the same meshes", inflated)):
            if some:
                numbers = ", ".join(f"{key} {np.median([abs(line[key]) for line in some]):.3g}" for key in PEER)
                said.append(f"Medians, {title}: {numbers}.")
                worst = ", ".join(f"{key} {max(abs(line[key]) for line in some):.3g}" for key in PEER)
                said.append(f"Largest, {title}: {worst}.")
    counted = [line["pairs"] for line in done if line["pairs"] is not None]
    said.append(f"Results with faces that meet: {sum(map(bool, counted))} of {len(counted)} counted.")
    return "\n".join(said) + "\n"


def main() -> None:
    """Measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--limit", type=int, help="measure so many more meshes at most")
    parser.add_argument("--force", action="store_true", help="rebuild what is sound already, too")
    parser.add_argument("--json", type=Path, default=Path("bench-results/repair.jsonl"))
    options = parser.parse_args()
    recipe = RepairRecipe(options.resolution, force=options.force)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    before = options.json.read_text().splitlines() if options.json.exists() else []
    known = {(line["mesh"], line["resolution"], line["force"]): line for line in map(json.loads, before)}
    lines, left = [], options.limit
    for folder in options.folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in MESH_SUFFIXES):
            key = f"{folder.name}/{path.relative_to(folder)}", options.resolution, options.force
            if key not in known and (left is None or left > 0):
                left = None if left is None else left - 1
                known[key] = {"mesh": key[0], "resolution": key[1], "force": key[2], **measured(path, recipe)}
                with options.json.open("a") as file:
                    file.write(json.dumps(known[key]) + "\n")
                print(json.dumps(known[key]), flush=True)
            if key in known:
                lines.append(known[key])
    text = table(lines) + "\n" + summary(lines)
    options.json.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
