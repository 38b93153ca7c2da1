"""Heaps of texts with which the HDF5 library would never end."""

import pytest

from shapetool.data.heaps import check_heaps
from shapetool.data.verify import is_whole, verify
from shapetool.errors import DataError
from tests.fuzz.hdf5_targets import shard_bytes


def damaged(data: bytes) -> bytes:
    """The file with the free space of its last heap, which is the heap's last object, made to have no length."""
    heap = data.rindex(b"GCOL\1\0\0\0")
    at = heap + 16
    while data[at : at + 2] != b"\0\0":
        at += 16 + -(-int.from_bytes(data[at + 8 : at + 16], "little") // 8) * 8
    return data[: at + 8] + bytes(8) + data[at + 16 :]


@pytest.mark.timeout(30)
def test_a_heap_that_leads_to_itself_is_found_before_the_library_meets_it(tmp_path):
    path = tmp_path / "shard-00000.h5"
    path.write_bytes(damaged(shard_bytes("sdf")))
    with pytest.raises(DataError, match="free space of no length"):
        check_heaps(path)
    assert not is_whole(path)
    for place in (path, tmp_path):
        assert ["no length" in finding.problem for finding in verify(place)] == [True]


@pytest.mark.parametrize("kind", ["sdf", "occupancy", "views"])
def test_sound_shards_pass_and_so_does_what_only_looks_like_a_heap(tmp_path, kind):
    path = tmp_path / "a.h5"
    sound = shard_bytes(kind)
    assert b"GCOL\1\0\0\0" in sound
    likeness = b"GCOL\1\0\0\0" + (16).to_bytes(8, "little") + bytes(64)  # ends before its first object
    cut = b"GCOL\1\0\0\0" + (4096).to_bytes(8, "little") + b"\0\0"
    for data in (sound, sound + likeness + b"\1" * 64 + cut, b"", b"GCOL\1\0\0\0"):
        path.write_bytes(data)
        check_heaps(path)
    check_heaps(tmp_path / "none.h5")
