"""The colour of a surface as its file gives it: of vertices, faces and materials, and from textures.

The triangles are those of `load_mesh`, which merges, drops and turns; each is found again among those of the file by
the positions of its corners. What cannot be had (a missing texture, a damaged material) is grey, with a warning.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from shapetool.errors import MeshError
from shapetool.geometry.clean import merge_positions
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.readers.source import Source, open_source
from shapetool.geometry.wording import plural
from shapetool.render.cameras import Cameras
from shapetool.render.colours.raw import NEUTRAL, Material, RawPaint
from shapetool.render.colours.texture import from_linear, to_linear

_FARTHEST = 1e9  # beyond, a texture coordinate says nothing of where in a texel it is, and products overflow
_COARSEST = 16  # halvings; no texture within the limit has more

_Reader = Callable[[Source, list[str]], RawPaint | None]


@dataclass(frozen=True, eq=False)
class SurfacePaint:
    """The colours of the faces of one mesh, corner by corner in the order of its faces.

    `uv` points into textures with (0, 0) at the upper left. `linear` says that factors and corner colours are light.
    `level` is how often the texture of each face is halved before it is looked up.
    """

    materials: tuple[Material, ...]
    material: Int[np.ndarray, " F"]
    uv: Float[np.ndarray, "F 3 2"] | None
    corner_colours: Float[np.ndarray, "F 3 3"] | None
    linear: bool
    areas: Float[np.ndarray, " F"]  # of the faces, in the unit of the file
    level: Int[np.ndarray, " F"] | None = None

    def colours(self, faces: Int[np.ndarray, " K"], barycentric: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
        """Red, green and blue, 0 to 1 as in an image file, at points of faces given by the weights of their corners."""
        found = np.empty((len(faces), 3))
        material = self.material[faces]
        used = np.flatnonzero(np.bincount(material, minlength=1)).tolist()
        for number in used:
            here = np.flatnonzero(material == number) if len(used) > 1 else slice(None)
            found[here] = self._of(self.materials[number], faces[here], barycentric[here])
        return np.clip(from_linear(found) if self.linear else found, 0, 1)

    def summary(self) -> dict[str, Any]:
        """How many materials the faces have, the sizes of their textures, and whether corners have colours."""
        used = [self.materials[number] for number in np.unique(self.material).tolist()]
        textures = {id(each.texture.pixels): each.texture.pixels for each in used if each.texture is not None}
        return {
            "materials": len(used),
            "textures": [f"{image.shape[1]} x {image.shape[0]}" for image in textures.values()],
            "corner_colours": any(each.corner_colours for each in used),
        }

    def filtered(self, width: float) -> "SurfacePaint":
        """The same colours for samples that lie about `width` apart on the surface, in the unit of the file.

        The texture of a face is averaged over squares of at most that width (powers of two of its texels), so that
        one seen from afar does not sparkle. A face seen at a flat angle is averaged no further.
        """
        if self.uv is None or not 0 < width < np.inf:
            return self
        texels = np.array([m.texture.area if m.texture else 0 for m in self.materials], np.float64)[self.material]
        edges = self.uv[:, 1:] - self.uv[:, :1]
        covered = 0.5 * np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) * texels
        with np.errstate(divide="ignore", invalid="ignore"):
            halvings = 0.5 * np.log2(width**2 * covered / self.areas)
        level = np.clip(np.floor(np.nan_to_num(halvings)), 0, _COARSEST).astype(np.int64)
        return replace(self, level=level)

    def _of(
        self, material: Material, faces: Int[np.ndarray, " K"], weights: Float[np.ndarray, "K 3"]
    ) -> Float[np.ndarray, "K 3"]:
        """The colours at points of faces of one material; light where the paint is linear."""
        found = np.tile(np.array(material.factor), (len(faces), 1))
        if material.texture is not None and self.uv is not None:
            uv = np.einsum("kc,kcd->kd", weights, self.uv[faces])
            light = np.empty((len(faces), 3))
            level = np.zeros(len(faces), np.int64) if self.level is None else self.level[faces]
            used = np.flatnonzero(np.bincount(level, minlength=1)).tolist()
            for one in used:
                here = np.flatnonzero(level == one) if len(used) > 1 else slice(None)
                light[here] = material.texture.light(uv[here], one)
            found *= light if self.linear else from_linear(light)
        if material.corner_colours and self.corner_colours is not None:
            found *= np.einsum("kc,kcd->kd", weights, self.corner_colours[faces])
        return found


@dataclass(frozen=True, eq=False)
class Painted:
    """A mesh as `load_mesh` gives it, and the colours of its faces; None for a file without any.

    `warnings` are those of the mesh, then those of its colours.
    """

    mesh: Mesh
    paint: SurfacePaint | None
    warnings: tuple[str, ...]


def load_painted(path: str | Path, root: Path | None = None, max_bytes: int = 2 << 30) -> Painted:
    """The mesh of a file with its colours; `root` and `max_bytes` as of `load_mesh`, for the files it names too.

    Colours never make it fail: what is damaged or missing is grey, with a warning.

    Raises:
        MeshError: when `load_mesh` refuses the file.
    """
    mesh = load_mesh(path, root=root, max_bytes=max_bytes)
    warnings: list[str] = []
    paint = None
    try:
        source = open_source(Path(path), root, max_bytes)
        read = _reader(source.suffix)
        raw = read(source, warnings) if read else None
        if raw is not None:
            paint = _on_mesh(mesh, raw, warnings)
    except (MeshError, ValueError, OverflowError) as error:
        warnings.append(f"the colours are damaged, all is drawn grey: {str(error)[:200]}")
    return Painted(mesh, paint, mesh.warnings + tuple(dict.fromkeys(warnings)))


def sample_width(cameras: Cameras, samples: int) -> float:
    """How far apart samples are on a surface at the origin, in the unit of the scene and in the nearest view.

    `samples` are a pixel and axis. Divided by the scale of the frame it is what `filtered` takes.
    """
    focal = np.sqrt(cameras.intrinsics[:, 0, 0] * cameras.intrinsics[:, 1, 1])
    away = 1.0 if cameras.orthographic else np.linalg.norm(cameras.positions, axis=1)
    return float((away / focal).min(initial=np.inf)) / samples


def _reader(suffix: str) -> _Reader | None:
    """What reads the colours of a format, None where they are passed over."""
    match suffix:
        case ".obj":
            from shapetool.render.colours.obj import obj_paint

            return obj_paint
        case ".glb" | ".gltf":
            from shapetool.render.colours.gltf import gltf_paint

            return gltf_paint
        case ".ply":
            from shapetool.render.colours.ply import ply_paint

            return ply_paint
        case ".off":
            from shapetool.render.colours.off import off_paint

            return off_paint
        case _:
            return None


def _on_mesh(mesh: Mesh, raw: RawPaint, warnings: list[str]) -> SurfacePaint:
    """The colours of the file on the faces of the mesh."""
    triangle, order = find_again(mesh, raw.corners)
    lost = triangle < 0
    material = np.where(lost, len(raw.materials), raw.material[triangle])
    if lost.any():
        warnings.append(f"{plural(int(lost.sum()), 'face')} not found among those with colours, drawn grey")
    grey = to_linear(np.array(NEUTRAL)) if raw.linear else np.array(NEUTRAL)
    uv = None if raw.uv is None else np.clip(raw.uv[triangle[:, None], order], -_FARTHEST, _FARTHEST)
    colours = None if raw.colours is None else raw.colours[triangle[:, None], order]
    materials = (*raw.materials, Material((float(grey), float(grey), float(grey))))
    return SurfacePaint(materials, material, uv, colours, raw.linear, mesh.face_areas)


def find_again(mesh: Mesh, corners: Float[np.ndarray, "T 3 3"]) -> tuple[Int[np.ndarray, " F"], Int[np.ndarray, "F 3"]]:
    """For each face of the mesh the triangle with its corners, and which of its corners stands at each of the face.

    Of several the first, in the winding of the mesh or, where it turned all faces, in the other; of none -1.
    """
    count = len(mesh.vertices)
    rows = np.arange(corners.size // 3).reshape(-1, 3) + count
    together = np.concatenate([mesh.vertices, corners.reshape(-1, 3)])
    _, merged, _ = merge_positions(together, np.concatenate([mesh.faces, rows]))
    own, theirs = merged[: len(mesh.faces)], merged[len(mesh.faces) :]
    size = len(together)
    keys, first = _first_of(theirs, size)
    found, known = _look_up(own, keys, size)
    if not known.all():
        other, also = _look_up(own[:, ::-1], keys, size)
        if also.sum() > known.sum():
            found, known = other, also
    triangle = np.where(known, first[found], 0)
    # Both are triples of the same three positions: which of theirs equals each of ours.
    same = theirs[triangle][:, None, :] == own[:, :, None]
    return np.where(known, triangle, -1), same.argmax(axis=2)


def _first_of(faces: Int[np.ndarray, "T 3"], size: int) -> tuple[tuple[np.ndarray, np.ndarray], Int[np.ndarray, " U"]]:
    """The sorted keys of two steps, and the first triangle of each."""
    rolled = _rolled(faces)
    pairs, pair = np.unique(rolled[:, 0] * size + rolled[:, 1], return_inverse=True)
    keys, first = np.unique(pair.reshape(-1) * size + rolled[:, 2], return_index=True)
    return (pairs, keys), first


def _look_up(
    faces: Int[np.ndarray, "F 3"], keys: tuple[np.ndarray, np.ndarray], size: int
) -> tuple[Int[np.ndarray, " F"], Bool[np.ndarray, " F"]]:
    """Where each face stands among the keys, and whether it does."""
    rolled = _rolled(faces)
    pair, paired = _position(keys[0], rolled[:, 0] * size + rolled[:, 1])
    at, there = _position(keys[1], pair * size + rolled[:, 2])
    return at, paired & there


def _position(ordered: np.ndarray, wanted: np.ndarray) -> tuple[Int[np.ndarray, " F"], Bool[np.ndarray, " F"]]:
    """The place of each number in a sorted list, and whether it is there."""
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return at, ordered[at] == wanted


def _rolled(faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F 3"]:
    """The corners with the lowest first, in the same winding."""
    start = faces.argmin(axis=1)[:, None]
    found: np.ndarray = np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)
    return found
