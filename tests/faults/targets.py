"""The runs that are killed and whose calls fail: real ones of one shard, and made-up ones of several."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.faulty_run import REPOSITORY, Ended, Fault, Shim, content, state_of, tree

Words = Callable[[Path, Path], list[object]]


def sampling(inputs: Path, out: Path) -> list[object]:
    return ["shapetool", "sample-sdf", inputs / "meshes", out, "--count", 200, "-j", 1]


def sampling_more(inputs: Path, out: Path) -> list[object]:
    return ["shapetool", "sample-sdf", inputs / "meshes", out, "--count", 400_000, "-j", 2]


def faking(inputs: Path, out: Path) -> list[object]:
    return ["tests.faults.fake_command", inputs / "fakes", out, 0, 2]


TARGETS: dict[str, tuple[Words, str]] = {
    "sample-sdf into a folder": (sampling, "out"),
    "sample-sdf into one file": (sampling, "out.h5"),
    "four shards in a folder": (faking, "out"),
    "four shards joined to one file": (faking, "out.h5"),
}

LONGER: dict[str, tuple[Words, str]] = {
    "many points into a folder": (sampling_more, "out"),
    "many points into one file": (sampling_more, "out.h5"),
}

TINY = {
    "width": 16,
    "depth": 3,
    "skip": 2,
    "code_size": 4,
    "points": 32,
    "shapes": 4,
    "steps": 4,
    "checkpoint_every": 2,
}


def training(inputs: Path, out: Path) -> list[object]:
    numbers = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    chosen = ["--device", "cpu", "--pictures", 0, "--set", "fit_steps=2", "--set", "fit_points=16"]
    return ["shapetool", "train", "deepsdf", inputs / "set", out, *chosen, *numbers]


def scoring(inputs: Path, out: Path) -> list[object]:
    return ["shapetool", "eval", inputs / "meshes", inputs / "meshes", "--out", out, "--samples", 500, "-j", 1]


def rendering(inputs: Path, out: Path) -> list[object]:
    size = ["--views", 2, "--size", 16, "--layout", "nerf"]
    return ["shapetool", "render-views", inputs / "meshes", out, *size, "-j", 1]


def stacking(inputs: Path, out: Path) -> list[object]:
    return ["shapetool", "convert", inputs / "voxels.h5", out, "--to", "imnet-v1"]


# What other commands write and others rely on; `set` is a data set that `make_set` made, `run` a model trained on it.
COMMANDS: dict[str, tuple[Words, str]] = {
    "make-shapes": (lambda inputs, out: ["shapetool", "make-shapes", "capsule", out, "--count", 3], "out"),
    "convert": (lambda inputs, out: ["shapetool", "convert", inputs / "set", out, "--to", "deepsdf"], "out"),
    "merge": (lambda inputs, out: ["shapetool", "merge", inputs / "set", out], "all.h5"),
    "stacked": (stacking, "out"),
    "split": (lambda inputs, out: ["shapetool", "split", inputs / "set", "--out", out, "--train", 0.5], "lists"),
    "eval": (scoring, "scores"),
    "repair": (lambda inputs, out: ["shapetool", "repair", inputs / "meshes", out, "-j", 1], "out"),
    "render-views": (rendering, "views"),
    "extract": (lambda inputs, out: ["shapetool", "extract", inputs / "run", out, "--resolution", 8], "out"),
    "train": (training, "run"),
}


def make_set(inputs: Path) -> None:
    """Nothing; samples the meshes of `inputs` into a folder and as voxels, and trains a model on the folder."""
    words = ["shapetool", "sample-sdf", inputs / "meshes", inputs / "set", "--count", 300, "-j", 1, "-q"]
    voxels = ["shapetool", "sample-occupancy", inputs / "meshes", inputs / "voxels.h5", "--recipe", "imnet-v1", "-q"]
    for command in (words, voxels, [*training(inputs, inputs / "run"), "-q"]):
        subprocess.run([sys.executable, "-m", *map(str, command)], cwd=REPOSITORY, check=True)


def make_inputs(folder: Path) -> Path:
    """`folder` with three meshes of shapetool's own, and seven files of the made-up job, one of which is no mesh."""
    words = [sys.executable, "-m", "shapetool", "make-shapes", "bottle", folder / "meshes", "--count", 3]
    done = subprocess.run([*map(str, words), "--segments", "24", "-q"], cwd=REPOSITORY, env=os.environ, check=True)
    assert done.returncode == 0
    (folder / "meshes" / "parameters.jsonl").unlink()
    (folder / "fakes").mkdir()
    for number in range(6):
        (folder / "fakes" / f"s{number}.obj").write_text(f"shape {number}")
    (folder / "fakes" / "bad.obj").write_text("invalid")
    return folder


@dataclass(frozen=True)
class Target:
    """A run, and what it leaves behind when nothing interferes."""

    shim: Shim
    inputs: Path
    words: Words
    out: str
    ended: Ended
    truth: dict[str, object]
    completed: set[str] = field(default_factory=set)

    def run(self, place: Path, **more: object) -> Ended:
        """How the run ended, with its OUT in `place`."""
        return self.shim.run(self.words(self.inputs, place / self.out), place, **more)  # type: ignore[arg-type]

    def check_published(self, place: Path) -> int:
        """How many data files have their final names; each is what it is to be in the end."""
        final = [path for path in place.rglob("*.h5") if path.is_file() and not path.name.startswith(".")]
        for path in final:
            name = str(path.relative_to(place))
            if name in self.truth:
                assert content(path) == self.truth[name], f"{name} is not what an undisturbed run makes of it"
        return len(final)

    def check_complete(self, place: Path) -> None:
        """Nothing; fails unless everything is as an undisturbed run leaves it, and nothing lies beside it."""
        found = tree(place)
        assert sorted(found) == sorted(self.truth), f"files {sorted(found)}, not {sorted(self.truth)}"
        other = [name for name in found if found[name] != self.truth[name]]
        assert not other, f"{other} differ from what an undisturbed run makes"

    def check_rerun(self, place: Path, *, always: bool = False) -> None:
        """Nothing; fails unless a run that goes on from here ends well and leaves `place` complete.

        What a rerun does follows from what it finds, so of equal states one is enough, unless it is asked for `always`.
        """
        state = state_of(place)
        if (state in self.completed or tree(place) == self.truth) and not always:
            return
        again = self.run(place)
        assert again.code == self.ended.code, f"the rerun ended with {again.code}: {again.errors}"
        self.check_complete(place)
        self.completed.add(state)


def undisturbed(shim: Shim, inputs: Path, name: str, place: Path) -> Target:
    """The target of this name, after it has run once in `place`."""
    words, out = (TARGETS | LONGER | COMMANDS)[name]
    place.mkdir()
    ended = shim.run(words(inputs, place / out), place)
    assert ended.code in (0, 3), ended.errors
    return Target(shim, inputs, words, out, ended, tree(place))


def ends(
    target: Target, faults: Iterable[Fault], place: Path, once: Callable[[Target, Path, Fault], str]
) -> tuple[Counter[str], list[str]]:
    """How often the target ended how under these faults, by what `once` says of each, and what was wrong with which."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for fault in faults:
        try:
            end = once(target, place / f"run{len(wrong)}", fault)
        except AssertionError as error:
            end = "wrong"
            wrong.append(f"{fault} ({target.ended.calls[fault.at - 1]}): {error}")
        counts[f"{fault.what}{' always' * fault.always} {end}"] += 1
    return counts, wrong
