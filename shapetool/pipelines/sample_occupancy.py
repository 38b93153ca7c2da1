"""`shapetool sample-occupancy` as Python: meshes in, points with their inside out.

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
from shapetool.recipes import OccupancyRecipe, occupancy_recipe
from shapetool.runner.items import Item
from shapetool.runner.job import Options, Record, Summary
from shapetool.runner.preview import Preview

ENCODED = 64  # cells along an edge of the voxels that come with progressive sets
# Settings that are not written down where the first of them is nothing.
RARE_SETTINGS = (("voxels",), ("progressive",), ("centre_weight", "centre_cells"))


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: OccupancyRecipe | str = "onet",
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
    job = OccupancyJob(occupancy_recipe(recipe) if isinstance(recipe, str) else recipe, seed)
    return sample(job, inputs, out, options)


def plan(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: OccupancyRecipe,
    *,
    seed: int = 0,
    options: Options | None = None,
) -> Preview:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: as `run` does.
    """
    return foresee(OccupancyJob(recipe, seed), inputs, out, options)


@dataclass(frozen=True)
class OccupancyJob:
    """Samples one mesh by a recipe, for the runner."""

    recipe: OccupancyRecipe
    seed: int = 0
    kind: str = "occupancy"
    preload: tuple[str, ...] = PRELOAD["sample-occupancy"]

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe with every number, as JSON; what only some recipes have is left out of the others."""
        settings = self.recipe.to_dict()
        unused = {key for keys in RARE_SETTINGS for key in keys if not settings[keys[0]]}
        return {key: value for key, value in settings.items() if key not in unused}

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        recipe = self.recipe
        number, more = 2 if recipe.dtype == "f16" else 4, 0
        if recipe.progressive:
            more += 4 * recipe.count + ENCODED**3
        if recipe.voxels:
            more += 2 * recipe.voxels**3 + 48
        return recipe.count * (3 * number + 1) + recipe.surface_count * 24 + more

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one item."""
        made = sample_one(item.path, self.recipe, self.seed, item.id, root=item.root, threads=threads)
        return Record({**made.columns, "source": item.source}, made.facts)


def sample_one(
    path: str | Path,
    recipe: OccupancyRecipe,
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
    from shapetool.geometry.inside import InsideTest
    from shapetool.geometry.mesh import load_mesh
    from shapetool.sampling.occupancy import sample_occupancy
    from shapetool.sampling.seed import shape_rng

    mesh = load_mesh(path, root=root)
    frame = fit(mesh, recipe.normalize, recipe.frame_size)
    unit = frame.apply_mesh(mesh)
    build = load_backend(recipe.backend, recipe.flood_resolution, recipe.flood_gap)
    test = InsideTest(unit, recipe.sign, threads, build)
    distances = build(unit, recipe.sign, threads) if recipe.voxels or recipe.progressive else None
    samples = sample_occupancy(unit, test, recipe, shape_rng(seed, shape_id), distances)
    voxels = _voxels(unit, distances, recipe.box_size / 2, recipe.voxels, threads) if recipe.voxels else {}
    if samples.inside_count == 0 and not (voxels and voxels["solid"].any()):
        raise MeshError(no_inside(path, recipe, test.sign_method))
    columns = {
        "shape_id": shape_id,
        "source": Path(path).name,
        "scale": frame.scale,
        "offset": frame.offset,
        "watertight": test.watertight,
        "sign_method": test.sign_method,
        "points": samples.points,
        "inside": samples.inside,
        "surface_points": samples.surface_points,
        "surface_normals": samples.surface_normals,
        **samples.more,
        **voxels,
    }
    facts = {
        "n_vertices": len(mesh.vertices),
        "n_faces": len(mesh.faces),
        "watertight": bool(test.watertight),
        "warnings": [*mesh.warnings, *test.warnings, *samples.warnings],
        "sign_method": test.sign_method,
        "inside_fraction": round(samples.inside_fraction, 6),
    }
    return Record(columns, facts)


def _voxels(mesh: Any, distances: Any, half: float, count: int, threads: int | None) -> dict[str, Any]:
    """The columns of `--grid`."""
    import numpy as np

    from shapetool.geometry.voxels import solid_cells, surface_cells

    return {
        "low": np.full(3, -half),
        "high": np.full(3, half),
        "solid": solid_cells(distances, half, count),
        "surface": surface_cells(mesh, half, count, threads),
    }
