"""The shortest script that samples DeepSDF's points with trimesh and pysdf: python pysdf_npz.py COUNT OUT MESH..."""

import os
import sys

import numpy as np
import trimesh
from pysdf import SDF

count, out = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
for path in sys.argv[3:]:
    mesh = trimesh.load(path, force="mesh")
    mesh.vertices -= mesh.bounds.mean(axis=0)
    mesh.vertices /= 1.03 * np.linalg.norm(mesh.vertices, axis=1).max()
    surface, _ = trimesh.sample.sample_surface(mesh, count * 47 // 100)
    near = [surface + rng.normal(0, np.sqrt(variance), surface.shape) for variance in (0.005, 0.0005)]
    uniform = rng.uniform(-1, 1, (count - 2 * len(surface), 3))
    points = rng.permutation(np.concatenate([*near, uniform])).astype(np.float32)
    distances = -SDF(mesh.vertices, mesh.faces)(points)
    surface_points, faces = trimesh.sample.sample_surface(mesh, 30_000)
    np.savez(
        os.path.join(out, os.path.splitext(os.path.basename(path))[0]),
        points=points,
        distances=distances,
        surface_points=surface_points.astype(np.float32),
        surface_normals=mesh.face_normals[faces].astype(np.float32),
    )
