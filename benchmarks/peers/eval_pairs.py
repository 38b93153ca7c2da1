"""The obvious script that scores meshes as ONet does, by trimesh and pykdtree: python eval_pairs.py N OUT PRED TRUE...

N processes, each with the pairs that fall to it; the points are sampled on both meshes, and both are asked about the
volume points, which trimesh does by Embree where embreex is installed.
"""

import csv
import sys
from multiprocessing import Pool

import numpy as np
import trimesh
from pykdtree.kdtree import KDTree

COUNT = 100_000
THRESHOLDS = (0.005, 0.01, 0.02, 0.05)


def score(pair: tuple[str, str]) -> list[float]:
    """The row of one pair."""
    pred, true = (trimesh.load(path, force="mesh") for path in pair)
    points, faces = zip(*(trimesh.sample.sample_surface(mesh, COUNT) for mesh in (pred, true)), strict=True)
    normals = [mesh.face_normals[index] for mesh, index in zip((pred, true), faces, strict=True)]
    accuracy, to_true = KDTree(points[1]).query(points[0])
    completeness, to_pred = KDTree(points[0]).query(points[1])
    cosines = [
        np.abs((normals[0] * normals[1][to_true]).sum(axis=1)).mean(),
        np.abs((normals[1] * normals[0][to_pred]).sum(axis=1)).mean(),
    ]
    middle, half = true.bounds.mean(axis=0), 0.55 * true.extents.max()
    volume = middle + np.random.default_rng(0).uniform(-half, half, (COUNT, 3))
    inside = [mesh.contains(volume) for mesh in (pred, true)]
    row = [accuracy.mean(), completeness.mean(), (accuracy**2).mean(), (completeness**2).mean(), *cosines]
    row.append((inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum())
    for threshold in THRESHOLDS:
        precision, recall = (accuracy <= threshold).mean(), (completeness <= threshold).mean()
        row.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return [float(value) for value in row]


def main() -> None:
    """Scores all pairs and writes one CSV."""
    processes, out, paths = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    pairs = list(zip(paths[::2], paths[1::2], strict=True))
    with Pool(processes) as pool:
        rows = pool.map(score, pairs, chunksize=1)
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        names = ["accuracy", "completeness", "accuracy2", "completeness2", "normals_accuracy", "normals_completeness"]
        writer.writerow(["prediction", *names, "iou", *(f"fscore@{threshold}" for threshold in THRESHOLDS)])
        writer.writerows([pair[0], *row] for pair, row in zip(pairs, rows, strict=True))


if __name__ == "__main__":
    main()
