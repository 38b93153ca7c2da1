"""Procedural closed meshes with known truth: the Python side of `shapetool make-shapes`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapetool.data.atomic import remove_leftovers, write_whole
from shapetool.data.mesh_files import encode_mesh
from shapetool.errors import ConfigError, DataError
from shapetool.geometry import families
from shapetool.runner.files import to_json_line, writable
from shapetool.sampling.seed import shape_rng

PARAMETERS = "parameters.jsonl"


@dataclass(frozen=True)
class Shape:
    """A shape before it is written: its line of the list, and the bytes of its file."""

    record: dict[str, Any]
    image: bytes


def run(
    family: str,
    out: Path,
    count: int = 1,
    seed: int = 0,
    *,
    suffix: str = "obj",
    segments: int = families.SEGMENTS,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """One record a shape, after `count` meshes of the family and the list `parameters.jsonl` are written to `out`.

    Shape k depends on the family, the seed, k and `segments` alone, so a larger count only adds shapes. Files that are
    there with the same bytes stay; records of other families in the list stay too.

    Raises:
        ConfigError: the family or the format is unknown, or `out` holds other shapes under these names or may not be
            written.
        DataError: the list in `out` is not one that this function wrote.
    """
    shapes = plan(family, out, count, seed, suffix=suffix, segments=segments, overwrite=overwrite)
    known = _read_list(out / PARAMETERS) | {shape.record["id"]: shape.record for shape in shapes}
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        for shape in shapes:
            write_whole(out / shape.record["file"], shape.image)
        write_whole(out / PARAMETERS, b"".join(to_json_line(known[name]) for name in sorted(known)))
    return [shape.record for shape in shapes]


def plan(
    family: str,
    out: Path,
    count: int = 1,
    seed: int = 0,
    *,
    suffix: str = "obj",
    segments: int = families.SEGMENTS,
    overwrite: bool = False,
) -> list[Shape]:
    """What `run` would write, with nothing written.

    Raises:
        ConfigError: as `run` does.
        DataError: as `run` does.
    """
    if count < 1:
        raise ConfigError(f"count is {count}; expected at least 1 shape.")
    shapes = [_make(family, k, seed, suffix, segments) for k in range(count)]
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder for the meshes, found a file. Name another OUT.")
    _read_list(out / PARAMETERS)  # a damaged one is refused before anything is written
    if not overwrite:
        for shape in shapes:
            _check_free(out / shape.record["file"], shape.image)
    return shapes


def _make(family: str, k: int, seed: int, suffix: str, segments: int) -> Shape:
    """Shape k."""
    shape_id = f"{family}-{k:05d}"
    parameters = families.draw_parameters(family, shape_rng(seed, f"make-shapes/{shape_id}"), segments)
    mesh = families.build(family, parameters)
    record = {
        "id": shape_id,
        "file": f"{shape_id}.{suffix}",
        "family": family,
        "seed": seed,
        "parameters": parameters,
        "n_vertices": len(mesh.vertices),
        "n_faces": len(mesh.faces),
        "area": mesh.area,
        "volume": mesh.volume,
        "exact_distance": families.FAMILIES[family].exact,
        "tessellation_error": families.tessellation_error(family, parameters),
    }
    return Shape(record, encode_mesh(mesh, suffix))


def _check_free(path: Path, image: bytes) -> None:
    """Nothing, when no file is there that holds something else.

    Raises:
        ConfigError: there is one.
    """
    if path.exists() and path.read_bytes() != image:
        raise ConfigError(f"{path}: exists and holds another shape. Use --overwrite, another OUT, or the same --seed.")


def _read_list(path: Path) -> dict[str, dict[str, Any]]:
    """The records of an earlier run, by id.

    Raises:
        DataError: the list is not one that `run` wrote.
    """
    if not path.exists():
        return {}
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {str(record["id"]): record for record in records}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: expected one JSON object with an id a line: {error}. Remove the file.") from error
