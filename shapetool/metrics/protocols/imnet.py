"""The evaluation of IM-NET, as far as it can be known."""

from shapetool.metrics.protocols.protocol import Evidence, Protocol, Values


def formulas(evidence: Evidence) -> Values:
    """The sum of the two mean squared distances, a thousand times that, and the agreement of normals."""
    value = float((evidence.accuracy**2).mean()) + float((evidence.completeness**2).mean())
    values = {"chamfer": value, "chamfer_paper": 1000 * value}
    if evidence.accuracy_cosines is not None and evidence.completeness_cosines is not None:
        both = float(evidence.accuracy_cosines.mean()) + float(evidence.completeness_cosines.mean())
        values["normals"] = 0.5 * both
    return values


IMNET = Protocol(
    name="imnet",
    title="IM-NET (Chen and Zhang, CVPR 2019)",
    source="github.com/czq142857/IM-NET-pytorch, modelAE.py (test_mesh_point) and README.md at 31b9cb2",
    definition="""\
Points: 4,096 on the predicted mesh with normals, as test_mesh_point writes them, against as many of the truth.
chamfer = mean squared distance from the prediction + mean squared distance from the truth. chamfer_paper is a
  thousand times that, as the table of the repository prints it.
normals: mean absolute cosine with the normal of the nearest neighbour, of both ways, halved.
Data set: mean over shapes ("per-shape average"); the repository lists the mean over categories beside it.
Not released: the code that compared the points. The formula follows the unit of the table and what others did with
these clouds, so equality with the paper cannot be claimed. The light field distance (LFD) is not computed.""",
    formulas=formulas,
    samples=4_096,
)
