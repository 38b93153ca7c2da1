"""A job whose records are files: what lies where, what a rerun does, and that an item costs only itself."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.runner.items import Item, collect
from shapetool.runner.job import FileJob, Job, Options, Record, Summary
from shapetool.runner.run import run_job
from tests.runner.runner_fakes import FakeJob, misbehave

GOOD = {"a": "shape a", "deep/b": "shape b", "deep/c": "shape c", "d": "shape d"}


@dataclass(frozen=True)
class FakeFiles:
    """Makes a text file of a text file."""

    suffix: str = "txt"
    seed: int = 0
    word: str = "seen"
    kind: str = "text"
    bytes_per_shape: int = 100
    preload: tuple[str, ...] = ("tests.runner.test_files_of_their_own",)

    @property
    def settings(self) -> dict[str, Any]:
        return {"word": self.word}

    def __call__(self, item: Item, threads: int) -> Record:
        text = item.path.read_text().strip()
        misbehave(text, item)
        content = f"{self.word} {text}\n".encode()
        return Record({"content": np.frombuffer(content, np.uint8)}, {"n_faces": len(text), "warnings": []})


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name, text in GOOD.items():
        (folder / f"{name}.obj").write_text(text)
    return folder


def do(folder: Path, out: Path, job: FakeFiles | None = None, **options: Any) -> Summary:
    found = collect([str(folder)], {".obj"}).items
    return run_job(job or FakeFiles(), found, out, Options(**{"workers": 2, "item_timeout": 20.0, **options}))


def made(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.rglob("*.txt"))
    }


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]


def test_a_job_of_files_is_told_from_one_of_rows():
    assert isinstance(FakeFiles(), FileJob)
    assert isinstance(FakeFiles(), Job)
    assert not isinstance(FakeJob(), FileJob)


def test_each_item_becomes_a_file_at_its_own_place(inputs, tmp_path):
    out = tmp_path / "out"
    summary = do(inputs, out)
    assert (summary.exit_code, summary.total, summary.counts["ok"]) == (0, 4, 4)
    assert list(made(out)) == ["a.txt", "d.txt", "deep/b.txt", "deep/c.txt"]
    assert (out / "deep/b.txt").read_text() == "seen shape b\n"
    assert [(line["id"], line["n_faces"]) for line in lines(out)] == [(name, 7) for name in sorted(GOOD)]


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("invalid", "invalid", "no faces"),
        ("raise", "failed", "KeyError"),
        ("segfault", "crashed", "SIGSEGV"),
        ("memory", "oom", "out of memory"),
        ("hang", "timeout", "took longer than 2 s"),
    ],
)
def test_an_item_that_misbehaves_has_no_file_and_costs_only_itself(inputs, tmp_path, text, status, reason):
    (inputs / "bad.obj").write_text(text)
    out = tmp_path / "out"
    assert do(inputs, out, item_timeout=2.0).exit_code == 3
    found = {line["id"]: line for line in lines(out)}
    assert found["bad"]["status"] == status
    assert reason in found["bad"]["error"]
    assert list(made(out)) == ["a.txt", "d.txt", "deep/b.txt", "deep/c.txt"]


def test_a_rerun_does_nothing_then_what_is_gone_then_what_retry_names(inputs, tmp_path):
    (inputs / "bad.obj").write_text("invalid")
    out = tmp_path / "out"
    do(inputs, out)
    before, report = made(out), (out / "report.jsonl").read_bytes()
    again = do(inputs, out)
    assert (again.done_now, again.shards, again.exit_code) == (0, 0, 3)
    (out / "deep/b.txt").unlink()
    assert do(inputs, out).done_now == 1
    assert made(out) == before
    assert do(inputs, out, retry="all").done_now == 1
    assert [line["id"] for line in lines(out)] == [json.loads(line)["id"] for line in report.splitlines()]


def test_no_byte_depends_on_workers_or_parts(inputs, tmp_path):
    do(inputs, tmp_path / "one", workers=1)
    do(inputs, tmp_path / "two", workers=2)
    for part in (1, 0):
        do(inputs, tmp_path / "parts", shard=(part, 2))
    assert made(tmp_path / "one") == made(tmp_path / "two") == made(tmp_path / "parts")
    reports = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in lines(tmp_path / name)]
        for name in ("one", "two", "parts")
    ]
    assert reports[0] == reports[1] == reports[2]


def test_other_settings_are_refused_and_overwrite_takes_the_files_it_made_and_no_others(inputs, tmp_path):
    out = tmp_path / "out"
    do(inputs, out)
    other = dataclasses.replace(FakeFiles(), word="heard")
    with pytest.raises(ConfigError, match="other settings: word"):
        do(inputs, out, other)
    with pytest.raises(ConfigError, match="other settings: suffix"):
        do(inputs, out, dataclasses.replace(FakeFiles(), suffix="dat"))
    (out / "deep/mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"deep/mine\.txt"):
        do(inputs, out, other, overwrite=True)
    (out / "deep/mine.txt").unlink()
    (inputs / "deep/c.obj").unlink()
    do(inputs, out, other, overwrite=True)
    assert list(made(out)) == ["a.txt", "d.txt", "deep/b.txt"]
    assert (out / "a.txt").read_text() == "heard shape a\n"
