"""One prediction against one truth: the numbers of a row, with their intervals and floors."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from shapetool.errors import MetricError
from shapetool.geometry.inside import InsideTest
from shapetool.geometry.mesh import Mesh
from shapetool.metrics import errors
from shapetool.metrics.alignment import STAY, Motion, align
from shapetool.metrics.intervals import within
from shapetool.metrics.protocols import Evidence, Protocol, protocol
from shapetool.metrics.scores import Scores
from shapetool.metrics.surface import from_surface
from shapetool.metrics.volume import iou
from shapetool.pipelines.eval_checks import remarks, why_no_boolean
from shapetool.pipelines.eval_inputs import Shape
from shapetool.recipes.evaluation import EvalRecipe
from shapetool.sampling.seed import shape_rng
from shapetool.sampling.surface import sample_surface

CROP_MARGIN = 0.007
ALIGN_POINTS = 4_096
DEFAULT_SAMPLES = 100_000
ROUNDS_TOO_MUCH = 1e-6  # of the longest edge
Row = dict[str, float | str | None]


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points that are measured, with the normals there, if known."""

    points: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"] | None = None


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction and a truth, and the random streams of their name."""

    pred: Shape
    true: Shape
    recipe: EvalRecipe
    seed: int
    shape_id: str
    threads: int = 0

    def rng(self, what: str) -> np.random.Generator:
        """A stream of its own for each draw: of the seed, the shape and the purpose, so another prediction of the
        shape gets the same numbers.
        """
        return shape_rng(self.seed, f"{self.shape_id}\n{what}")

    @property
    def protocol(self) -> Protocol | None:
        """The protocol asked for; None for `default`."""
        return protocol(self.recipe.protocol)

    @property
    def samples(self) -> int:
        """How many points are drawn on each side."""
        found = self.protocol
        return self.recipe.samples or (DEFAULT_SAMPLES if found is None else found.samples)


def measure(pair: Pair) -> tuple[Row, list[str]]:
    """The columns of one pair, and what has to be said of it.

    Raises:
        MetricError: a metric has no value for these shapes.
        MeshError: a mesh without area.
    """
    warnings = [f"prediction: {text}" for text in pair.pred.warnings]
    warnings += [f"truth: {text}" for text in pair.true.warnings]
    warnings += remarks(pair.pred, pair.true, pair.recipe)
    motion = _motion(pair)
    moved = replace(pair, pred=_moved(pair.pred, motion)) if motion is not STAY else pair
    row = _measure(moved, warnings)
    if motion is not STAY:
        row["transform"] = " ".join(repr(number) for number in motion.matrix)
        row |= {f"raw.{key}": value for key, value in _measure(pair, []).items()}
    return row, list(dict.fromkeys(warnings))


def _measure(pair: Pair, warnings: list[str]) -> Row:
    found = pair.protocol
    if found is not None and found.original_frame:
        pair = replace(pair, pred=_original(pair.pred, pair.true), true=_original(pair.true, pair.true))
    pred, true = draw(pair.pred, pair, "pred"), draw(pair.true, pair, "true")
    if found is not None and found.single_precision:
        pred = _rounded(pred, pair.true, warnings)
    sides = _Sides(pred, true, *errors.between(pred.points, true.points))
    row: Row = {"n_pred": len(pred.points), "n_true": len(true.points)}
    row |= _point_metrics(pair, sides)
    labels = _labels(pair, row, warnings)
    if "surface" in pair.recipe.metrics:
        row |= _surface(pair, pred, true)
    if "emd" in pair.recipe.metrics:
        row |= _emd(pair, pred, true)
    if found is not None:
        row |= _by_protocol(pair, found, true, _evidence(sides, labels))
    return row


def draw(shape: Shape, pair: Pair, side: str, sampler: str = "area") -> Cloud:
    """The points of one side: drawn on a mesh, or those of a cloud, of which a draw is taken where it holds more.

    Raises:
        MeshError: a mesh without area.
        MetricError: the sampler leaves no point.
    """
    rng, count = pair.rng(f"{side} {sampler}"), pair.samples
    if shape.mesh is None:
        assert shape.points is not None
        if len(shape.points) <= count:
            return Cloud(shape.points, shape.normals)
        chosen = rng.choice(len(shape.points), count, replace=False)
        return Cloud(shape.points[chosen], None if shape.normals is None else shape.normals[chosen])
    if sampler == "vertices":
        return Cloud(shape.mesh.vertices[rng.integers(len(shape.mesh.vertices), size=count)])
    if sampler == "crop" and side == "pred":
        return _cropped(shape.mesh, pair, rng)
    points, normals, _ = sample_surface(shape.mesh, count, rng)
    return Cloud(points, normals)


def _cropped(mesh: Mesh, pair: Pair, rng: np.random.Generator) -> Cloud:
    """Points of a prediction in the box of the truth, which has no ceiling in y: see the protocol `convonet`."""
    points, normals, _ = sample_surface(mesh, 2 * pair.samples, rng)
    low, high = pair.true.bounds + np.array([[-CROP_MARGIN], [CROP_MARGIN]])
    high[1] = np.inf
    low[1] = pair.true.bounds[0, 1]  # the author widens the floor, too
    low[1] -= CROP_MARGIN
    kept = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    if not len(kept):
        raise MetricError("convonet: expected a part of the prediction in the box of the truth, found none.")
    chosen = kept[rng.integers(len(kept), size=pair.samples)]
    return Cloud(points[chosen], normals[chosen])


def _rounded(pred: Cloud, true: Shape, warnings: list[str]) -> Cloud:
    points = pred.points.astype(np.float32).astype(np.float64)
    low, high = true.bounds
    lost = float(np.abs(points - pred.points).max())
    if lost > ROUNDS_TOO_MUCH * float((high - low).max()):
        warnings.append(f"prediction: the protocol's rounding to float32 moves points by up to {lost:.2g}")
    return Cloud(points, pred.normals)


def _evidence(sides: "_Sides", labels: "_Labels") -> Evidence:
    there, back = sides.cosines
    return Evidence(
        sides.pred.points,
        sides.true.points,
        sides.forward.distances[:, 0],
        sides.backward.distances[:, 0],
        None if there is None else np.abs(there[:, 0]),
        None if back is None else np.abs(back[:, 0]),
        *labels,
    )


def _by_protocol(pair: Pair, found: Protocol, true: Cloud, plain: Evidence) -> Row:
    """The author's columns and the corrected ones."""
    if pair.samples and found.sampler != "area":
        theirs, against = draw(pair.pred, pair, "pred", found.sampler), draw(pair.true, pair, "true", found.sampler)
        if found.sampler == "crop":
            against = true
        if found.single_precision:
            theirs = _rounded(theirs, pair.true, [])
        sides = _Sides(theirs, against, *errors.between(theirs.points, against.points, dense=False))
        as_author = _evidence(sides, (plain.pred_inside, plain.true_inside))
    else:
        as_author = plain
    row: Row = {f"{found.name}.{key}": value for key, value in found.formulas(as_author).items()}
    return row | {f"{found.name}.{key}.fixed": value for key, value in found.fixed(plain).items()}


def _point_metrics(pair: Pair, sides: "_Sides") -> Row:
    """Chamfer, Hausdorff, F-scores and normals, with intervals, floors and what is left without them."""
    there, back = sides.cosines
    forward, backward, densities = sides.forward, sides.backward, sides.densities
    compared = Scores(
        forward.distances[:, 0] ** 2,
        backward.distances[:, 0] ** 2,
        None if there is None else there[:, 0],
        None if back is None else back[:, 0],
    )
    row, wanted = Row(), pair.recipe.metrics
    if "chamfer" in wanted:
        for variant in ("l1_mean", "l1_sum", "l2sq_mean", "l2sq_sum"):
            row[f"chamfer_{variant}"] = float(compared.chamfer(variant))
        for variant, power in (("l1", 1), ("l2sq", 2)):
            error = sides.error(forward.distances**power, backward.distances**power)
            row |= _interval(f"chamfer_{variant}_mean", float(compared.chamfer(f"{variant}_mean")), error)
        row |= _without_floor(forward, backward, densities)
    if "hausdorff" in wanted:
        row |= {"hausdorff": float(compared.hausdorff()), "hausdorff_90": float(compared.hausdorff(90.0))}
    if "fscore" in wanted:
        scores, precisions, recalls = (part.tolist() for part in compared.fscore(pair.recipe.thresholds))
        for place, threshold in enumerate(pair.recipe.thresholds):
            name, p, r = f"{threshold:g}", precisions[place], recalls[place]
            row |= {f"fscore@{name}": scores[place], f"precision@{name}": p, f"recall@{name}": r}
            slopes = (2 * r * r / (p + r) ** 2, 2 * p * p / (p + r) ** 2) if p + r else (0.0, 0.0)
            within = [(found.distances <= threshold).astype(np.float64) for found in (forward, backward)]
            row |= _interval(f"fscore@{name}", scores[place], sides.error(within[0], within[1], slopes), 1.0)
            row[f"ceiling_fscore@{name}"] = errors.fscore_ceiling(threshold, densities)
    if "normal_consistency" in wanted and there is not None and back is not None:
        value = float(compared.normal_consistency())
        row |= {"normal_consistency": value}
        row |= _interval("normal_consistency", value, sides.error(np.abs(there), np.abs(back)), 1.0)
    return row


@dataclass(frozen=True, eq=False)
class _Sides:
    """Two clouds and who is nearest to whom, for the standard error of anything that is a mean over neighbours."""

    pred: Cloud
    true: Cloud
    forward: errors.Gaps
    backward: errors.Gaps
    densities: tuple[float, float]

    @cached_property
    def cosines(self) -> tuple[Float[np.ndarray, "N 2"] | None, Float[np.ndarray, "M 2"] | None]:
        """The cosines between the normals of points and of the two nearest of the other cloud, both ways."""
        pred, true = self.pred.normals, self.true.normals
        if pred is None or true is None:
            return None, None
        return errors.cosines(pred, true, self.forward.index), errors.cosines(true, pred, self.backward.index)

    def error(
        self,
        there: Float[np.ndarray, "N 2"],
        back: Float[np.ndarray, "M 2"],
        weights: tuple[float, float] = (0.5, 0.5),
    ) -> float:
        """The standard error of the weighted sum of the two means."""
        return errors.two_way(there, back, self.forward.index[:, 0], self.backward.index[:, 0], weights)


def _interval(key: str, value: float, error: float, most: float = math.inf) -> Row:
    if math.isnan(error):
        return {f"{key}_low": None, f"{key}_high": None}
    low, high = within(value, errors.Z_95 * error, 0.0, most)
    return {f"{key}_low": low, f"{key}_high": high}


def _without_floor(forward: errors.Gaps, backward: errors.Gaps, densities: tuple[float, float]) -> Row:
    """What a perfect prediction would score with these samplings, and the Chamfer distances without it."""
    if not min(densities) > 0:
        return {}
    of_pred, of_true = densities
    there, back = forward.distances[:, 0], backward.distances[:, 0]
    plain = [errors.debiased_gap(float(d.mean()), density) for d, density in ((there, of_true), (back, of_pred))]
    floor_sq = (1 / of_pred + 1 / of_true) / (2 * math.pi)
    squared = (float((there**2).mean()) + float((back**2).mean())) / 2
    return {
        "floor_chamfer_l1_mean": (errors.expected_gap(0.0, of_pred) + errors.expected_gap(0.0, of_true)) / 2,
        "floor_chamfer_l2sq_mean": floor_sq,
        "chamfer_l1_mean_debiased": sum(plain) / 2,
        "chamfer_l2sq_mean_debiased": squared - floor_sq,
    }


_Labels = tuple[Bool[np.ndarray, " Q"] | None, Bool[np.ndarray, " Q"] | None]


def _labels(pair: Pair, row: Row, warnings: list[str]) -> _Labels:
    """Which volume points are inside the prediction and the truth; the IoU of them goes into the row."""
    found, pred, true = pair.protocol, pair.pred, pair.true
    count = found.volume_points if found is not None and found.volume_points else pair.recipe.volume_points
    theirs = found is not None and found.volume_points > 0
    if pred.mesh is None or (true.mesh is None and true.inside is None):
        return None, None
    if "iou" in pair.recipe.metrics and true.mesh is not None:
        row |= _overlap(pred.mesh, true.mesh, pair, warnings)
    if not theirs and (true.mesh is not None or "iou" not in pair.recipe.metrics):
        return None, None
    if true.inside is not None and true.volume_points is not None:
        points, true_inside = true.volume_points, true.inside
    else:
        assert true.mesh is not None
        low, high = _volume(pair)
        points = low + pair.rng("volume").random((count, 3)) * (high - low)
        true_inside = _inside(true.mesh, points, "truth", pair.threads, warnings)
    pred_inside = _inside(pred.mesh, points, "prediction", pair.threads, warnings)
    union, both = int((pred_inside | true_inside).sum()), int((pred_inside & true_inside).sum())
    if "iou" in pair.recipe.metrics and true.mesh is None:
        low_end, high_end = errors.wilson(both, union)
        row |= {"iou": both / union if union else None, "iou_low": low_end, "iou_high": high_end}
        if not union:
            warnings.append("iou: no volume point is inside either shape")
    return pred_inside, true_inside


def _overlap(pred: Mesh, true: Mesh, pair: Pair, warnings: list[str]) -> Row:
    """The IoU of two meshes, exact or with an interval; none of two that enclose nothing."""
    try:
        found = iou(pred, true, rng=pair.rng("iou"), threads=pair.threads or None)
    except MetricError as error:
        warnings.append(f"iou: {error}")
        return {"iou": None, "iou_low": None, "iou_high": None, "iou_method": None}
    if found.note:
        warnings += [f"iou: {reason}" for reason in why_no_boolean(found.note)]
    return {"iou": found.value, "iou_low": found.lower, "iou_high": found.upper, "iou_method": found.method}


def _volume(pair: Pair) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """The box that volume points fill: the protocol's cube about the truth, else the box of both shapes."""
    low, high = pair.true.bounds
    found = pair.protocol
    if found is not None and found.volume_points:
        middle, half = (low + high) / 2, found.volume_size * float((high - low).max()) / 2
        return middle - half, middle + half
    other = pair.pred.bounds
    return np.minimum(low, other[0]), np.maximum(high, other[1])


def _inside(
    mesh: Mesh, points: Float[np.ndarray, "Q 3"], side: str, threads: int, warnings: list[str]
) -> Bool[np.ndarray, " Q"]:
    test = InsideTest(mesh, threads=threads or None)
    if not test.watertight:
        warnings.append(f"iou: the {side} is not watertight; inside is what {test.sign_method} says")
    return test(points)


def _surface(pair: Pair, pred: Cloud, true: Cloud) -> Row:
    """The mean distance to the triangles of the other mesh, both ways, halved: independent draws, and no floor."""
    if pair.pred.mesh is None or pair.true.mesh is None:
        return {}
    there = from_surface(pred.points, pair.true.mesh, pair.threads or None)[0]
    back = from_surface(true.points, pair.pred.mesh, pair.threads or None)[0]
    value = (float(there.mean()) + float(back.mean())) / 2
    error = math.hypot(errors.iid(there), errors.iid(back)) / 2
    return {"surface_l1_mean": value, **_interval("surface_l1_mean", value, error)}


def _emd(pair: Pair, pred: Cloud, true: Cloud) -> Row:
    """The exact matching of a draw of equally many points, with its certificate."""
    from shapetool.metrics.emd import emd

    count = min(pair.recipe.emd_points, len(pred.points), len(true.points))
    drawn = [
        cloud.points[pair.rng(f"emd {side}").choice(len(cloud.points), count, replace=False)]
        for side, cloud in (("pred", pred), ("true", true))
    ]
    value, lower, upper, _ = emd(*drawn, rtol=pair.recipe.emd_rtol)
    return {"emd": float(value), "emd_lower": float(lower), "emd_upper": float(upper), "emd_points": count}


def aligned(pair: Pair) -> Shape:
    """The prediction as it was measured.

    Raises:
        MetricError: no such motion.
        MeshError: a mesh without area.
    """
    return _moved(pair.pred, _motion(pair))


def _motion(pair: Pair) -> Motion:
    """How the prediction is moved; where both meshes have the same faces, vertices are known to belong together."""
    method = pair.recipe.align
    if method == "none":
        return STAY
    pred, true = pair.pred.mesh, pair.true.mesh
    if pred is not None and true is not None and np.array_equal(pred.faces, true.faces):
        return align(method, pred.vertices, true.vertices, paired=True)
    fewer = replace(pair, recipe=replace(pair.recipe, samples=min(pair.samples, ALIGN_POINTS)))
    return align(method, draw(pair.pred, fewer, "align pred").points, draw(pair.true, fewer, "align true").points)


def _moved(shape: Shape, motion: Motion) -> Shape:
    mesh = None if shape.mesh is None else Mesh(motion(shape.mesh.vertices), shape.mesh.faces, shape.mesh.warnings)
    points = None if shape.points is None else motion(shape.points)
    normals = None if shape.normals is None else shape.normals @ motion.rotation.T
    return replace(shape, mesh=mesh, points=points, normals=normals)


def _original(shape: Shape, true: Shape) -> Shape:
    """A shape in the frame that the truth had before it was made a shard."""
    if true.scale == 1.0 and not any(true.offset):
        return shape
    back = Motion(1 / true.scale, np.eye(3), -np.array(true.offset))
    moved = _moved(shape, back)
    if moved.volume_points is None:
        return moved
    return replace(moved, volume_points=back(moved.volume_points))
