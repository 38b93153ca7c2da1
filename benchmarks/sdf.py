"""The kernel against its peers, in one run, on the same queries: signed distance and first-hit rays.

    python benchmarks/sdf.py --data ../shared/data --runs 5 --json bench-results/sdf.json

Every number is the median over the runs of seconds for building and querying together; in each run all contestants
follow one another on one mesh, so that a slow spell of the machine hits all of them. Queries are DeepSDF's: 47.5 % at
variance 0.005 and 47.5 % at 0.0005 from the surface, 5 % uniform in [-1, 1]^3, the mesh within the unit sphere. Peers
get float32 or float64 arrays ready in the form they want; conversions are not timed. Rays are compared with trimesh's
embreex intersector twice: asked for the face alone, and for face and place, which is what `cast_rays` returns. A peer
that is not installed is left out.
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from shapetool.geometry.frame import fit
from shapetool.geometry.kernel import simd
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.sdf import signed_distance
from shapetool.render.rays import cast_rays
from shapetool.sampling.surface import sample_surface

# Meshes with a hole, of chairs, tables and odd ones, on which only the winding number makes sense.
OPEN = [
    "chairs/ChairArms1.obj",
    "chairs/ChairNoArms14.obj",
    "tables/Table3.obj",
    "dirty/halftunnel.off",
    "dirty/out.teapot.obj",
    "dirty/suzanne.ply",
    "dirty/snail.obj",
    "dirty/reference.obj",
    "dirty/pcu_truck.ply",
    "dirty/WusonOBJ.obj",
]
CAD = ["cad/Spool_Holder_x1.STL", "cad/M2_Nut_Adapter_Rotated_x5.stl", "cad/a__Idler_Cam_Lock_x2.STL"]

Call = Callable[[], np.ndarray]


def unit_mesh(path: Path) -> Mesh:
    """The mesh within the unit sphere, warnings left behind."""
    mesh = load_mesh(path)
    return fit(mesh, "sphere").apply_mesh(mesh)


def queries(mesh: Mesh, count: int, seed: int) -> np.ndarray:
    """DeepSDF's mixture of points, rounded to float32 so that every contestant sees the same ones."""
    rng = np.random.default_rng(seed)
    near = int(0.475 * count)
    points, _, _ = sample_surface(mesh, 2 * near, rng)
    std = np.sqrt(np.repeat([0.005, 0.0005], near))[:, None]
    points += std * rng.standard_normal(points.shape)
    points = np.concatenate([points, rng.uniform(-1, 1, (count - 2 * near, 3))])
    return rng.permutation(points).astype(np.float32).astype(np.float64)


def installed(name: str) -> object | None:
    """The module, if it can be imported here."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        print(f"left out: {name} ({error})")
        return None


def distance_peers(mesh: Mesh, points: np.ndarray) -> dict[str, Call]:
    """The contestants on one mesh: each builds and queries."""
    v32, f32 = mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)
    p32 = points.astype(np.float32)
    calls: dict[str, Call] = {"shapetool": lambda: signed_distance(Mesh(mesh.vertices, mesh.faces), points)}
    if o3d := installed("open3d"):

        def open3d() -> np.ndarray:
            scene = o3d.t.geometry.RaycastingScene()
            scene.add_triangles(v32, f32)
            return scene.compute_signed_distance(p32).numpy()

        calls["open3d"] = open3d
    if pysdf := installed("pysdf"):
        calls["pysdf"] = lambda: -pysdf.SDF(v32, f32)(p32)
    if igl := installed("igl"):
        kind = igl.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER
        calls["libigl"] = lambda: igl.signed_distance(points, mesh.vertices, mesh.faces, kind)[0]
    return calls


def ray_peers(mesh: Mesh, origins: np.ndarray, directions: np.ndarray) -> dict[str, Call]:
    """First hits: the index of the face, -1 on a miss."""
    calls: dict[str, Call] = {"shapetool": lambda: cast_rays(Mesh(mesh.vertices, mesh.faces), origins, directions)[1]}
    if installed("embreex"):
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        plain = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        calls["embreex"] = lambda: RayMeshIntersector(plain).intersects_first(origins, directions)

        def face_and_place() -> np.ndarray:
            hit = RayMeshIntersector(plain).intersects_location(origins, directions, multiple_hits=False)
            faces = np.full(len(origins), -1)
            faces[hit[1]] = hit[2]
            return faces

        calls["embreex+t"] = face_and_place
    return calls


def compete(calls: dict[str, Call], runs: int, again: bool = False) -> dict[str, dict[str, object]]:
    """Seconds of every run and the last answer of each contestant.

    With `again`, where a call takes less than a tenth of a second, each waits a moment and is called twice in a row,
    and the second call counts: nobody then pays for the memory that the one before gave back, nor shares the cores with
    its threads. (Those of OpenBLAS, which trimesh wakes, run on for some 30 ms in wait of more work.)
    """
    results: dict[str, dict[str, object]] = {name: {"seconds": []} for name in calls}
    for call in calls.values():
        call()  # once unmeasured: imports, first touches of memory
    for _ in range(runs):
        for name, call in calls.items():
            if again:
                time.sleep(0.1)
                call()
            start = time.perf_counter()
            answer = call()
            results[name]["seconds"].append(time.perf_counter() - start)
            results[name]["answer"] = answer
    return results


def row(name: str, mesh: Mesh, results: dict[str, dict[str, object]]) -> dict[str, object]:
    """Medians, ratios to ours, and how far the answers differ from ours."""
    ours = results["shapetool"]["answer"]
    out: dict[str, object] = {"mesh": name, "faces": len(mesh.faces), "median": {}, "ratio": {}, "runs": {}}
    mine = statistics.median(results["shapetool"]["seconds"])
    for peer, result in results.items():
        out["runs"][peer] = result["seconds"]
        out["median"][peer] = statistics.median(result["seconds"])
        out["ratio"][peer] = out["median"][peer] / mine
        answer = np.asarray(result["answer"], dtype=np.float64)
        if answer.dtype == np.float64 and ours.dtype == np.float64:
            out.setdefault("worst_distance", {})[peer] = float(abs(abs(answer) - abs(ours)).max())
            out.setdefault("other_sign", {})[peer] = float(np.mean((answer < 0) != (ours < 0)))
        else:
            out.setdefault("other_face", {})[peer] = float(np.mean(answer != ours))
    return out


def show(title: str, rows: list[dict[str, object]]) -> None:
    """A table of one group, with the geometric means of the ratios."""
    if not rows:
        return
    peers = [name for name in rows[0]["median"] if name != "shapetool"]
    print(f"\n{title}\n{'mesh':34}{'faces':>7}{'shapetool':>11}" + "".join(f"{p + ' (x)':>20}" for p in peers))
    for r in rows:
        cells = "".join(f"{1e3 * r['median'][p]:10.1f} ms ({r['ratio'][p]:4.1f})" for p in peers)
        print(f"{r['mesh'][:33]:34}{r['faces']:7}{1e3 * r['median']['shapetool']:8.1f} ms{cells}")
    for p in peers:
        ratios = [r["ratio"][p] for r in rows]
        print(f"  {p}: geometric mean {np.exp(np.mean(np.log(ratios))):.2f} x, least {min(ratios):.2f} x", end="")
        if "worst_distance" in rows[0]:
            print(
                f"; |d| differs by up to {max(r['worst_distance'][p] for r in rows):.1e},"
                f" sign on up to {max(r['other_sign'][p] for r in rows):.1e} of the points"
            )
        else:
            print(f"; another face on up to {max(r['other_face'][p] for r in rows):.1e} of the rays")


def rays_around(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays from a sphere of radius 2 towards points of the unit ball."""
    rng = np.random.default_rng(seed)
    origins = rng.standard_normal((count, 3))
    origins *= 2 / np.linalg.norm(origins, axis=1, keepdims=True)
    return origins, rng.uniform(-0.6, 0.6, (count, 3)) - origins


def main() -> None:
    """Runs the groups, prints a table each, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=250_000)
    parser.add_argument("--rays", type=int, default=450_000)
    parser.add_argument("--groups", default="classic,cad,open,rays")
    parser.add_argument("--json", type=Path, default=Path("bench-results/sdf.json"))
    options = parser.parse_args()
    classic = sorted(f"classic/{p.name}" for p in (options.data / "classic").iterdir())
    groups = {"classic": classic, "cad": CAD, "open": OPEN, "rays": classic}
    report: dict[str, object] = {
        "machine": {"cores": os.cpu_count(), "cpu": platform.processor(), "simd": simd()},
        "versions": {n: version(n) for n in ("shapetool", "open3d", "libigl", "pysdf", "embreex") if installed_as(n)},
        "queries": options.count,
        "rays": options.rays,
    }
    for group in options.groups.split(","):
        rows = []
        for name in groups[group]:
            mesh = unit_mesh(options.data / name)
            if group == "rays":
                calls = ray_peers(mesh, *rays_around(options.rays, seed=1))
            else:
                calls = distance_peers(mesh, queries(mesh, options.count, seed=0))
            rows.append(row(name, mesh, compete(calls, options.runs, again=group == "rays")))
        report[group] = rows
        kind = "first hits" if group == "rays" else "signed distances"
        show(f"{group}: {kind}, build included, median of {options.runs}", rows)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1))


def installed_as(name: str) -> bool:
    """Whether the distribution is here."""
    try:
        version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
