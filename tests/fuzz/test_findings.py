"""What fuzzing found stays fixed, and every parser that was written here meets some changed files at each test run."""

import random
import re
import zlib
from pathlib import Path

import pytest

from shapetool.data.shardfile import describe_shard
from shapetool.data.verify import verify
from shapetool.geometry.mesh import load_mesh
from shapetool.pipelines import mesh_folders
from shapetool.render.camera_file import read_cameras
from shapetool.training.runs import open_run
from tests.fuzz import data_targets, hdf5_targets, layout_targets, seeds, training_targets
from tests.fuzz.folders import put
from tests.fuzz.inside import Watch
from tests.fuzz.mutations import mutated
from tests.fuzz.native_text import replayed
from tests.fuzz.run import turns
from tests.fuzz.targets import LAYOUTS, PARSERS, SEEDS, TARGETS, WORDS

pytestmark = pytest.mark.filterwarnings("ignore")  # numpy and Pillow say much about such files
FINDINGS = sorted(path for path in Path(__file__).with_name("findings").glob("*/*") if path.is_file())
MUTATIONS = 200


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_is_refused_or_read_now(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_refuses_or_reads_changed_files_and_nothing_else(name: str) -> None:
    rng, good = random.Random(zlib.crc32(name.encode())), SEEDS[name]()
    for data in good:
        TARGETS[name](data)
    for _ in range(MUTATIONS):
        data = rng.choice(good)
        for _ in range(rng.randint(1, 3)):
            data = mutated(data, rng) if rng.randrange(2) else damaged(data, WORDS[name], rng)
        TARGETS[name](data)


def test_the_kernel_reads_changed_texts_under_sanitizers() -> None:
    rng, good = random.Random(5), SEEDS["native-text"]()
    texts = [damaged(mutated(rng.choice(good), rng), WORDS["native-text"], rng) for _ in range(10 * MUTATIONS)]
    assert replayed(good + texts) == len(good) + len(texts)


def damaged(data: bytes, words: tuple[bytes, ...], rng: random.Random) -> bytes:
    """The data with a byte, a stretch or a word of it changed, doubled or gone."""
    at, length = rng.randrange(len(data) + 1), rng.randint(1, 16)
    new = rng.choice((bytes([rng.randrange(256)]), b"", 2 * data[at : at + length], rng.choice(words or (b"\0",))))
    return data[:at] + new + data[at + length * rng.randrange(2) :]


def test_every_target_has_seeds_and_no_word_is_too_long_for_the_fuzzer() -> None:
    assert set(SEEDS) == set(WORDS) == set(TARGETS)
    assert max(len(word) for words in WORDS.values() for word in words) < 64
    assert {path.parent.name for path in FINDINGS} <= set(TARGETS)
    assert sorted(target for targets in PARSERS.values() for target in targets) == sorted(TARGETS)


def test_a_parser_has_its_time_in_turns_and_goes_on_where_an_earlier_call_ended() -> None:
    assert turns(["a", "b"], 900, {}) == [("a", 600), ("b", 600), ("a", 300), ("b", 300)]
    assert turns(["a", "b"], 900, {"a": 850.5, "b": 900}) == [("a", 49.5)]
    assert turns(["a"], 900, {"a": 950}) == []


@pytest.mark.parametrize("suffix", [".obj", ".off", ".ply", ".stl", ".gltf", ".glb"])
def test_the_seeds_of_meshes_are_meshes(suffix: str) -> None:
    for data in seeds.meshes(suffix):
        assert load_mesh(put("seed-test", f"a{suffix}", data)).area > 0


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_folder_that_is_damaged_is_a_sound_one(name: str) -> None:
    layout_targets.read_all(name, layout_targets.sound(name)[0])


def test_the_other_seeds_are_read() -> None:
    for data in hdf5_targets.shard_seeds():
        assert describe_shard(put("seed-test", "a.h5", data)).shape_ids == ("chair/a",)
    for data in seeds.cameras():
        assert len(read_cameras(put("seed-test", "a.json", data)).pose) == 1
    root, _ = data_targets._sound_folder()
    assert [str(finding) for finding in verify(root)] == []
    assert mesh_folders.verify(data_targets._sound_outputs()[0]) == []
    assert open_run(training_targets._sound_run()[0], "last").step == 3


def test_a_fuzzer_keeps_the_shortest_input_of_each_place_that_raises(tmp_path: Path) -> None:
    def target(data: bytes) -> None:
        if data.startswith(b"x"):
            raise KeyError(data[0])
        assert data != b"no"

    (tmp_path / "findings").mkdir()
    watch = Watch(target, tmp_path, 60)
    for data in (b"good", b"xyz", b"x", b"xx", b"no"):
        watch.one(data)
    kept = {re.sub(r"-\d+$", "", path.name): path.read_bytes() for path in (tmp_path / "findings").iterdir()}
    assert kept == {"KeyError-test_findings-target": b"x", "AssertionError-test_findings-target": b"no"}
