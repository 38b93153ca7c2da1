"""`shapetool convert VIEWS OUT --to cloud|tsdf|hull`: views back to shapes, one file each.

The numerical modules are imported where they are used, as in `sample_sdf`.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError, DataError, MeshError
from shapetool.pipelines.preload import PRELOAD
from shapetool.runner.items import Item
from shapetool.runner.job import Options, Record, Summary
from shapetool.runner.preview import Preview, preview
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up

if TYPE_CHECKING:
    from shapetool.geometry.mesh import Mesh
    from shapetool.render.cameras import Cameras

SHAPES = {"cloud": ("depth",), "tsdf": ("depth", "normals"), "hull": ("silhouette",)}
"""What views can become, and the columns that each needs."""
USED = {"cloud": ("frame",), "hull": ("frame", "resolution", "extent")}
USED["tsdf"] = (*USED["hull"], "truncation")
"""The settings that decide the result of each."""
FRAMES = ("original", "unit")
CHANNELS = {"depth": "depth", "normals": "normal", "silhouette": "silhouette"}
_HALVES = {"sphere": 1.0, "centroid": 1.0, "box": 0.5, "diagonal": 0.5}  # of the frame's size
_MARGIN = 1.1  # how much wider than the shape the cube of nodes is


@dataclass(frozen=True)
class Backward:
    """How shapes are made of views.

    `resolution` is nodes along each axis of a cube about the origin whose half side is `extent`, in the unit frame:
    None is a tenth more than the frame of the shard. `truncation` is in cells. `frame` is that of the result.

    Raises:
        ConfigError: a word that is unknown, or a number out of range.
    """

    to: str
    resolution: int = 128
    truncation: float | int = 3.0
    extent: float | int | None = None
    frame: str = "original"

    def __post_init__(self) -> None:
        if self.to not in SHAPES or self.frame not in FRAMES:
            raise ConfigError(
                f"expected one of {', '.join(SHAPES)} in a frame of {' or '.join(FRAMES)}, found {self.to!r} in "
                f"{self.frame!r}."
            )
        if self.resolution < 2 or not (math.isfinite(self.truncation) and self.truncation > 0):
            raise ConfigError(
                f"expected a resolution of at least 2 and a truncation above 0, found {self.resolution} and "
                f"{self.truncation}."
            )
        if self.extent is not None and not (math.isfinite(self.extent) and self.extent > 0):
            raise ConfigError(f"extent: expected a length above 0, found {self.extent}.")

    @property
    def used(self) -> dict[str, Any]:
        """The settings that decide the result."""
        settings = asdict(self)
        return {name: settings[name] for name in ("to", *USED[self.to])}


@dataclass(frozen=True)
class FromViewsJob:
    """Makes one shape of its views, for the runner: its record is a PLY file."""

    backward: Backward
    kind: str
    suffix: str = "ply"
    seed: int = 0  # nothing is drawn
    preload: tuple[str, ...] = PRELOAD["from-views"]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the bytes, as JSON."""
        return self.backward.used

    @property
    def bytes_per_shape(self) -> int:
        """About the size of one file."""
        return 100 * self.backward.resolution**2

    def __call__(self, item: Item, threads: int) -> Record:
        """The file that the views of one shape become.

        Raises:
            DataError: the shard is damaged, or lacks a column.
            MeshError: the views show nothing.
        """
        import numpy as np

        from shapetool.data.reading import open_dataset

        with open_dataset(item.path) as dataset:
            row = dataset.shape_ids.index(item.id)
            names = ["scale", "offset", "intrinsics", "pose", *SHAPES[self.backward.to]]
            if self.backward.to == "cloud":
                names += [name for name in ("normals", "images") if name in dataset.columns]
            if self.backward.to == "hull" and "depth" in dataset.columns and _half(dataset.recipe) is None:
                names.append("depth")
            columns = {name: dataset.read(row, name) for name in names}
            recipe = dataset.recipe
        try:
            content, facts = _made(self.backward, columns, recipe)
        except MeshError as error:
            raise MeshError(f"{item.id}: {error}") from error
        return Record({"content": np.frombuffer(content, np.uint8)}, facts)


def run(source: Path, out: Path, backward: Backward, options: Options | None = None) -> Summary:
    """How the run ended, after `out` holds a PLY file for every shape in the shards of views at `source`.

    A shape that cannot be made costs only itself; `report.jsonl` says why. A rerun does what is missing.

    Raises:
        ConfigError: the source holds no views or lacks a column, or `out` is a file or was made otherwise.
        DataError: the source is damaged.
        OSError: the disk is full or fails.
    """
    warm_up(PRELOAD["from-views"])
    job, items = _prepared(source, out, backward)
    return run_job(job, items, out, options or Options())


def plan(source: Path, out: Path, backward: Backward, options: Options | None = None) -> Preview:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: as `run` does.
        DataError: as `run` does.
    """
    job, items = _prepared(source, out, backward)
    return preview(job, items, out, options or Options())


def _prepared(source: Path, out: Path, backward: Backward) -> tuple[FromViewsJob, list[Item]]:
    from shapetool.data.reading import open_dataset

    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder. Give shards of views.")
    if out.suffix in (".h5", ".ply") or (out.exists() and not out.is_dir()):
        raise ConfigError(f"{out}: expected a folder, in which each shape gets a file. Choose another OUT.")
    with open_dataset(source) as dataset:
        if dataset.kind != "views":
            raise ConfigError(
                f"{source}: --to {backward.to} needs shards of kind 'views', found {dataset.kind!r}. Make them with "
                "`shapetool render-views`."
            )
        missing = [name for name in SHAPES[backward.to] if name not in dataset.columns]
        if missing:
            channels = ",".join(CHANNELS[name] for name in SHAPES[backward.to])
            raise ConfigError(
                f"{source}: --to {backward.to} needs {' and '.join(missing)}, found none. Make them with `shapetool "
                f"render-views --channels {channels}`."
            )
        twice = [shape_id for shape_id, times in Counter(dataset.shape_ids).items() if times > 1]
        if twice:
            raise DataError(f"{source}: expected every id once, found {twice[0]} again. Run `shapetool verify` on it.")
        root = Path(os.path.realpath(source if source.is_dir() else source.parent))
        items, start = [], 0
        for path, rows, _ in dataset.shards:
            place = root / path.name
            size = path.stat().st_size // max(1, rows)
            names = dataset.shape_ids[start : start + rows]
            items += [Item(name, path.name, place, root, size, problem=_bad_name(name)) for name in names]
            start += rows
    return FromViewsJob(backward, "cloud" if backward.to == "cloud" else "mesh"), items


def _bad_name(shape_id: str) -> str | None:
    """What keeps an id of a shard from becoming a file name, None if nothing does."""
    from shapetool.data.formats.places import class_and_name

    try:
        class_and_name(shape_id)
    except DataError as error:
        return str(error)
    return None


def _made(backward: Backward, columns: dict[str, Any], recipe: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The file of one shape, and what the report says of it."""
    from shapetool.data.clouds import encode_cloud
    from shapetool.data.mesh_files import encode_mesh
    from shapetool.geometry.frame import Similarity
    from shapetool.render.cameras import Cameras
    from shapetool.render.fusion import unprojected

    name = next(name for name in ("depth", "silhouette") if name in columns)
    size = columns[name].shape[1:3]
    flat = recipe.get("projection") == "orthographic"
    cameras = Cameras((int(size[0]), int(size[1])), columns["intrinsics"], columns["pose"], flat)
    frame = Similarity(1.0, 0 * columns["offset"])
    if backward.frame == "original":
        frame = Similarity(columns["scale"], columns["offset"])
    facts: dict[str, Any] = {"method": backward.to, "warnings": []}
    if backward.to == "cloud":
        cloud = unprojected(cameras, columns["depth"], columns.get("normals"), columns.get("images"))
        if not len(cloud.points):
            raise MeshError("expected a pixel that shows the surface, found none. Look at it with other cameras.")
        facts |= {"n_vertices": len(cloud.points), "n_faces": 0, "watertight": False}
        return encode_cloud(frame.invert(cloud.points), cloud.normals, cloud.colours), facts
    mesh = _surface(backward, cameras, columns, recipe)
    mesh = type(mesh)(frame.invert(mesh.vertices), mesh.faces)
    facts |= {"n_vertices": len(mesh.vertices), "n_faces": len(mesh.faces), "watertight": True}
    return encode_mesh(mesh, "ply"), facts


def _surface(backward: Backward, cameras: Cameras, columns: dict[str, Any], recipe: dict[str, Any]) -> Mesh:
    """The mesh of the fused or carved lattice, in the unit frame."""
    from shapetool.extraction.lattice import mesh_of_lattice
    from shapetool.render.fusion import fused_distances
    from shapetool.render.hull import hull_distances

    box = _cube(backward, cameras, columns, recipe)
    if backward.to == "hull":
        return mesh_of_lattice(hull_distances(cameras, columns["silhouette"], box, backward.resolution), box)
    cell = (box[1][0] - box[0][0]) / (backward.resolution - 1)
    depth, normals = columns["depth"], columns["normals"]
    values = fused_distances(cameras, depth, normals, box, backward.resolution, backward.truncation * cell)
    return mesh_of_lattice(values, box)


def _half(recipe: dict[str, Any]) -> float | None:
    """Half the side of the cube about the origin that holds every shape in the frame of a recipe, if it says."""
    share, size = _HALVES.get(str(recipe.get("normalize"))), recipe.get("frame_size")
    return None if share is None or size is None else _MARGIN * share * float(size)


def _cube(backward: Backward, cameras: Cameras, columns: dict[str, Any], recipe: dict[str, Any]) -> Any:
    """The corners of the cube of nodes.

    Raises:
        MeshError: nothing says how large the shape is.
    """
    import numpy as np

    from shapetool.render.fusion import unprojected

    half = backward.extent or _half(recipe)
    if half is not None:
        return (-half,) * 3, (half,) * 3
    points = unprojected(cameras, columns["depth"]).points if "depth" in columns else np.zeros((0, 3))
    if not len(points):
        raise MeshError("the frame and the depth do not say how large the shape is. Give half its side with --extent.")
    low, high = points.min(axis=0), points.max(axis=0)
    reach = _MARGIN * float((high - low).max()) / 2
    return tuple(((low + high) / 2 - reach).tolist()), tuple(((low + high) / 2 + reach).tolist())
