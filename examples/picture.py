"""A picture of a folder of meshes: each shape in daylight, and below it a slice through its signed distance.

    python examples/picture.py demo/meshes demo/picture.png

Shows three calls of the Python interface: `load_mesh`, `cast_rays` and `SignedField`.
"""

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np

from shapetool.geometry.frame import fit
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.sdf import SignedField
from shapetool.render.rays import cast_rays

PAPER = np.array([250, 250, 248]) / 255
CLAY = np.array([214, 200, 180]) / 255
INSIDE = np.array([46, 110, 168]) / 255
OUTSIDE = np.array([226, 140, 62]) / 255
INK = np.array([30, 30, 34]) / 255
REACH = 1.08  # half the width of what is shown, in units of the frame
SMOOTH = 2  # rays a pixel and axis


def unit(vector: np.ndarray) -> np.ndarray:
    """The vectors scaled to length one."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def pixel_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the rays pass, from -REACH to REACH: to the right and, first row highest, up."""
    steps = (np.arange(size * SMOOTH) + 0.5) / (size * SMOOTH) * 2 - 1
    right, down = np.meshgrid(steps * REACH, steps * REACH)
    return right, -down


def average(image: np.ndarray) -> np.ndarray:
    """The image with the rays of each pixel averaged."""
    height, width, channels = image.shape
    return image.reshape(height // SMOOTH, SMOOTH, width // SMOOTH, SMOOTH, channels).mean(axis=(1, 3))


def shape_view(mesh: Mesh, size: int) -> np.ndarray:
    """The mesh, z up, from the front right and above, in parallel projection, lit by a sun that casts shadows."""
    toward = unit(np.array([0.6, -1.0, 0.5]))
    right = unit(np.cross([0.0, 0.0, 1.0], toward))
    up = np.cross(toward, right)
    x, y = pixel_grid(size)
    origins = (x[..., None] * right + y[..., None] * up + 4 * toward).reshape(-1, 3)
    t, faces = cast_rays(mesh, origins, np.broadcast_to(-toward, origins.shape).copy())
    hit = faces >= 0
    normals = mesh.face_normals[faces[hit]]
    normals = np.where((normals @ toward)[:, None] < 0, -normals, normals)
    places = origins[hit] - t[hit, None] * toward + 1e-4 * normals
    sun = unit(np.array([-0.3, -0.8, 1.0]))
    _, blocked = cast_rays(mesh, places, np.broadcast_to(sun, places.shape).copy())
    direct = np.maximum(normals @ sun, 0) * (blocked < 0)
    light = 0.42 + 0.14 * normals[:, 2] + 0.52 * direct
    image = np.broadcast_to(PAPER, (*hit.shape, 3)).copy()
    image[hit] = np.clip(CLAY * light[:, None], 0, 1)
    return average(image.reshape(size * SMOOTH, size * SMOOTH, 3))


def slice_view(mesh: Mesh, size: int, depth: float) -> np.ndarray:
    """The signed distance on the plane y = depth: blue inside, orange outside, a line every 0.1, the surface in ink."""
    x, z = pixel_grid(size)
    points = np.stack([x, np.full_like(x, depth), z], axis=-1).reshape(-1, 3)
    distances = SignedField(mesh)(points)
    strength = np.clip(np.abs(distances) / 0.7, 0, 1)[:, None] ** 0.6
    hue = np.where((distances < 0)[:, None], INSIDE, OUTSIDE)
    image = PAPER * (1 - 0.85 * strength) + hue * 0.85 * strength
    to_line = np.abs(distances / 0.1 - np.round(distances / 0.1)) * 0.1
    thin = np.clip(1 - to_line / 0.004, 0, 1)[:, None] * 0.35
    thick = np.clip(2 - np.abs(distances) / 0.007, 0, 1)[:, None]
    for line in (thin, thick):
        image = image * (1 - line) + INK * line
    return average(image.reshape(size * SMOOTH, size * SMOOTH, 3))


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes an (H, W, 3) image of values from 0 to 1 as a PNG file."""
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + chunk(b"IEND", b"")
    )


def main() -> None:
    """Draws the first mesh of each folder below FOLDER, side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", type=int, default=240, help="pixels a shape")
    parser.add_argument("--depth", type=float, default=0.02, help="where the slice lies, in units of the frame")
    options = parser.parse_args()
    first = {path.parent: path for path in sorted(options.folder.rglob("*.[op][bl][jy]"), reverse=True)}
    columns = []
    for path in sorted(first.values()):
        mesh = load_mesh(path)
        mesh = fit(mesh, "sphere").apply_mesh(mesh)
        columns.append(np.concatenate([shape_view(mesh, options.size), slice_view(mesh, options.size, options.depth)]))
    write_png(options.picture, np.concatenate(columns, axis=1))


if __name__ == "__main__":
    main()
