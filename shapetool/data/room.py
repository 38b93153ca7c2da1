"""HDF5 files that grow on the disk: the room for what comes is taken first, so HDF5 never asks a full disk for more."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from shapetool.data.layout import LIBVER

SPARE = 1 << 20  # for object headers and index pages
# What HDF5 could not write to its end, with all that is open of it: it may crash when it lets that go, now or when the
# process ends.
unsound: list[BaseException] = []
INDEX_BYTES = 64  # what HDF5's chunk index takes a chunk at most, with room to spare


def reserve(path: Path, size: int) -> int:
    """The bytes that the file has now: `size` more than before, and what HDF5 itself needs.

    Raises:
        OSError: the disk has no room for them.
    """
    begin = path.stat().st_size
    end = begin + size + SPARE
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), begin, end - begin)
            return end
        file.seek(begin)
        for start in range(begin, end, SPARE):
            file.write(bytes(min(SPARE, end - start)))
        file.flush()
        os.fsync(file.fileno())
    return end


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, open for HDF5, and afterwards without the room that was reserved and not taken.

    Whoever writes to a dataset flushes it before letting it go: HDF5 writes then at the latest, and what fails is told
    to nobody.

    Raises:
        OSError: the disk refused something.
    """
    is_written = False
    try:
        with h5py.File(path, "r+", libver=LIBVER, locking=False) as file:
            yield file
            is_written = True
            file.flush()
    except (OSError, RuntimeError) as error:
        unsound.append(error)
        refused = _refusal(error, is_written)
        if refused is None:
            raise
        raise OSError(refused, str(error), str(path)) from error
    if _is_open(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
    os.truncate(path, _true_length(path))


@contextmanager
def named_failure(out: Path, size: int = 0) -> Iterator[None]:
    """A context in which a refusal of the disk names the file that is to be.

    Raises:
        OSError: the disk refuses.
    """
    try:
        yield
    except OSError as error:
        if not error.errno:  # not the system's word, but HDF5's: of a damaged source, say
            raise
        reason = os.strerror(error.errno) + (f" while writing {size} bytes" if size else "")
        raise OSError(error.errno, reason, str(out)) from error


def _refusal(error: OSError | RuntimeError, is_closing: bool) -> int | None:
    """The number of the system's refusal, None if it is something else, such as a damaged source that was read.

    h5py makes a RuntimeError of many an OSError, with its number in the text or, where HDF5 closes a file, without; and
    one that comes while another is on its way stands before that.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno:
            return found.errno
        number = re.search(r"errno = (\d+)", str(found))
        if number is not None:
            return int(number[1])
        found = found.__context__
    return errno.EIO if is_closing and isinstance(error, RuntimeError) else None


def _is_open(path: Path) -> bool:
    """Whether HDF5 could not note that the file was closed, which is the last that it writes.

    Source: as of `_true_length`; the flags of consistency are byte 11.
    """
    with open(path, "rb") as file:
        return file.read(12)[11] != 0


def _true_length(path: Path) -> int:
    """Where the content of an HDF5 file ends, which may have room reserved behind it.

    Source: HDF5 File Format Specification, superblock versions 2 and 3: the end of file address is at byte 28.
    """
    with open(path, "rb") as file:
        head = file.read(36)
    assert head[8] in (2, 3), "LIBVER asks for a superblock of version 3"
    return int.from_bytes(head[28:36], "little")
