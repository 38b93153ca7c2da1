"""What a dataset folder is made from: the frozen list of items, the settings, and which shard holds which items."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from shapetool import __version__
from shapetool.data.atomic import write_whole
from shapetool.data.outside import stays_below
from shapetool.errors import ConfigError, DataError
from shapetool.runner.files import many_objects, to_json_line
from shapetool.runner.items import STATE, Item
from shapetool.runner.job import FileJob, Job, shapes_per_shard

MAX_BYTES = 2 << 30
SMALL_BYTES = 1 << 16
NOWHERE = Path()
NO_PLAIN_FILE = (PermissionError, IsADirectoryError, NotADirectoryError)
HASHED_AT_ONCE = 256
HASHING_THREADS = 4  # on a network file system each waits for an answer most of the time
HASHED_ALONE_SECONDS = 1e-4  # a file: where one takes less, threads would mostly wait for each other
_SETTINGS = {"kind": str, "seed": int, "shapes_per_shard": int, "recipe": dict}  # what every run writes down


@dataclass(frozen=True)
class Layout:
    """Names inside a dataset folder, and the division of the manifest into shards."""

    folder: Path
    items: Sequence[Item]
    per_shard: int
    manifest_sha256: str
    digest: str
    stands_alone: bool = False  # the folder only serves to make one file
    suffix: str | None = None  # each item is a file of its own with this suffix, which is then its shard

    @property
    def shard_count(self) -> int:
        """How many shards the manifest fills."""
        return -(-len(self.items) // self.per_shard)

    def span(self, shard: int) -> range:
        """The rows of the manifest that belong to `shard`."""
        return range(shard * self.per_shard, min(len(self.items), (shard + 1) * self.per_shard))

    def shard_path(self, shard: int) -> Path:
        """The final name of a shard."""
        if self.suffix is not None:
            return self.folder / f"{self.items[shard].id}.{self.suffix}"
        return self.folder / f"shard-{shard:05d}.h5"

    def piece_path(self, shard: int) -> Path:
        """The report lines of a shard; it exists once the shard is published."""
        return self.folder / STATE / f"report-{shard:05d}.jsonl"

    def spool_path(self, index: int) -> Path:
        """Where the finished record of one item waits for its shard."""
        return self.folder / STATE / "spool" / f"{index:08d}"

    def published(self, shard: int) -> bool:
        """Whether nothing is left to do for `shard`: its lines are there, and so is what the good ones stand for."""
        piece = self.piece_path(shard)
        if not piece.exists() or self.shard_path(shard).exists():
            return piece.exists()
        return self.suffix is not None and json.loads(piece.read_bytes())["status"] != "ok"


def begin_folder(folder: Path, job: Job) -> None:
    """None, once `folder` holds the settings of `job`: written now if the folder is new, compared if it is not.

    Raises:
        ConfigError: the folder was made with other settings, or holds something else.
        OSError: the folder cannot be written.
    """
    manifest = folder / "manifest.jsonl"
    if not manifest.exists():
        names = [entry.name for entry in folder.iterdir() if entry.name[0] != "."] if folder.exists() else []
        if names and manifest.name not in names:  # another run may have begun this moment
            raise ConfigError(f"{folder}: expected a new or a dataset folder, found other files. Choose another OUT.")
        (folder / STATE / "spool").mkdir(parents=True, exist_ok=True)
        write_whole(folder / STATE / "settings.json", to_json_line(describe(job)), exclusive=True)
    compare(folder, read_settings(folder), job)


@many_objects()
def open_layout(folder: Path, found: Sequence[Item], job: Job) -> Layout:
    """The layout of a folder that was begun: its list of items is frozen now, or read if it is there.

    Raises:
        DataError: the list is damaged.
        OSError: the folder cannot be written.
    """
    manifest, settings = folder / "manifest.jsonl", folder / STATE / "settings.json"
    if not manifest.exists():
        write_whole(manifest, manifest_text(hashed(found)), exclusive=True)
    text = manifest.read_bytes()
    items = _located(_parse(manifest, text), found)
    digest = hashlib.sha256(settings.read_bytes()).hexdigest()
    per_shard = int(read_settings(folder)["shapes_per_shard"])
    suffix = job.suffix if isinstance(job, FileJob) else None
    return Layout(folder, items, per_shard, hashlib.sha256(text).hexdigest(), digest, suffix=suffix)


def describe(job: Job) -> dict[str, Any]:
    """Everything that decides the bytes of a dataset besides its inputs."""
    files = {"suffix": job.suffix} if isinstance(job, FileJob) else {}
    return files | {
        "kind": job.kind,
        "seed": job.seed,
        "shapes_per_shard": shapes_per_shard(job),
        "shapetool_version": __version__,
        "recipe": json.loads(json.dumps(job.settings)),
    }


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings that a dataset folder was begun with.

    Raises:
        DataError: they are missing, damaged, or may not be read.
        OSError: the disk fails, which says nothing against what is on it.
    """
    path = folder / STATE / "settings.json"
    try:
        settings = json.loads(path.read_bytes())
        if not isinstance(settings, dict):
            raise ValueError("no object")
        for name, kind in _SETTINGS.items():
            if not isinstance(settings.get(name), kind):
                raise ValueError(f"{name} is {str(settings.get(name))[:60]}")
        if not 1 <= settings["shapes_per_shard"] <= MAX_BYTES or not isinstance(settings.get("suffix", ""), str):
            raise ValueError("shapes_per_shard or suffix is none")
        return settings
    except (FileNotFoundError, *NO_PLAIN_FILE, ValueError, RecursionError) as error:
        raise DataError(
            f"{folder}: expected the settings of the run in {STATE}/settings.json, but they cannot be read ({error}). "
            "Use --overwrite to begin anew."
        ) from error


def compare(out: Path, before: dict[str, Any], job: Job) -> None:
    """None if `job` has the settings `before`.

    Raises:
        ConfigError: they differ; the text lists each difference.
    """
    old, new = _flat(before), _flat(describe(job))
    differing = [
        f"{key} {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if differing:
        raise ConfigError(
            f"{out}: exists and was made with other settings: {', '.join(differing)}. "
            "Use --overwrite to replace it, or choose another OUT."
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without recipes in recipes, so that a difference is one name and two values."""
    recipe = settings.get("recipe")
    rest = {key: value for key, value in settings.items() if key != "recipe"}
    return rest | (_flat(recipe) if isinstance(recipe, dict) else {} if recipe is None else {"recipe": recipe})


def files_made(folder: Path) -> set[Path] | None:
    """The files that the items of `folder` become, each in a file of its own; None where they share shards.

    Raises:
        DataError: what the folder says of itself is damaged.
    """
    manifest = folder / "manifest.jsonl"
    if not (folder / STATE / "settings.json").exists() or not manifest.exists():
        return None
    suffix = read_settings(folder).get("suffix")
    items = _parse(manifest, manifest.read_bytes())
    return None if suffix is None else {folder / f"{item.id}.{suffix}" for item in items}


def hashed(items: Sequence[Item]) -> list[Item]:
    """`items` with the sha256 of their files; one that cannot be read, or is too large to be a mesh, gets a problem.

    Threads take over once files are slow to come or large. They take many items at a time: of small files, most of the
    time would be spent in handing them out.
    """
    parts = [items[start : start + HASHED_AT_ONCE] for start in range(0, len(items), HASHED_AT_ONCE)]
    done: list[Item] = []
    for number, part in enumerate(parts):
        started = time.perf_counter()
        done += _hashed_part(part)
        if time.perf_counter() - started > HASHED_ALONE_SECONDS * len(part):
            with ThreadPoolExecutor(HASHING_THREADS) as threads:
                return done + [item for later in threads.map(_hashed_part, parts[number + 1 :]) for item in later]
    return done


def _hashed_part(items: Sequence[Item]) -> list[Item]:
    return [_hashed(item) for item in items]


def _hashed(item: Item) -> Item:
    if item.problem is not None:
        return item
    if item.size > MAX_BYTES:
        return replace(item, problem=f"expected at most {MAX_BYTES} bytes, found {item.size}")
    try:
        digest = digest_of(item)
        return Item(item.id, item.source, item.path, item.root, item.size, digest)
    except OSError as error:
        return replace(item, problem=f"the file cannot be read: {error.strerror}", status="failed")


def digest_of(item: Item) -> str:
    """The sha256 of the file of an item.

    Raises:
        OSError: it cannot be read.
    """
    return file_digest(item.path) if item.size > SMALL_BYTES else _small_digest(item.path)


def _small_digest(path: Path) -> str:
    """The sha256 of a file that was small a moment ago, with three calls to the system and nothing remembered."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        digest = hashlib.sha256()
        while part := os.read(descriptor, 2 * SMALL_BYTES):
            digest.update(part)
        return digest.hexdigest()
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> str:
    """The sha256 of a file; of one that many items share it is found once, until the file changes."""
    state = path.stat()
    return _digest(path, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=16)
def _digest(path: Path, state: tuple[int, ...]) -> str:
    """The sha256 of a file that is in this state."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_text(items: Iterable[Item]) -> bytes:
    """The content of a manifest: one line of JSON an item."""
    return b"".join(to_json_line(_entry(item)) for item in items)


def _entry(item: Item) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": item.id, "source": item.source, "size": item.size, "sha256": item.sha256}
    if item.problem is not None:
        entry["problem"] = {"status": item.status, "reason": item.problem}
    return entry


def _parse(path: Path, text: bytes) -> list[Item]:
    if not text.endswith(b"\n"):  # it is published whole, so this is none, or what is left of one
        raise DataError(f"{path}: expected a line an item, found a damaged manifest. Use --overwrite to begin anew.")
    lines = text.split(b"\n")[:-1]
    try:
        entries = json.loads(b"[" + b",".join(lines) + b"]")  # one call, which is several times as fast as one a line
        if len(entries) == len(lines):
            return [_item(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1)]  # finds the one that is damaged


def _parsed(path: Path, number: int, line: bytes) -> Item:
    try:
        return _item(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: line {number} is no manifest entry ({error}). Use --overwrite to begin anew."
        ) from error


def _item(entry: dict[str, Any]) -> Item:
    """The item of an entry; nobody has looked yet where its file is.

    Raises ValueError for one that says other things than a run writes.
    """
    problem = entry.get("problem") or {}
    reason, status = problem.get("reason"), problem.get("status", "invalid")
    shape_id, source, size, sha256 = entry["id"], entry["source"], entry["size"], entry["sha256"]
    texts = (shape_id, source, status, sha256 or "", reason or "")
    if set(map(type, texts)) != {str} or type(size) is not int or "\0" in shape_id or "\0" in source:
        raise ValueError("expected texts and a size")
    return Item(shape_id, source, NOWHERE, NOWHERE, size, sha256, reason, status)


def _located(frozen: list[Item], found: Sequence[Item]) -> tuple[Item, ...]:
    """The frozen items with the paths that this run found them at; one that it did not find has a problem."""
    places = {item.source: item for item in found}
    located = []
    for item in frozen:
        place, problem = places.get(item.source), item.problem
        if place is None:
            missing = "in the manifest, but not among the inputs of this run"
            item = item if problem is not None else replace(item, problem=missing, status="failed")
        else:
            if problem is not None and item.status == "failed" and place.problem is None:
                problem = None  # it could not be read then; --retry may try now
            source, path, root = place.source, place.path, place.root  # that string once, not twice
            item = Item(item.id, source, path, root, item.size, item.sha256, problem, item.status)
        if item.problem is None and not stays_below(item.id):  # no run writes such a line
            raise DataError(f"the manifest names {item.id!r}, which leads out of OUT. Use --overwrite to begin anew.")
        located.append(item)
    return tuple(located)
