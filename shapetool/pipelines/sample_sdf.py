"""`shapetool sample-sdf` as Python: meshes in, points with their signed distance out.

The numerical modules are imported where they are used: the parent process of a run only hands out work, and its workers
are forked from a process that has them loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapetool.errors import MeshError
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.wording import plural
from shapetool.pipelines.preload import PRELOAD
from shapetool.recipes import SdfRecipe, sdf_recipe
from shapetool.runner.items import Collection, Item, collect
from shapetool.runner.job import Event, Options, Record, Summary
from shapetool.runner.preview import Preview, preview
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: SdfRecipe | str = "deepsdf-code",
    *,
    seed: int = 0,
    options: Options | None = None,
) -> Summary:
    """How the run ended, after `out` (a `.h5` file or a dataset folder) holds the samples of every mesh in `inputs`.

    A mesh that cannot be used costs only itself: its line in the report says why. A rerun does what is missing.

    Raises:
        ConfigError: no input, an unknown recipe, a library that is not installed, or an `out` made with other settings.
        DataError: state of an earlier run is damaged.
        OSError: the disk is full or fails.
    """
    options = options or Options()
    job = SdfJob(sdf_recipe(recipe) if isinstance(recipe, str) else recipe, seed)
    warm_up(job.preload)  # it imports what workers need while this process looks for the meshes
    found = _collect(inputs, job)
    return run_job(job, found.items, Path(out), _telling(options, _notices(job, found)))


def plan(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: SdfRecipe,
    *,
    seed: int = 0,
    options: Options | None = None,
) -> Preview:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: as `run` does.
    """
    options = options or Options()
    job = SdfJob(recipe, seed)
    found = _collect(inputs, job)
    would = preview(job, found.items, Path(out), options)
    for text in _notices(job, found):
        options.emit("notice", text=text)
    return would


def _collect(inputs: Sequence[str | Path], job: "SdfJob") -> Collection:
    if job.recipe.backend != "native":
        from shapetool.geometry.backends import load_backend

        load_backend(job.recipe.backend)
    return collect([str(word) for word in inputs], MESH_SUFFIXES)


def _notices(job: "SdfJob", found: Collection) -> list[str]:
    """What the user should know of a run that is not refused."""
    notices = []
    if job.recipe.backend == "pysdf":
        from shapetool.geometry.backends import APPROXIMATE

        notices.append(APPROXIMATE)
    if found.ignored:
        notices.append(f"{plural(found.ignored, 'file')} passed over: no mesh by the suffix.")
    return notices


def _telling(options: Options, notices: list[str]) -> Options:
    """`options`, with a listener that hears the notices once the run has begun, so that a refusal stays one line."""
    tell = options.on_event
    if tell is None:
        return options

    def listener(event: Event) -> None:
        tell(event)
        if event["event"] == "start":
            for text in notices:
                tell({"event": "notice", "text": text})

    return replace(options, on_event=listener)


@dataclass(frozen=True)
class SdfJob:
    """Samples one mesh by a recipe, for the runner."""

    recipe: SdfRecipe
    seed: int = 0
    kind: str = "sdf"
    preload: tuple[str, ...] = PRELOAD["sample-sdf"]

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe with every number, as JSON."""
        return self.recipe.to_dict()

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        number = 2 if self.recipe.dtype == "f16" else 4
        return self.recipe.count * 4 * number + self.recipe.surface_count * 24

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one item."""
        made = sample_one(item.path, self.recipe, self.seed, item.id, root=item.root, threads=threads)
        return Record({**made.columns, "source": item.source}, made.facts)


def sample_one(
    path: str | Path,
    recipe: SdfRecipe,
    seed: int,
    shape_id: str,
    *,
    root: Path | None = None,
    threads: int | None = None,
) -> Record:
    """The record of one mesh file: a function of the file, the recipe, the seed and the id alone.

    Raises:
        MeshError: the file holds no usable mesh, or nothing tells its inside from its outside.
        ConfigError: the recipe asks for a library that is not installed.
    """
    from shapetool.geometry.backends import load_backend
    from shapetool.geometry.frame import fit
    from shapetool.geometry.mesh import load_mesh
    from shapetool.sampling.sdf import sample_sdf
    from shapetool.sampling.seed import shape_rng

    mesh = load_mesh(path, root=root)
    frame = fit(mesh, recipe.normalize, recipe.frame_size)
    unit = frame.apply_mesh(mesh)
    field = load_backend(recipe.backend)(unit, recipe.sign, threads)
    samples = sample_sdf(unit, field, recipe, shape_rng(seed, shape_id))
    if samples.inside_count == 0:
        raise MeshError(_no_inside(path, recipe, field.sign_method))
    columns = {
        "shape_id": shape_id,
        "source": Path(path).name,
        "scale": frame.scale,
        "offset": frame.offset,
        "watertight": field.watertight,
        "sign_method": field.sign_method,
        "points": samples.points,
        "distances": samples.distances,
        "surface_points": samples.surface_points,
        "surface_normals": samples.surface_normals,
    }
    facts = {
        "n_vertices": len(mesh.vertices),
        "n_faces": len(mesh.faces),
        "watertight": bool(field.watertight),
        "warnings": [*mesh.warnings, *field.warnings, *samples.warnings],
        "sign_method": field.sign_method,
        "inside_fraction": round(samples.inside_fraction, 6),
    }
    return Record(columns, facts)


def _no_inside(path: str | Path, recipe: SdfRecipe, method: str) -> str:
    others = " or ".join(f"--sign {sign}" for sign in ("parity", "winding") if sign != method)
    more = f", or more points (--count is {recipe.count})" if recipe.count < 10_000 else ""
    return (
        f"{path}: expected some of the {recipe.count} points inside the surface, found none ({method} sign). "
        "The mesh encloses nothing that this sign can tell: an open sheet, or every face twice. "
        f"Close it, or try {others}{more}."
    )
