"""Images on a surface: decoded within bounds, looked up between texels, and averaged for a view from afar."""

import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from shapetool.errors import MeshError

# All textures of one file together: 8192 x 8192, or 192 MiB of colours.
MOST_PIXELS = 1 << 26
_FORMATS = ("PNG", "JPEG", "BMP", "TGA", "GIF", "TIFF", "WEBP", "DDS", "PPM")  # none that starts a program
_DECODER_ERRORS = (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, OverflowError, struct.error)


def to_linear(colours: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Light of colours as they stand in an image file.

    Source: IEC 61966-2-1, sRGB.
    """
    bright = ((np.maximum(colours, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(colours <= 0.04045, colours / 12.92, bright)


def from_linear(light: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Colours as they stand in an image file; the inverse of `to_linear`."""
    bright = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, bright)


_LIGHT32 = to_linear(np.arange(256) / 255).astype(np.float32)


@dataclass(eq=False)
class Texture:
    """An image that is looked up at texture coordinates (u, v), from (0, 0) at its upper left to (1, 1).

    `wrap` says for u and v what stands outside 0 to 1: `repeat`, `mirror` or `clamp`.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    wrap: tuple[str, str] = ("repeat", "repeat")
    _levels: list[UInt8[np.ndarray, "h w 3"]] = field(default_factory=list)

    @property
    def area(self) -> int:
        """How many texels there are."""
        return self.pixels.shape[0] * self.pixels.shape[1]

    def light(self, uv: Float[np.ndarray, "K 2"], level: int = 0) -> Float[np.ndarray, "K 3"]:
        """The linear light at texture coordinates, bilinear between texels 2**level wide."""
        image = self._level(level)
        height, width = image.shape[:2]
        texels = image.reshape(-1, 3)
        x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
        left, top = np.floor(x), np.floor(y)
        right, below = (x - left).astype(np.float32)[:, None], (y - top).astype(np.float32)[:, None]
        columns = [_wrapped(left + k, width, self.wrap[0]) for k in (0, 1)]
        rows = [_wrapped(top + k, height, self.wrap[1]) * width for k in (0, 1)]
        # Rows of three gathered by one flat index take a third of the time of two indices.
        a, b, c, d = (_LIGHT32.take(texels.take(row + column, axis=0)) for row in rows for column in columns)
        a += (b - a) * right
        c += (d - c) * right
        a += (c - a) * below
        return a

    def _level(self, level: int) -> UInt8[np.ndarray, "h w 3"]:
        """The image halved so many times, as far as it goes; made when it is first asked for."""
        if not self._levels:
            self._levels.append(self.pixels)
        while len(self._levels) <= level and max(self._levels[-1].shape[:2]) > 1:
            last = self._levels[-1]
            channels = [halved(halved(_LIGHT32[last[..., k]]).T).T for k in range(3)]
            self._levels.append(np.rint(255 * from_linear(np.stack(channels, axis=2))).astype(np.uint8))
        return self._levels[min(level, len(self._levels) - 1)]


def halved(rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "h m"]:
    """Half as many rows, rounded down and at least one, each the mean over its exact share of the old ones."""
    count = len(rows)
    if count == 1:
        return rows
    half = count // 2
    if count % 2 == 0:
        return (rows[::2] + rows[1::2]) / 2
    # A new row is 2 + 1/half old ones wide, and slides by 1/half against the old ones from each to the next.
    at = np.arange(half, dtype=rows.dtype)[:, None]
    return ((half - at) * rows[:-1:2] + half * rows[1::2] + (at + 1) * rows[2::2]) / count


def _wrapped(index: Float[np.ndarray, " K"], size: int, wrap: str) -> np.ndarray:
    """Which texel stands at an index beyond the image."""
    if wrap == "clamp":
        return np.clip(index, 0, size - 1).astype(np.int64)
    if wrap == "mirror":
        around = _within(index, 2 * size)
        return np.minimum(around, 2 * size - 1 - around)
    return _within(index, size)


def _within(index: Float[np.ndarray, " K"], size: int) -> np.ndarray:
    """Whole numbers modulo the size; most are within already, and the modulus is slow."""
    whole = np.clip(index, -(2**62), 2**62).astype(np.int64)
    beyond = np.flatnonzero((whole < 0) | (whole >= size))
    whole[beyond] %= size
    return whole


class Textures:
    """The images of one mesh file, decoded once each, together within MOST_PIXELS."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._left = MOST_PIXELS
        self._images: dict[object, UInt8[np.ndarray, "H W 3"] | None] = {}

    def get(
        self, key: object, label: str, read: Callable[[], bytes], wrap: tuple[str, str], opaque: bool = False
    ) -> Texture | None:
        """The texture of a key; None with a warning, the first time, where it cannot be had.

        `read` gives the bytes and may raise a MeshError; `opaque` says that the file means its alpha to be passed over.
        """
        if key not in self._images:
            self._images[key] = None
            try:
                pixels, clear = decode(read(), self._left)
                self._images[key] = pixels
                self._left -= pixels.shape[0] * pixels.shape[1]
                if clear and not opaque:
                    self._warn(f"texture {label} is transparent in places; it is drawn opaque")
            except MeshError as error:
                self._warn(f"texture {label} is not drawn, its surface is grey: {error}")
        found = self._images[key]
        return None if found is None else Texture(found, wrap)


def decode(data: bytes, most_pixels: int) -> tuple[UInt8[np.ndarray, "H W 3"], bool]:
    """The colours of an encoded image, and whether any of it is transparent.

    Raises:
        MeshError: for what is no image, a damaged one, or one of more pixels than allowed.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            image: Any = Image.open(BytesIO(data), formats=_FORMATS)
            width, height = image.size
            if width * height > most_pixels:
                raise MeshError(
                    f"expected at most {most_pixels} pixels, found {width} x {height}. Make the texture smaller."
                )
            image.load()
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off instead of scaling
                image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
            clear = "A" in image.getbands() or "transparency" in image.info
            clear = clear and image.convert("RGBA").getchannel("A").getextrema()[0] < 255
            return np.asarray(image.convert("RGB")), bool(clear)
    except MeshError:
        raise
    except Image.DecompressionBombError:
        raise MeshError(f"expected at most {most_pixels} pixels, found many more. Make the texture smaller.") from None
    except _DECODER_ERRORS as error:
        text = str(error)[:120] if not isinstance(error, UnidentifiedImageError) else "no image that is known"
        raise MeshError(f"expected an image, found {len(data)} bytes that cannot be decoded: {text}.") from None
