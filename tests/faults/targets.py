"""The runs that are killed and whose calls fail: real ones of one shard, and made-up ones of several."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.faulty_run import REPOSITORY, Ended, Shim, content, state_of, tree

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

    def check_rerun(self, place: Path) -> None:
        """Nothing; fails unless a run that goes on from here ends well and leaves `place` complete.

        What a rerun does follows from what it finds, so of equal states one is enough.
        """
        state = state_of(place)
        if state in self.completed:
            return
        again = self.run(place)
        assert again.code == self.ended.code, f"the rerun ended with {again.code}: {again.errors}"
        self.check_complete(place)
        self.completed.add(state)


def undisturbed(shim: Shim, inputs: Path, name: str, place: Path) -> Target:
    """The target of this name, after it has run once in `place`."""
    words, out = (TARGETS | LONGER)[name]
    place.mkdir()
    ended = shim.run(words(inputs, place / out), place)
    assert ended.code in (0, 3), ended.errors
    return Target(shim, inputs, words, out, ended, tree(place))
