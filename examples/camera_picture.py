"""The picture of the camera conventions on docs/conventions.md, drawn by the renderer that it is about.

    python examples/camera_picture.py docs/cameras.png

Left, from outside: a camera that looks at the origin, its axes, and its image plane. Right: what that camera sees, with
the pixels that a few points land in. Everything that is labelled is placed by `Cameras.project`.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras, look_at, pinhole
from shapetool.render.views import render_views

SIZE, FINE = (480, 560), 2
RED, GREEN, BLUE, INK = (200, 40, 40), (30, 140, 60), (40, 80, 200), (40, 40, 46)
RECIPE = ViewsRecipe(channels=("rgb",), samples=3)


def box(low: tuple[float, ...], high: tuple[float, ...]) -> Mesh:
    """An axis-aligned box."""
    corners = np.array(
        [[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(corners, np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]))


def together(*meshes: Mesh) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def one_camera(position: tuple[float, ...], focal: float, size: tuple[int, int], target: tuple[float, ...]) -> Cameras:
    """A camera at a position that looks at a target."""
    return Cameras(size, pinhole(focal, size)[None], look_at(np.array([position]), target))


class Drawing:
    """A rendered image with lines and words at points of the scene."""

    def __init__(self, mesh: Mesh, cameras: Cameras) -> None:
        self.cameras = cameras
        self.image = Image.fromarray(render_views(mesh, cameras, RECIPE).channels["rgb"][0])
        self.pen = ImageDraw.Draw(self.image)
        self.font = ImageFont.load_default(13 * FINE)

    def at(self, point: np.ndarray) -> tuple[float, float]:
        """The pixel coordinates of a point of the scene."""
        (u, v), _ = self.cameras.project(np.atleast_2d(point).astype(float), 0)[0][0], None
        return float(u), float(v)

    def arrow(
        self, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int], word: str, below: int = -8
    ) -> None:
        """A line between two points of the scene, with a word at its end, so many pixels below it."""
        self.pen.line([self.at(start), self.at(end)], fill=colour, width=2 * FINE)
        u, v = self.at(end)
        self.pen.ellipse([u - 4 * FINE, v - 4 * FINE, u + 4 * FINE, v + 4 * FINE], fill=colour)
        self.word((u + (7 if below < 0 else -10) * FINE, v + below * FINE), word, colour)

    def word(self, place: tuple[float, float], text: str, colour: tuple[int, int, int] = INK) -> None:
        """A word with its upper left corner at a pixel."""
        self.pen.text(place, text, fill=colour, font=self.font)


def outside(seen: Cameras, scene: Mesh) -> Image.Image:
    """The camera `seen`, its axes, and the plane of its image at a depth of 1, from the side."""
    drawing = Drawing(
        scene, one_camera((5.2, 2.6, 5.0), 700.0 * FINE, (SIZE[0] * FINE, SIZE[1] * FINE), (0.1, 0.3, 1.75))
    )
    right, up, back, place = (seen.pose[0, :3, column] for column in range(4))
    height, width = seen.size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=float)
    origins, directions = seen.rays(corners, 0)
    plane = origins + directions
    for begin, end in zip(plane, np.roll(plane, -1, axis=0), strict=True):
        drawing.pen.line([drawing.at(begin), drawing.at(end)], fill=INK, width=FINE)
    for corner in plane:
        drawing.pen.line([drawing.at(place), drawing.at(corner)], fill=(150, 150, 155), width=1)
    drawing.arrow(place, place + 0.6 * right, RED, "x right")
    drawing.arrow(place, place + 0.6 * up, GREEN, "y up")
    drawing.arrow(place, place + 0.6 * back, BLUE, "z back", 10)
    drawing.word((14 * FINE, 30 * FINE), "the camera looks along -z")
    u, v = drawing.at(plane[0])
    drawing.word((u - 24 * FINE, v - 22 * FINE), "(0, 0)")
    for axis, colour in enumerate((RED, GREEN, BLUE)):
        drawing.arrow(np.zeros(3), 0.95 * np.eye(3)[axis], colour, "XYZ"[axis])
    drawing.word((14 * FINE, 12 * FINE), "pose: camera to world, columns x, y, z, place")
    return drawing.image


def inside(seen: Cameras, scene: Mesh) -> Image.Image:
    """What the camera sees, with pixel coordinates."""
    large = seen.resized(SIZE[0] * FINE, SIZE[1] * FINE)
    drawing = Drawing(scene, large)
    scale = large.size[1] / seen.size[1]
    drawing.pen.line([(8, 8), (150 * FINE, 8)], fill=RED, width=2 * FINE)
    drawing.word((154 * FINE, 4 * FINE), "u", RED)
    drawing.pen.line([(8, 8), (8, 130 * FINE)], fill=GREEN, width=2 * FINE)
    drawing.word((5 * FINE, 132 * FINE), "v", GREEN)
    drawing.pen.rectangle([0, 0, scale, scale], outline=INK, width=FINE)
    middle = scale / 2
    drawing.pen.ellipse([middle - 3, middle - 3, middle + 3, middle + 3], fill=INK)
    drawing.word(
        (24 * FINE, 18 * FINE), "middle of the first pixel: (0.5, 0.5)\nimage of 56 x 48 pixels, focal length 70"
    )
    marks = {"origin": (0, 0, 0), "(0.5, 0.5, 0.5)": (0.5, 0.5, 0.5), "(-0.5, 0.5, 0.5)": (-0.5, 0.5, 0.5)}
    for number, (name, point) in enumerate(marks.items()):
        u, v = drawing.at(np.array(point))
        (small, deep), _ = seen.project(np.array([point], dtype=float), 0)[0][0], None
        drawing.pen.ellipse([u - 4 * FINE, v - 4 * FINE, u + 4 * FINE, v + 4 * FINE], outline=RED, width=FINE)
        drawing.word((u - 60 * FINE, v + (-82 if number else 8) * FINE), f"{name}\nu {small:.2f}, v {deep:.2f}")
    return drawing.image


def main() -> None:
    """Draws both halves side by side."""
    cube = box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
    seen = one_camera((0.0, 1.0, 3.0), 70.0, (48, 56), (0, 0, 0))
    body = together(cube, box((-0.05, 0.97, 3.0), (0.05, 1.07, 3.12)))
    halves = [outside(seen, body), inside(seen, cube)]
    picture = Image.new("RGB", (2 * SIZE[1] * FINE + 8, SIZE[0] * FINE), INK)
    picture.paste(halves[0], (0, 0))
    picture.paste(halves[1], (SIZE[1] * FINE + 8, 0))
    small = picture.resize((picture.width // FINE, picture.height // FINE), Image.Resampling.LANCZOS)
    small.quantize(128).save(Path(sys.argv[1]), optimize=True)


if __name__ == "__main__":
    main()
