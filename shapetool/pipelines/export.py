"""Shards to the files of other people's training code, for `convert`.

The numerical modules are imported where they are used, as in `sample_sdf`.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError, DataError, Interrupted
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.job import Options
from shapetool.runner.signals import Stop, listening

if TYPE_CHECKING:
    from shapetool.data.reading import Dataset
    from shapetool.pipelines.from_views import Backward

Step = Callable[..., None]

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
class Conversion:
    """What is converted to what; `layout` None means that it is to be guessed, `split` is a folder of lists.

    `backward` says how, where views become shapes.
    """

    to: str
    layout: str | None = None
    count: int | None = None
    surface_count: int | None = None
    split: Path | None = None
    seed: int = 0
    options: Options = field(default_factory=Options)
    backward: "Backward | None" = None


def _opened(source: Path, to: str) -> "Dataset":
    from shapetool.data.formats import load_format
    from shapetool.data.reading import open_dataset

    dataset, kinds = open_dataset(source), load_format(to).KINDS
    if dataset.kind not in kinds:
        made_by = {"sdf": "sample-sdf", "occupancy": "sample-occupancy", "views": "render-views"}[kinds[0]]
        raise ConfigError(
            f"{source}: {to} holds kind {kinds[0]!r}, found shards of kind {dataset.kind!r}. Make them with "
            f"`shapetool {made_by}`."
        )
    needed = getattr(load_format(to), "NEEDS", ())
    if not set(needed) <= set(dataset.columns):
        way = "render-views --channels rgb,alpha" if dataset.kind == "views" else f"sample-occupancy --recipe {to}"
        missing = " and ".join(name for name in needed if name not in dataset.columns)
        raise ConfigError(f"{source}: {to} needs {missing} too, found none. Make them with `shapetool {way}`.")
    twice = [shape_id for shape_id, times in Counter(dataset.shape_ids).items() if times > 1]
    if twice:
        raise DataError(f"{source}: expected every id once, found {twice[0]} again. Run `shapetool verify` on it.")
    return dataset


@dataclass(frozen=True)
class _Plan:
    """Where an export puts what: the lists, the files of each shape, main one last, and the shapes of each shared file.

    `origin` is what decides the files; two exports may share a folder if theirs are equal.
    """

    module: ModuleType
    origin: Mapping[str, Any]
    splits: Mapping[str, Sequence[str]]
    places: Mapping[str, Sequence[Path]]
    shared: Mapping[Path, Sequence[str]]

    @property
    def total(self) -> int:
        """How many shapes it writes."""
        return len(self.places)


def _planned(dataset: "Dataset", out: Path, conversion: Conversion) -> _Plan:
    """The plan of an export.

    Raises:
        ConfigError: there are lists for a layout that has none.
        DataError: an id leads elsewhere, two lead to one place, or a list names a shape that is not there.
    """
    from shapetool.data.formats import load_format
    from shapetool.data.formats.splits import read_splits

    if conversion.split is not None and dataset.kind == "views":
        raise ConfigError(f"--split {conversion.split}: {conversion.to} has no lists of shapes. Leave it out.")
    module, splits = load_format(conversion.to), read_splits(conversion.split, dataset.shape_ids)
    origin = {"layout": conversion.to, "shards": [digest or str(path) for path, _, digest in dataset.shards]}
    if not module.SHARED:
        places = {shape_id: module.files(out, shape_id) for shape_id in dataset.shape_ids}
        owner: dict[Path, str] = {}
        for shape_id, paths in places.items():
            other = owner.setdefault(paths[-1], shape_id)
            if other != shape_id:
                raise DataError(f"{dataset.path}: the ids {other} and {shape_id} lead to one file. Rename one.")
        return _Plan(module, origin, splits, places, {})
    shared = module.shared_files(out, splits, listed=conversion.split is not None)
    places = {shape_id: [path.with_suffix(".txt"), path] for path, ids in shared.items() for shape_id in ids}
    text = json.dumps({split: list(ids) for split, ids in splits.items()}, sort_keys=True)
    origin |= {"lists": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()}
    return _Plan(module, origin, splits, places, shared)


def _notices(dataset: "Dataset", conversion: Conversion) -> tuple[str, ...]:
    """What the user should know of an export that is not refused."""
    from shapetool.data.formats import load_format

    notices = []
    usual: Mapping[str, float | None] = load_format(conversion.to).FRAMES
    frame, size = dataset.recipe.get("normalize"), dataset.recipe.get("frame_size")
    wide = usual.get(frame) if frame is not None else None
    differs = size is not None and wide is not None and not math.isclose(size, wide, rel_tol=1e-6)
    if frame is not None and (frame not in usual or differs):
        wanted = " or ".join(_sized(*one) for one in usual.items())
        found = _sized(frame, None if frame == "none" else size)
        notices.append(f"{conversion.to} expects the frame {wanted}, and these shapes are in {found}.")
    if conversion.split is None and dataset.kind != "views":
        notices.append("no --split was given: every shape is listed for training.")
    return tuple(notices)


def _sized(frame: str, size: float | None) -> str:
    return frame if size is None else f"{frame} of size {size:g}"


def foreseen_export(source: Path, out: Path, conversion: Conversion) -> Exported:
    """What `export` would do, with nothing written.

    Raises:
        ConfigError: as `export` does.
        DataError: as `export` does.
    """
    with _opened(source, conversion.to) as dataset:
        plan = _planned(dataset, out, conversion)
        kept = 0 if conversion.options.overwrite else _kept(plan, out)
        return Exported(out, plan.total - kept, kept, notices=_notices(dataset, conversion))


def export(source: Path, out: Path, conversion: Conversion) -> Exported:
    """The shapes of a data set written one after the other, and the lists last.

    Raises:
        ConfigError: `out` is a file or holds something else.
        DataError: the source is damaged, or an id leads out of `out`.
        OSError: the disk is full or fails.
    """
    from shapetool.data.atomic import remove_leftovers, write_whole

    with _opened(source, conversion.to) as dataset, writable(out):
        plan = _planned(dataset, out, conversion)
        if out.is_dir():
            remove_leftovers(out)  # of a run that was killed before the folder said whose it is
        if conversion.options.overwrite:
            _remove(plan, out)
        else:
            _kept(plan, out)
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / MARK, to_json_line(dict(plan.origin)))
        for folder in _folders(plan, out):
            remove_leftovers(folder)
        write = _write_shared if plan.module.SHARED else _write_each
        with listening() as stop:

            def step(**values: int) -> None:
                conversion.options.emit("step", **values)
                _heed(stop)

            written, kept, problems = write(dataset, out, plan, step)
            _heed(stop)
        if not plan.module.SHARED:
            listed = {split: [name for name in ids if name not in problems] for split, ids in plan.splits.items()}
            plan.module.finish(out, listed, source)
        return Exported(out, written, kept, tuple(problems.values()), _notices(dataset, conversion))


def _heed(stop: Stop) -> None:
    """Nothing, unless a signal has come. An exception out of its handler might be lost, where h5py cleans up for one.

    Raises:
        Interrupted: the export is to end, and can be gone on with.
        KeyboardInterrupt: the same, by Ctrl-C.
    """
    if stop.reason == "SIGINT":
        raise KeyboardInterrupt
    if stop.reason is not None:
        raise Interrupted(f"stopped by {stop.reason}; run the same command again to go on")


def _write_each(dataset: "Dataset", out: Path, plan: _Plan, step: Step) -> tuple[int, int, dict[str, str]]:
    """How many shapes were written and were there, and why others were refused: each has files of its own."""
    written, kept, problems = 0, 0, {}
    about = {"recipe": dataset.recipe} if dataset.kind == "views" else {}
    for done, shape_id in enumerate(dataset.shape_ids, 1):
        if plan.places[shape_id][-1].exists():
            kept += 1
            continue
        try:
            plan.module.write(out, dataset[done - 1] | about)
            written += 1
        except DataError as error:
            problems[shape_id] = str(error)
        step(done=done, total=len(dataset))
    return written, kept, problems


def _write_shared(dataset: "Dataset", out: Path, plan: _Plan, step: Step) -> tuple[int, int, dict[str, str]]:
    """The same for files that hold many shapes: a file that is there with all its names is kept."""
    from shapetool.data.formats.stacked import StackedFile

    row_of = {shape_id: row for row, shape_id in enumerate(dataset.shape_ids)}
    written, kept, problems = 0, 0, {}
    for path, ids in plan.shared.items():
        if plan.module.holds(path, ids):
            kept += len(ids)
            continue
        path.unlink(missing_ok=True)
        taken = []
        with StackedFile(path, plan.module.SHAPES) as file:
            for shape_id in ids:
                try:
                    file.add(plan.module.arrays(dataset[row_of[shape_id]]))
                    taken.append(shape_id)
                except DataError as error:
                    problems[shape_id] = str(error)
                step(done=kept + written + len(taken) + len(problems), total=plan.total)
            if taken:
                plan.module.write_names(path, taken)
                file.publish()
        written += len(taken)
    return written, kept, problems


def _folders(plan: _Plan, out: Path) -> set[Path]:
    """The folders in which the files of shapes and lists lie."""
    found = {path.parent for paths in plan.places.values() for path in paths}
    above = {folder for place in found for folder in place.parents if folder != out and folder.is_relative_to(out)}
    return found | above | {path for path in out.iterdir() if path.is_dir()}


def _kept(plan: _Plan, out: Path) -> int:
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
    except (OSError, ValueError, RecursionError):
        before = None
    if before != plan.origin:
        raise ConfigError(f"{out}: holds something else than this conversion. Use --overwrite, or choose another OUT.")
    if plan.module.SHARED:
        return sum(len(ids) for path, ids in plan.shared.items() if plan.module.holds(path, ids))
    return sum(paths[-1].exists() for paths in plan.places.values())


def _remove(plan: _Plan, out: Path) -> None:
    """Nothing; removes the files of these shapes, the main one first, so that none counts as complete.

    Raises:
        ConfigError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder to write to, found a file. Choose another name.")
    for paths in plan.places.values():
        for path in reversed(paths):
            path.unlink(missing_ok=True)
