"""What a protocol is: who measures what on how many points of which kind, and how failures and shapes are counted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

Values = dict[str, float]
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a protocol may ask of one pair; plain distances, in float64.

    ``accuracy`` is measured from each predicted point to the nearest true one, ``completeness`` from each true point to
    the nearest predicted one. Cosines are absolute, between the normals of those two points; None without normals.
    ``*_inside`` are labels of the same volume points; None where the protocol or the input has none.
    """

    pred: Float[np.ndarray, "N 3"]
    true: Float[np.ndarray, "M 3"]
    accuracy: Float[np.ndarray, " N"]
    completeness: Float[np.ndarray, " M"]
    accuracy_cosines: Float[np.ndarray, " N"] | None = None
    completeness_cosines: Float[np.ndarray, " M"] | None = None
    pred_inside: Bool[np.ndarray, " Q"] | None = None
    true_inside: Bool[np.ndarray, " Q"] | None = None


def nothing(evidence: Evidence) -> Values:
    """No value: the protocol has nothing to correct."""
    return {}


@dataclass(frozen=True)
class Protocol:
    """The evaluation of one author: ``formulas`` as released, ``fixed`` what they give without their faults.

    ``empty`` is the row of an empty prediction, NaN where the author's means leave it out; ``empty_fixed`` what it
    should have been. ``sampler`` is ``area``, ``vertices`` or ``crop`` (see `shapetool.pipelines.eval_pair`); where
    ``fixed_sampler`` differs, the fixed values come from points of its own. ``derived`` makes values of a data set from
    its means. With ``macro`` the author averages the means of the categories.
    """

    name: str
    title: str
    source: str
    definition: str
    formulas: Callable[[Evidence], Values]
    fixed: Callable[[Evidence], Values] = nothing
    empty: Mapping[str, float] = field(default_factory=dict)
    empty_fixed: Mapping[str, float] = field(default_factory=dict)
    samples: int = 100_000
    sampler: str = "area"
    fixed_sampler: str = "area"
    single_precision: bool = False  # the cloud of the prediction is rounded to float32
    original_frame: bool = False  # a shard's frame is undone before measuring
    volume_points: int = 0
    volume_size: float = 1.1  # the side of the box that volume points fill, in longest edges of the truth
    macro: bool = False
    derived: Callable[[Mapping[str, float]], Values] | None = None


def harmonic(precision: float, recall: float) -> float:
    """The F-score as most authors write it: NaN where both are 0."""
    both = precision + recall
    return 2 * precision * recall / both if both else NAN


def harmonic_or_zero(precision: float, recall: float) -> float:
    """The F-score, 0 where precision and recall are."""
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def overlap(evidence: Evidence) -> float:
    """Intersection over union of the volume points; NaN where no point is inside either, or there are no labels."""
    if evidence.pred_inside is None or evidence.true_inside is None:
        return NAN
    union = int((evidence.pred_inside | evidence.true_inside).sum())
    return int((evidence.pred_inside & evidence.true_inside).sum()) / union if union else NAN


def overlap_or_one(evidence: Evidence) -> Values:
    """The `overlap` that two shapes without a point inside should have: 1."""
    both = evidence.pred_inside, evidence.true_inside
    if both[0] is None or both[1] is None:
        return {}
    return {"iou": overlap(evidence) if bool((both[0] | both[1]).any()) else 1.0}
