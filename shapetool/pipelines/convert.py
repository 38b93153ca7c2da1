"""`shapetool convert`: shards to the layouts of other people's training code, and those to shards.

The numerical modules are imported where they are used, as in `sample_sdf`.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError, DataError
from shapetool.pipelines.preload import PRELOAD
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.items import Item
from shapetool.runner.job import Options, Record, Summary
from shapetool.runner.preview import Preview, preview
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up

if TYPE_CHECKING:
    from shapetool.data.reading import Dataset

SHARDS = "shards"
MARK = ".shapetool-convert.json"  # in an exported folder: what it was made from


@dataclass(frozen=True)
class Exported:
    """How an export ended: shapes written now, shapes that were there, and a sentence for each that was refused."""

    out: Path
    written: int
    kept: int
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some shapes were refused."""
        return 3 if self.problems else 0


@dataclass(frozen=True)
class ImportJob:
    """Reads one shape of a foreign layout, for the runner. All shapes of a data set have equally many points."""

    layout: str
    kind: str
    count: int
    surface_count: int
    dtype: str
    seed: int = 0
    preload: tuple[str, ...] = PRELOAD["convert"]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the bytes, as JSON; the values of an imported set are taken as they are."""
        names = ("count", "surface_count", "dtype")
        return {"name": f"import-{self.layout}", "backend": "imported"} | {name: asdict(self)[name] for name in names}

    @property
    def bytes_per_shape(self) -> int:
        """The size of one record in a shard, but for its names."""
        number = 2 if self.dtype == "f2" else 4
        value = number if self.kind == "sdf" else 1
        return self.count * (3 * number + value) + self.surface_count * 24

    def __call__(self, item: Item, threads: int) -> Record:
        """The record of one shape.

        Raises:
            DataError: its files are missing, not of the layout, or hold fewer points than the others.
        """
        from shapetool.data.formats import load_format
        from shapetool.sampling.seed import shape_rng

        module = load_format(self.layout)
        columns = module.read(item.path, item.root)
        order: Any = slice(None)
        if module.ORDERED:
            order = shape_rng(self.seed, item.id).permutation(len(columns["points"]))
        for name in ("points", "distances", "inside"):
            if name in columns:
                columns[name] = columns[name][order][: self.count]
                if name != "inside":
                    columns[name] = columns[name].astype(self.dtype)
        for name in ("surface_points", "surface_normals"):
            columns[name] = columns[name][: self.surface_count]
        found = len(columns["points"]), len(columns["surface_points"])
        if found != (self.count, self.surface_count):
            raise DataError(
                f"{item.path}: expected {self.count} points and {self.surface_count} on the surface as in the other "
                f"shapes, found {found[0]} and {found[1]}. Take fewer with --count and --surface-count."
            )
        return Record({**columns, "shape_id": item.id, "source": item.source}, {"warnings": []})


@dataclass(frozen=True)
class Conversion:
    """What is converted to what; `layout` None means that it is to be guessed, `split` is a folder of lists."""

    to: str
    layout: str | None = None
    count: int | None = None
    surface_count: int | None = None
    split: Path | None = None
    seed: int = 0
    options: Options = field(default_factory=Options)


def run(source: str | Path, out: str | Path, conversion: Conversion) -> Summary | Exported:
    """How the conversion ended: a `Summary` where shards were made, an `Exported` where foreign files were.

    Raises:
        ConfigError: the layouts are unknown or do not fit together, or `out` is something else.
        DataError: the source is missing or damaged.
        OSError: the disk is full or fails.
    """
    source, out = Path(source), Path(out)
    layout = source_layout(source, conversion)
    if layout == SHARDS:
        return _export(source, out, conversion)
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
    layout = source_layout(source, conversion)
    if layout != SHARDS:
        job, items = _import_job(source, layout, conversion)
        return preview(job, items, out, conversion.options)
    with _opened(source, conversion.to) as dataset:
        kept = 0 if conversion.options.overwrite else _kept(dataset, out, conversion)
        return Exported(out, len(dataset) - kept, kept, notices=_notices(dataset, conversion))


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


def _import_job(source: Path, layout: str, conversion: Conversion) -> tuple[ImportJob, list[Item]]:
    """The job and its items, with as many points a shape as every shape has, unless a number was given.

    Raises:
        ConfigError: no shape is there, or not one that can be read.
    """
    from shapetool.data.formats import load_format

    module = load_format(layout)
    root = Path(os.path.realpath(source))
    items = [_item(shape_id, path, root) for shape_id, path in module.find(root)]
    if not items:
        raise ConfigError(f"{source}: expected files of {layout}, found none.")
    sizes, problem = [], ""
    for item in items:
        try:
            if item.problem is None:
                sizes.append(module.sizes(item.path, root))
        except (DataError, OSError) as error:
            problem = problem or str(error)  # the run says it of each
    sizes = [size for size in sizes if size.points]
    if not sizes:
        raise ConfigError(f"{source}: expected files of {layout}, found none that can be read. {problem}")
    count = conversion.count or min(size.points for size in sizes)
    surface = conversion.surface_count
    surface_count = min(size.surface for size in sizes) if surface is None else surface
    dtype = "f2" if all(size.dtype == "f2" for size in sizes) else "f4"
    return ImportJob(layout, sizes[0].kind, count, surface_count, dtype, conversion.seed), items


def _item(shape_id: str, path: Path, root: Path) -> Item:
    """The item of one shape; with a problem if its name or place is not safe."""
    from shapetool.data.formats.places import class_and_name

    problem = None
    try:
        class_and_name(shape_id)
    except DataError as error:
        problem = str(error)
    if not Path(os.path.realpath(path)).is_relative_to(root):
        problem = "symbolic link leaves the input root; copy the file"
    return Item(shape_id, path.relative_to(root).as_posix(), path, root, path.stat().st_size, problem=problem)


def _opened(source: Path, to: str) -> "Dataset":
    from shapetool.data.formats import load_format
    from shapetool.data.reading import open_dataset

    dataset, kinds = open_dataset(source), load_format(to).KINDS
    if dataset.kind not in kinds:
        made_by = {"sdf": "sample-sdf", "occupancy": "sample-occupancy"}[kinds[0]]
        raise ConfigError(
            f"{source}: {to} holds kind {kinds[0]!r}, found shards of kind {dataset.kind!r}. Make them with "
            f"`shapetool {made_by}`."
        )
    twice = [shape_id for shape_id, times in Counter(dataset.shape_ids).items() if times > 1]
    if twice:
        raise DataError(f"{source}: expected every id once, found {twice[0]} again. Run `shapetool verify` on it.")
    return dataset


def _notices(dataset: "Dataset", conversion: Conversion) -> tuple[str, ...]:
    """What the user should know of an export that is not refused."""
    from shapetool.data.formats import load_format

    notices = []
    frame, usual = dataset.recipe.get("normalize"), load_format(conversion.to).FRAMES
    if frame is not None and frame not in usual:
        notices.append(f"{conversion.to} expects the frame {' or '.join(usual)}, and these shapes are in {frame}.")
    if conversion.split is None:
        notices.append("no --split was given: every shape is listed for training.")
    return tuple(notices)


def _export(source: Path, out: Path, conversion: Conversion) -> Exported:
    """The shapes of a data set written one after the other, and the lists last.

    Raises:
        ConfigError: `out` is a file or holds something else.
    """
    from shapetool.data.atomic import remove_leftovers, write_whole
    from shapetool.data.formats import load_format
    from shapetool.data.formats.splits import read_splits

    module, options = load_format(conversion.to), conversion.options
    with _opened(source, conversion.to) as dataset, writable(out):
        splits = read_splits(conversion.split, dataset.shape_ids)
        places = _places(dataset, out, conversion)
        if options.overwrite:
            _remove(places, out)
        else:
            _kept(dataset, out, conversion)
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / MARK, to_json_line(_origin(dataset, conversion)))
        for folder in {path.parent for paths in places.values() for path in paths}:
            remove_leftovers(folder)
        written, kept, problems = 0, 0, {}
        for done, shape_id in enumerate(dataset.shape_ids, 1):
            if places[shape_id][-1].exists():
                kept += 1
                continue
            try:
                module.write(out, dataset[done - 1])
                written += 1
            except DataError as error:
                problems[shape_id] = str(error)
            options.emit("step", done=done, total=len(dataset))
        listed = {split: [name for name in ids if name not in problems] for split, ids in splits.items()}
        module.finish(out, listed, source)
        return Exported(out, written, kept, tuple(problems.values()), _notices(dataset, conversion))


def _origin(dataset: "Dataset", conversion: Conversion) -> dict[str, Any]:
    """What decides the files of an export: the layout and the digests of the shards."""
    return {"layout": conversion.to, "shards": [digest or str(path) for path, _, digest in dataset.shards]}


def _kept(dataset: "Dataset", out: Path, conversion: Conversion) -> int:
    """How many shapes an earlier, equal export has written.

    Raises:
        ConfigError: `out` holds something else.
    """

    if not out.exists():
        return 0
    if not out.is_dir():
        raise ConfigError(f"{out}: expected a folder to write to, found a file. Choose another name.")
    if not any(out.iterdir()):
        return 0
    try:
        before = json.loads((out / MARK).read_bytes())
    except (OSError, ValueError):
        before = None
    if before != _origin(dataset, conversion):
        raise ConfigError(f"{out}: holds something else than this conversion. Use --overwrite, or choose another OUT.")
    return sum(paths[-1].exists() for paths in _places(dataset, out, conversion).values())


def _places(dataset: "Dataset", out: Path, conversion: Conversion) -> dict[str, list[Path]]:
    """The files of every shape, the main one last; no two shapes share one.

    Raises:
        DataError: an id leads elsewhere, or two lead to one place.
    """
    from shapetool.data.formats import load_format

    files = load_format(conversion.to).files
    places = {shape_id: files(out, shape_id) for shape_id in dataset.shape_ids}
    owner: dict[Path, str] = {}
    for shape_id, paths in places.items():
        other = owner.setdefault(paths[-1], shape_id)
        if other != shape_id:
            raise DataError(f"{dataset.path}: the ids {other} and {shape_id} lead to one file. Rename one.")
    return places


def _remove(places: Mapping[str, Sequence[Path]], out: Path) -> None:
    """Nothing; removes the files of these shapes, the main one first, so that none counts as complete.

    Raises:
        ConfigError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder to write to, found a file. Choose another name.")
    for paths in places.values():
        for path in reversed(paths):
            path.unlink(missing_ok=True)
