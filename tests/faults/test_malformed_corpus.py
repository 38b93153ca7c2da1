"""Every malformed file that was written by hand, through one run: its status, and a reason that says what is wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bombs import doubling
from tests.geometry.malformed import BAD, changed
from tests.geometry.mesh_files import CUBE_FACES, CUBE_VERTICES, CUBES, gltf_tree, obj_text, stl_bytes, write

SHEET = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 4 3\n"
FOLDED = SHEET + "f 3 2 1\nf 3 4 2\n"
FAR = gltf_tree(nodes=[{"mesh": 0, "scale": [1e200, 1e200, 1e200]}])


def uri(name: str) -> dict:
    return changed(gltf_tree(), "buffers", 0, "uri", to=name)


# Beside what the loader refuses: (content, status, what the reason or, where it is ok, a warning says).
MORE: dict[str, tuple[str | bytes | dict, str, str]] = {
    "passwd.gltf": (uri("/etc/passwd"), "invalid", "beside the mesh.*not opened"),
    "up.gltf": (uri("../../../secret.bin"), "invalid", "cannot be found|below"),
    "zero.gltf": (uri("/dev/zero"), "invalid", "beside the mesh.*not opened"),
    "http.gltf": (uri("http://127.0.0.1:9/a.bin"), "invalid", "beside the mesh.*not opened"),
    "lost.gltf": (uri("lost.bin"), "invalid", r"lost\.bin.*(No such file|cannot be found)"),
    "doubling.gltf": (doubling(40), "invalid", "reached twice"),
    "far.gltf": (FAR, "invalid", "finite"),
    "sheet.obj": (SHEET, "invalid", "none"),
    "folded.obj": (FOLDED, "invalid", "encloses nothing"),
    "lines.obj": ("v 0 0 0\nv 1 0 0\nl 1 2\n", "invalid", "at least one face"),
    "utf16.obj": (obj_text().encode("utf-16"), "invalid", "line 1|face"),
    "gzip.obj": (b"\x1f\x8b\x08\x00" + bytes(60), "invalid", "gzip"),
    "archive.obj": (b"PK\x03\x04" + bytes(60), "invalid", "zip archive under another name"),
    "hdf.ply": (b"\x89HDF\r\n\x1a\n" + bytes(60), "invalid", "HDF5"),
    "jpeg.glb": (b"\xff\xd8\xff\xe0" + bytes(60), "invalid", "JPEG"),
    "pdf.off": (b"%PDF-1.7\n", "invalid", "PDF"),
    "glb.gltf.zip": (b"PK\x05\x06" + bytes(18), "invalid", "exactly one mesh, found 0"),
    "entities.3mf": (b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "invalid", "zip"),
    "nothing.dae": ("<COLLADA/>", "invalid", "trimesh cannot|face"),
    "turned.obj": (obj_text(faces=CUBE_FACES[:, ::-1]), "ok", "inside out"),
    "twice.obj": (obj_text(faces=[*CUBE_FACES, CUBE_FACES[0]]), "ok", "duplicate"),
    "flat.stl": (stl_bytes(faces=[*CUBE_FACES, [0, 0, 1]]), "ok", "degenerate"),
    "spare.obj": (obj_text() + "v 9 9 9\n", "ok", "unreferenced"),
    "huge.off": (str(CUBES["a.off"]) + "behind the end\n", "ok", "left out"),
}
ODD = {
    # What lies there is no plain file, or may not be followed: (status, reason).
    "pipe.obj": ("invalid", "plain file|regular file"),
    "outside.obj": ("invalid", "leaves the input root"),
    "device.obj": ("invalid", "leaves the input root|regular file"),
    "circle.obj": ("invalid|failed", "."),
    "sparse.stl": ("invalid", "at most 2147483648 bytes"),
    "a..b.obj": ("invalid", r"\.\."),
    "new\nline.obj": ("invalid", "."),
    "[red]x.obj": ("invalid", "."),
}


def write_odd(folder: Path) -> None:
    os.mkfifo(folder / "pipe.obj")
    write(folder.parent, "secret.obj", obj_text())
    (folder / "outside.obj").symlink_to(folder.parent / "secret.obj")
    (folder / "device.obj").symlink_to("/dev/zero")
    (folder / "circle.obj").symlink_to("circle.obj")
    with (folder / "sparse.stl").open("wb") as file:
        file.truncate(3 << 30)
    for name in ("a..b.obj", "new\nline.obj", "[red]x.obj"):
        write(folder, name, obj_text(CUBE_VERTICES * 2))


def wrong(line: dict[str, Any], status: str, reason: str) -> str | None:
    said = line["error"] if line["status"] != "ok" else " ".join(line["warnings"])
    if not re.fullmatch(status, line["status"]) or not re.search(reason, said or "", re.DOTALL):
        return f"{line['source']!r}: expected {status} and {reason!r}, found {line['status']}: {said}"
    return None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_each_malformed_file_has_its_status_and_reason_in_the_report_of_a_run(tmp_path: Path, record) -> None:
    folder = tmp_path / "in"
    expected = {name: ("invalid", reason) for name, (_, reason) in BAD.items()}
    for name, (content, _) in BAD.items():
        write(folder, name, content)
    for name, (content, status, reason) in MORE.items():
        assert name not in expected
        write(folder, name, content)
        expected[name] = (status, reason)
    write_odd(folder)
    expected |= ODD
    write(folder, "good.obj", obj_text())
    words = ["sample-sdf", str(folder), str(tmp_path / "out"), "--count", "1000", "--surface-count", "10", "-j", "2"]
    words += ["--item-timeout", "60", "--item-memory", "1G", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "shapetool", *words], capture_output=True, text=True, check=False, timeout=280
    )
    assert (done.returncode, done.stderr) == (3, "")
    lines = [json.loads(line) for line in (tmp_path / "out/report.jsonl").read_text().splitlines()]
    found = {line["source"]: line for line in lines}
    assert len(found) == len(lines)
    assert set(found) == {*expected, "good.obj"}
    assert found["good.obj"]["status"] == "ok"
    problems = [said for name, (status, reason) in expected.items() if (said := wrong(found[name], status, reason))]
    assert not problems, "\n".join(problems)
    assert all("\n" not in (line["error"] or "") for line in lines)
    assert len(expected) >= 42
    statuses = [found[name]["status"] for name in expected]
    record(13, files=len(expected), **{status: statuses.count(status) for status in sorted(set(statuses))})
