"""The evaluation protocols of the field by name: what each author's code prints, faults included."""

from shapetool.errors import ConfigError, suggestion
from shapetool.metrics.protocols.atlasnet import ATLASNET
from shapetool.metrics.protocols.convonet import CONVONET
from shapetool.metrics.protocols.deepsdf import DEEPSDF
from shapetool.metrics.protocols.disn import DISN
from shapetool.metrics.protocols.imnet import IMNET
from shapetool.metrics.protocols.onet import ONET
from shapetool.metrics.protocols.protocol import Evidence, Protocol
from shapetool.metrics.protocols.tatarchenko import TATARCHENKO
from shapetool.metrics.protocols.vecset import VECSET

__all__ = ["PROTOCOLS", "Evidence", "Protocol", "explain", "protocol"]

PROTOCOLS: dict[str, Protocol] = {
    entry.name: entry for entry in (ONET, CONVONET, DEEPSDF, IMNET, TATARCHENKO, ATLASNET, DISN, VECSET)
}
DEFAULT = """\
default: what shapetool measures beside every protocol
Points: 100,000 on each mesh, uniform by area (--samples); a cloud is taken as it is, or a draw of it.
chamfer_l1_mean: mean distance to the nearest neighbour, of both ways, halved; l1_sum not halved; l2sq_* of squares.
hausdorff: the largest such distance; hausdorff_90 the larger 90th percentile.
fscore@t, precision@t, recall@t: the share of points with a neighbour at most t away (`<=`), of the prediction
  (precision), of the truth (recall), and their harmonic mean, 0 where both are.
normal_consistency: mean absolute cosine with the normal of the nearest neighbour, of both ways, halved.
iou: intersection over union of the solids.
emd, emd_lower, emd_upper: mean distance under the best matching of a draw of the points, and its certificate.
surface_l1_mean: as chamfer_l1_mean, but to the triangles of the other mesh, so without a floor.
*_low, *_high: 95 % intervals, both samplings included. floor_*: what a perfect prediction would score.
Failures: a row each; `excluded` means leave them out, `penalised` means count chamfer, hausdorff and emd with
  sqrt(3) times the longest edge of the truth (its square for l2sq), all others with 0.
Source: shapetool, docs/metrics.md"""


def protocol(name: str) -> Protocol | None:
    """The protocol of this name; None for `default`.

    Raises:
        ConfigError: there is none.
    """
    if name == "default":
        return None
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}{suggestion(name, ['default', *PROTOCOLS])}")
    return PROTOCOLS[name]


def explain(name: str) -> str:
    """The definition of a protocol with its source, to be read by people.

    Raises:
        ConfigError: there is none of this name.
    """
    found = protocol(name)
    return DEFAULT if found is None else f"{name}: {found.title}\n{found.definition}\nSource: {found.source}"
