"""Damage to files, as disks, networks and exporters do it."""

import numpy as np

_WORDS = (
    b"-1",
    b"0",
    b"nan",
    b"1e999",
    b"4294967295",
    b"99999999999999999999",
    b" ",
    b"\n",
    b"{",
    b"[]",
    b"null",
    b"/",
)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The data with a few bytes changed, cut, doubled, or replaced by words that parsers stumble over."""
    work = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, max(len(work), 1)))
        length = int(rng.integers(1, 12))
        match int(rng.integers(0, 6)):
            case 0:
                work[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                del work[at : at + length]
            case 2:
                work[at:at] = work[at : at + length]
            case 3:
                work[at : at + length] = _WORDS[int(rng.integers(0, len(_WORDS)))]
            case 4:
                work[at : at + 4] = b"\xff" * 4
            case 5:
                del work[at:]
    return bytes(work)


def scratched(data: bytes, rng: np.random.Generator) -> bytes:
    """The data with one or two digits or bits changed: most files of these still are what their format says."""
    work = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        at = int(rng.integers(0, len(work)))
        if work[at : at + 1].isdigit():
            work[at : at + 1] = b"0123456789.-e"[int(rng.integers(0, 13)) :][:1]
        else:
            work[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(work)
