"""The evaluation of 3DShape2VecSet."""

from shapetool.metrics.protocols.protocol import Evidence, Protocol, Values, harmonic_or_zero, overlap, overlap_or_one

THRESHOLD = 0.02


def formulas(evidence: Evidence) -> Values:
    """The sum of the two mean distances, the F-score at 0.02, and the overlap of volume points."""
    of_true = float((evidence.completeness < THRESHOLD).mean())
    of_pred = float((evidence.accuracy < THRESHOLD).mean())
    return {
        "chamfer": float(evidence.completeness.mean()) + float(evidence.accuracy.mean()),
        "fscore": harmonic_or_zero(of_pred, of_true),
        "iou": overlap(evidence),
    }


VECSET = Protocol(
    name="vecset",
    title="3DShape2VecSet (Zhang et al., SIGGRAPH 2023)",
    source="github.com/1zb/3DShape2VecSet, eval.py at 04d6d9c",
    definition="""\
Points: 100,000 on the predicted mesh, uniform by area, against the whole true cloud, in the box [-1, 1]^3.
chamfer = mean distance from the truth + mean distance from the prediction; plain, and a sum, not halved.
fscore: at 0.02, strictly (`<`), which is 1 % of the side 2. Precision and recall 0 give 0; their names are exchanged
  inside the code, which leaves the F-score alone and is not printed.
iou: of labelled volume points; the author asks the network, here the predicted mesh is asked for containment.
  No point inside either is NaN; fixed: 1.
Data set: the mean of each category is printed, of all shapes of it.""",
    formulas=formulas,
    fixed=overlap_or_one,
    volume_points=100_000,
    volume_size=1.0,
)
