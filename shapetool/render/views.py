"""Images of a surface from many cameras: colour, depth, normals, silhouette and what else a pixel can tell."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.cameras import Cameras
from shapetool.render.rays import cast_rays

GREY = 0.7


class Paint(Protocol):
    """What colour a surface has."""

    def colours(self, faces: Int[np.ndarray, " K"], barycentric: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
        """Red, green and blue, 0 to 1 as in an image file, at points of faces."""


@dataclass(frozen=True, eq=False)
class Views:
    """The images of one surface, by channel, each (N, H, W) or (N, H, W, 3).

    `rgb` u1 over the background, `alpha` u1 (the covered share of the pixel), `depth` f4 along the optical axis,
    `ray_length` f4, both 0 where nothing is hit, `normal` f4 of the face in the frame of the scene and `camera_normal`
    in the camera's, turned to the camera, `silhouette` bool, `face` i4 with -1, `coordinates` f4 of the point hit.
    """

    cameras: Cameras
    channels: dict[str, np.ndarray]


def render_views(
    mesh: Mesh, cameras: Cameras, recipe: ViewsRecipe, paint: Paint | None = None, threads: int | None = None
) -> Views:
    """The channels of the recipe, of the mesh as all cameras see it; `paint` None is grey.

    Raises:
        MeshError: the mesh has no face.
    """
    found = [_one(mesh, cameras, number, recipe, threads) for number in range(len(cameras))]
    return Views(cameras, {name: np.stack([view[name] for view in found]) for name in recipe.channels})


def _one(mesh: Mesh, cameras: Cameras, number: int, recipe: ViewsRecipe, threads: int | None) -> dict[str, np.ndarray]:
    origins, directions = cameras.rays(cameras.pixel_centres(), number)
    t, faces = cast_rays(mesh, origins, directions, threads)
    hit = faces >= 0
    depth = np.where(hit, t, 0.0)
    normals = np.where(hit[:, None], mesh.face_normals[faces], 0.0)
    normals *= np.where((normals * directions).sum(axis=1, keepdims=True) > 0, -1.0, 1.0)
    length = np.linalg.norm(directions, axis=1)
    bright = recipe.ambient + (1 - recipe.ambient) * np.abs((normals * directions).sum(axis=1)) / length
    ground = 1.0 if recipe.background == "white" else 0.0
    colour = np.where(hit[:, None], GREY * bright[:, None] * np.ones(3), ground)
    channels = {
        "rgb": np.rint(255 * colour).astype(np.uint8),
        "alpha": np.where(hit, 255, 0).astype(np.uint8),
        "depth": depth.astype(np.float32),
        "ray_length": (depth * length).astype(np.float32),
        "normal": normals.astype(np.float32),
        "camera_normal": (normals @ cameras.pose[number, :3, :3]).astype(np.float32),
        "silhouette": hit,
        "face": faces.astype(np.int32),
        "coordinates": np.where(hit[:, None], origins + depth[:, None] * directions, 0.0).astype(np.float32),
    }
    return {name: value.reshape(*cameras.size, *value.shape[1:]) for name, value in channels.items()}
