"""The evaluation of DeepSDF."""

from shapetool.metrics.protocols.protocol import Evidence, Protocol, Values


def formulas(evidence: Evidence) -> Values:
    """The sum of the two mean squared distances, and a thousand times that."""
    value = float((evidence.completeness**2).mean()) + float((evidence.accuracy**2).mean())
    return {"chamfer": value, "chamfer_paper": 1000 * value}


DEEPSDF = Protocol(
    name="deepsdf",
    title="DeepSDF (Park et al., CVPR 2019)",
    source="github.com/facebookresearch/DeepSDF, deep_sdf/metrics/chamfer.py and evaluate.py at 44e090f",
    definition="""\
Points: 30,000 on the predicted mesh, uniform by area, against 30,000 on the surface of the truth (the author's are on
  what cameras outside can see; here all of it). Where the truth is a shard, both are taken back to the frame of the
  original mesh first, unit / scale - offset, so the value depends on the size the mesh came in.
chamfer = mean squared distance from the truth + mean squared distance from the prediction; a sum, not halved.
  chamfer_paper is a thousand times that, as the tables print it.
Empty prediction: the sampler raises an error; the shape has no row and is in no mean.
Data set: one line a shape; mean and median over shapes. No other metric of the paper was released.""",
    formulas=formulas,
    samples=30_000,
    original_frame=True,
)
