"""Intervals that stay where a measure can be."""

import math

SHARE = (0.0, 1.0)
LENGTH = (0.0, math.inf)
ANYTHING = (-math.inf, math.inf)
_SHARES = ("fscore", "precision", "recall", "normal_consistency", "iou", "ceiling_")
_LENGTHS = ("chamfer", "hausdorff", "emd", "surface", "floor_")


def limits_of(key: str) -> tuple[float, float]:
    """Between which numbers the measure of a column lies; squared distances without their floor may be below 0."""
    plain = key.removeprefix("raw.")
    if plain.startswith(_SHARES):
        return SHARE
    return LENGTH if plain.startswith(_LENGTHS) and not plain.endswith("_debiased") else ANYTHING


def within(value: float, reach: float, least: float, most: float) -> tuple[float, float]:
    """The ends `reach` to either side of a value; an end that would leave `least` to `most` is taken on another scale.

    A length is then taken by its logarithm and a share by its logit, to which the reach is carried over by the slope
    there (the delta method). At the end of the range itself, where that scale has no value, the interval ends there.

    Source: Agresti, "Categorical Data Analysis", 2013, 3.1 and 3.2. Differs in that an end which stays is left alone:
    few shapes with a large spread would have the other end of the logarithm far beyond any of them.
    """
    low, high = value - reach, value + reach
    if math.isnan(reach) or (low >= least and high <= most):
        return low, high
    if not least < value < most:
        return max(low, least), min(high, most)
    above, left = value - least, most - value
    slope = 1 / above if math.isinf(most) else (most - least) / (above * left)
    factor = math.exp(-min(reach * slope, 700.0))
    if low < least:
        low = least + above * factor * (1 if math.isinf(most) else (most - least) / (left + above * factor))
    if high > most:
        high = most - left * factor * (most - least) / (above + left * factor)
    return low, high
