"""The shortest script that samples DeepSDF's points with Open3D: python open3d_npz.py COUNT OUT MESH..."""

import os
import sys

import numpy as np
import open3d as o3d

count, out = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
for path in sys.argv[3:]:
    mesh = o3d.io.read_triangle_mesh(path)
    mesh.remove_duplicated_vertices()
    vertices = np.asarray(mesh.vertices)
    centre = (vertices.min(0) + vertices.max(0)) / 2
    scale = 1 / (1.03 * np.linalg.norm(vertices - centre, axis=1).max())
    mesh.vertices = o3d.utility.Vector3dVector((vertices - centre) * scale)
    surface = np.asarray(mesh.sample_points_uniformly(count * 47 // 100).points)
    near = [surface + rng.normal(0, np.sqrt(variance), surface.shape) for variance in (0.005, 0.0005)]
    uniform = rng.uniform(-1, 1, (count - 2 * len(surface), 3))
    points = rng.permutation(np.concatenate([*near, uniform])).astype(np.float32)
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
    distances = scene.compute_signed_distance(o3d.core.Tensor(points)).numpy()
    cloud = mesh.sample_points_uniformly(30_000, use_triangle_normal=True)
    np.savez(
        os.path.join(out, os.path.splitext(os.path.basename(path))[0]),
        points=points,
        distances=distances,
        surface_points=np.asarray(cloud.points, dtype=np.float32),
        surface_normals=np.asarray(cloud.normals, dtype=np.float32),
    )
