"""What every layout hands over when it is read: the columns of one shape, as far as the foreign files know them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapetool.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
SIGN_METHOD = "imported"  # who decided inside, nobody wrote down


@dataclass(frozen=True)
class Sizes:
    """What a foreign shape holds: the kind of shard it makes, its points and surface points, the type of the points.

    `voxels` is the cells along an edge of its solid voxels, 0 for none, and `more` the bytes of its other columns.
    """

    kind: str
    points: int
    surface: int = 0
    dtype: str = "f4"
    voxels: int = 0
    more: int = 0


def columns(scale: Any, offset: Any, points: Array, **more: Array) -> dict[str, Any]:
    """The columns of a shape but for its id and source; without a surface unless one is given."""
    nothing = np.zeros((0, 3), np.float32)
    return {
        "scale": float(np.asarray(scale).reshape(())),
        "offset": np.asarray(offset, np.float64).reshape(3),
        "watertight": False,
        "sign_method": SIGN_METHOD,
        "points": points,
        "surface_points": nothing,
        "surface_normals": nothing,
        **more,
    }


def same_length(path: Path, arrays: dict[str, Array]) -> None:
    """None if the arrays have equally many rows.

    Raises:
        DataError: they have not.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: expected equally many rows, found {lengths}. The file is damaged or foreign.")


def positive(path: Path, name: str, value: Any) -> float:
    """A scale as a number.

    Raises:
        DataError: it is not above 0.
    """
    number = float(np.asarray(value).reshape(()))
    if not 0 < number < float("inf"):
        raise DataError(f"{path}, {name}: expected a positive number, found {number}.")
    return number


def float_points(points: Array) -> Array:
    """Points in a type that a shard holds: float16 as it is, all else as float32."""
    return points if points.dtype == np.float16 else points.astype(np.float32)
