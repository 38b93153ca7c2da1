"""The evaluation of Tatarchenko et al., "What do single-view 3D reconstruction networks learn?"."""

from shapetool.metrics.protocols.protocol import Evidence, Protocol, Values, harmonic_or_zero

THRESHOLDS = (1 / 200, 1 / 100, 1 / 50, 1 / 20, 1 / 10, 1 / 5)
NAMES = tuple(f"{100 * threshold:g}%" for threshold in THRESHOLDS)


def _shares(evidence: Evidence, threshold: float) -> tuple[float, float]:
    """The shares of true and of predicted points with a neighbour nearer than the threshold."""
    return float((evidence.completeness < threshold).mean()), float((evidence.accuracy < threshold).mean())


def formulas(evidence: Evidence) -> Values:
    """F-score, precision and recall at each threshold, the last two under each other's name."""
    values: Values = {}
    for name, threshold in zip(NAMES, THRESHOLDS, strict=True):
        of_true, of_pred = _shares(evidence, threshold)
        values[f"fscore@{name}"] = harmonic_or_zero(of_true, of_pred)
        values |= {f"precision@{name}": of_true, f"recall@{name}": of_pred}
    return values


def fixed(evidence: Evidence) -> Values:
    """Precision and recall under their own names."""
    values: Values = {}
    for name, threshold in zip(NAMES, THRESHOLDS, strict=True):
        of_true, of_pred = _shares(evidence, threshold)
        values |= {f"precision@{name}": of_pred, f"recall@{name}": of_true}
    return values


EMPTY = {f"{what}@{name}": 0.0 for name in NAMES for what in ("fscore", "precision", "recall")}
TATARCHENKO = Protocol(
    name="tatarchenko",
    title="What Do Single-view 3D Reconstruction Networks Learn? (Tatarchenko et al., CVPR 2019)",
    source="github.com/lmb-freiburg/what3d, util.py and eval.py at 1f8e6bf",
    definition="""\
Points: of the prediction against those of the truth, in a cube of side 1. The authors' clouds were released, how they
  were drawn was not; here 10,000, uniform by area.
fscore@d for d = 0.5, 1, 2, 5, 10 and 20 % of the side, strictly nearer (`<`); the paper's headline is 1 %.
  Precision and recall 0 give 0.
precision, recall: the code has the two names exchanged (`precision` is the share of true points), which leaves the
  F-score alone; fixed: each under its own name.
Empty prediction: all 0.
Data set: mean over shapes; the authors have five views of each.""",
    formulas=formulas,
    fixed=fixed,
    empty=EMPTY,
    empty_fixed=EMPTY,
    samples=10_000,
)
