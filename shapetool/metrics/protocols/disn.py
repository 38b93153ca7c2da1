"""The evaluation of DISN."""

from collections.abc import Mapping

from shapetool.metrics.protocols.matching import approximate_matching_cost
from shapetool.metrics.protocols.protocol import Evidence, Protocol, Values, harmonic, harmonic_or_zero

SIDE = 2.5  # the default of --truethreshold
PERCENTS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def formulas(evidence: Evidence) -> Values:
    """A thousand times the mean squares, a hundredth of the matching's cost, and the shares at each threshold."""
    values = {
        "chamfer": (float((evidence.accuracy**2).mean()) + float((evidence.completeness**2).mean())) * 1000,
        "emd": approximate_matching_cost(evidence.true, evidence.pred) * 0.01,
    }
    for percent in PERCENTS:
        limit = percent * 0.01 * SIDE
        values[f"precision@{percent:g}%"] = float((evidence.accuracy < limit).mean())
        values[f"recall@{percent:g}%"] = float((evidence.completeness < limit).mean())
    return values


def fixed(evidence: Evidence) -> Values:
    """Of points uniform by area: the same values, and an F-score for each shape."""
    values = formulas(evidence)
    del values["emd"]  # the exact one is a metric of its own
    for percent in PERCENTS:
        shares = values[f"precision@{percent:g}%"], values[f"recall@{percent:g}%"]
        values[f"fscore@{percent:g}%"] = harmonic_or_zero(*shares)
    return values


def derived(means: Mapping[str, float]) -> Values:
    """The F-scores of a data set: of its mean precision and its mean recall."""
    return {
        f"fscore@{percent:g}%": harmonic(means[f"precision@{percent:g}%"], means[f"recall@{percent:g}%"])
        for percent in PERCENTS
        if f"precision@{percent:g}%" in means
    }


DISN = Protocol(
    name="disn",
    title="DISN (Xu et al., NeurIPS 2019)",
    source="github.com/Xharlie/DISN, test/test_cd_emd.py at 04ec7dc and test/test_f_score.py at bcfff8b",
    definition="""\
Points: 2,048 vertices of either mesh, drawn with replacement, in the unit ball: where marching cubes puts many
  vertices, there are many points. fixed: 2,048 points uniform by area for all columns.
chamfer = 1000 (mean squared distance from the prediction + from the truth).
emd = 0.01 times the summed cost of an approximate matching (Fan et al.), so 20.48 times a mean distance that is too
  large; the metric `emd` beside it is exact.
precision, recall at 0.5, 1, 2, 5, 10 and 20 % of a side of 2.5, strictly (`<`). The F-scores of the data set are made
  of the mean precision and the mean recall; fixed: an F-score of each shape, then the mean.
Data set: mean over shapes; the authors have 24 views of each. With a batch size other than 24 their code compares the
  truth with itself once; that is not repeated here. The IoU of pymesh's surface voxels is not computed.""",
    formulas=formulas,
    fixed=fixed,
    samples=2_048,
    sampler="vertices",
    derived=derived,
)
