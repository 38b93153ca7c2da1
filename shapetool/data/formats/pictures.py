"""Pictures in files, read without trust, and colours with and without what is behind them."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.data.outside import plain_file
from shapetool.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
FORMATS = ("PNG", "JPEG")
MODES = ("1", "L", "RGB", "RGBA", "P", "I;16", "I;16B", "I")
BEHIND = {"white": 255, "black": 0}


def png_bytes(pixels: Array) -> bytes:
    """A PNG of (H, W) grey in 8 or 16 bits, (H, W, 3) colours, or (H, W, 4) colours and opacity in 8."""
    from PIL import Image

    memory = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(memory, "PNG")
    return memory.getvalue()


def picture_head(path: Path) -> tuple[int, int, str]:
    """Height, width and what a pixel is: `grey` in 8 or 16 bits, `colour`, or `opacity` for colours with one.

    Raises:
        DataError: the file is missing or no such picture.
    """
    with _opened(path) as image:
        return image.height, image.width, _content(image)


def read_picture(path: Path, size: tuple[int, int], contents: tuple[str, ...]) -> Array:
    """The pixels of a picture that has this height and width, and one of these contents as `picture_head` says them.

    Raises:
        DataError: it is missing, damaged, or another.
    """
    with _opened(path) as image:
        found, content = (image.height, image.width), _content(image)
        if found != size or content not in contents:
            raise DataError(
                f"{path}: expected {size[0]}x{size[1]} pixels of {' or '.join(contents)}, "
                f"found {found[0]}x{found[1]} of {content}."
            )
        try:
            if content == "grey":
                return np.asarray(image if image.mode.startswith("I") else image.convert("L"))
            return np.asarray(image.convert("RGBA" if content == "opacity" else "RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{path}: expected a picture, found damaged data ({error}).") from error


def straight(images: Array, alpha: Array, background: str) -> Array:
    """Colours and opacity (..., 4) in 8 bits, of colours over a background; black where nothing covers the pixel.

    Put over the same background they are the colours that came. Over another one they are within two levels: opacity is
    rounded to 255 steps.
    """
    covered = alpha.astype(np.float64)[..., None]
    behind = (255 - covered) * BEHIND[background]
    colours = (255 * images.astype(np.float64) - behind) / np.where(covered > 0, covered, 1)
    colours = np.where(covered > 0, np.clip(np.rint(colours), 0, 255), 0)
    return np.concatenate([colours.astype(np.uint8), alpha[..., None]], axis=-1)


def over(pixels: Array, background: str) -> tuple[Array, Array]:
    """Colours over a background, and the opacity, of straight ones (..., 4)."""
    alpha = pixels[..., 3]
    covered = alpha.astype(np.float64)[..., None]
    colours = (covered * pixels[..., :3] + (255 - covered) * BEHIND[background]) / 255
    return np.rint(colours).astype(np.uint8), alpha


def _opened(path: Path) -> Any:
    from PIL import Image

    try:
        # From memory: of a file, Pillow asks for as many bytes as a chunk of a PNG promises, which may be 4 GiB.
        image = Image.open(io.BytesIO(plain_file(path).read_bytes()), formats=FORMATS)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a picture, found no such file.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a PNG or JPEG, found something else ({error}).") from error
    if image.mode not in MODES:
        raise DataError(f"{path}: expected a picture of one of {', '.join(MODES)}, found {image.mode}.")
    return image


def _content(image: Any) -> str:
    if "transparency" in image.info or image.mode == "RGBA":
        return "opacity"
    return "colour" if image.mode in ("RGB", "P") else "grey"
