"""The evaluation of Convolutional Occupancy Networks: that of ONet, with F-scores and a crop for rooms."""

import numpy as np

from shapetool.metrics.protocols import onet
from shapetool.metrics.protocols.protocol import (
    NAN,
    Evidence,
    Protocol,
    Values,
    harmonic,
    harmonic_or_zero,
    overlap_or_one,
)

THRESHOLDS = np.linspace(
    1.0 / 1000, 1, 1000
)  # the entries are compared as they are, so they are made as the author did
NAMED = {"fscore": 9, "fscore_15": 14, "fscore_20": 19}


def _shares(evidence: Evidence, index: int) -> tuple[float, float]:
    limit = THRESHOLDS[index]
    return float((evidence.accuracy <= limit).mean()), float((evidence.completeness <= limit).mean())


def formulas(evidence: Evidence) -> Values:
    """The columns of ONet and three F-scores, NaN where precision and recall are 0."""
    scores = {name: harmonic(*_shares(evidence, index)) for name, index in NAMED.items()}
    return onet.formulas(evidence) | scores


def fixed(evidence: Evidence) -> Values:
    """All columns of points that were not cropped; F-scores 0 instead of NaN."""
    scores = {name: harmonic_or_zero(*_shares(evidence, index)) for name, index in NAMED.items()}
    return onet.formulas(evidence) | scores | overlap_or_one(evidence)


CONVONET = Protocol(
    name="convonet",
    title="Convolutional Occupancy Networks (Peng et al., ECCV 2020)",
    source="github.com/autonomousvision/convolutional_occupancy_networks, src/eval.py at 30e9404",
    definition=f"""\
{onet.ONET.definition}
That is onet; here, beside it:
Points: 200,000 on the predicted mesh, of which those count that lie in the box of the true cloud grown by 0.007 in x
  and z, and above its floor in y; there is no ceiling. 100,000 are drawn from them with replacement. Made for rooms,
  done for every shape, so what sticks out of the box costs nothing. fixed: all columns from 100,000 points not cropped.
fscore, fscore_15, fscore_20: at 0.01, 0.015 and 0.02 of the unit cube, `<=`. Precision and recall 0 give NaN, which
  the means leave out; fixed: 0.
A prediction with no point in that box raises an error that is swallowed, and the shape is left out.""",
    formulas=formulas,
    fixed=fixed,
    empty=onet.EMPTY | dict.fromkeys(NAMED, NAN),
    empty_fixed=onet.EMPTY_FIXED | dict.fromkeys(NAMED, 0.0),
    sampler="crop",
    single_precision=True,
    volume_points=100_000,
    macro=True,
)
