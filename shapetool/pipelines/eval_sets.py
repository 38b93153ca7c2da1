"""Two sets of shapes against each other, none the partner of any: the Python side of `shapetool eval --sets`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from shapetool import __version__
from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.errors import ConfigError, DataError, MeshError
from shapetool.geometry.cloud import cloud_mesh
from shapetool.geometry.distance import closest_point
from shapetool.geometry.frame import fit
from shapetool.geometry.mesh import Mesh
from shapetool.metrics.emd import emd
from shapetool.metrics.set_errors import jsd_interval, set_intervals
from shapetool.metrics.sets import Distance, SetScores, SetSearch, divergence, occupancy
from shapetool.pipelines.eval_inputs import forget, list_shapes, read_shape
from shapetool.pipelines.eval_rows import Row, plain, table
from shapetool.pipelines.evaluate import check_folder
from shapetool.recipes.evaluation import SetRecipe
from shapetool.report.page import write_report
from shapetool.report.pictures import Shown
from shapetool.runner.files import to_json_line, writable
from shapetool.runner.items import Item
from shapetool.sampling.seed import shape_rng
from shapetool.sampling.surface import sample_surface

KEYS = {"chamfer": "chamfer_l2sq_sum", "emd": "emd"}
SIDES = ("sample", "reference")
EVERY = ""  # the name of the group that holds all categories
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class _Member:
    """A cloud of one of the sets."""

    side: str
    shape_id: str
    points: Float[np.ndarray, "N 3"]

    @property
    def category(self) -> str:
        """The first folder of the id."""
        return self.shape_id.partition("/")[0] if "/" in self.shape_id else ""


@dataclass(frozen=True)
class SetEvaluation:
    """The summary for the machine and a row a shape."""

    summary: dict[str, Any]
    rows: list[Row]
    out: Path | None
    members: list[_Member]

    @property
    def exit_code(self) -> int:
        """3 where a shape could not be read."""
        return 3 if any(row["status"] != "ok" for row in self.rows) else 0


def evaluate_sets(
    pred: str | Path,
    true: str | Path,
    recipe: SetRecipe | None = None,
    *,
    out: str | Path | None = None,
    seed: int = 0,
    threads: int = 1,
    on_step: OnStep | None = None,
) -> SetEvaluation:
    """MMD, coverage, 1-NNA and JSD of the shapes of `pred` against those of `true`, of all and of each category.

    With `out`, also as per_shape.csv and summary.json in that folder. A shape that cannot be read is in
    neither set and has a row that says why.

    Raises:
        ConfigError: a set is empty, a cloud has too few points, or `out` holds something else.
        DataError: shards are damaged.
        OSError: the disk is full or fails.
    """
    recipe = recipe or SetRecipe()
    forget()
    if out is not None:
        check_folder(Path(out))
    members, failed = [], []
    for side, words in zip(SIDES, (pred, true), strict=True):
        for item in list_shapes(str(words)).values():
            try:
                members.append(_Member(side, item.id, _points(item, side, recipe, seed)))
            except (DataError, MeshError) as error:
                failed.append(_row(side, item.id, "unreadable", str(error)))
    for side, words in zip(SIDES, (pred, true), strict=True):
        if not any(member.side == side for member in members):
            raise ConfigError(f"{words}: expected shapes for the set of {side}s, found none that can be read.")
    rows, groups = _score(members, recipe, seed, threads, on_step)
    counts = {f"{side}s": sum(member.side == side for member in members) for side in SIDES}
    summary = plain(
        {
            "shapetool_version": __version__,
            "comparison": "sets",
            "recipe": asdict(recipe),
            "seed": seed,
            "counts": {"total": len(members) + len(failed), "ok": len(members), "unreadable": len(failed), **counts},
            "sets": groups.pop(EVERY),
            "categories": groups,
            "unpaired": _alone(members),
        }
    )
    found = SetEvaluation(summary, [*rows, *failed], None if out is None else Path(out), members)
    if found.out is not None:
        with writable(found.out):
            found.out.mkdir(parents=True, exist_ok=True)
            remove_leftovers(found.out)
            write_whole(found.out / "per_shape.csv", table(found.rows))
            write_whole(found.out / "summary.json", to_json_line(summary))
    return found


def plan_sets(
    pred: str | Path, true: str | Path, recipe: SetRecipe | None = None, *, out: str | Path | None = None
) -> dict[str, Any]:
    """What `evaluate_sets` would compare, with nothing measured and nothing written.

    Raises:
        ConfigError: a set is empty, or `out` holds something else.
        DataError: shards are damaged.
    """
    forget()
    if out is not None:
        check_folder(Path(out))
    sizes = {f"{side}s": len(list_shapes(str(words))) for side, words in zip(SIDES, (pred, true), strict=True)}
    return {"recipe": asdict(recipe or SetRecipe()), **sizes}


def write_set_page(found: SetEvaluation, *, worst: int = 5, up: str = "z") -> None:
    """Nothing, once `report.html` stands beside the rows, if these are in a folder.

    Raises:
        ConfigError: `up` is no axis that points up.
        OSError: the file could not be written.
    """
    if found.out is not None:
        write_report(found.out / "report.html", found.summary, found.rows, _shown(found, worst), up=up)


def _points(item: Item, side: str, recipe: SetRecipe, seed: int) -> Float[np.ndarray, "N 3"]:
    """The points by which a shape is compared, in its frame.

    Raises:
        ConfigError: a cloud of fewer points.
        DataError: a cloud that cannot be used.
        MeshError: a mesh that cannot be used, or one without an extent where a frame is wanted.
    """
    shape, rng = read_shape(item), shape_rng(seed, f"{item.id}\nset of {side}s")
    if shape.mesh is not None:
        points = sample_surface(shape.mesh, recipe.samples, rng)[0]
    else:
        assert shape.points is not None
        points = shape.points
        if len(points) < recipe.samples:
            raise ConfigError(
                f"{item.source}: expected at least {recipe.samples} points, for the clouds of both sets are compared "
                f"at one size, found {len(points)}. Pass --samples {len(points)} or fewer, or leave the shape out."
            )
        if len(points) > recipe.samples:
            points = points[rng.choice(len(points), recipe.samples, replace=False)]
    if recipe.normalize != "none":
        points = fit(shape.mesh or cloud_mesh(points), recipe.normalize).apply(points)
    return np.ascontiguousarray(points, np.float64)


def _row(side: str, shape_id: str, status: str = "ok", reason: str | None = None) -> Row:
    category = shape_id.partition("/")[0] if "/" in shape_id else ""
    return {"shape_id": shape_id, "category": category, "status": status, "reason": reason, "set": side}


def _score(
    members: list[_Member], recipe: SetRecipe, seed: int, threads: int, on_step: OnStep | None
) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """A row a shape, from its place among all, and what is said of each group."""
    sides = {side: np.flatnonzero([member.side == side for member in members]) for side in SIDES}
    groups = {EVERY: (sides["sample"], sides["reference"])}
    names = sorted({member.category for member in members})
    if len(names) > 1:
        for name in names:
            inside = np.array([member.category == name for member in members])
            groups[name] = (sides["sample"][inside[sides["sample"]]], sides["reference"][inside[sides["reference"]]])
    groups = {name: parts for name, parts in groups.items() if len(parts[0]) and len(parts[1])}
    told: dict[str, dict[str, Any]] = {name: _sizes(*parts) for name, parts in groups.items()}
    rows = [_row(member.side, member.shape_id) for member in members]
    clouds = [member.points for member in members]
    for metric in recipe.metrics:
        key = KEYS[metric]
        search = SetSearch(clouds, _distance(metric, recipe), emd=metric == "emd", threads=threads)
        for name, parts in groups.items():
            step = None if on_step is None else _named(on_step, f"{key} {name}".strip())
            scores = search.scores(*parts, step)
            told[name][key] = _scores(scores, len(parts[0]), shape_rng(seed, f"{name}\n{key}"))
            if name == EVERY:
                _fill(rows, np.concatenate(parts), scores, key)
    for name, found in _jsd(clouds, groups, seed).items():
        told[name]["jsd"] = found
    return rows, told


def _named(on_step: OnStep, name: str) -> Callable[[int, int], None]:
    return lambda done, count: on_step(name, done, count)


def _distance(metric: str, recipe: SetRecipe) -> Distance:
    if metric == "emd":
        return lambda a, b: emd(a, b, rtol=recipe.emd_rtol, threads=1).value
    return _Chamfer()


class _Chamfer:
    """`chamfer_l2sq_sum` of two clouds, each searched by a tree that is built once."""

    def __init__(self) -> None:
        self._trees: dict[int, tuple[np.ndarray, Mesh]] = {}  # the cloud is kept, so that no other has its id

    def __call__(self, a: Float[np.ndarray, "N 3"], b: Float[np.ndarray, "M 3"]) -> float:
        there = closest_point(self._tree(b), a, 1)[0]
        back = closest_point(self._tree(a), b, 1)[0]
        return float((there**2).mean() + (back**2).mean())

    def _tree(self, cloud: Float[np.ndarray, "N 3"]) -> Mesh:
        return self._trees.setdefault(id(cloud), (cloud, cloud_mesh(cloud)))[1]


def _sizes(samples: Int[np.ndarray, " S"], references: Int[np.ndarray, " R"]) -> dict[str, Any]:
    """How many there are, and the accuracy of a nearest neighbour that knows nothing: half, of equally many."""
    n, m = len(samples), len(references)
    return {"samples": n, "references": m, "chance": (n * (n - 1) + m * (m - 1)) / ((n + m) * (n + m - 1))}


def _scores(scores: SetScores, samples: int, rng: np.random.Generator) -> dict[str, Any]:
    ends = set_intervals(scores, samples, rng)
    values = {"mmd": scores.mmd, "coverage": scores.coverage, "nearest_accuracy": scores.nearest_accuracy}
    told = {name: _told(value, ends[name]) for name, value in values.items()}
    return {**told, "pairs": scores.pairs, "measured": scores.measured}


def _told(value: float, ends: tuple[float, float]) -> dict[str, float]:
    return {"value": value, "low": ends[0], "high": ends[1]}


def _fill(rows: list[Row], order: Int[np.ndarray, " N"], scores: SetScores, key: str) -> None:
    """Writes into the rows which shape of the other set is nearest, how far it is, and whether one of the own set is
    nearer.
    """
    samples = sum(rows[int(place)]["set"] == "sample" for place in order)
    for at, place in enumerate(order):
        rows[int(place)] |= {
            f"nearest_{key}": float(scores.distances[at]),
            f"nearest_by_{key}": rows[int(order[scores.across[at]])]["shape_id"],
            f"own_is_nearer_by_{key}": bool((scores.nearest[at] < samples) == (at < samples)),
        }


def _jsd(
    clouds: list[Float[np.ndarray, "N 3"]],
    groups: Mapping[str, tuple[Int[np.ndarray, " S"], Int[np.ndarray, " R"]]],
    seed: int,
) -> dict[str, dict[str, float]]:
    """JSD of each group, all clouds brought into the ball of radius 0.5 by one factor where they leave it."""
    far = max(float(np.linalg.norm(cloud, axis=1).max()) for cloud in clouds)
    scale = 1.0 if far <= 0.5 else 0.5 / far
    counts = occupancy([cloud * scale for cloud in clouds])
    told = {}
    for name, parts in groups.items():
        first, second = (counts[part] for part in parts)
        value = divergence(first.sum(axis=0), second.sum(axis=0))
        told[name] = {**_told(value, jsd_interval(first, second, shape_rng(seed, f"{name}\njsd"))), "scale": scale}
    return told


def _alone(members: list[_Member]) -> dict[str, list[str]]:
    """The categories that only one set has."""
    by_side = {side: {member.category for member in members if member.side == side} for side in SIDES}
    return {
        "predictions": sorted(by_side["sample"] - by_side["reference"]),
        "truths": sorted(by_side["reference"] - by_side["sample"]),
    }


def _shown(found: SetEvaluation, worst: int) -> list[Shown]:
    """The references that no sample comes near, each beside its nearest sample."""
    key = next(key for key in found.rows[0] if key.startswith("nearest_"))
    by_name = {(member.side, member.shape_id): member.points for member in found.members}
    references = [row for row in found.rows if row["set"] == "reference" and row["status"] == "ok"]
    ranked = sorted(references, key=lambda row: (-row[key], row["shape_id"]))[:worst]
    by = key.replace("nearest_", "nearest_by_", 1)
    shown = []
    for row in ranked:
        pred, true = by_name["sample", row[by]], by_name["reference", row["shape_id"]]
        shown.append(Shown(f"{row['shape_id']} and prediction {row[by]}", "worst", pred, true))
    return shown
