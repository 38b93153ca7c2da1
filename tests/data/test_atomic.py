"""Files that are written beside their place: whose they are, and which of them go."""

import errno
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shapetool.data.atomic import beside, remove_leftovers, sync_folder, write_whole

PROGRAM = (
    "import sys, time; from pathlib import Path; from shapetool.data.atomic import beside\n"
    "beside(Path(sys.argv[1])).write_bytes(b'half'); print('written', flush=True); time.sleep(float(sys.argv[2]))"
)
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")


def begin(path: Path, seconds: float) -> "subprocess.Popen[bytes]":
    """A process that has half written a file for `path` and lives for some seconds more."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    return process


def test_leftovers_of_ended_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    begin(tmp_path / "a.h5", 0).wait()
    begin(tmp_path / "b.h5", 0).wait()
    living = begin(tmp_path / "a.h5", 60)
    remove_leftovers(tmp_path, "a.h5")
    assert sorted(name[:6] for name in os.listdir(tmp_path)) == [".a.h5.", ".b.h5."]
    remove_leftovers(tmp_path)
    assert [name[:6] for name in os.listdir(tmp_path)] == [".a.h5."]
    living.kill()
    living.wait()
    remove_leftovers(tmp_path)
    assert not os.listdir(tmp_path)


@needs_proc
def test_a_killed_process_that_nobody_has_buried_is_gone(tmp_path: Path) -> None:
    process = begin(tmp_path / "a.h5", 60)
    process.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    remove_leftovers(tmp_path)
    assert not os.listdir(tmp_path)
    process.wait()


@needs_proc
def test_a_later_process_with_the_same_number_does_not_keep_a_leftover(tmp_path: Path) -> None:
    mine = beside(tmp_path / "a.h5")
    mine.write_bytes(b"half")
    pid, start = mine.name.split(".")[-2].split("-")
    assert int(pid) == os.getpid()
    (tmp_path / mine.name.replace(f"-{start}", f"-{int(start) - 1}")).write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == [mine.name]


def test_files_of_other_machines_and_of_other_programs_stay(tmp_path: Path) -> None:
    names = [".a.h5.elsewhere.1-1.tmp", f".a.h5.{socket.gethostname()}.word.tmp", ".tmp", "a.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_an_exclusive_write_leaves_what_was_first(tmp_path: Path) -> None:
    assert write_whole(tmp_path / "a", b"first", exclusive=True)
    assert not write_whole(tmp_path / "a", b"second", exclusive=True)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_sync_folders_is_written_all_the_same(tmp_path: Path, monkeypatch, number) -> None:
    """As some that are mounted through FUSE or SMB; a folder's names are then as safe as that system makes them."""
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    assert write_whole(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert not sync_folder(tmp_path)


def test_a_folder_that_a_broken_disk_does_not_sync_is_an_error(tmp_path: Path, monkeypatch) -> None:
    assert sync_folder(tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)
