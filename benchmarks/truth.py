"""How right stored samples are: distances against brute force, signs against the exact winding number.

    python benchmarks/truth.py bones.h5 --meshes ../shared/data/bones --points 20000

Distances are compared with a float64 search over all triangles in plain numpy (tests/naive.py), in units of the radius
of the shape; signs with the sum of all solid angles, on points farther than 1e-6 from the surface. The mesh is read
again and moved into the frame that the shard gives. Exits with 1 when a bound is missed: 2e-7 of the radius, no wrong
sign on closed oriented meshes, one point in 1e5 on the others.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shapetool.data.shards import open_dataset
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.sign import winding_number
from shapetool.geometry.topology import analyse
from tests.naive import brute_distance


def main() -> int:
    """Prints a line a shape and the worst of all; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--points", type=int, default=20_000)
    options = parser.parse_args()
    dataset = open_dataset(options.dataset)
    worst, bad = 0.0, []
    for i in range(len(dataset)):
        record = dataset[i]
        source = str(record["source"])
        original = load_mesh(options.meshes / source)
        mesh = Mesh((original.vertices + record["offset"]) * record["scale"], original.faces)
        points = np.asarray(record["points"][: options.points], dtype=np.float64)
        stored = np.asarray(record["distances"][: options.points], dtype=np.float64)
        corners = mesh.triangles.reshape(-1, 3)
        radius = np.linalg.norm(corners - (corners.min(0) + corners.max(0)) / 2, axis=1).max()
        error = abs(abs(stored) - brute_distance(mesh.vertices, mesh.faces, points)).max() / radius
        far = abs(stored) > 1e-6
        wrong = int((((stored < 0) != (winding_number(mesh, points, exact=True) > 0.5)) & far).sum())
        surface = analyse(mesh)
        clean = surface.watertight and surface.oriented
        allowed = 0 if clean else 1e-5 * len(points)
        worst = max(worst, error)
        if error > 2e-7 or wrong > allowed:
            bad.append(source)
        print(f"{source:60} {len(mesh.faces):7} faces  error {error:.1e}  wrong signs {wrong}  {record['sign_method']}")
    print(f"{len(dataset)} shapes, worst error {worst:.2e} of the radius, {len(bad)} outside the bounds: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
