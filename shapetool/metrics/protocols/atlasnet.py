"""The evaluation of AtlasNet."""

from shapetool.metrics.protocols.protocol import Evidence, Protocol, Values, harmonic_or_zero

THRESHOLD = 0.001


def formulas(evidence: Evidence) -> Values:
    """The sum of the two mean squared distances, and an F-score whose threshold is compared with squares."""
    there, back = evidence.accuracy**2, evidence.completeness**2
    value = float(back.mean()) + float(there.mean())
    score = harmonic_or_zero(float((back < THRESHOLD).mean()), float((there < THRESHOLD).mean()))
    return {"chamfer": value, "chamfer_paper": 1000 * value, "fscore": score}


def fixed(evidence: Evidence) -> Values:
    """The F-score whose threshold is a length, as its name says."""
    precision, recall = float((evidence.accuracy < THRESHOLD).mean()), float((evidence.completeness < THRESHOLD).mean())
    return {"fscore": harmonic_or_zero(precision, recall)}


ATLASNET = Protocol(
    name="atlasnet",
    title="AtlasNet (Groueix et al., CVPR 2018)",
    source=(
        "github.com/ThibaultGROUEIX/AtlasNet, training/trainer_loss.py at 6b62802; "
        "github.com/ThibaultGROUEIX/ChamferDistancePytorch, fscore.py at 40e7ab8"
    ),
    definition="""\
Points: 2,500 against 2,500, normalised to the unit ball by the authors' data set.
chamfer = mean squared distance from the truth + mean squared distance from the prediction. chamfer_paper is a
  thousand times that, as the tables print it.
fscore: at 0.001, strictly, but of squared distances: the length is 0.0316. Precision and recall 0 give 0.
  fixed: at the length 0.001.
Data set: mean over shapes. The Metro distance of the paper needs a program of others and is not computed.""",
    formulas=formulas,
    fixed=fixed,
    samples=2_500,
)
