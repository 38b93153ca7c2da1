"""`shapetool split`: train, val and test lists of a data set or of a folder of meshes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.data.split import PARTS, SplitRecipe, assign, class_of, list_files, match, prefix_of, read_lists
from shapetool.errors import ConfigError, DataError, ShapetoolError
from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.wording import plural
from shapetool.pipelines.preload import SIMILARITY
from shapetool.runner.files import writable
from shapetool.runner.items import Item, collect
from shapetool.runner.job import cores

if TYPE_CHECKING:
    import numpy as np

    from shapetool.data.reading import Dataset

SUMMARY = "split.json"


@dataclass(frozen=True)
class SplitOptions:
    """What a split does besides its recipe: lists to follow, how many workers look at meshes, who is told."""

    lists: Sequence[Path] = ()
    workers: int | None = None
    item_timeout: float | None = 600.0
    overwrite: bool = False
    report: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Split:
    """The list of each id (None: left out), what stayed together, and what could not be looked at or found."""

    recipe: SplitRecipe
    parts: dict[str, str | None]
    groups: dict[str, list[str]]
    problems: dict[str, str]
    missing: list[str]
    notices: list[str]
    followed: list[str]

    @property
    def counts(self) -> dict[str, Any]:
        """How many ids are on each list and on none, how many groups have several, and how many of those lie apart."""
        found = Counter(self.parts.values())
        apart = sum(len({self.parts[shape_id] for shape_id in group}) > 1 for group in self.groups.values())
        counts: dict[str, Any] = {"shapes": len(self.parts), **{part: found[part] for part in PARTS}}
        counts |= {"left_out": found[None], "groups": len(self.groups), "groups_apart": apart}
        counts |= {"missing": len(self.missing), "problems": len(self.problems)}
        if self.recipe.by == "class":
            kinds: dict[str, Counter[str]] = {}
            for shape_id, part in self.parts.items():
                kinds.setdefault(class_of(shape_id), Counter())[part or "left_out"] += 1
            counts["classes"] = {kind: dict(sorted(kinds[kind].items())) for kind in sorted(kinds)}
        return counts

    @property
    def files(self) -> dict[str, bytes]:
        """What is written, by name below OUT; `split.json` comes last."""
        lists = {part: sorted(name for name, found in self.parts.items() if found == part) for part in PARTS}
        lists["left_out"] = sorted(name for name, found in self.parts.items() if found is None)
        settings = asdict(self.recipe) | {"from": self.followed}
        about: dict[str, Any] = {"settings": settings, "counts": self.counts, "lists": lists, "groups": self.groups}
        about |= {"problems": self.problems, "missing": self.missing}
        text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
        return {**list_files(self.parts, self.recipe.by), SUMMARY: text.encode("utf-8")}


def run(data: Path, out: Path, recipe: SplitRecipe, options: SplitOptions | None = None) -> Split:
    """The split of `data`, after its lists are in the folder `out`; `split.json` is there last, when all is.

    Raises:
        ConfigError: `out` holds other lists or cannot be written, or `data` holds no mesh.
        DataError: the data set or a list that is followed is damaged.
        OSError: the disk is full or fails.
    """
    options = options or SplitOptions()
    found = plan(data, out, recipe, options)
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        if options.overwrite:
            (out / SUMMARY).unlink(missing_ok=True)
        for name, content in found.files.items():
            (out / name).parent.mkdir(exist_ok=True)
            write_whole(out / name, content)
    return found


def plan(data: Path, out: Path, recipe: SplitRecipe, options: SplitOptions | None = None) -> Split:
    """What `run` would return, with nothing written.

    Raises:
        ConfigError: as `run` does.
        DataError: as `run` does.
    """
    options = options or SplitOptions()
    _check_out(Path(out), options.overwrite)
    found = split(Path(data), recipe, options)
    for name, content in found.files.items():
        path = Path(out) / name
        if not options.overwrite and path.exists() and path.read_bytes() != content:
            raise ConfigError(f"{path}: exists with another content. Use --overwrite to replace it.")
    return found


def _check_out(out: Path, overwrite: bool) -> None:
    """Nothing, if a finished split may be written there.

    Raises:
        ConfigError: it may not.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder for the lists, found a file. Choose another --out.")
    if (out / SUMMARY).exists() and not overwrite:
        raise ConfigError(f"{out / SUMMARY}: exists. Use --overwrite to replace the lists.")


def split(data: Path, recipe: SplitRecipe, options: SplitOptions) -> Split:
    """The list of every shape of a shard, a dataset folder or a folder of meshes.

    Raises:
        ConfigError: `data` holds no mesh.
        DataError: the data set, or a list that is followed, is damaged.
    """
    dataset, items = _open(data)
    problems = {item.id: item.problem for item in items if item.problem is not None}
    items = [item for item in items if item.problem is None]
    shape_ids = sorted(dataset.shape_ids if dataset is not None else (item.id for item in items))
    notices: list[str] = []
    keys = {shape_id: shape_id for shape_id in shape_ids}
    if recipe.group_by == "prefix":
        keys = {shape_id: prefix_of(shape_id, recipe.separator) for shape_id in shape_ids}
    elif recipe.group_by == "similarity":
        signatures, failed = _of_shards(dataset, notices) if dataset is not None else _of_meshes(items, options)
        problems |= failed
        keys |= _similar(signatures)
    parts, missing = match(shape_ids, read_lists(options.lists)) if options.lists else (assign(keys, recipe), [])
    members: dict[str, list[str]] = {}
    for shape_id in shape_ids:
        members.setdefault(keys[shape_id], []).append(shape_id)
    followed = [path.name for path in options.lists]  # their folders are this machine's
    groups = {key: names for key, names in members.items() if len(names) > 1}
    return Split(recipe, parts, groups, dict(sorted(problems.items())), missing, notices, followed)


def _open(data: Path) -> tuple[Dataset | None, list[Item]]:
    """The data set at `data`, or the meshes below it."""
    if not data.exists():
        raise DataError(f"{data}: expected a shard, a dataset folder or a folder of meshes, found no such path.")
    if not data.is_dir() or (data / "manifest.jsonl").exists() or any(data.glob("shard-*.h5")):
        from shapetool.data.reading import open_dataset

        return open_dataset(data), []
    return None, list(collect([str(data)], MESH_SUFFIXES).items)


def _similar(signatures: dict[str, np.ndarray]) -> dict[str, str]:
    """The smallest id of the group of each id."""
    import numpy as np

    from shapetool.sampling.similarity import LENGTH, similar_groups

    names = sorted(signatures)
    rows = np.array([signatures[name] for name in names]).reshape(-1, LENGTH)
    return {name: names[first] for name, first in zip(names, similar_groups(rows).tolist(), strict=True)}


def _of_shards(dataset: Dataset, notices: list[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The signature of each shape from its stored surface points, and why some have none."""
    from shapetool.sampling.seed import shape_rng
    from shapetool.sampling.similarity import DRAWN, ENOUGH, signature

    if "surface_points" not in dataset.columns:
        raise DataError(f"{dataset.path}: expected stored surface points, found none. Use --group-by prefix.")
    found: dict[str, np.ndarray] = {}
    failed: dict[str, str] = {}
    fewest = DRAWN
    for index, shape_id in enumerate(dataset.shape_ids):
        try:
            points = dataset.read(index, "surface_points", slice(0, DRAWN))
            fewest = min(fewest, len(points))
            found[shape_id] = signature(points.astype("f8"), shape_rng(0, shape_id))
        except DataError as error:
            failed[shape_id] = str(error)
    if fewest < ENOUGH:
        text = f"{plural(fewest, 'surface point')} a shape are few: copies can be taken for different shapes"
        notices.append(f"{text}. Sample with --surface-count {ENOUGH} or more.")
    return found, failed


def _of_meshes(items: Sequence[Item], options: SplitOptions) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The signature of each mesh, made in processes of their own, and why some have none."""
    from shapetool.runner.pool import Pool
    from shapetool.runner.warm import warm_up

    warm_up(SIMILARITY)
    found: dict[str, np.ndarray] = {}
    failed: dict[str, str] = {}
    pool = Pool(max(1, min(options.workers or cores(), len(items))), None)
    try:
        futures: list[Future[Any]] = [pool.submit(mesh_signature, item, timeout=options.item_timeout) for item in items]
        for done, (item, future) in enumerate(zip(items, futures, strict=True), 1):
            try:
                outcome = future.result()
            except Exception as error:  # its process died, or took too long: that says nothing about the others
                outcome = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if isinstance(outcome, str):
                failed[item.id] = outcome
            else:
                found[item.id] = outcome
            if options.report is not None:
                options.report(done, len(items))
    finally:
        pool.stop()
    return found, failed


def mesh_signature(item: Item) -> np.ndarray | str:
    """The signature of one mesh file, or in one sentence why it has none; a function of the file and the id alone."""
    from shapetool.geometry.mesh import load_mesh
    from shapetool.sampling.seed import shape_rng
    from shapetool.sampling.similarity import DRAWN, signature
    from shapetool.sampling.surface import sample_surface

    rng = shape_rng(0, item.id)  # of no seed: another seed deals the same groups anew
    try:
        points, _, _ = sample_surface(load_mesh(item.path, root=item.root), DRAWN, rng)
        return signature(points, rng)
    except ShapetoolError as error:
        return str(error).replace(str(item.path), item.source)
    except MemoryError:
        return f"{item.source}: out of memory. Simplify the mesh."
