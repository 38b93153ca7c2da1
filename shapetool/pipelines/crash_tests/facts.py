"""What a file system can do: plain facts, and what shapetool does where one is missing."""

from __future__ import annotations

import os
import sys
import threading
import time
import unicodedata
from pathlib import Path

from shapetool.data import atomic
from shapetool.pipelines.crash_tests.check import Check, Finding, expect
from shapetool.pipelines.crash_tests.place import Place

REPLACED = 200
SIZE = 1 << 16
MTIME_SECONDS = 3.0
NAMES = ("größe", "naïve", "椅子", "стул", "🪑 with spaces", "a'b\"c$d")


def hard_links(place: Place) -> Finding:
    """Whether a file can have two names, and a name goes to the first who asks for it."""
    source, name = place.folder / "link-source", place.folder / "link"
    source.write_bytes(b"1")
    try:
        os.link(source, name)
    except OSError as error:
        if error.errno not in atomic.WITHOUT_LINKS:
            raise
        return Finding(f"no ({error.strerror}): locks are renamed into place; of two at once both may begin", "note")
    try:
        os.link(source, name)
        twice = True
    except FileExistsError:
        twice = False
    expect(not twice, "a name that exists to be refused", "it given away again", "two runs may own one lock")
    return Finding("yes: one of two runs gets a lock")


def renames(place: Place) -> Finding:
    """Whether whoever looks while a file is replaced sees the old one or the new one, whole."""
    path, ended = place.folder / "replaced", threading.Event()
    looks, torn, absent = 0, 0, 0
    atomic.write_whole(path, bytes(SIZE), durable=False)

    def look() -> None:
        nonlocal looks, torn, absent
        while not ended.is_set():
            looks += 1
            try:
                data = path.read_bytes()
                torn += len(data) != SIZE or len(set(data)) != 1
            except OSError:
                absent += 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(REPLACED):
            atomic.write_whole(path, bytes([number % 256]) * SIZE, durable=False)
    finally:
        ended.set()
        reader.join()
    wrong = f"{torn} times half of one and {absent} times none in {looks} looks"
    expect(not torn and not absent, "a whole file at every look", wrong, "whoever reads while a run writes may fail")
    return Finding(f"yes: {REPLACED} times, whole at {looks} looks")


def synced_folders(place: Place) -> Finding:
    """Whether the names in a folder can be put on the disk."""
    if atomic.sync_folder(place.folder):
        return Finding("yes: names outlast a power failure")
    return Finding("no: after a power failure a finished file may lack its name; a rerun makes it again", "note")


def moving_times(place: Place) -> Finding:
    """Whether the time of a file moves when it is touched, by which a lock's owner shows that it lives."""
    path = place.folder / "touched"
    path.write_bytes(b"")
    first, begun = path.stat().st_mtime_ns, time.monotonic()
    while path.stat().st_mtime_ns == first:
        if time.monotonic() - begun > MTIME_SECONDS:
            return Finding("no: a run on another machine may take a living one's lock; the work is done twice", "note")
        time.sleep(0.005)
        os.utime(path)
    return Finding("yes: locks show that their owner lives")


def names(place: Place) -> Finding:
    """Whether names of any language come back as they were given, and differ if their capitals do."""
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        return Finding(f"not known: Python writes names in {encoding} here; set LC_ALL=C.UTF-8", "note")
    folder = place.folder / "names"
    folder.mkdir()
    wanted = [unicodedata.normalize("NFC", name) for name in NAMES]
    lost = [name for name in wanted if not _comes_back(folder, name)]
    if lost:
        shown = ", ".join(lost)
        return Finding(f"no: {shown}: meshes of such names are refused or get other ids; rename them", "note")
    (folder / "chair").write_bytes(b"1")
    if (folder / "CHAIR").exists():
        return Finding("yes, but chair is CHAIR: of ids that differ in capitals alone, one file is left", "note")
    return Finding(f"yes: {len(wanted)} of {len(wanted)}, and chair is not CHAIR")


def _comes_back(folder: Path, name: str) -> bool:
    try:
        (folder / name).write_bytes(b"1")
    except (OSError, UnicodeError):
        return False
    return name in os.listdir(folder)


FACTS = (
    Check("F1", "hard links", "A file gets a second name, and a name that exists is refused.", hard_links),
    Check("F2", "rename in one step", f"A file is replaced {REPLACED} times while a thread reads it.", renames),
    Check("F3", "fsync of a folder", "The names in a folder are put on the disk.", synced_folders),
    Check("F4", "mtime moves", "A file is touched until its time moves.", moving_times),
    Check("F5", "names survive", "Files get names of several scripts, with spaces and quotes.", names),
)
