"""Shards whose bytes changed on the disk: what was damaged is found and named, or every value is what it was."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from shapetool.data.reading import open_dataset
from shapetool.data.verify import verify
from shapetool.errors import DataError
from shapetool.runner.joining import JoinTask, join_shard
from tests.faults.faulty_run import REPOSITORY, Fault
from tests.faults.targets import make_inputs, undisturbed

SHAPES, POINTS = 6, 3000
PAGE = 4096


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of six generated shapes, made by the command."""
    folder = tmp_path_factory.mktemp("shard")
    python = [sys.executable, "-m", "shapetool"]
    for family in ("bottle", "capsule", "gear"):
        words = ["make-shapes", family, str(folder / "meshes" / family), "--count", "2", "--segments", "24", "-q"]
        subprocess.run([*python, *words], cwd=REPOSITORY, check=True)
    words = ["sample-sdf", str(folder / "meshes"), str(folder / "s.h5"), "--count", str(POINTS), "-j", "1", "-q"]
    subprocess.run([*python, *words, "--surface-count", "500"], cwd=REPOSITORY, check=True)
    return folder / "s.h5"


def payload(path: Path) -> dict[str, list[tuple[int, int, int]]]:
    """The bytes that hold values: for each column (begin, size, row) of its chunks, as HDF5's own index gives them."""
    places: dict[str, list[tuple[int, int, int]]] = {}
    with h5py.File(path) as file:
        for name, dataset in file.items():
            chunks = (dataset.id.get_chunk_info(k) for k in range(dataset.id.get_num_chunks()))
            places[name] = [(chunk.byte_offset, chunk.size, chunk.chunk_offset[0]) for chunk in chunks]
    return places


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """A context in which one bit of a file is the other."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        before = file.read(1)[0]
        try:
            file.seek(bit // 8)
            file.write(bytes([before ^ 1 << bit % 8]))
            file.flush()
            yield
        finally:
            file.seek(bit // 8)
            file.write(bytes([before]))


def test_every_flipped_bit_of_the_values_is_found_and_its_row_is_named(shard, times, record) -> None:
    chance, tries = random.Random(6), times(60, 1000)
    places = payload(shard)
    large = {name: chunks for name, chunks in places.items() if len({row for _, _, row in chunks}) == SHAPES}
    assert {"points", "distances", "surface_points", "surface_normals"} <= set(large)
    every = [(name, *chunk) for name, chunks in places.items() for chunk in chunks]
    sizes = [size for _, _, size, _ in every]
    found: Counter[str] = Counter()
    missed = []
    for _ in range(tries):
        name, begin, size, row = chance.choices(every, sizes)[0]
        bit = 8 * begin + chance.randrange(8 * size)
        with flipped(shard, bit):
            findings = verify(shard)
        named = any(finding.path == str(shard) for finding in findings)
        if name in large:  # a chunk of a large column is one shape's
            named = any(finding.path == str(shard) and finding.row == row for finding in findings)
        elif named:
            named = any(name in str(finding) or finding.row is not None for finding in findings)
        found[name] += named
        if not named:
            missed.append(f"{name}, row {row}, bit {bit}: {findings}")
    record(6, where="values", flips=tries, found=found.total(), columns=dict(found))
    assert not missed, "\n".join(missed[:20])
    assert not verify(shard)


FLIPS = """
import json, sys
from pathlib import Path
from tests.faults.test_damaged_shards import judged
path, bits = Path(sys.argv[1]), json.loads(sys.argv[2])
for bit in bits:
    print(json.dumps([bit, "begun"]), flush=True)
    print(json.dumps([bit, judged(path, bit)]), flush=True)
"""


def values_of(path: Path) -> str:
    """Everything that a reader gets from a shard, as one word."""
    import hashlib

    digest = hashlib.sha256()
    with open_dataset(path) as dataset:
        digest.update(repr((dataset.kind, dataset.recipe, dataset.seed, dataset.shape_ids, dataset.columns)).encode())
        for row in dataset:
            for name, value in row.items():
                array = np.asarray(value)
                digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def judged(path: Path, bit: int) -> str:
    """`found` if verify sees that this bit is flipped, `refused` if readers do, `harmless` if no value changed."""
    before = values_of(path)
    with flipped(path, bit):
        try:
            if verify(path):
                return "found"
        except DataError:
            return "found"
        try:
            after = values_of(path)
        except DataError:
            return "refused"
    return "harmless" if after == before else "wrong"


def test_a_flipped_bit_anywhere_in_the_file_is_found_or_changes_no_value(shard, times, record) -> None:
    """In a process of its own, for what HDF5 makes of a damaged index might end it."""
    chance, tries = random.Random(66), times(80, 3000)
    inside = {
        byte for chunks in payload(shard).values() for begin, size, _ in chunks for byte in range(begin, begin + size)
    }
    outside = [byte for byte in range(shard.stat().st_size) if byte not in inside]
    whole = [chance.randrange(8 * shard.stat().st_size) for _ in range(tries // 4)]
    bits = [*whole, *(8 * chance.choice(outside) + chance.randrange(8) for _ in range(tries - len(whole)))]
    words = [sys.executable, "-X", "faulthandler", "-c", FLIPS, str(shard), json.dumps(bits)]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=3600, check=False)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, (
        f"ended by {ended.returncode} at bit {lines[-1] if lines else None}: {ended.stderr[-2000:]}"
    )
    ends = Counter(end for _, end in lines if end != "begun")
    wrong = [bit for bit, end in lines if end == "wrong"]
    record(6, where="anywhere", flips=tries, outside_values=tries - len(whole), **ends)
    assert not wrong
    assert ends.total() == tries


def torn(image: bytes, chance: random.Random) -> bytes:
    """What a file may hold after a power failure: its end, or some of its pages, never came to the disk."""
    if chance.random() < 0.5:
        keep = chance.randrange(len(image))
        return image[:keep] + bytes(len(image) - keep)
    pages = -(-len(image) // PAGE)
    data = bytearray(image)
    for page in chance.sample(range(pages), chance.randint(1, pages)):
        data[page * PAGE : (page + 1) * PAGE] = bytes(len(data[page * PAGE : (page + 1) * PAGE]))
    return bytes(data)


def test_a_shard_whose_pages_did_not_all_reach_the_disk_is_noticed(shard, tmp_path, times, record) -> None:
    chance, tries = random.Random(5), times(60, 1000)
    image, truth = shard.read_bytes(), values_of(shard)
    path, ends = tmp_path / "shard.h5", Counter()
    while ends.total() < tries:
        damaged = torn(image, chance)
        if damaged == image:  # the rest was zeros anyway
            continue
        path.write_bytes(damaged)
        try:
            open_dataset(path)
        except DataError:
            ends["on opening"] += 1
            continue
        findings = verify(path)
        same = not findings and values_of(path) == truth
        ends["by verify" if findings else "no value changed" if same else "never"] += 1
    record(5, torn=tries, **ends)
    assert not ends["never"]


def test_a_worker_that_joins_a_torn_shard_tells_of_it_and_raises_nothing(shard, tmp_path, times, record) -> None:
    """What a worker raises would be taken for a broken pool, and the step be tried again with new workers."""
    chance, tries, image = random.Random(7), times(40, 500), shard.read_bytes()
    path, ends = tmp_path / "shard-00000.h5", Counter()
    for number in range(tries):
        path.write_bytes(torn(image, chance))
        growing = tmp_path / f"growing{number}"
        result = join_shard(JoinTask(tmp_path / "out.h5", "sdf", growing, path))
        ends[next(iter(result))] += 1
        growing.unlink(missing_ok=True)
    record(5, run="joining torn shards", torn=tries, **ends)
    assert ends["data"] >= tries // 5  # the others have damaged chunks, which travel with their checksums


def hurt(folder: Path, number: int, damage: str, chance: random.Random) -> None:
    """Nothing; what a power failure may leave of a shard that was not waited for, and of the lines of its report."""
    shard, lines = folder / f"shard-{number:05d}.h5", folder / ".shapetool" / f"report-{number:05d}.jsonl"
    for path in {"shard": [shard], "lines": [lines], "both": [shard, lines]}[damage]:
        path.write_bytes(torn(path.read_bytes(), chance))


@pytest.mark.parametrize("damage", ["shard", "lines", "both"])
def test_after_a_power_failure_a_run_into_one_file_makes_torn_shards_again(
    shim, tmp_path, times, record, damage
) -> None:
    """Its shards get their names before they are on the disk, so another start of the machine checks them."""
    target = undisturbed(shim, make_inputs(tmp_path / "inputs"), "four shards joined to one file", tmp_path / "truth")
    last = next(at for at, call in enumerate(target.ended.calls, 1) if call == f"rename {tmp_path / 'truth/out.h5'}")
    chance, tries = random.Random(55), times(1, 20)
    for number in range(tries):
        place = tmp_path / f"run{number}"
        place.mkdir()
        assert target.run(place, fault=Fault(last, "kill")).code == -signal.SIGKILL
        folder = place / "out.h5.partial"
        assert len(list(folder.glob("shard-*.h5"))) == 4
        for shard in chance.sample(range(4), chance.randint(1, 4)):
            hurt(folder, shard, damage, chance)
        (folder / ".shapetool" / "boot").write_text("another start of the machine")
        assert target.run(place).code == target.ended.code
        target.check_complete(place)
    record(5, run="one file after a power failure", damage=damage, tried=tries, wrong=0)
