"""Files of other layouts, shards and run folders whose names lead elsewhere: nothing outside is read or written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shapetool.data.formats import load_format
from shapetool.data.shards import build_shard, publish
from tests.data.formats.foreign import sphere_row, view_row
from tests.faults.commands import REPOSITORY, opened, outsiders, run, sockets, strace
from tests.faults.hostile import secrets
from tests.geometry.mesh_files import obj_text


def frames(**words: str) -> Callable[[Path, Path], None]:
    """Changes what the first frame of a list says."""

    def change(main: Path, outside: Path) -> None:
        document = json.loads(main.read_text())
        document["frames"][0] |= {key: value.format(outside=outside) for key, value in words.items()}
        main.write_text(json.dumps(document))

    return change


def instead(name: str, target: str = "") -> Callable[[Path, Path], None]:
    """Puts a link, or a pipe where there is no target, in the place of a file that lies beside the main one."""

    def change(main: Path, outside: Path) -> None:
        place = main.parent / name
        place.unlink(missing_ok=True)
        if target:
            place.symlink_to(target.format(outside=outside))
        else:
            os.mkfifo(place)

    return change


def text(name: str, content: str) -> Callable[[Path, Path], None]:
    return lambda main, outside: (main.parent / name).write_text(content.format(outside=outside)) and None


OUT = "{outside}/secret.png"
LAYOUTS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "picture above": ("nerfstudio", frames(file_path="../../outside/secret.png")),
    "picture absolute": ("nerfstudio", frames(file_path=OUT)),
    "picture file:": ("nerfstudio", frames(file_path=f"file://{OUT}")),
    "picture http:": ("nerfstudio", frames(file_path="http://127.0.0.1:9/a.png")),
    "picture link": ("nerfstudio", instead("images/00000.png", OUT)),
    "picture pipe": ("nerfstudio", instead("images/00000.png")),
    "picture device": ("nerfstudio", instead("images/00000.png", "/dev/zero")),
    "picture above without ending": ("nerf", frames(file_path="../../outside/secret")),
    "list link": ("nerf", instead("transforms_val.json", "{outside}/secret.json")),
    "list device": ("nerf", instead("transforms_val.json", "/dev/zero")),
    "list pipe": ("nerf", instead("transforms_val.json")),
    "names above": ("r2n2", text("renderings.txt", "../../../outside/secret.png\n" * 3)),
    "names absolute": ("r2n2", text("renderings.txt", f"{OUT}\n" * 3)),
    "names link": ("r2n2", instead("renderings.txt", "{outside}/names.txt")),
    "names pipe": ("r2n2", instead("renderings.txt")),
    "images link": ("neus", instead("image/000.png", OUT)),
    "images pipe": ("neus", instead("image/000.png")),
    "cloud link": ("onet", instead("pointcloud.npz", "{outside}/pointcloud.npz")),
    "cloud pipe": ("onet", instead("pointcloud.npz")),
    "voxels pipe": ("onet", instead("model.binvox")),
    "voxels device": ("onet", instead("model.binvox", "/dev/zero")),
    "factor link": ("vecset", instead("a.npy", "{outside}/a.npy")),
    "factor pipe": ("vecset", instead("a.npy")),
    "samples device": ("disn", instead("ori_sample.h5", "/dev/zero")),
}


def exported(layout: str, root: Path) -> Path:
    """The main file of one shape of a layout."""
    module = load_format(layout)
    module.write(root, view_row("chair/a") if module.KINDS == ("views",) else sphere_row("chair/a", module.KINDS[0]))
    return module.find(root)[0][1]


def whole(folder: Path) -> Path:
    """The secrets, and beside them what each layout would take if it were reached."""
    secrets(folder)
    (folder / "secret.json").write_bytes(exported("nerf", folder / "nerf").read_bytes())
    (folder / "names.txt").write_text("00.png\n01.png\n02.png\n")
    (folder / "pointcloud.npz").write_bytes(exported("onet", folder / "onet").with_name("pointcloud.npz").read_bytes())
    (folder / "a.npy").write_bytes(exported("vecset", folder / "vecset").with_name("a.npy").read_bytes())
    return folder


ALL = """
import json, os, sys
from shapetool.cli.app import main
codes = {}
for name, layout in json.load(sys.stdin).items():
    os.chdir(os.path.join(sys.argv[1], name))
    words = ["convert", "in", "out/x.h5", "--from", layout, "--to", "shards", "-j", "1", "--item-timeout", "20"]
    codes[name] = main(words)
    print(f"end of {name}", file=sys.stderr)
print(json.dumps(codes))
"""


def test_layouts_that_name_files_elsewhere_are_refused_at_once(tmp_path: Path, record: Any) -> None:
    outside = whole(tmp_path / "outside")
    for name, (layout, change) in LAYOUTS.items():
        change(exported(layout, tmp_path / name / "in"), outside)
        (tmp_path / name / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    before = strace(tmp_path / "trace", "open,openat,openat2,creat,socket,connect")
    given = json.dumps({name: layout for name, (layout, _) in LAYOUTS.items()})
    done = subprocess.run(
        [*before, sys.executable, "-c", ALL, str(tmp_path)], input=given, capture_output=True, text=True, timeout=240,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path / "tmp")}, cwd=tmp_path, check=True,
    )  # fmt: skip
    codes = json.loads(done.stdout)
    assert {name: code for name, code in codes.items() if code not in (1, 3)} == {}
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    allowed = [place for name in LAYOUTS for place in (tmp_path / name / "in", tmp_path / name / "out")]
    seen = outsiders(tmp_path / "trace", tmp_path, *allowed, tmp_path / "tmp")
    assert seen - {str(tmp_path / name) for name in LAYOUTS} == set()  # where the command itself stands
    assert sockets(tmp_path / "trace") == []
    record(15, part="other layouts", cases=len(LAYOUTS), refused=len(codes), opened_outside=0, sockets=0)


TRAPS = ("../escaped", "/{place}/escaped", "a/../../escaped", "a\nb", "")


def test_ids_of_a_shard_never_become_paths_outside(tmp_path: Path, record: Any) -> None:
    rows = [view_row(trap.format(place=tmp_path), 2, (16, 16)) for trap in (*TRAPS, "good")]
    names = [name for name in rows[0] if name != "recipe"]
    publish(
        tmp_path / "in.h5", build_shard("views", {"name": "x"}, 0, {name: [r[name] for r in rows] for name in names})
    )
    before = sorted(path.name for path in tmp_path.iterdir())
    run("convert", "in.h5", "out", "--to", "cloud", "-j", 1, cwd=tmp_path, expect=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "out"])
    assert [path.name for path in (tmp_path / "out").rglob("*.ply")] == ["good.ply"]
    for layout in ("nerfstudio", "neus", "nerf"):
        done = run("convert", "in.h5", layout, "--to", layout, cwd=tmp_path, expect=None)
        assert done.returncode in (1, 3), done
        made = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
        assert all(name.startswith(("nerfstudio/good/", "neus/good/", "nerf/good/")) for name in made), made
    run("verify", "in.h5", cwd=tmp_path, expect=None)
    record(15, part="ids of a shard", ids=len(TRAPS))


def test_a_folder_of_others_cannot_lead_a_rerun_out_of_it(tmp_path: Path, record: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.obj").write_text(obj_text())
    words = ("repair", "in", "out", "-j", 1)
    run(*words, cwd=tmp_path)
    manifest, report = tmp_path / "out/manifest.jsonl", tmp_path / "out/report.jsonl"
    for trap in ("../escaped", f"{tmp_path}/escaped"):
        for path in (*(tmp_path / "out/.shapetool").glob("report-*"), tmp_path / "out/a.ply"):
            path.unlink(missing_ok=True)
        lines = [json.loads(line) | {"id": trap} for line in manifest.read_text().splitlines()]
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert b"leads out of OUT" in run(*words, cwd=tmp_path, expect=1).stderr
        assert not list(tmp_path.glob("escaped*"))
    (tmp_path / "escaped.ply").write_text("a file outside")
    lines = [json.loads(line) | {"id": "../escaped"} for line in report.read_text().splitlines()]
    report.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = strace(tmp_path / "trace", "open,openat,openat2")
    found = run("verify", "out", "--json", cwd=tmp_path, before=before, expect=1)
    assert b"outside the folder" in found.stdout
    assert not any("escaped" in path for path in opened(tmp_path / "trace"))
    record(15, part="manifest and report of a folder", ids=3)
