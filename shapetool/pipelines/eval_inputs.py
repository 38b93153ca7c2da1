"""What stands on either side of `eval`: meshes, clouds and shards by shape id, and reading one of them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from shapetool.data.clouds import CLOUD_SUFFIXES, is_cloud, read_cloud
from shapetool.data.reading import Dataset, open_dataset
from shapetool.errors import ConfigError, DataError, MeshError
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.readers import read_triangles
from shapetool.geometry.readers.source import open_source
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.runner.items import Item, collect

SHAPE_SUFFIXES = MESH_SUFFIXES | CLOUD_SUFFIXES


class EmptyShape(DataError):  # noqa: N818 - an outcome of its own, not a fault of the file
    """A file that says that there is no shape: no face and no point."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One side of a pair: a mesh or a cloud, and what a shard tells of its volume and its frame."""

    mesh: Mesh | None
    points: Float[np.ndarray, "N 3"] | None = None
    normals: Float[np.ndarray, "N 3"] | None = None
    volume_points: Float[np.ndarray, "Q 3"] | None = None
    inside: Bool[np.ndarray, " Q"] | None = None
    scale: float = 1.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    warnings: tuple[str, ...] = ()

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """The lowest and the highest corner of the box around it."""
        if self.mesh is not None:
            return self.mesh.bounds
        assert self.points is not None
        return np.stack([self.points.min(axis=0), self.points.max(axis=0)])


def penalties(true: Shape) -> dict[str, float]:
    """What a failure costs in each metric that is a length: sqrt(3) longest edges of the truth, as in ONet's cube."""
    low, high = true.bounds
    edge = float((high - low).max())
    length = math.sqrt(3) * edge
    lengths = ("chamfer_l1_mean", "hausdorff", "hausdorff_90", "emd", "surface_l1_mean")
    return {
        **dict.fromkeys(lengths, length),
        "chamfer_l1_sum": 2 * length,
        "chamfer_l2sq_mean": length**2,
        "chamfer_l2sq_sum": 2 * length**2,
    }


@lru_cache(maxsize=4)
def list_shapes(word: str) -> dict[str, Item]:
    """The shapes that a path holds, by id: a file, a folder, a glob or a list as everywhere, or shards.

    Raises:
        ConfigError: there is nothing, or two of one name.
        DataError: shards that are damaged.
    """
    path = Path(word)
    if not _is_shards(path):
        return {item.id: item for item in collect([word], SHAPE_SUFFIXES, "mesh, cloud or shard").items}
    dataset, found = _open(path), {}
    for index, shape_id in enumerate(dataset.shape_ids):
        file = dataset.locate(index)[0]
        found[shape_id] = Item(shape_id, f"{file.name}:{shape_id}", file, file.parent, file.stat().st_size)
    if not found:
        raise ConfigError(f"{path}: expected shapes, found shards without any.")
    return found


def forget() -> None:
    """Nothing; folders are looked at anew, for another run of the same process may find other files."""
    for kept in (list_shapes, _open, _rows):
        kept.cache_clear()


def _is_shards(path: Path) -> bool:
    return path.suffix == ".h5" or (path.is_dir() and any(path.glob("shard-*.h5")))


@lru_cache(maxsize=4)
def _open(path: Path) -> Dataset:
    return open_dataset(path)


@lru_cache(maxsize=4)
def _rows(path: Path) -> dict[str, int]:
    return {shape_id: row for row, shape_id in enumerate(_open(path).shape_ids)}


def read_shape(item: Item) -> Shape:
    """The shape that an item names.

    Raises:
        EmptyShape: the file holds no face and no point.
        DataError: a cloud or a shard that cannot be used.
        MeshError: a mesh that cannot be used.
    """
    if item.problem is not None:
        raise DataError(f"{item.source}: {item.problem}.")
    if _is_shards(item.path):
        return _from_shard(item)
    if item.path.stat().st_size == 0:
        raise EmptyShape(f"{item.path}: the file has no byte.")
    if is_cloud(item.path):
        points, normals = read_cloud(item.path)
        if not len(points):
            raise EmptyShape(f"{item.path}: holds no point.")
        return Shape(None, points, normals)
    try:
        mesh = load_mesh(item.path, root=item.root)
    except MeshError as error:
        if _has_no_face(item):
            raise EmptyShape(f"{item.path}: holds no face.") from error
        raise
    return Shape(mesh, warnings=mesh.warnings)


def _has_no_face(item: Item) -> bool:
    try:
        return len(read_triangles(open_source(item.path, item.root, 2 << 30)).faces) == 0
    except MeshError:
        return False


def _from_shard(item: Item) -> Shape:
    dataset, row = _open(item.path), _rows(item.path)[item.id]
    if "surface_points" not in dataset.columns:
        raise DataError(f"{item.path}: expected surface points, found a shard of kind {dataset.kind}.")
    points = dataset.read(row, "surface_points").astype(np.float64)
    if not len(points):
        raise DataError(f"{item.path}: {item.id} has no surface points. Sample it with --surface-count.")
    offset = tuple(float(number) for number in dataset.read(row, "offset"))
    volume = inside = None
    if {"points", "inside"} <= set(dataset.columns):
        volume, inside = dataset.read(row, "points").astype(np.float64), dataset.read(row, "inside").astype(bool)
    return Shape(
        None,
        points,
        dataset.read(row, "surface_normals").astype(np.float64),
        volume,
        inside,
        float(dataset.read(row, "scale")),
        (offset[0], offset[1], offset[2]),
    )
