"""`shapetool render-views` as Python: meshes in, images with their cameras out.

The numerical modules are imported where they are used, as in `sample_sdf`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.wording import plural
from shapetool.pipelines.preload import PRELOAD
from shapetool.pipelines.sampling import passed_over, telling
from shapetool.pipelines.view_layouts import SHARDS, LayoutJob, check_layout, for_layout, layout_job
from shapetool.pipelines.view_pictures import Pictures, check_pictures, draw_pictures
from shapetool.recipes import ViewsRecipe, views_recipe
from shapetool.recipes.views import CAMERAS, COLUMNS, FROM_FILE, LENS
from shapetool.runner.items import Item, collect
from shapetool.runner.job import Options, Record, Summary, cores
from shapetool.runner.pool import memory_share
from shapetool.runner.preview import Preview, preview
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up

if TYPE_CHECKING:
    from shapetool.geometry.frame import Similarity
    from shapetool.geometry.mesh import Mesh
    from shapetool.render.cameras import Cameras
    from shapetool.render.paint import SurfacePaint
    from shapetool.render.views import Views

COPIES = 3.2  # of a shape, where a shard of one is published: the file, its image, the row, and what HDF5 adds


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: ViewsRecipe | str = "default",
    *,
    seed: int = 0,
    options: Options | None = None,
    pictures: Pictures | None = None,
    layout: str = "h5",
) -> Summary:
    """How the run ended, after `out` (a `.h5` file or a dataset folder) holds the views of every mesh in `inputs`.

    With another `layout` it is a folder of that, and there are no pictures. A mesh that cannot be used costs only
    itself: its line in the report says why. A rerun does what is missing. `pictures` are made of what is there in the
    end.

    Raises:
        ConfigError: no input, an unknown recipe, a file of cameras that makes no sense, images that the memory does not
            hold, or an `out` made with other settings.
        DataError: state of an earlier run is damaged.
        OSError: the disk is full or fails.
    """
    options = options or Options()
    recipe = views_recipe(recipe) if isinstance(recipe, str) else recipe
    job, writing = _begun(recipe, seed, Path(out), (options, pictures, layout))
    if options.runs_here:
        warm_up(writing.preload)
    found = collect([str(word) for word in inputs], MESH_SUFFIXES)
    summary = run_job(writing, found.items, Path(out), telling(options, passed_over(found)))
    if summary.stopped is None and layout == SHARDS:
        return replace(summary, stopped=draw_pictures(pictures, job, found.items, Path(out), options))
    return summary


def plan(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: ViewsRecipe,
    *,
    seed: int = 0,
    options: Options | None = None,
    pictures: Pictures | None = None,
    layout: str = "h5",
) -> Preview:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: as `run` does.
    """
    options = options or Options()
    _, writing = _begun(recipe, seed, Path(out), (options, pictures, layout))
    found = collect([str(word) for word in inputs], MESH_SUFFIXES)
    would = preview(writing, found.items, Path(out), options)
    for text in passed_over(found):
        options.emit("notice", text=text)
    return would


def _begun(
    recipe: ViewsRecipe, seed: int, out: Path, how: tuple[Options, Pictures | None, str]
) -> tuple[ViewsJob, ViewsJob | LayoutJob]:
    """The job that renders and the one that writes, which may be the same, once nothing speaks against them."""
    options, pictures, layout = how
    check_layout(layout)
    job = prepared(for_layout(recipe, layout), seed)
    check_memory(job.recipe, options)
    check_pictures(pictures, out, job.recipe)
    if layout == SHARDS:
        return job, job
    if pictures is not None and pictures != Pictures():
        raise ConfigError(
            f"--layout {layout}: --contact-sheet and --turntable are drawn of shards. Render those with --layout h5, "
            f"and `convert` them --to {layout}."
        )
    return job, layout_job(job, layout, out)


@dataclass(frozen=True)
class ViewsJob:
    """Renders one mesh by a recipe, for the runner; `cameras` where they come from a file."""

    recipe: ViewsRecipe
    seed: int = 0
    cameras: Cameras | None = None
    kind: str = "views"
    preload: tuple[str, ...] = PRELOAD["render-views"]

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe with every number, as JSON, and a digest of the cameras of a file, whatever it is called."""
        settings = self.recipe.to_dict()
        if self.cameras is not None:
            held = self.cameras.intrinsics.tobytes() + self.cameras.pose.tobytes()
            settings["cameras_sha256"] = hashlib.sha256(held).hexdigest()
        return settings

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        return self.recipe.bytes_per_shape

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one item."""
        made = render_one(self, item.path, item.id, root=item.root, threads=threads)
        return Record({**made.columns, "source": item.source}, made.facts)


def prepared(recipe: ViewsRecipe, seed: int) -> ViewsJob:
    """The job of a recipe, once the file that its `cameras` may name has been read: what that says wins.

    Raises:
        ConfigError: the file is missing or makes no sense.
    """
    if recipe.cameras in CAMERAS:
        return ViewsJob(recipe, seed)
    from shapetool.render.camera_file import read_cameras

    cameras = read_cameras(Path(recipe.cameras))
    return of_cameras(recipe, cameras, seed)


def of_cameras(recipe: ViewsRecipe, cameras: Cameras, seed: int) -> ViewsJob:
    """The job that looks at every shape from these cameras."""
    height, width = cameras.size
    projection = "orthographic" if cameras.orthographic else "perspective"
    changed = recipe.replace(cameras=FROM_FILE, views=len(cameras), height=height, width=width, projection=projection)
    return ViewsJob(changed, seed, cameras)


def render_one(
    job: ViewsJob, path: str | Path, shape_id: str, *, root: Path | None = None, threads: int | None = None
) -> Record:
    """The record of one mesh file: a function of the file, the job and the id alone.

    Raises:
        MeshError: the file holds no usable mesh.
    """
    from shapetool.geometry.topology import is_closed

    mesh, views, frame, warnings = seen(job, path, shape_id, root=root, threads=threads)
    closed = is_closed(mesh, threads)
    columns = {
        "shape_id": shape_id,
        "source": Path(path).name,
        "scale": frame.scale,
        "offset": frame.offset,
        "watertight": closed,
        "sign_method": "none",
        "intrinsics": views.cameras.intrinsics,
        "pose": views.cameras.pose,
        **{COLUMNS.get(name, name): values for name, values in views.channels.items()},
    }
    facts = {
        "n_vertices": len(mesh.vertices),
        "n_faces": len(mesh.faces),
        "watertight": closed,
        "warnings": [*warnings, *_camera_warnings(mesh, views, threads)],
    }
    return Record(columns, facts)


def seen(
    job: ViewsJob, path: str | Path, shape_id: str, *, root: Path | None = None, threads: int | None = None
) -> tuple[Mesh, Views, Similarity, list[str]]:
    """A mesh file in the unit frame, its views, that frame, and what the reader warned of.

    Raises:
        MeshError: the file holds no usable mesh.
    """
    from shapetool.geometry.frame import fit
    from shapetool.render.paint import sample_width
    from shapetool.render.placing import placed
    from shapetool.render.views import render_views
    from shapetool.sampling.seed import shape_rng

    mesh, paint, warnings = _painted(path, root)
    frame = fit(mesh, job.recipe.normalize, job.recipe.frame_size)
    unit = frame.apply_mesh(mesh)
    cameras = job.cameras if job.cameras is not None else placed(job.recipe, shape_rng(job.seed, shape_id))
    if paint is not None:  # it is asked in the unit of the file
        paint = paint.filtered(sample_width(cameras, job.recipe.samples) / frame.scale)
    return unit, render_views(unit, cameras, job.recipe, paint, threads), frame, warnings


def _painted(path: str | Path, root: Path | None) -> tuple[Mesh, SurfacePaint | None, list[str]]:
    """The mesh of a file, its colours, and what the readers warned of."""
    from shapetool.render.paint import load_painted

    painted = load_painted(path, root)
    return painted.mesh, painted.paint, list(painted.warnings)


def _camera_warnings(mesh: Mesh, views: Views, threads: int | None) -> list[str]:
    """What is odd about where the cameras stand: inside the shape, or seeing nothing of it."""
    from shapetool.render.views import standing_inside

    said = []
    inside = [] if views.cameras.orthographic else standing_inside(mesh, views.cameras, threads)
    if inside:
        verb = "is" if len(inside) == 1 else "are"
        said.append(
            f"{plural(len(inside), 'camera')} of {len(views.cameras)} {verb} inside the shape, the first is camera "
            f"{inside[0]}: it sees the surface from within."
        )
    for name, background in (("silhouette", 0), ("depth", 0), ("alpha", 0), ("face", -1), ("ray_length", 0)):
        if name in views.channels:
            held = views.channels[name]
            empty = int((held.reshape(len(held), -1) == background).all(axis=1).sum())
            if empty:
                said.append(f"{plural(empty, 'view')} of {len(held)} show nothing of the shape.")
            break
    return said


def check_memory(recipe: ViewsRecipe, options: Options) -> None:
    """None, if a worker's memory holds the views of one shape.

    Raises:
        ConfigError: it does not; the message says how much is needed and how much there is.
    """
    from shapetool.render.views import bytes_needed

    workers = options.workers or cores()
    room = options.item_memory if options.item_memory is not None else memory_share(workers)
    needed = max(int(COPIES * recipe.bytes_per_shape), bytes_needed(recipe))
    if needed > room:
        raise ConfigError(
            f"{recipe.views} views of {recipe.height}x{recipe.width} with {', '.join(recipe.channels)} need about "
            f"{needed / (1 << 30):.2f} GiB of memory a shape, and each of {plural(workers, 'worker')} may take "
            f"{room / (1 << 30):.2f} GiB. Use fewer --views, a smaller --size, fewer --channels, or a smaller -j."
        )


def check_given(recipe: ViewsRecipe, given: Sequence[str]) -> None:
    """None, if the settings that were asked for mean something with these cameras.

    Raises:
        ConfigError: one does not, because the cameras decide it themselves.
    """
    fixed = {"r2n2": (*LENS, "projection"), **dict.fromkeys(("sphere", "hammersley"), ())}
    deciding = fixed.get(recipe.cameras, (*LENS, "projection", "views", "height", "width", "up"))
    for name in deciding:
        if name in given:
            raise ConfigError(f"{name}: the cameras of {recipe.cameras} have their own. Leave it out.")
