"""`shapetool convert`: shards to the layouts of other people's training code, and those to shards.

The numerical modules are imported where they are used, as in `sample_sdf`.
"""

import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from shapetool.errors import ConfigError, DataError
from shapetool.pipelines import from_views
from shapetool.pipelines.export import SHARDS, Conversion, Exported, export, foreseen_export
from shapetool.pipelines.preload import PRELOAD
from shapetool.runner.items import Item
from shapetool.runner.job import Job, Record, Summary
from shapetool.runner.preview import Preview, preview
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up

__all__ = ["Conversion", "Exported", "ImportJob", "plan", "run", "source_layout"]


@dataclass(frozen=True)
class ImportJob:
    """Reads one shape of a foreign layout, for the runner. All shapes of a data set have equally many points."""

    layout: str
    kind: str
    count: int
    surface_count: int
    dtype: str
    seed: int = 0
    voxels: int = 0
    more: int = 0
    preload: tuple[str, ...] = PRELOAD["convert"]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the bytes, as JSON; the values of an imported set are taken as they are."""
        names: tuple[str, ...] = ("count", "surface_count", "dtype")
        names += ("voxels",) if self.voxels else ()
        return {"name": f"import-{self.layout}", "backend": "imported"} | {name: asdict(self)[name] for name in names}

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        number = 2 if self.dtype == "f2" else 4
        value = number if self.kind == "sdf" else 1
        return self.count * (3 * number + value) + self.surface_count * 24 + self.voxels**3 + self.more

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one shape.

        Raises:
            DataError: its files are missing, not of the layout, or hold fewer points than the others.
        """
        from shapetool.data.formats import load_format
        from shapetool.sampling.seed import shape_rng

        module = load_format(self.layout)
        columns = module.read(item.path, item.root, *([item.id] if module.SHARED else []))
        order: Any = slice(None)
        if module.ORDERED:
            order = shape_rng(self.seed, item.id).permutation(len(columns["points"]))
        for name in ("points", "distances", "inside", "order"):
            if name in columns:
                columns[name] = columns[name][order][: self.count]
                if name in ("points", "distances"):
                    columns[name] = columns[name].astype(self.dtype)
        if not self.voxels:
            columns = {name: value for name, value in columns.items() if name not in ("solid", "low", "high")}
        for name in ("surface_points", "surface_normals"):
            columns[name] = columns[name][: self.surface_count]
        found = len(columns["points"]), len(columns["surface_points"])
        if found != (self.count, self.surface_count):
            raise DataError(
                f"{item.path}: expected {self.count} points and {self.surface_count} on the surface as in the other "
                f"shapes, found {found[0]} and {found[1]}. Take fewer with --count and --surface-count."
            )
        return Record({**columns, "shape_id": item.id, "source": item.source}, {"warnings": []})


def run(source: str | Path, out: str | Path, conversion: Conversion) -> Summary | Exported:
    """How the conversion ended: a `Summary` where shards or shapes were made, an `Exported` where foreign files were.

    Raises:
        ConfigError: the layouts are unknown or do not fit together, or `out` is something else.
        DataError: the source is missing or damaged.
        OSError: the disk is full or fails.
    """
    source, out = Path(source), Path(out)
    if conversion.backward is not None:
        return from_views.run(source, out, conversion.backward, conversion.options)
    layout = source_layout(source, conversion)
    if layout == SHARDS:
        return export(source, out, conversion)
    warm_up(PRELOAD["convert"])
    job, items = _import_job(source, layout, conversion)
    return run_job(job, items, out, conversion.options)


def plan(source: str | Path, out: str | Path, conversion: Conversion) -> Preview | Exported:
    """What `run` would do, with nothing written.

    Raises:
        ConfigError: as `run` does.
        DataError: as `run` does.
    """
    source, out = Path(source), Path(out)
    if conversion.backward is not None:
        return from_views.plan(source, out, conversion.backward, conversion.options)
    layout = source_layout(source, conversion)
    if layout != SHARDS:
        job, items = _import_job(source, layout, conversion)
        return preview(job, items, out, conversion.options)
    return foreseen_export(source, out, conversion)


def source_layout(source: Path, conversion: Conversion) -> str:
    """The layout of the source: the one that was named, or the only one whose files are there.

    Raises:
        ConfigError: the source does not exist, the layout is unknown, nothing or several things are there, or neither
            side is shards.
    """
    from shapetool.data.formats import FORMATS, load_format

    for name in (conversion.to, conversion.layout or SHARDS):
        if name != SHARDS:
            load_format(name)
    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder. Give shards, or a folder of {', '.join(FORMATS)}.")
    found = [conversion.layout] if conversion.layout else _guesses(source)
    if len(found) != 1:
        known = ", ".join([SHARDS, *FORMATS])
        came = f"files of {' and '.join(found)}" if found else "files of none of them"
        raise ConfigError(f"{source}: expected the files of one layout of {known}; found {came}. Use --from.")
    if (found[0] == SHARDS) == (conversion.to == SHARDS):
        other = "is made of shards already" if found[0] == SHARDS else f"is of {found[0]}, and so is not shards"
        raise ConfigError(f"{source}: {other}; expected shards on one side. Use --to shards first, then convert those.")
    return found[0]


def _guesses(source: Path) -> list[str]:
    """The layouts of which there are files; one name for modules that serve two."""
    from shapetool.data.formats import FORMATS, load_format
    from shapetool.data.reading import SHARD_NAME

    if source.is_file() or any(SHARD_NAME.fullmatch(name) for name in os.listdir(source)):
        return [SHARDS]
    modules = {module: name for name, module in reversed(FORMATS.items())}
    return [name for name in reversed(modules.values()) if load_format(name).find(source)]


def _import_job(source: Path, layout: str, conversion: Conversion) -> tuple[Job, list[Item]]:
    """The job and its items, with as many points a shape as every shape has, unless a number was given.

    Raises:
        ConfigError: no shape is there, not one can be read, one is there twice, or the number of points is fixed.
    """
    from shapetool.data.formats import load_format

    module = load_format(layout)
    root = Path(os.path.realpath(source))
    found = module.find(root)
    held = Counter(path for _, path in found)
    items = [_item(shape_id, path, root, held[path]) for shape_id, path in found]
    if not items:
        raise ConfigError(f"{source}: expected files of {layout}, found none.")
    twice = [shape_id for shape_id, times in Counter(item.id for item in items).items() if times > 1]
    if twice:
        raise ConfigError(f"{source}: expected every shape once, found {twice[0]} again. Convert one file at a time.")
    sizes, problem = _sizes(module, items, root)
    if module.KINDS == ("views",) and sizes:
        from shapetool.pipelines.import_views import views_job

        return views_job(layout, sizes, conversion), items
    sizes = [size for size in sizes if size.points]
    if not sizes:
        raise ConfigError(f"{source}: expected files of {layout}, found none that can be read. {problem}")
    count = conversion.count or min(size.points for size in sizes)
    if module.SHARED and count != sizes[0].points:
        raise ConfigError(f"--count {count}: {layout} has sets of {sizes[0].points} points in all. Leave it out.")
    surface = conversion.surface_count
    surface_count = min(size.surface for size in sizes) if surface is None else surface
    dtype = "f2" if all(size.dtype == "f2" for size in sizes) else "f4"
    voxels = sizes[0].voxels if len({size.voxels for size in sizes}) == 1 else 0
    job = ImportJob(layout, sizes[0].kind, count, surface_count, dtype, conversion.seed, voxels, sizes[0].more)
    return job, items


def _sizes(module: ModuleType, items: list[Item], root: Path) -> tuple[list[Any], str]:
    """What each readable file holds, and what is wrong with the first that is not; the run says it of each."""
    sizes, problem = [], ""
    for path in dict.fromkeys(item.path for item in items if item.problem is None):
        try:
            sizes.append(module.sizes(path, root))
        except (DataError, OSError) as error:
            problem = problem or str(error)
    return sizes, problem


def _item(shape_id: str, path: Path, root: Path, held: int) -> Item:
    """The item of one shape of a file that holds so many; with a problem if its name or place is not safe."""
    from shapetool.data.formats.places import class_and_name

    problem = None
    try:
        class_and_name(shape_id)
    except DataError as error:
        problem = str(error)
    if not Path(os.path.realpath(path)).is_relative_to(root):
        problem = "symbolic link leaves the input root; copy the file"
    return Item(shape_id, path.relative_to(root).as_posix(), path, root, path.stat().st_size // held, problem=problem)
