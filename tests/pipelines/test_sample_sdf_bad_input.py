"""Every line of "Bad input": one report line with status and reason, exit code 3, everything else done."""

import re
import resource
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.shards import open_dataset
from tests.pipelines.test_sample_sdf import BOX_FACES, FEW, report, shapetool, write_box
from tests.rights import heed_permissions

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def text(content: str, name: str = "bad.obj") -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def header_bomb(folder: Path) -> None:
    (folder / "bad.stl").write_bytes(b"x" * 80 + struct.pack("<I", 0xFFFFFFFF) + b"\0" * 50)


def archive_bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "bad.stl.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.stl", b"x" * 80 + struct.pack("<I", 800_000) + b"\0" * (50 * 800_000))


def link_out(folder: Path) -> None:
    write_box(folder.parents[1] / "outside/secret.obj")
    (folder / "bad.obj").symlink_to(folder.parents[1] / "outside/secret.obj")


def broken_link(folder: Path) -> None:
    (folder / "bad.obj").symlink_to(folder / "gone.obj")


def every_face_twice(folder: Path) -> None:
    write_box(folder / "bad.obj", extra="\n".join(f"f {' '.join(face.split()[::-1])}" for face in BOX_FACES))


BAD = {
    "empty file": (text(""), "empty|no "),
    "not a mesh": (text("\x00\x01 this is no mesh", "bad.ply"), "bad.ply"),
    "no faces": (text(TRIANGLE), "face"),
    "NaN vertex": (text(TRIANGLE.replace("1 0 0", "nan 0 0") + "f 1 2 3\n"), "finite|number"),
    "infinite vertex": (text(TRIANGLE.replace("1 0 0", "inf 0 0") + "f 1 2 3\n"), "finite|number"),
    "index out of range": (text(TRIANGLE + "f 1 2 9\n"), "3 vertices"),
    "zero area": (text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"), "area"),
    "header that promises more": (header_bomb, "4294967295|promises|header"),
    "OFF header that promises more": (text("OFF\n4000000000 4000000000 0\n0 0 0\n", "bad.off"), "4000000000|promises"),
    "archive bomb": (archive_bomb, "zip|archive|unpack"),
    "link that leaves the root": (link_out, "leaves the input root"),
    "broken link": (broken_link, "cannot be read"),
    "name with dots": (lambda folder: write_box(folder / "a..b.obj"), r"'\.\.'"),
    "name with newline": (lambda folder: write_box(folder / "a\nb.obj"), "newline"),
    "name with markup": (lambda folder: write_box(folder / "[red]a.obj"), r"\[red\]"),
    "every face twice": (every_face_twice, "--sign|repair|Close"),
    "flat sheet": (text(TRIANGLE + "f 1 2 3\n"), "--sign|repair|Close"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with every bad input beside a good one, after one run; and what the run said."""
    folder = tmp_path_factory.mktemp("bad")
    write_box(folder / "in/good.obj")
    for number, (make, _) in enumerate(BAD.values()):
        (folder / f"in/{number:02d}").mkdir()
        make(folder / f"in/{number:02d}")
    done = shapetool("sample-sdf", "in", "out.h5", *FEW, expect=3, cwd=folder)
    return folder, done.stderr


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_with_status_and_reason(finished: tuple[Path, str], case: str) -> None:
    number = f"{list(BAD).index(case):02d}/"
    lines = [line for name, line in report(finished[0] / "out.h5.report.jsonl").items() if name.startswith(number)]
    assert len(lines) == 1
    assert lines[0]["status"] in ("invalid", "failed")
    assert re.search(BAD[case][1], lines[0]["error"]), lines[0]["error"]


def test_bad_input_keeps_nothing_else_from_being_done(finished: tuple[Path, str]) -> None:
    lines = report(finished[0] / "out.h5.report.jsonl")
    assert len(lines) == len(BAD) + 1
    assert lines["good"]["status"] == "ok"
    dataset = open_dataset(finished[0] / "out.h5")
    assert list(dataset.shape_ids) == ["good"]
    assert np.isfinite(dataset[0]["distances"]).all()


def test_bad_input_is_printed_one_line_each_with_names_that_cannot_move_the_cursor(finished: tuple[Path, str]) -> None:
    said = finished[1].splitlines()
    assert len(said) == len(BAD) + 1
    assert sum("[red]a" in line for line in said) == 1
    assert sum("a\\nb" in line for line in said) == 1
    assert all(character.isprintable() for line in said for character in line)


@pytest.fixture
def one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Calls the command in the test's folder, where it must refuse with one line, and hands that line over."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        capsys.readouterr()
        assert main(["sample-sdf", *map(str, words)]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert said.err.startswith("shapetool: error: ")
        return said.err

    return call


def test_no_input_at_all_is_refused(tmp_path: Path, one_line: Callable[..., str]) -> None:
    (tmp_path / "in").mkdir()
    assert "at least one mesh file" in one_line("in", "out.h5")
    assert "no such file" in one_line("missing.obj", "out.h5")
    assert not (tmp_path / "out.h5.partial").exists()


def test_words_that_mean_nothing_are_refused(tmp_path: Path, one_line: Callable[..., str]) -> None:
    write_box(tmp_path / "box.obj")
    assert "did you mean 'deepsdf-code'" in one_line("box.obj", "o.h5", "--recipe", "deepsdf-cod")
    assert "settings of --sign flood" in one_line("box.obj", "o.h5", "--set", "flood_gap=0.1")
    assert "gpu extra" in one_line("box.obj", "o.h5", "--backend", "warp")
    assert "gpu extra" in one_line("box.obj", "o.h5", "--device", "cuda")
    assert "auto or cpu" in one_line("box.obj", "o.h5", "--device", "tpu")
    assert "want --engine dask" in one_line("box.obj", "o.h5", "--dask", "local")
    assert "local or dask" in one_line("box.obj", "o.h5", "--engine", "slurm")
    assert "by parity" in one_line("box.obj", "o.h5", "--backend", "pysdf", "--sign", "winding")
    assert "--item-memory" in one_line("box.obj", "o.h5", "--item-memory", "lots")
    assert "--retry" in one_line("box.obj", "o.h5", "--retry", "everything")
    assert "--shard" in one_line("box.obj", "o", "--shard", "3/3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box.obj"]


def test_an_output_with_other_settings_is_refused_and_the_difference_named(
    tmp_path: Path, one_line: Callable[..., str]
) -> None:
    write_box(tmp_path / "box.obj")
    for out in ("out.h5", "out"):
        assert main(["sample-sdf", "box.obj", out, *FEW]) == 0
        said = one_line("box.obj", out, "--count", 700, "--surface-count", 40)
        assert "count 600 -> 700" in said
        assert "surface_count" not in said
        assert "--overwrite" in said


def test_a_refusal_is_one_line_though_files_of_the_folder_are_passed_over(
    tmp_path: Path, one_line: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_box(tmp_path / "in/box.obj")
    (tmp_path / "in/notes.txt").write_text("no mesh")
    assert main(["sample-sdf", "in", "out.h5", *FEW]) == 0
    assert "1 file passed over" in capsys.readouterr().err
    assert "seed 0 -> 1" in one_line("in", "out.h5", *FEW, "--seed", 1)


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path: Path, one_line: Callable[..., str]) -> None:
    write_box(tmp_path / "box.obj")
    for out in ("box.obj/out.h5", "box.obj/out"):
        assert "can be written" in one_line("box.obj", out, *FEW)


@pytest.fixture
def permissions(tmp_path: Path) -> Iterator[Path]:
    """The test's folder; no program started with `heed_permissions` can write to the empty folder `locked` in it."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    write = [sys.executable, "-c", "open('locked/x', 'w')"]
    if (
        subprocess.run(write, check=False, capture_output=True, cwd=tmp_path, preexec_fn=heed_permissions).returncode
        == 0
    ):
        pytest.skip("root cannot give up its right to write everywhere here")
    yield tmp_path
    locked.chmod(0o755)


@pytest.mark.parametrize(
    "words",
    [
        ("sample-sdf", "box.obj", "locked/out.h5", *FEW),
        ("sample-sdf", "box.obj", "locked/out", *FEW),
        ("make-shapes", "box", "locked"),
        ("make-shapes", "box", "locked/shapes"),
        ("merge", "set", "locked/all.h5"),
    ],
    ids=lambda words: f"{words[0]} {words[2]}",
)
def test_a_read_only_folder_is_one_line_and_exit_1(permissions: Path, words: tuple[str, ...]) -> None:
    write_box(permissions / "box.obj")
    if words[0] == "merge":
        shapetool("sample-sdf", "box.obj", "set", *FEW, expect=0, cwd=permissions)
    done = shapetool(*words, expect=1, cwd=permissions, preexec_fn=heed_permissions)
    assert done.stderr.startswith(f"shapetool: error: {words[2]}: expected a place that can be written, but")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list((permissions / "locked").iterdir()) == []


def test_what_is_finished_in_a_read_only_folder_needs_no_writing(permissions: Path) -> None:
    write_box(permissions / "box.obj")
    (permissions / "locked").chmod(0o755)
    for out in ("locked/out.h5", "locked/out"):
        shapetool("sample-sdf", "box.obj", out, *FEW, expect=0, cwd=permissions)
    for path in (permissions / "locked", *(permissions / "locked").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for out in ("locked/out.h5", "locked/out"):
        done = shapetool("sample-sdf", "box.obj", out, *FEW, expect=0, cwd=permissions, preexec_fn=heed_permissions)
        assert "nothing left to do" in done.stderr
    for path in (permissions / "locked").rglob("*"):
        path.chmod(0o755)


def test_a_mesh_that_may_not_be_read_costs_itself_and_is_done_when_it_may(permissions: Path) -> None:
    for name in ("good", "bad"):
        write_box(permissions / f"in/{name}.obj")
    (permissions / "in/bad.obj").chmod(0)
    shapetool("sample-sdf", "in", "out", *FEW, expect=3, cwd=permissions, preexec_fn=heed_permissions)
    lines = report(permissions / "out/report.jsonl")
    assert {name: line["status"] for name, line in lines.items()} == {"good": "ok", "bad": "failed"}
    assert "Permission denied" in lines["bad"]["error"]
    (permissions / "in/bad.obj").chmod(0o644)
    shapetool("sample-sdf", "in", "out", *FEW, "--retry", "failed", expect=0, cwd=permissions)
    assert list(open_dataset(permissions / "out").shape_ids) == ["bad", "good"]


@pytest.mark.parametrize("name", ["secret.obj", "secret.h5"])
def test_a_path_that_may_not_be_read_is_one_line_and_exit_74(permissions: Path, name: str) -> None:
    write_box(permissions / name)
    (permissions / name).chmod(0)
    done = shapetool("info", name, expect=74, cwd=permissions, preexec_fn=heed_permissions)
    assert name in done.stderr
    assert "Permission denied" in done.stderr
    assert done.stderr.count("\n") == 1


def small_files_only() -> None:
    """A stand-in for a full disk that needs no root: no file may grow beyond a few kilobytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.parametrize("out", ["out.h5", "out"])
def test_a_full_disk_is_exit_74_without_half_a_file_and_a_rerun_completes(tmp_path: Path, out: str) -> None:
    for number in range(3):
        write_box(tmp_path / f"in/box{number}.obj", size=1 + number)
    shapetool("sample-sdf", "in", f"truth-{out}", *FEW, expect=0, cwd=tmp_path)
    done = shapetool("sample-sdf", "in", out, *FEW, expect=74, cwd=tmp_path, preexec_fn=small_files_only)
    assert "File too large" in done.stderr
    assert not [path for path in tmp_path.rglob("*.h5") if "truth" not in str(path) and path.is_file()]
    assert not list(tmp_path.rglob("*.tmp"))
    shapetool("sample-sdf", "in", out, *FEW, expect=0, cwd=tmp_path)
    made, truth = (tmp_path / name / "shard-00000.h5" for name in (out, f"truth-{out}"))
    if out.endswith(".h5"):
        made, truth = made.parent, truth.parent
    assert made.read_bytes() == truth.read_bytes()
