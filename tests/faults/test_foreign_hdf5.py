"""HDF5 files of others: bytes from elsewhere, promises without bytes, and damage; refused, and the parent lives."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shapetool.data.formats import load_format
from shapetool.errors import DataError
from tests.faults.commands import REPOSITORY

Put = Callable[[h5py.File, str, np.ndarray, Path], object]


def external(path: str) -> Put:
    """A dataset whose bytes lie in another file."""
    return lambda file, name, data, folder: file.create_dataset(
        name, data.shape, data.dtype, external=[(path.format(folder=folder), 0, h5py.h5f.UNLIMITED)]
    )


def virtual(path: str) -> Put:
    """A dataset that is a view of one in another file."""

    def put(file: h5py.File, name: str, data: np.ndarray, folder: Path) -> None:
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[...] = h5py.VirtualSource(path.format(folder=folder), name, data.shape)
        file.create_virtual_dataset(name, layout)

    return put


def chain(file: h5py.File, name: str, data: np.ndarray, folder: Path) -> None:
    """A link to a link to another file."""
    file["first"] = h5py.SoftLink("/second")
    file["second"] = h5py.ExternalLink(str(folder / "whole.h5"), name)
    file[name] = h5py.SoftLink("/first")


def promised(file: h5py.File, name: str, data: np.ndarray, folder: Path, *, chunks: bool) -> None:
    """A dataset of terabytes of which not a byte is in the file."""
    shape = (1 << 34, *data.shape[1:])
    kept = {"chunks": (1 << 16, *data.shape[1:])} if chunks else {}
    file.create_dataset(name, shape, data.dtype, **kept)


def bent(file: h5py.File, name: str, data: np.ndarray, folder: Path, kind: Any) -> None:
    """A dataset of a type that no column has."""
    file.create_dataset(name, (len(data),), kind)


HOSTILE: dict[str, Put] = {
    "external storage of /etc/passwd": external("/etc/passwd"),
    "external storage beside": external("secret"),
    "external storage above": external("../secret"),
    "external storage of a device": external("/dev/zero"),
    "external link": lambda file, name, data, folder: file.__setitem__(
        name, h5py.ExternalLink(str(folder / "whole.h5"), name)
    ),
    "soft link": lambda file, name, data, folder: file.__setitem__(name, h5py.SoftLink("/scale")),
    "chain of links": chain,
    "view of an absolute path": virtual("{folder}/whole.h5"),
    "view of a path above": virtual("../whole.h5"),
    "view of itself": virtual("."),
    "terabytes without a byte": lambda *given: promised(*given, chunks=False),
    "terabytes of chunks without a byte": lambda *given: promised(*given, chunks=True),
    "records": lambda *given: bent(*given, np.dtype([("a", "f4"), ("b", "S100")])),
    "lists of any length": lambda *given: bent(*given, h5py.vlen_dtype(np.dtype("f4"))),
    "references": lambda *given: bent(*given, h5py.ref_dtype),
    "opaque": lambda *given: bent(*given, np.dtype("V1000")),
    "a group": lambda file, name, data, folder: file.create_group(name),
}
READING = ("info", "verify", "eval", "split", "convert", "merge", "train")


def replaced(source: Path, out: Path, name: str, put: Put, folder: Path) -> Path:
    """A copy of an HDF5 file in which one dataset was replaced, as a stranger would."""
    out.write_bytes(source.read_bytes())
    with h5py.File(out, "r+") as file:
        file.attrs.pop("digest", None)
        data = file[name][...]
        del file[name]
        put(file, name, data, folder)
    return out


def words_for(command: str, path: Path, out: Path) -> list[object]:
    more: dict[str, list[object]] = {
        "info": [path],
        "verify": [path],
        "eval": [path, path, "--samples", 50, "-j", 1],
        "split": [path, "--out", out / "lists"],
        "convert": [path, out / "deepsdf", "--to", "deepsdf"],
        "merge": [path.parent, out / "merged.h5"],
        "train": ["deepsdf", path, out / "run", "--steps", 1, "--device", "cpu"],
    }
    return [command, *more[command]]


EVERY = """
import json, resource, sys
from shapetool.cli.app import main
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
for words in json.load(sys.stdin):
    print("ended", main(words), flush=True)
    print("end of", *words, file=sys.stderr, flush=True)
"""


def test_a_shard_that_reaches_out_or_promises_too_much_is_refused_by_every_command(
    sampled: Path, tmp_path: Path, times: Callable[[int, int], int], record: Any
) -> None:
    (tmp_path / "secret").write_bytes(b"secret bytes " * 100_000)
    (tmp_path / "whole.h5").write_bytes(sampled.read_bytes())
    asked, columns = [], ("points", "shape_id", "distances")[: times(1, 3)]
    for number, (case, put) in enumerate(HOSTILE.items()):
        for column in columns:
            folder = tmp_path / f"{number}-{column}"
            folder.mkdir()
            path = replaced(sampled, folder / "shard-00000.h5", column, put, tmp_path)
            commands = READING if case in ("external link", "terabytes without a byte") else READING[: times(2, 7)]
            asked += [list(map(str, words_for(command, path, folder))) for command in commands]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", EVERY]
    done = subprocess.run(
        command,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    codes = [line.removeprefix("ended ") for line in done.stdout.splitlines() if line.startswith("ended ")]
    assert codes == ["1"] * len(asked), [words for words, code in zip(asked, codes, strict=False) if code != "1"]
    assert "secret bytes" not in done.stdout + done.stderr
    assert "root:" not in done.stdout + done.stderr
    assert "defect" not in done.stderr, [line for line in done.stderr.splitlines() if "defect" in line]
    assert "Traceback" not in done.stderr
    record(18, part="shards", files=len(HOSTILE) * len(columns), commands=len(asked), refused=len(codes))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_of_another_layout_that_does_is_refused(case: str, tmp_path: Path, record: Any) -> None:
    from tests.data.formats.foreign import sphere_row

    module = load_format("disn")
    module.write(tmp_path, sphere_row("chair/a", "sdf"))
    path = module.find(tmp_path)[0][1]
    (tmp_path / "whole.h5").write_bytes(path.read_bytes())
    (path.parent / "secret").write_bytes(bytes(100_000))
    replaced(tmp_path / "whole.h5", path, "pc_sdf_sample", HOSTILE[case], tmp_path)
    for ask in (module.sizes, module.read):
        with pytest.raises(DataError, match="pc_sdf_sample"):
            ask(path, tmp_path)
    record(18, part="other layouts", case=case, refused=True)


def mutated(whole: bytes, rng: np.random.Generator) -> bytes:
    """The file with some of its bytes changed, zeroed, doubled or cut; most often in its first kilobytes."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 6))):
        top = len(data) if rng.random() < 0.3 else min(len(data), 6000)
        at, length = int(rng.integers(8, top)), int(rng.integers(1, 16))
        match int(rng.integers(5)):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at : at + length] = bytes(length)
            case 2:
                data[at : at + length] = b"\xff" * length
            case 3:
                data[at : at + length] = data[at + 64 : at + 64 + length]
            case 4:
                del data[max(at, len(data) // 2) :]
    return bytes(data)


def classic(whole: Path, out: Path) -> Path:
    """The same shard as older libraries write it: without checksums of what describes it, so that damage gets far."""
    with h5py.File(whole) as source, h5py.File(out, "w", libver="earliest") as file:
        for name, value in source.attrs.items():
            if name != "digest":
                file.attrs[name] = value
        for name, dataset in source.items():
            if name != "sha256":
                file.create_dataset(name, data=dataset[:], compression="gzip" if dataset.ndim > 1 else None)
    return out


def test_damaged_files_never_take_their_reader_along(
    sampled: Path, tmp_path: Path, times: Callable[[int, int], int], record: Any
) -> None:
    seeds = [sampled.read_bytes(), classic(sampled, tmp_path / "classic.h5").read_bytes()]
    rng, ends = np.random.default_rng(18), {"refused": 0, "read": 0, "died": 0}
    count = times(40, 200)
    for number in range(count):
        (tmp_path / "set").mkdir(exist_ok=True)
        path = tmp_path / f"set/{number:03d}.h5"
        path.write_bytes(mutated(seeds[number % 2], rng))
    code = (
        "import sys; from shapetool.cli.app import main\nfor path in sys.argv[1:]: print(main(['verify', path, '-q']))"
    )
    paths = sorted(map(str, (tmp_path / "set").iterdir()))
    while paths:
        done = subprocess.run(
            [sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=300, check=False,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        codes = [line for line in done.stdout.splitlines() if line.isdigit()]
        assert "Traceback" not in done.stderr
        assert "defect" not in done.stderr, [line for line in done.stderr.splitlines() if "defect" in line]
        assert set(codes) <= {"0", "1", "74"}
        ends["read"] += codes.count("0")
        ends["refused"] += len(codes) - codes.count("0")
        died = done.returncode != 0  # of a signal, in the library that reads HDF5
        ends["died"] += died
        paths = paths[len(codes) + died :]
    assert ends["refused"] > count // 2, ends
    record(18, part="damaged", files=count, **ends)
    assert ends["died"] == 0, ends
