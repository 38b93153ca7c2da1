"""The colours of distances: pale at zero, dark red at the end of the scale, in an order that every eye sees."""

import numpy as np
from jaxtyping import Float

# Lightness falls all the way, so that the order survives printing in grey and colour-blind eyes.
_ANCHORS = np.array([[226, 231, 236], [247, 208, 120], [236, 132, 62], [190, 52, 55], [92, 14, 48]]) / 255
_PLACES = np.linspace(0, 1, len(_ANCHORS))


def ramp(values: Float[np.ndarray, " P"], largest: float) -> Float[np.ndarray, "P 3"]:
    """Red, green and blue for distances from 0 to ``largest``; what is farther has the last colour."""
    shares = np.clip(values / largest, 0, 1) if largest > 0 else np.zeros_like(values)
    return np.stack([np.interp(shares, _PLACES, _ANCHORS[:, channel]) for channel in range(3)], axis=1)


def stops() -> list[tuple[float, str]]:
    """The same colours as pairs of a place from 0 to 1 and a name that CSS and plotly read."""
    names = ["#{:02x}{:02x}{:02x}".format(*np.round(anchor * 255).astype(int)) for anchor in _ANCHORS]
    return list(zip(_PLACES.tolist(), names, strict=True))
