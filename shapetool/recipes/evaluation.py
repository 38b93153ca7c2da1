"""What `eval` measures: the protocol, the metrics beside it, how many points, how the prediction is aligned first."""

from dataclasses import dataclass

from shapetool.errors import ConfigError, suggestion

PROTOCOL_NAMES = ("default", "onet", "convonet", "deepsdf", "imnet", "tatarchenko", "atlasnet", "disn", "vecset")
ALIGNMENTS = ("none", "center", "scale", "similarity", "icp")
METRICS = ("chamfer", "hausdorff", "fscore", "normal_consistency", "iou", "emd", "surface")
UPS = ("y", "z")
DEFAULT_METRICS = ("chamfer", "hausdorff", "fscore", "normal_consistency", "iou")


@dataclass(frozen=True)
class EvalRecipe:
    """Every number of an evaluation.

    ``samples`` points are drawn on each mesh; None: the protocol's number, 100,000 for `default`. ``thresholds`` of the
    F-score are lengths in the unit of the shapes. ``volume_points`` are those of the IoU of `default`. EMD matches
    ``emd_points`` of each side until its bounds are within ``emd_rtol`` of each other; 0: exactly. ``only``: ids of
    the truths that are asked for; none: all.

    Raises:
        ConfigError: an unknown name, or a number out of range.
    """

    protocol: str = "default"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    samples: int | None = None
    thresholds: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05)
    align: str = "none"
    volume_points: int = 100_000
    emd_points: int = 2_048
    emd_rtol: float = 0.0
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, value, known in (
            ("--protocol", self.protocol, PROTOCOL_NAMES),
            ("--align", self.align, ALIGNMENTS),
            *(("--metrics", metric, METRICS) for metric in self.metrics),
        ):
            if value not in known:
                raise ConfigError(f"{option} {value}: unknown{suggestion(value, known)}")
        for option, count in (
            ("--samples", self.samples),
            ("volume_points", self.volume_points),
            ("emd_points", self.emd_points),
        ):
            if count is not None and count < 2:
                raise ConfigError(f"{option} {count}: expected at least 2 points.")
        check_rtol(self.emd_rtol)
        if not self.thresholds or not all(threshold > 0 for threshold in self.thresholds):
            raise ConfigError(f"thresholds {self.thresholds}: expected lengths above 0, at least one.")


SET_METRICS = ("chamfer", "emd")
SET_FRAMES = ("none", "box", "diagonal", "sphere")


@dataclass(frozen=True)
class SetRecipe:
    """Every number of a comparison of two sets.

    ``samples`` points are taken of each shape, which ``normalize`` brings into a frame of its own first.

    Raises:
        ConfigError: an unknown name, or a number out of range.
    """

    metrics: tuple[str, ...] = SET_METRICS
    samples: int = 2_048
    normalize: str = "none"
    emd_rtol: float = 0.0

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric not in SET_METRICS:
                raise ConfigError(f"--metrics {metric}: sets are compared by {' and '.join(SET_METRICS)} only.")
        if self.normalize not in SET_FRAMES:
            raise ConfigError(f"--normalize {self.normalize}: unknown{suggestion(self.normalize, SET_FRAMES)}")
        if self.samples < 1:
            raise ConfigError(f"--samples {self.samples}: expected at least 1 point.")
        check_rtol(self.emd_rtol)


def check_rtol(emd_rtol: float) -> None:
    """Nothing, when EMD can be told to be that near.

    Raises:
        ConfigError: it is no share from 0 to below 1.
    """
    if not 0 <= emd_rtol < 1:
        raise ConfigError(f"--emd-rtol {emd_rtol}: expected a share from 0 (exact) to below 1, such as 0.01.")


def read_metrics(text: str | None) -> tuple[str, ...]:
    """The metrics that a list such as `chamfer,iou` names; a column such as `chamfer_l1_mean` stands for its metric.

    Raises:
        ConfigError: a word is neither.
    """
    if text is None:
        return DEFAULT_METRICS
    found = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        plain = "fscore" if word.startswith(("precision", "recall")) else word
        metric = next(
            (metric for metric in METRICS if plain == metric or plain.startswith((f"{metric}_", f"{metric}@"))), None
        )
        if metric is None:
            raise ConfigError(f"--metrics {word}: unknown{suggestion(word, METRICS)}")
        found.append(metric)
    if not found:
        raise ConfigError(f"--metrics {text!r}: expected at least one of {', '.join(METRICS)}.")
    return tuple(metric for metric in METRICS if metric in found)
