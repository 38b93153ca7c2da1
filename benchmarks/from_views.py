"""What comes back of closed meshes through their views, against the meshes themselves: clouds, fused depth, hulls.

    python benchmarks/from_views.py ../shared/data/classic --json bench-results/from_views.json

Views are drawn as `render-views --cameras hammersley` draws them, and lattices are those of `convert`. Lengths of the
cloud are in footprints of a pixel, the others in cells of the lattice. The field is measured as it is fused and after
`redistanced`, its mean and its largest error; surfaces by mean, 99th percentile and largest distance. Beside these is
how far a mesh is at most from the surface that its own exact distances have. No time is measured.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.extraction.redistance import redistanced
from shapetool.geometry.distance import closest_point
from shapetool.geometry.frame import fit
from shapetool.geometry.lattice import lattice_distances
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.topology import analyse
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.fusion import fused_distances, unprojected
from shapetool.render.hull import hull_distances
from shapetool.render.placing import placed
from shapetool.render.views import render_views

SAMPLES = 50_000
HALF = 1.1 / 1.03  # the cube of `convert` for the frame of a sphere
TRUNCATION = 3  # cells


def spread(values: np.ndarray) -> list[float]:
    """Mean, 99th percentile and maximum."""
    return [float(values.mean()), float(np.quantile(values, 0.99)), float(values.max())]


def on_surface(mesh: Mesh) -> np.ndarray:
    """Points drawn uniformly from the surface."""
    rng = np.random.default_rng(0)
    faces = rng.choice(len(mesh.faces), SAMPLES, p=mesh.face_areas / mesh.area)
    return np.einsum("ni,nij->nj", rng.dirichlet(np.ones(3), SAMPLES), mesh.triangles[faces])


def measured(mesh: Mesh, recipe: ViewsRecipe, nodes: int) -> dict[str, object]:
    """One row of the table."""
    box, cell = ((-HALF,) * 3, (HALF,) * 3), 2 * HALF / (nodes - 1)
    cameras = placed(recipe, np.random.default_rng(0))
    seen = render_views(mesh, cameras, recipe).channels
    cloud = unprojected(cameras, seen["depth"]).points
    footprint = float(np.median(seen["depth"][seen["depth"] > 0])) / cameras.intrinsics[0, 0, 0]
    fused = fused_distances(cameras, seen["depth"], seen["normal"], box, nodes, TRUNCATION * cell)
    true = lattice_distances(mesh, box, nodes)
    far = np.abs(true) > TRUNCATION * cell
    off = np.abs(fused - true)[~far] / cell
    mended = np.abs(redistanced(fused, box, TRUNCATION * cell, cloud) - true)[~far] / cell
    surface, exact = mesh_of_lattice(fused, box), mesh_of_lattice(true, box)
    hull = mesh_of_lattice(hull_distances(cameras, seen["silhouette"], box, nodes), box)
    return {
        "points": len(cloud),
        "cloud_mean": float(closest_point(mesh, cloud)[0].mean()) / footprint,
        "sign_right": float(((fused < 0) == (true < 0))[far].mean()),
        "band": spread(off),
        "band_within_cell": float((off <= 1).mean()),
        "redistanced": spread(mended),
        "redistanced_beyond_cell": int((mended > 1).sum()),
        "surface_to_mesh": spread(closest_point(mesh, on_surface(surface))[0] / cell),
        "mesh_to_surface": spread(closest_point(surface, on_surface(mesh))[0] / cell),
        "mesh_to_surface_of_exact_distances": spread(closest_point(exact, on_surface(mesh))[0] / cell),
        "sound": analyse(surface).sound,
        "components": analyse(surface).components,
        "hull_volume": hull.volume / mesh.volume,
    }


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", type=int, default=26)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--json", type=Path, default=Path("bench-results/from_views.json"))
    options = parser.parse_args()
    recipe = ViewsRecipe(cameras="hammersley", views=options.views, height=options.size, width=options.size)
    rows = {}
    for path in sorted(path for path in options.folder.iterdir() if path.suffix in MESH_SUFFIXES):
        mesh = load_mesh(path)
        rows[path.stem] = row = measured(fit(mesh).apply_mesh(mesh), recipe, options.resolution)
        there, back = ("/".join(f"{value:.2f}" for value in row[key]) for key in ("surface_to_mesh", "mesh_to_surface"))
        field, mended = (f"{row[key][0]:.3f}/{row[key][2]:.2f}" for key in ("band", "redistanced"))
        print(
            f"| {path.stem} | {row['cloud_mean']:.1e} | {row['sign_right']:.3%} | {field} | "
            f"{row['band_within_cell']:.1%} | {mended} | {there} | {back} | "
            f"{row['mesh_to_surface_of_exact_distances'][2]:.2f} | {row['components']} | {row['hull_volume']:.2f} |",
            flush=True,
        )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    settings = {"views": options.views, "size": options.size, "resolution": options.resolution}
    options.json.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
