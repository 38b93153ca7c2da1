"""Bytes that changed on the disk: each damaged shard has to be found by `verify`, or refused by whoever opens it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shapetool.data import reading, verify
from shapetool.errors import DataError
from shapetool.pipelines.crash_tests.check import Check, Finding, expect
from shapetool.pipelines.crash_tests.place import SMALL, Place

FLIPS = 200
TORN = 40


def torn_writes(place: Place) -> Finding:
    """Shards under their final names whose ends never came to the disk, as after a power failure."""
    image, chance = _image(place), random.Random(5)
    path = place.folder / "torn.h5"
    on_opening = by_verify = missed = 0
    while on_opening + by_verify + missed < TORN:
        keep = chance.randrange(len(image))
        damaged = image[:keep] + bytes(len(image) - keep)
        if damaged == image:  # there were zeros anyway
            continue
        path.write_bytes(damaged)
        try:
            reading.open_dataset(path).close()
        except DataError:
            on_opening += 1
        else:
            found = any(finding.path == str(path) for finding in verify.verify(path))
            by_verify, missed = by_verify + found, missed + (not found)
    path.unlink()
    expect(
        not missed, f"{TORN} torn shards to be found", f"{TORN - missed}", "wrong values would be read as right ones"
    )
    return Finding(f"{TORN} of {TORN} found, {on_opening} of them on opening")


def flipped_bits(place: Place) -> Finding:
    """Single bits of stored values that are the other."""
    path, chance = place.folder / "flipped.h5", random.Random(6)
    path.write_bytes(_image(place))
    chunks = list(_payload(path))
    missed = 0
    for _ in range(FLIPS):
        begin, size = chance.choices(chunks, [size for _, size in chunks])[0]
        with _flipped(path, 8 * begin + chance.randrange(8 * size)):
            missed += not any(finding.path == str(path) for finding in verify.verify(path))
    whole = not verify.verify(path)
    path.unlink()
    expect(not missed, f"{FLIPS} flipped bits to be found", f"{FLIPS - missed}", "wrong values would be read as right")
    expect(whole, "nothing wrong once the bits are back", "findings", "the disk returns other bytes than were written")
    return Finding(f"{FLIPS} of {FLIPS} found, with their shard")


def _image(place: Place) -> bytes:
    made = place.undisturbed(SMALL)
    shard = max(made.tree, key=lambda name: made.tree[name][0])
    return (made.folder / shard).read_bytes()


def _payload(path: Path) -> Iterator[tuple[int, int]]:
    """Where in the file the stored values are, as its own index says: (begin, size) of each chunk."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        for dataset in file.values():
            for number in range(dataset.id.get_num_chunks()):
                chunk = dataset.id.get_chunk_info(number)
                yield chunk.byte_offset, chunk.size


@contextmanager
def _flipped(path: Path, bit: int) -> Iterator[None]:
    """A context in which one bit of a file is the other."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        before = file.read(1)[0]
        for byte in (before ^ 1 << bit % 8, before):
            file.seek(bit // 8)
            file.write(bytes([byte]))
            file.flush()
            if byte != before:
                yield


DAMAGE = (
    Check("D5", "torn writes", f"{TORN} shards have their ends replaced by zeros.", torn_writes),
    Check("D6", "flipped bits", f"{FLIPS} times one bit of the stored values is flipped.", flipped_bits),
)
