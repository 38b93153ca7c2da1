"""The heaps in which an HDF5 file keeps its texts, looked through before the HDF5 library is.

Source: HDF5 File Format Specification 3.0, "Disk Format: Level 1E - Global Heap". Only what can keep the library busy
is judged; whatever else is wrong in a heap, it refuses itself.
"""

import mmap
from pathlib import Path

from shapetool.data.outside import plain_file
from shapetool.errors import DataError

_HEAP = b"GCOL\x01\0\0\0"
_HEAD = 16  # bytes in front of a heap, and of each object in it


def check_heaps(path: Path) -> None:
    """None, after all of the file was looked through for heaps; an empty one has none, nor has one that is not there.

    Raises:
        DataError: a heap has free space of no length, which the HDF5 library (seen in 2.0) reads again for ever.
        OSError: the file cannot be read.
    """
    if not path.exists():
        return
    with open(plain_file(path), "rb") as file:
        if not file.seek(0, 2):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(_HEAP)
            while at >= 0:
                if _is_endless(data, at):
                    raise DataError(
                        f"{path}: expected a whole shard, found a damaged one (free space of no length in the heap of "
                        f"texts at byte {at}). Make it again."
                    )
                at = data.find(_HEAP, at + 1)


def _is_endless(data: mmap.mmap, heap: int) -> bool:
    """Whether who goes from object to object in a heap comes to one that leads to itself."""
    end = heap + int.from_bytes(data[heap + 8 : heap + _HEAD], "little")
    at = heap + _HEAD
    while at + _HEAD <= min(end, len(data)):
        number, size = (int.from_bytes(data[at + a : at + b], "little") for a, b in ((0, 2), (8, 16)))
        if number == 0 and size == 0:
            return True
        at += size if number == 0 else _HEAD + -(-size // 8) * 8
    return False
