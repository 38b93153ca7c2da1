"""Checking a shard or a dataset folder: what is damaged, missing, foreign, or cannot be a distance or a label."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shapetool.data.heaps import check_heaps
from shapetool.data.laws import lattice_problems, occupancy_problems, sdf_problems
from shapetool.data.layout import DIGEST, row_digest
from shapetool.data.reading import MANIFEST, Dataset, folder_problems, shard_files
from shapetool.data.shardfile import Shard, describe_shard
from shapetool.data.view_laws import view_problems
from shapetool.data.voxel_laws import voxel_problems
from shapetool.errors import DataError

REPORT = "report.jsonl"
# Backends whose distances are not exact, and files of others: the laws of distances are not asked of them.
APPROXIMATE = ("pysdf", "imported")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: in which file, in which row and shape if it is one, and what."""

    path: str
    problem: str
    row: int | None = None
    shape_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        place = "" if self.row is None else f", row {self.row} ({self.shape_id})"
        return f"{self.path}{place}: {self.problem}"


def verify(path: Path, report: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Everything that is wrong with a shard or a dataset folder, reading all of it; an empty list if nothing is.

    Every byte of samples, names and attributes is compared with its checksums, and each shape with the laws of `laws`.
    `report(done, total)` is called after each shape.

    Raises: DataError where there is nothing to verify: no such path, or a folder without shards.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: expected a shard or a dataset folder, found no such path.")
    files = shard_files(path) if path.is_dir() else [path]
    shards: list[Shard] = []
    findings: list[Finding] = []
    for file in files:
        try:
            check_heaps(file)
            shards.append(describe_shard(file))
        except DataError as error:
            findings.append(Finding(str(file), _without_path(str(error), file)))
    total, done = sum(len(shard.shape_ids) for shard in shards), 0
    for shard in shards:
        for finding in _shard_findings(shard):
            if finding is None:
                done += 1
                if report is not None:
                    report(done, total)
            else:
                findings.append(finding)
    if path.is_dir() and shards:
        findings += _folder_findings(path, shards, unreadable=len(files) - len(shards))
    return findings


def is_whole(path: Path) -> bool:
    """Whether a shard holds to the byte what was written: everything in it matches its checksums."""
    try:
        check_heaps(path)
        shard = describe_shard(path)
        with Dataset(path, [shard]) as dataset:
            found = [row_digest(shard.kind, dataset[row]) for row in range(len(shard.shape_ids))]
    except DataError:
        return False
    return DIGEST in shard.attributes and found == list(shard.row_digests)


def _shard_findings(shard: Shard) -> Iterator[Finding | None]:
    """What is wrong inside one shard, and a None after each shape."""
    where = str(shard.path)
    if DIGEST not in shard.attributes or len(shard.row_digests) != len(shard.shape_ids):
        yield Finding(where, "it carries no digests, so damage to names and settings cannot be seen. Make it again.")
    for shape_id in (name for name, times in Counter(shard.shape_ids).items() if times > 1):
        yield Finding(where, f"it holds {shape_id} more than once")
    recipe = json.loads(shard.attributes["recipe"])
    with Dataset(shard.path, [shard]) as dataset:
        for row, shape_id in enumerate(shard.shape_ids):
            for problem in _row_problems(dataset, shard, row, recipe):
                yield Finding(where, problem, row, shape_id)
            yield None


def _row_problems(dataset: Dataset, shard: Shard, row: int, recipe: Mapping[str, Any]) -> list[str]:
    """What is wrong with one shape of a shard."""
    try:
        values = dataset[row]
    except DataError as error:
        return [_without_path(str(error), shard.path)]
    if len(shard.row_digests) == len(shard.shape_ids) and row_digest(shard.kind, values) != shard.row_digests[row]:
        return ["its content does not match its sha256: it was damaged or edited. Make the shard again."]
    if shard.kind == "sdf":
        return sdf_problems(values, exact=recipe.get("backend") not in APPROXIMATE)
    if shard.kind == "occupancy":
        return occupancy_problems(values, frame=recipe) + voxel_problems(values, recipe=recipe)
    if shard.kind == "views":
        return view_problems(values, recipe=recipe)
    return lattice_problems(values) if shard.kind == "lattice" else []


def _folder_findings(folder: Path, shards: list[Shard], unreadable: int) -> list[Finding]:
    """What is wrong between the shards of a folder, its manifest and its report."""
    problems = folder_problems(folder, shards)
    findings = [Finding(str(folder), _without_path(problem, folder)) for problem in problems]
    stored = [shape_id for shard in shards for shape_id in shard.shape_ids]
    if not (folder / MANIFEST).exists():
        return [*findings, Finding(str(folder / MANIFEST), "expected the manifest of the data set, found no such file")]
    try:
        listed = [str(line["id"]) for line in _lines(folder / MANIFEST) if "id" in line]
        reported = _lines(folder / REPORT) if (folder / REPORT).exists() else None
        named = [str(line["id"]) for line in reported or ()]
        ok = None if reported is None else [str(line["id"]) for line in reported if line["status"] == "ok"]
    except (DataError, KeyError) as error:
        return [*findings, Finding(str(folder), f"a line of the manifest or the report is damaged ({error})")]
    foreign = sorted(set(stored) - set(listed))
    if foreign:
        findings.append(
            Finding(str(folder), f"{len(foreign)} shapes are not in the manifest, the first is {foreign[0]}")
        )
    elif stored != [name for name in listed if name in set(stored)]:
        findings.append(Finding(str(folder), "shapes are doubled or not in the order of the manifest"))
    if ok is not None and not unreadable and not problems:
        findings += _report_findings(folder / REPORT, listed, named, ok, stored)
    return findings


def _report_findings(
    path: Path, listed: list[str], reported: list[str], ok: list[str], stored: list[str]
) -> list[Finding]:
    """What the report of a complete folder and its shards say differently."""
    lost, extra = sorted(set(ok) - set(stored)), sorted(set(stored) - set(ok))
    problems = []
    if reported != listed:
        problems.append(f"expected one line for each of {len(listed)} items in their order, found {len(reported)}")
    if lost:
        problems.append(f"{len(lost)} shapes are reported ok but not stored, the first is {lost[0]}")
    if extra:
        problems.append(f"{len(extra)} shapes are stored but not reported ok, the first is {extra[0]}")
    return [Finding(str(path), problem) for problem in problems]


def _lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file with one a line."""
    lines = []
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            lines.append(dict(json.loads(text)))
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not a JSON object ({error}).") from error
    return lines


def _without_path(text: str, path: Path) -> str:
    """A message without the path it begins with, for a finding names the path anyway."""
    return text.removeprefix(str(path)).lstrip("/:, ")
