"""Files that would run code if anything unpickled them, wherever one may lie: nothing runs, and each is refused."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tests.data.formats.foreign import sphere_row
from tests.faults.commands import REPOSITORY, run
from tests.trained import words

YAML = "!!python/object/apply:os.mkdir [harm]\n"


class Bomb:
    """Makes a folder `harm` where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("harm",)


def npz(path: Path, **arrays: Any) -> None:
    """An .npz of these arrays, objects pickled."""
    with path.open("wb") as file:
        np.savez(file, **arrays)


BOMB = np.array([Bomb()], dtype=object)


def dump(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb()))


def opaque(path: Path) -> None:
    """An HDF5 file with a pickle in an opaque dataset and in one of variable-length bytes."""
    with h5py.File(path, "w") as file:
        file["pickled"] = np.void(pickle.dumps(Bomb()))
        file.create_dataset("objects", (1,), h5py.vlen_dtype(np.uint8))[0] = np.frombuffer(
            pickle.dumps(Bomb()), np.uint8
        )
        file.attrs["format"] = "shapetool"
        file.attrs["recipe"] = np.void(pickle.dumps(Bomb()))


def of_layout(name: str, key: str) -> Callable[[Path], None]:
    """A folder of a foreign layout in which an array is pickled objects."""

    def make(path: Path) -> None:
        from shapetool.data.formats import load_format

        module = load_format(name)
        module.write(path, sphere_row("chair/a", module.KINDS[0]))
        main = module.find(path)[0][1]
        with np.load(main) as found:
            arrays = {entry: found[entry] for entry in found.files}
        npz(main, **(arrays | {key: BOMB}))

    return make


def factor(path: Path) -> None:
    """A folder of 3DShape2VecSet whose scale is a pickle under the name of an array."""
    from shapetool.data.formats import load_format

    module = load_format("vecset")
    module.write(path, sphere_row("chair/a", "sdf"))
    dump(module.find(path)[0][1].with_suffix(".npy"))


SHARDS = ("convert", "in", "o.h5", "--to", "shards")
SAMPLED = ("sample-sdf", "good.obj", "set", "--count", "64")
VIEWED = ("render-views", "good.obj", "o.h5", "--cameras", "c.json")
EXTRACTED = ("extract", "run", "o")
# What is made, by which command it is met, and what the refusal says.
CASES: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...], str]] = {
    "npy": ("in/a.npy", lambda path: np.save(path, BOMB), ("eval", "in", "in"), "objects|pickle"),
    "pickle as npy": ("in/a.npy", dump, ("eval", "in", "in"), "array|magic"),
    "npz": ("in/a.npz", lambda path: npz(path, points=BOMB), ("eval", "in", "in"), "pickle"),
    "pickle as npz": ("in/a.npz", dump, ("eval", "in", "in"), "npz"),
    "npz in npz": ("in/a.npz", lambda path: npz(path, points=BOMB, normals=BOMB), ("eval", "in", "in"), "pickle"),
    "h5": ("a.h5", opaque, ("info", "a.h5"), "shapetool|recipe|attribute"),
    "pickle as h5": ("a.h5", dump, ("info", "a.h5"), "HDF5"),
    "deepsdf": ("in", of_layout("deepsdf", "pos"), SHARDS, "pickle"),
    "onet": ("in", of_layout("onet", "points"), SHARDS, "pickle"),
    "vecset": ("in", of_layout("vecset", "vol_points"), SHARDS, "pickle|found none"),
    "scale of vecset": ("in", factor, SHARDS, "array|magic"),
    "pickle as mesh": ("in/a.obj", dump, ("sample-sdf", "in", "o.h5"), "face|line|text|number"),
    "yaml as cameras": (
        "c.json", lambda path: path.write_text(YAML), VIEWED, "JSON",
    ),
    "pickle as cameras": ("c.json", dump, VIEWED, "JSON|cameras"),
    "yaml as options": (
        "c.toml", lambda path: path.write_text(YAML), ("info", "good.obj", "--config", "c.toml"), "TOML",
    ),
    "pickle as list": ("l/train.lst", dump, ("split", "one.h5", "--from", "l/train.lst", "--out", "o"), "list of ids"),
    "checkpoint": ("run/last/model.pt", dump, ("extract", "run", "o", "--checkpoint", "last"), "pickle"),
    "pickle as weights": ("run/best/model.safetensors", dump, EXTRACTED, "safetensors"),
    "torch as weights": (
        "run/best/model.safetensors", lambda path: torch.save({"a": Bomb()}, path), EXTRACTED, "safetensors",
    ),
    "pickle as recipe": ("run/recipe.json", dump, EXTRACTED, "recipe"),
    "pickle as state": ("run/best/state.json", dump, EXTRACTED, "state"),
    "pickle for a run": ("r.pt", dump, ("extract", "r.pt", "o"), "pickle"),
    "pickle as manifest": ("set/manifest.jsonl", dump, SAMPLED, "manifest"),
    "pickle as settings": (
        "set/.shapetool/settings.json", dump, SAMPLED, "settings",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mesh, a shard, a data set and a run, all good."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copy(sampled, folder / "one.h5")
    shutil.copy(next((sampled.parent / "meshes").rglob("*.obj")), folder / "good.obj")
    run("sample-sdf", "good.obj", "set", "--count", 64, cwd=folder)
    run(*words(Path("one.h5"), Path("run"), "-q", steps=2), cwd=folder)
    return folder


ALL = """
import json, os, sys
from shapetool.cli.app import main
for name, words in json.load(sys.stdin).items():
    os.chdir(os.path.join(sys.argv[1], name))
    print("ended", main(words), flush=True)
    print("after", name, file=sys.stderr, flush=True)
"""


def test_no_pickle_is_ever_opened_wherever_it_lies(world: Path, tmp_path: Path, record: Any) -> None:
    asked = {}
    for name, (place, make, command, _) in CASES.items():
        shutil.copytree(world, tmp_path / name)
        (tmp_path / name / place).parent.mkdir(parents=True, exist_ok=True)
        make(tmp_path / name / place)
        asked[name] = [*command, *(["-j", "1"] if command[0] in ("eval", "convert", "sample-sdf") else [])]
    done = subprocess.run(
        [sys.executable, "-c", ALL, str(tmp_path)], input=json.dumps(asked), capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, timeout=300,
    )  # fmt: skip
    codes = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    said, ends = done.stderr.splitlines(), dict(zip(CASES, codes, strict=True))
    for name, (_, _, _, reason) in CASES.items():
        assert ends[name] in ("ended 1", "ended 3"), (name, ends[name], done.stderr)
        end = said.index(f"after {name}")
        told, said = " ".join(said[:end]), said[end + 1 :]
        assert re.search(reason, told), (name, told)
        assert "defect" not in told, (name, told)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("harm"))
    record(17, files=len(CASES), executed=0, refused=len(codes))


def test_the_payload_does_run_where_it_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dump(tmp_path / "a.pkl")
    pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert (tmp_path / "harm").is_dir()


def test_an_npz_that_unpacks_to_far_more_than_it_holds_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        head = tmp_path / "head.npy"
        np.save(head, np.zeros((1 << 20, 3)))
        archive.write(head, "points.npy")
    assert (tmp_path / "in/a.npz").stat().st_size < 10_000
    done = run("eval", "in", "in", "-j", 1, cwd=tmp_path, expect=3)
    assert b"compression" in done.stderr + done.stdout
