"""Voxel models of binvox, as ONet's `model.binvox`: an N x N x N block of bits in runs.

The file has the bits in the order x, z, y; here they are `voxels[x, y, z]`. The centre of voxel i along an axis is
`translate + scale * (i + 0.5) / N`.

Source: Min, binvox, https://www.patrickmin.com/binvox/binvox.html; the reader that ONet uses reads the same.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from shapetool.data.formats.places import put
from shapetool.data.outside import plain_file
from shapetool.errors import DataError

LARGEST = 1024  # binvox itself stops here
LONGEST_HEAD = 4096
LONGEST_RUN = 255


@dataclass(frozen=True, eq=False)
class Voxels:
    """Filled cells of a cube whose low corner is `translate` and whose edge is `scale`, in the frame of the mesh."""

    filled: Bool[np.ndarray, "N N N"]
    translate: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    scale: float = 1.0


def read_binvox(path: Path) -> Voxels:
    """The voxels in a file.

    Raises:
        DataError: it is missing or no binvox file, or its runs do not fill the block.
    """
    try:
        data = plain_file(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a binvox file, found no such file.") from error
    head, size = _head(data, path)
    dim, translate, scale = head
    runs = np.frombuffer(data[size:], np.uint8)
    if len(runs) % 2:
        raise DataError(f"{path}, data: expected pairs of a value and a count, found an odd number of bytes.")
    values, counts = runs[::2], runs[1::2].astype(np.int64)
    if (values > 1).any() or counts.sum() != dim**3:
        raise DataError(f"{path}, data: expected runs of 0 and 1 for {dim}^3 voxels, found {counts.sum()}. Truncated?")
    stored = np.repeat(values.astype(bool), counts).reshape(dim, dim, dim)
    return Voxels(np.ascontiguousarray(stored.transpose(0, 2, 1)), translate, scale)


def binvox_dim(path: Path) -> int:
    """The voxels along an edge, from the head of a file.

    Raises:
        DataError: it is no binvox file.
    """
    with open(plain_file(path), "rb") as file:
        return _head(file.read(LONGEST_HEAD + 16), path)[0][0]


def write_binvox(path: Path, voxels: Voxels) -> None:
    """None, once `path` holds the voxels.

    Raises:
        OSError: it cannot be written.
    """
    dim = len(voxels.filled)
    flat = voxels.filled.transpose(0, 2, 1).reshape(-1)
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, len(flat)])
    pieces = -(-lengths // LONGEST_RUN)
    counts = np.full(pieces.sum(), LONGEST_RUN, np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * LONGEST_RUN
    runs = np.stack([np.repeat(flat[starts], pieces).astype(np.uint8), counts], axis=1)
    place = " ".join(repr(float(number)) for number in voxels.translate)
    head = f"#binvox 1\ndim {dim} {dim} {dim}\ntranslate {place}\nscale {float(voxels.scale)!r}\ndata\n"
    put(path, head.encode() + runs.tobytes())


def _head(data: bytes, path: Path) -> tuple[tuple[int, Float[np.ndarray, "3"], float], int]:
    """Edge, place and scale, and how many bytes said so."""
    end = data.find(b"\ndata\n", 0, LONGEST_HEAD)
    if not data.startswith(b"#binvox 1\n") or end < 0:
        raise DataError(f"{path}: expected a binvox file of version 1, found something else.")
    words = {line.split()[0]: line.split()[1:] for line in data[10:end].decode("latin-1").splitlines() if line.split()}
    try:
        dims = [int(word) for word in words["dim"]]
        translate = np.array([float(word) for word in words.get("translate", ["0"] * 3)])
        scale = float(words.get("scale", ["1"])[0])
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path}: expected dim, translate and scale with numbers, but: {error}.") from error
    if len(dims) != 3 or len(set(dims)) != 1 or not 0 < dims[0] <= LARGEST:
        raise DataError(f"{path}, dim: expected three equal numbers up to {LARGEST}, found {dims}.")
    if translate.shape != (3,) or not np.isfinite(translate).all() or not 0 < scale < np.inf:
        raise DataError(f"{path}, scale: expected a finite place and a positive scale, found {translate}, {scale}.")
    return (dims[0], translate, scale), end + len(b"\ndata\n")
