"""Views of a mesh against the peers, in one run, on the same rays: 24 views of 224 x 224 pixels, all channels.

    python benchmarks/views.py --data ../shared/data --runs 5 --json bench-results/views.json

Every number is the median over the runs of seconds from vertices and faces to the images: depth, length along the ray,
normals of the scene and of the camera, face, coordinates, silhouette, coverage and grey by a lamp at the camera, by one
ray a pixel. The peers trace the rays, made ready before the clock starts, and make the channels with numpy, as one
would who has their hits. trimesh asks embree through embreex, Open3D its RaycastingScene. In each run all contestants
follow one another on one mesh; each waits a moment and is called twice in a row, and the second call counts. Ours is
timed too as `render-views` draws by default, with nine rays along edges and smooth normals, which no peer is asked for.
`differ` is the share of pixels whose face is not ours; f4 rays of the peers and ties at edges make it small, not 0.
"""

import argparse
import importlib
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from shapetool.geometry.frame import fit
from shapetool.geometry.kernel import simd
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.recipes.views import CHANNELS, ViewsRecipe
from shapetool.render.cameras import Cameras
from shapetool.render.colours.raw import NEUTRAL
from shapetool.render.placing import placed
from shapetool.render.views import render_views

Images = dict[str, np.ndarray]
PLAIN = ViewsRecipe(channels=CHANNELS, samples=1, smooth=False)
MESHES = (
    "classic/bunny_closed_56k.obj",
    "classic/spot.obj",
    "classic/fandisk.obj",
    "classic/bumpy_cube_40k.obj",
    "classic/homer.obj",
    "cad/Spool_Holder_x1.STL",
    "cad/Electronics_Fan_Mount_Top_x1.stl",
    "cad/Panel_Mounting_Middle_Clip_x9.stl",
)


def installed(name: str) -> object | None:
    """The module, if it can be imported here."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        print(f"left out: {name} ({error})")
        return None


def channels_of(
    cameras: Cameras, directions: np.ndarray, depth: np.ndarray, faces: np.ndarray, normals: np.ndarray
) -> Images:
    """The channels, from rays and the depth, face and normal that each has hit: one row a ray, -1 on a miss."""
    hit = faces >= 0
    length = np.linalg.norm(directions, axis=1)
    depth = np.where(hit, depth, 0)
    facing = (normals * directions).sum(axis=1)
    normals = np.where(hit[:, None], normals * np.where(facing > 0, -1, 1)[:, None], 0)
    bright = PLAIN.ambient + (1 - PLAIN.ambient) * np.abs(facing) / length
    grey = np.where(hit, 255 * NEUTRAL * bright, 255)
    count, (height, width) = len(cameras), cameras.size
    local = normals.reshape(count, -1, 3) @ cameras.pose[:, :3, :3]
    origins = np.repeat(cameras.positions, height * width, axis=0)
    images = {
        "rgb": np.repeat(np.rint(grey).astype(np.uint8)[:, None], 3, axis=1),
        "alpha": np.where(hit, 255, 0).astype(np.uint8),
        "depth": depth.astype(np.float32),
        "ray_length": (depth * length).astype(np.float32),
        "normal": normals.astype(np.float32),
        "camera_normal": local.reshape(-1, 3).astype(np.float32),
        "silhouette": hit,
        "face": faces.astype(np.int32),
        "coordinates": np.where(hit[:, None], origins + depth[:, None] * directions, 0).astype(np.float32),
    }
    return {name: image.reshape(count, height, width, *image.shape[1:]) for name, image in images.items()}


def contestants(mesh: Mesh, cameras: Cameras) -> dict[str, Callable[[], Images]]:
    """What draws all channels of all views, by name."""

    def ours(recipe: ViewsRecipe, threads: int | None) -> Images:
        return render_views(Mesh(mesh.vertices, mesh.faces), cameras, recipe, None, threads).channels

    calls = {
        "shapetool": lambda: ours(PLAIN, None),
        "shapetool, one thread": lambda: ours(PLAIN, 1),
        "shapetool, as by default": lambda: ours(replace(PLAIN, samples=3, smooth=True), None),
    }
    rays = [cameras.rays(cameras.pixel_centres(), view) for view in range(len(cameras))]
    origins, directions = (np.concatenate([one[k] for one in rays]) for k in (0, 1))
    if installed("embreex"):
        import trimesh

        def with_trimesh() -> Images:
            surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
            face = np.full(len(origins), -1)
            depth = np.zeros(len(origins))
            hit_face, ray, points = surface.ray.intersects_id(
                origins, directions, multiple_hits=False, return_locations=True
            )
            face[ray] = hit_face
            depth[ray] = np.linalg.norm(points - origins[ray], axis=1) / np.linalg.norm(directions[ray], axis=1)
            return channels_of(cameras, directions, depth, face, surface.face_normals[face])

        calls["trimesh+embreex"] = with_trimesh
    if open3d := installed("open3d"):
        vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)
        packed = open3d.core.Tensor(np.concatenate([origins, directions], axis=1).astype(np.float32))

        def with_open3d() -> Images:
            scene = open3d.t.geometry.RaycastingScene()
            scene.add_triangles(vertices, faces)
            found = scene.cast_rays(packed)
            face = found["primitive_ids"].numpy().view(np.int32)  # misses are 2^32 - 1
            normals = found["primitive_normals"].numpy()
            return channels_of(cameras, directions, found["t_hit"].numpy(), face, normals)

        calls["Open3D"] = with_open3d
    return calls


def compete(calls: dict[str, Callable[[], Images]], runs: int) -> dict[str, dict[str, object]]:
    """Median seconds, all seconds and the images of each contestant."""
    images = {name: call() for name, call in calls.items()}  # once unmeasured: imports, first touches of memory
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            time.sleep(0.1)
            call()
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {"median": statistics.median(seconds[name]), "runs": seconds[name], "images": images[name]}
        for name in calls
    }


def row(name: str, mesh: Mesh, runs: int) -> dict[str, object]:
    """Medians, their ratios to ours, and the share of pixels that show another face than ours do."""
    cameras = placed(PLAIN, np.random.default_rng(0))
    results = compete(contestants(mesh, cameras), runs)
    ours = results["shapetool"]
    differ, deep = {}, {}
    for peer, result in results.items():
        images = result.pop("images") if peer != "shapetool" else ours["images"]
        other = images["face"] != ours["images"]["face"]
        both = images["silhouette"] & ours["images"]["silhouette"] & ~other
        differ[peer] = float(other.mean())
        deep[peer] = float(np.abs(images["depth"] - ours["images"]["depth"])[both].max())
    ours.pop("images")
    return {
        "mesh": name,
        "faces": len(mesh.faces),
        "median": {peer: result["median"] for peer, result in results.items()},
        "ratio": {peer: result["median"] / ours["median"] for peer, result in results.items()},
        "differ": differ,
        "depth": deep,
        "runs": {peer: result["runs"] for peer, result in results.items()},
    }


def main() -> None:
    """Prints a line a mesh and writes all numbers as JSON."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    rows = []
    for name in MESHES:
        mesh = load_mesh(asked.data / name)
        rows.append(row(name, fit(mesh, "sphere").apply_mesh(mesh), asked.runs))
        seconds = f"{rows[-1]['median']['shapetool']:.3f} s"
        print(name, rows[-1]["faces"], seconds, {k: f"{v:.2f}" for k, v in rows[-1]["ratio"].items()}, flush=True)
        print("   other faces", {k: f"{v:.1e}" for k, v in rows[-1]["differ"].items()})
    for peer in rows[0]["ratio"]:
        ratios = [one["ratio"][peer] for one in rows]
        print(f"{peer}: median {statistics.median(ratios):.1f}, least {min(ratios):.1f}")
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        about = {"cores": os.cpu_count(), "simd": simd(), "views": PLAIN.views, "size": PLAIN.width, "runs": asked.runs}
        asked.json.write_text(json.dumps({**about, "meshes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
