"""A lattice of signed distances against Open3D on the same nodes, and against our own scattered points, in one run.

    python benchmarks/lattice.py --data ../shared/data --runs 5 --json bench-results/lattice.json

Every number is the median over the runs of seconds for building and querying together. Open3D gets its points and
triangles as float32, ready; conversions are not timed. Its sign counts crossings of rays.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from sdf import Call, compete, installed, row, show, unit_mesh

from shapetool.geometry.kernel import simd
from shapetool.geometry.lattice import lattice_axes, lattice_distances
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import signed_distance

MESHES = ["bunny_closed_56k.obj", "bunny_closed_7k.off", "fandisk.obj", "homer.obj", "spot.obj"]
BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def contestants(mesh: Mesh, resolution: int) -> dict[str, Call]:
    """What is timed on one mesh."""
    points = np.stack(np.meshgrid(*lattice_axes(BOX, resolution), indexing="ij"), axis=-1).reshape(-1, 3)
    v32, f32, p32 = mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32), points.astype(np.float32)
    calls: dict[str, Call] = {
        "shapetool": lambda: lattice_distances(Mesh(mesh.vertices, mesh.faces), BOX, resolution).ravel(),
        "scattered": lambda: signed_distance(Mesh(mesh.vertices, mesh.faces), points),
    }
    if o3d := installed("open3d"):

        def open3d() -> np.ndarray:
            scene = o3d.t.geometry.RaycastingScene()
            scene.add_triangles(v32, f32)
            return scene.compute_signed_distance(p32).numpy()

        calls["open3d"] = open3d
    return calls


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--json", type=Path, default=Path("bench-results/lattice.json"))
    options = parser.parse_args()
    rows = []
    for name in MESHES:
        mesh = unit_mesh(options.data / "classic" / name)
        rows.append(row(name, mesh, compete(contestants(mesh, options.resolution), options.runs)))
    show(f"{options.resolution}^3 nodes, build included, median of {options.runs}", rows)
    machine = {"cores": os.cpu_count(), "simd": simd()}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine, "resolution": options.resolution, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
