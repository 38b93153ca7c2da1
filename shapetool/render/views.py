"""Images of a surface from many cameras: colour, depth, normals, silhouette and what else a pixel can tell."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.geometry.inside import is_inside
from shapetool.geometry.kernel import Kernel, kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras
from shapetool.render.shading import Light, Paint, Seen, shade

__all__ = ["Paint", "Views", "bytes_needed", "render_views", "standing_inside"]

_SIZES = {
    "rgb": (3, np.uint8),
    "alpha": (1, np.uint8),
    "depth": (1, np.float32),
    "ray_length": (1, np.float32),
    "normal": (3, np.float32),
    "camera_normal": (3, np.float32),
    "silhouette": (1, np.bool_),
    "face": (1, np.int32),
    "coordinates": (3, np.float32),
}
_DRAWN = ("face", "depth", "ray_length", "normal", "camera_normal", "coordinates")  # by the kernel as they are wanted
_FROM_SAMPLES = ("rgb", "alpha", "silhouette")
_AT_ONCE = 1 << 21  # pixels of the views that are drawn together: enough for all threads, and small beside the images
_STEP = 10  # of 255: neighbours whose colours differ by more have an edge between them; below, a middle is the mean


@dataclass(frozen=True, eq=False)
class Views:
    """The images of one surface, by channel, each (N, H, W) or (N, H, W, 3).

    `rgb` u1 over the background (straight where that is transparent), `alpha` u1 (the covered share of the pixel),
    `depth` f4 along the optical axis, `ray_length` f4, both 0 where nothing is hit, `normal` f4 of the face in the
    frame of the scene and `camera_normal` in the camera's, turned to the camera, `silhouette` bool, `face` i4 with -1,
    `coordinates` f4 of the point hit.
    """

    cameras: Cameras
    channels: dict[str, np.ndarray]


def render_views(
    mesh: Mesh, cameras: Cameras, recipe: ViewsRecipe, paint: Paint | None = None, threads: int | None = None
) -> Views:
    """The channels of the recipe, of the mesh as all cameras see it; `paint` None is grey.

    Depth, lengths, normals, faces and coordinates are those of the ray through the middle of a pixel. Colour, alpha and
    silhouette are means over `recipe.samples` squared rays where the colour or the outline changes between a pixel and
    one of its eight neighbours, and of the one ray elsewhere. The same bits whatever the number of threads.

    Raises:
        MeshError: the mesh has no face.
    """
    kernel = kernel_of(mesh, threads)
    height, width = cameras.size
    out = {name: _empty(name, (len(cameras), height, width)) for name in recipe.channels}
    normals = None
    if recipe.smooth and "rgb" in recipe.channels:
        normals = kernel.smooth_normals(float(np.cos(np.radians(recipe.crease))), threads or 0)
    light = Light(mesh, recipe, paint, threads)
    for part in _parts(len(cameras), height * width):
        drawing = _Drawing(kernel, cameras[part], recipe, normals, light)
        drawing.fill({name: images[part] for name, images in out.items()})
    return Views(cameras, out)


def bytes_needed(recipe: ViewsRecipe) -> int:
    """How much memory the images of one shape take, with what drawing them takes beside, without the mesh."""
    pixels = recipe.height * recipe.width
    images = sum(count * np.dtype(kind).itemsize for count, kind in (_SIZES[name] for name in recipe.channels))
    at_once = min(recipe.views, max(1, _AT_ONCE // pixels)) * pixels
    return recipe.views * pixels * images + at_once * (100 + 40 * recipe.samples**2)


def standing_inside(mesh: Mesh, cameras: Cameras, threads: int | None = None) -> list[int]:
    """The numbers of the cameras that stand within the mesh, and see it from inside.

    Raises:
        MeshError: the mesh has no face.
    """
    low, high = mesh.bounds
    positions = cameras.positions
    near = np.flatnonzero(((positions >= low) & (positions <= high)).all(axis=1))
    if not len(near):
        return []
    return near[is_inside(mesh, positions[near], threads=threads)].tolist()


def _empty(name: str, shape: tuple[int, ...]) -> np.ndarray:
    count, kind = _SIZES[name]
    return np.empty(shape if count == 1 else (*shape, count), dtype=kind)


def _parts(count: int, pixels: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // pixels)
    for start in range(0, count, step):
        yield slice(start, start + step)


class _Drawing:
    """Some views of a mesh while they are drawn."""

    def __init__(
        self,
        kernel: Kernel,
        cameras: Cameras,
        recipe: ViewsRecipe,
        normals: Float[np.ndarray, "F 3 3"] | None,
        light: Light,
    ) -> None:
        self.kernel, self.cameras, self.recipe, self.normals, self.light = kernel, cameras, recipe, normals, light
        self.rows = _rows_of(cameras)
        self.shape = (len(cameras), *cameras.size)

    def fill(self, images: dict[str, np.ndarray]) -> None:
        """Writes every image."""
        drawn = {name: images[name] for name in _DRAWN if name in images}
        drawn.setdefault("face", _empty("face", self.shape))
        if "rgb" in images:
            drawn |= self.light.wants(self.shape, drawn)
        self.draw(drawn, 1, None)
        hit = drawn["face"] >= 0
        if "silhouette" in images:
            images["silhouette"][...] = hit
        if "alpha" in images:
            np.multiply(hit, np.uint8(255), out=images["alpha"], casting="unsafe")
        if "rgb" in images:
            pixel = np.broadcast_to(np.arange(hit[0].size).reshape(1, *self.cameras.size), self.shape)
            seen = Seen(self.cameras, np.arange(len(hit)).repeat(hit[0].size), pixel.reshape(-1), drawn)
            images["rgb"][...] = _bytes(shade(self.light, seen, 1)).reshape(*self.shape, -1)
        if self.recipe.samples > 1 and any(name in images for name in _FROM_SAMPLES):
            self.refine(images, _edges(hit, images.get("rgb")))

    def refine(self, images: dict[str, np.ndarray], wanted: Bool[np.ndarray, "N H W"]) -> None:
        """Colour, alpha and silhouette of the pixels wanted again, as means over their parts."""
        view, *_ = np.nonzero(wanted)
        pixel = np.flatnonzero(wanted) % wanted[0].size
        parts = self.recipe.samples**2
        if not len(view):
            return
        slots = np.where(wanted, np.cumsum(wanted).reshape(wanted.shape) - 1, -1).astype(np.int32)
        drawn = {"face": _empty("face", (len(view), parts))}
        if "rgb" in images:
            drawn |= self.light.wants((len(view), parts), drawn)
        self.draw(drawn, self.recipe.samples, slots.reshape(-1))
        covered = (drawn["face"] >= 0).sum(axis=1)
        if "silhouette" in images:
            images["silhouette"][wanted] = 2 * covered >= parts
        if "alpha" in images:
            images["alpha"][wanted] = np.rint(255 * covered / parts).astype(np.uint8)
        if "rgb" in images:
            number = (pixel[:, None] * parts + np.arange(parts)).reshape(-1)
            colours = shade(self.light, Seen(self.cameras, view.repeat(parts), number, drawn), parts)
            mean = colours.reshape(len(view), parts, -1).mean(axis=1)
            if self.recipe.background == "transparent":  # of the parts that are covered alone
                mean = mean * (parts / np.maximum(covered, 1))[:, None]
            images["rgb"][wanted] = _bytes(np.minimum(mean, 1))

    def draw(self, images: dict[str, np.ndarray], samples: int, slots: Int[np.ndarray, " P"] | None) -> None:
        height, width = self.cameras.size
        threads = self.light.threads or 0
        flat = self.cameras.orthographic
        normals = self.normals if "light" in images else None
        self.kernel.views(self.rows, height, width, flat, samples, images, normals, slots, threads)


def _bytes(colours: Float[np.ndarray, "*K C"]) -> np.ndarray:
    return (255 * colours + np.float32(0.5)).astype(np.uint8)


def _edges(hit: Bool[np.ndarray, "N H W"], rgb: np.ndarray | None) -> Bool[np.ndarray, "N H W"]:
    """Where the outline or the colour differs between a pixel and one of its eight neighbours."""
    found = np.zeros_like(hit)
    images = [hit] if rgb is None else [hit, *(rgb[..., c] for c in range(3))]
    for image in images:
        for one, other in (
            (np.s_[:, :, 1:], np.s_[:, :, :-1]),
            (np.s_[:, 1:], np.s_[:, :-1]),
            (np.s_[:, 1:, 1:], np.s_[:, :-1, :-1]),
            (np.s_[:, 1:, :-1], np.s_[:, :-1, 1:]),
        ):
            a, b = image[one], image[other]
            differs = a != b if image is hit else np.maximum(a, b) - np.minimum(a, b) > _STEP
            found[one] |= differs
            found[other] |= differs
    return found


def _rows_of(cameras: Cameras) -> Float[np.ndarray, "N 39"]:
    """The cameras as the kernel wants them: rays as linear functions of the pixel, and the projection back."""
    count = len(cameras)
    axes = cameras.pose[:, :3, :3] * [1, -1, -1]  # of (x, -y, -z) in the scene
    position = cameras.pose[:, :3, 3]
    plane = axes @ np.linalg.inv(cameras.intrinsics)
    back = cameras.intrinsics @ axes.transpose(0, 2, 1)
    origin, direction = np.zeros((2, count, 3, 3))
    shift = np.zeros((count, 3))
    if cameras.orthographic:
        plane_only = plane - axes[:, :, 2:] * np.linalg.inv(cameras.intrinsics)[:, 2:]
        origin[:] = plane_only.transpose(0, 2, 1)[:, [2, 0, 1]]
        origin[:, 0] += position
        direction[:, 0] = axes[:, :, 2]
        shift[:, :2] = cameras.intrinsics[:, :2, 2]
        back[:, :2] -= shift[:, :2, None] * axes.transpose(0, 2, 1)[:, 2:]
    else:
        origin[:, 0] = position
        direction[:] = plane.transpose(0, 2, 1)[:, [2, 0, 1]]
    offset = shift[:, :, None] - back @ position[:, :, None]
    project = np.concatenate([back, offset], axis=2)
    parts = (origin, direction, project, cameras.pose[:, :3, :3])
    return np.ascontiguousarray(np.concatenate([part.reshape(count, -1) for part in parts], axis=1))
