"""Procedural closed meshes with known truth: the Python side of `shapetool make-shapes`."""

import json
from pathlib import Path
from typing import Any

from shapetool.data.atomic import write_whole
from shapetool.data.mesh_files import encode_mesh
from shapetool.errors import ConfigError, DataError
from shapetool.geometry import families
from shapetool.runner.files import to_json_line, writable
from shapetool.sampling.seed import shape_rng

PARAMETERS = "parameters.jsonl"


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
    if count < 1:
        raise ConfigError(f"count is {count}; expected at least 1 shape.")
    made = [_make(family, k, seed, suffix, segments) for k in range(count)]
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder for the meshes, found a file. Name another OUT.")
    known = _read_list(out / PARAMETERS)
    if not overwrite:
        for record, image in made:
            _check_free(out / record["file"], image)
    records = [record for record, _ in made]
    known |= {record["id"]: record for record in records}
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        for record, image in made:
            write_whole(out / record["file"], image)
        write_whole(out / PARAMETERS, b"".join(to_json_line(known[name]) for name in sorted(known)))
    return records


def _make(family: str, k: int, seed: int, suffix: str, segments: int) -> tuple[dict[str, Any], bytes]:
    """The record and the file of shape k."""
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
    return record, encode_mesh(mesh, suffix)


def _check_free(path: Path, image: bytes) -> None:
    """Raises ConfigError if a file is there that holds something else."""
    if path.exists() and path.read_bytes() != image:
        raise ConfigError(f"{path}: exists and holds another shape. Use --overwrite, another OUT, or the same --seed.")


def _read_list(path: Path) -> dict[str, dict[str, Any]]:
    """The records of an earlier run, by id."""
    if not path.exists():
        return {}
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {str(record["id"]): record for record in records}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected one JSON object with an id a line: {error}. Remove the file.") from error
