"""`shapetool sample-sdf` as Python: meshes in, points with their signed distance out.

The numerical modules are imported where they are used: the parent process of a run only hands out work, and its workers
are forked from a process that has them loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapetool.errors import MeshError
from shapetool.pipelines.preload import PRELOAD
from shapetool.pipelines.sampling import foresee, no_inside, sample
from shapetool.recipes import SdfRecipe, sdf_recipe
from shapetool.runner.items import Item
from shapetool.runner.job import Options, Record, Summary
from shapetool.runner.preview import Preview

LATTICE_SETTINGS = ("lattice", "lattice_box", "truncate")


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
    job = SdfJob(sdf_recipe(recipe) if isinstance(recipe, str) else recipe, seed)
    return sample(job, inputs, out, options)


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
    return foresee(SdfJob(recipe, seed), inputs, out, options)


@dataclass(frozen=True)
class SdfJob:
    """Samples one mesh by a recipe, for the runner."""

    recipe: SdfRecipe
    seed: int = 0
    preload: tuple[str, ...] = PRELOAD["sample-sdf"]

    @property
    def kind(self) -> str:
        """The kind of shard: points, or a lattice."""
        return "lattice" if self.recipe.lattice else "sdf"

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe with every number, as JSON; what only a lattice has is left out of the others."""
        settings = self.recipe.to_dict()
        return (
            settings if self.recipe.lattice else {key: settings[key] for key in settings if key not in LATTICE_SETTINGS}
        )

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        number = 2 if self.recipe.dtype == "f16" else 4
        if self.recipe.lattice:
            return self.recipe.lattice**3 * number + 48
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

    mesh = load_mesh(path, root=root)
    frame = fit(mesh, recipe.normalize, recipe.frame_size)
    unit = frame.apply_mesh(mesh)
    build = load_backend(recipe.backend, recipe.flood_resolution, recipe.flood_gap)
    field = build(unit, recipe.sign, threads)
    values, facts = _lattice(field, recipe) if recipe.lattice else _samples(unit, field, recipe, seed, shape_id)
    if not facts["inside_fraction"]:
        raise MeshError(
            no_inside(path, recipe, field.sign_method, f"{recipe.lattice}^3 nodes" if recipe.lattice else None)
        )
    columns = {
        "shape_id": shape_id,
        "source": Path(path).name,
        "scale": frame.scale,
        "offset": frame.offset,
        "watertight": field.watertight,
        "sign_method": field.sign_method,
        **values,
    }
    common = {
        "n_vertices": len(mesh.vertices),
        "n_faces": len(mesh.faces),
        "watertight": bool(field.watertight),
        "warnings": [*mesh.warnings, *field.warnings, *facts.pop("warnings")],
        "sign_method": field.sign_method,
    }
    return Record(columns, common | {"inside_fraction": round(facts["inside_fraction"], 6)})


def _samples(
    mesh: Any, field: Any, recipe: SdfRecipe, seed: int, shape_id: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of scattered points, and what is said of them."""
    from shapetool.sampling.sdf import sample_sdf
    from shapetool.sampling.seed import shape_rng

    samples = sample_sdf(mesh, field, recipe, shape_rng(seed, shape_id))
    columns = {
        "points": samples.points,
        "distances": samples.distances,
        "surface_points": samples.surface_points,
        "surface_normals": samples.surface_normals,
    }
    return columns, {"warnings": samples.warnings, "inside_fraction": samples.inside_fraction}


def _lattice(field: Any, recipe: SdfRecipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of a lattice, and what is said of it."""
    import numpy as np

    from shapetool.geometry.lattice import lattice_distances

    low, high = (-recipe.lattice_box,) * 3, (recipe.lattice_box,) * 3
    values = lattice_distances(field, (low, high), recipe.lattice, truncate=recipe.truncate or None)
    inside_fraction = float(np.mean(values < 0))
    with np.errstate(over="ignore"):
        stored = values.astype(np.float16 if recipe.dtype == "f16" else np.float32)
    if not np.isfinite(stored).all():
        raise MeshError(f"a distance does not fit {recipe.dtype}. Use --dtype f32, --truncate, or --normalize sphere.")
    columns = {"low": np.array(low), "high": np.array(high), "lattice": stored}
    return columns, {"warnings": (), "inside_fraction": inside_fraction}
