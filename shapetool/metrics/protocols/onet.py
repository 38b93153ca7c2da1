"""The evaluation of Occupancy Networks."""

import numpy as np

from shapetool.metrics.protocols.protocol import NAN, Evidence, Protocol, Values, overlap, overlap_or_one

ROOT_3 = float(np.sqrt(3))
EMPTY = {
    "completeness": ROOT_3,
    "accuracy": ROOT_3,
    "completeness2": 3.0,
    "accuracy2": 3.0,
    "chamfer": 6.0,
    "normals_completeness": -1.0,
    "normals_accuracy": -1.0,
    "normals": -1.0,
    "iou": 0.0,
    "chamfer_l1": NAN,
    "chamfer_l2": NAN,
    "chamfer_l1_paper": NAN,
}
EMPTY_FIXED = {
    **{key: EMPTY[key] for key in ("completeness", "accuracy", "completeness2", "accuracy2", "iou")},
    **dict.fromkeys(("normals", "normals_completeness", "normals_accuracy"), 0.0),
    **{"chamfer_l1": ROOT_3, "chamfer_l2": 3.0, "chamfer_l1_paper": 10 * ROOT_3},
}


def formulas(evidence: Evidence) -> Values:
    """The columns of eval_meshes: plain and squared distances, normals, and the overlap of volume points."""
    accuracy, completeness = float(evidence.accuracy.mean()), float(evidence.completeness.mean())
    accuracy_sq, completeness_sq = float((evidence.accuracy**2).mean()), float((evidence.completeness**2).mean())
    values = {
        "accuracy": accuracy,
        "completeness": completeness,
        "accuracy2": accuracy_sq,
        "completeness2": completeness_sq,
        "chamfer_l1": 0.5 * (accuracy + completeness),
        "chamfer_l1_paper": 10 * 0.5 * (accuracy + completeness),
        "chamfer_l2": 0.5 * (accuracy_sq + completeness_sq),
        "iou": overlap(evidence),
    }
    if evidence.accuracy_cosines is not None and evidence.completeness_cosines is not None:
        there, back = float(evidence.accuracy_cosines.mean()), float(evidence.completeness_cosines.mean())
        values |= {"normals_accuracy": there, "normals_completeness": back, "normals": 0.5 * there + 0.5 * back}
    return values


ONET = Protocol(
    name="onet",
    title="Occupancy Networks (Mescheder et al., CVPR 2019)",
    source="github.com/autonomousvision/occupancy_networks, im2mesh/eval.py and eval_meshes.py at 2fa5496",
    definition="""\
Points: 100,000 on the predicted mesh, uniform by area, rounded to float32, against the true cloud (100,000).
  Unit: the longest edge of the true box is 1.
accuracy, completeness: mean distance to the nearest neighbour, plain, from the prediction and from the truth;
  accuracy2, completeness2: mean squared distance.
chamfer_l1 = (accuracy + completeness) / 2; "L1" means not squared, not Manhattan. chamfer_l1_paper is ten times that,
  as the tables print it. chamfer_l2 = (accuracy2 + completeness2) / 2.
normals: mean absolute cosine with the normal of the nearest neighbour, of both ways, halved.
iou: of 100,000 points uniform in the cube of side 1.1, labelled by containment. No point inside either is NaN;
  fixed: 1.
Empty prediction: accuracy = completeness = sqrt(3), their squares 3, normals -1, iou 0, and a key `chamfer` of 6 that
  nothing reads: chamfer_l1 and chamfer_l2 are missing, so their means leave the failure out.
  fixed: chamfer_l1 sqrt(3), chamfer_l2 3, normals 0, for missing files too, which the author leaves out of all means.
Data set: mean of each class, then the mean of the classes.""",
    formulas=formulas,
    fixed=overlap_or_one,
    empty=EMPTY,
    empty_fixed=EMPTY_FIXED,
    single_precision=True,
    volume_points=100_000,
    macro=True,
)
