"""Thousands of damaged mesh files through whole runs: each is refused with a reason, or is the mesh that it says."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from shapetool.data.shards import open_dataset
from shapetool.data.verify import verify
from shapetool.errors import MeshError
from shapetool.geometry.readers.ply import ply_tables
from tests.geometry.damage import damaged, scratched
from tests.geometry.mesh_files import (
    CUBE_FACES,
    CUBE_VERTICES,
    glb_bytes,
    gltf_tree,
    obj_text,
    off_text,
    ply_bytes,
    stl_bytes,
    stl_text,
)
from tests.naive import brute_distance

BATCH = 1000
LARGEST_SEED = 40_000  # bytes: damage to a few bytes of a large file is mostly to its coordinates


def torus() -> tuple[np.ndarray, np.ndarray]:
    """A closed surface with a hole."""
    across, around = 9, 6
    u, v = np.meshgrid(np.arange(across) * 2 * np.pi / across, np.arange(around) * 2 * np.pi / around, indexing="ij")
    wide = 2 + 0.7 * np.cos(v)
    vertices = np.stack([wide * np.cos(u), wide * np.sin(u), 0.7 * np.sin(v)], axis=-1).reshape(-1, 3)
    faces = []
    for i in range(across):
        for j in range(around):
            a, b = i * around + j, i * around + (j + 1) % around
            c, d = (i + 1) % across * around + j, (i + 1) % across * around + (j + 1) % around
            faces += [[a, c, d], [a, d, b]]
    return vertices, np.array(faces)


def generated() -> list[tuple[str, bytes]]:
    """Two meshes in each of eight formats, by suffix."""
    seeds = []
    for vertices, faces in ((CUBE_VERTICES, CUBE_FACES), torus()):
        tree = gltf_tree(vertices, faces)
        written: list[tuple[str, str | bytes]] = [
            (".obj", obj_text(vertices, faces)),
            (".off", off_text(vertices, faces)),
            (".stl", stl_text(vertices, faces)),
            (".stl", stl_bytes(vertices, faces)),
            (".ply", ply_bytes("ascii", vertices, faces)),
            (".ply", ply_bytes("binary_little_endian", vertices, faces)),
            (".glb", glb_bytes(tree)),
            (".gltf", json.dumps(tree)),
        ]
        seeds += [(suffix, data.encode() if isinstance(data, str) else data) for suffix, data in written]
    return seeds


def has_polygons(path: Path) -> bool:
    """Whether a face has more than three corners: how one that is not flat is cut is everybody's own choice."""
    lines = [line.split() for line in path.read_bytes().splitlines()]
    match path.suffix:
        case ".obj":
            return any(words[:1] == [b"f"] and len(words) != 4 for words in lines)
        case ".off":
            return any(words[:1] in ([b"4"], [b"5"], [b"6"]) for words in lines)
        case ".ply":
            try:
                lists = ply_tables(path.read_bytes())[0].get("face", ({}, {}))[1]
            except MeshError:
                return True  # who knows
            return any((sizes != 3).any() for _, sizes in lists.values())
    return False


def real(folder: Path) -> list[tuple[str, bytes]]:
    """Up to eight small real meshes of triangles of each suffix."""
    seeds: list[tuple[str, bytes]] = []
    for suffix in (".obj", ".off", ".stl", ".ply", ".glb", ".gltf"):
        found = [path for path in sorted(folder.rglob(f"*{suffix}")) if path.stat().st_size < LARGEST_SEED]
        usable = [path for path in found if "malformed" not in path.parts and not has_polygons(path)]
        seeds += [(suffix, path.read_bytes()) for path in usable[:: max(1, len(usable) // 8)][:8]]
    return seeds


def write_batch(folder: Path, seeds: list[tuple[str, bytes]], count: int, rng: np.random.Generator) -> None:
    folder.mkdir()
    for number in range(count):
        suffix, data = seeds[number % len(seeds)]
        damage = damaged if rng.random() < 0.5 else scratched
        (folder / f"m{number:04d}{suffix}").write_bytes(damage(data, rng))


def sample(folder: Path, out: Path) -> list[dict[str, Any]]:
    """The report of a run over the folder, which must end in order."""
    options = [
        "--count",
        "200",
        "--surface-count",
        "24",
        "--item-timeout",
        "60",
        "--item-memory",
        "1G",
        "-j",
        "2",
        "-q",
    ]
    words = [sys.executable, "-m", "shapetool", "sample-sdf", str(folder), str(out), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode in (0, 3), done.stderr
    assert not done.stderr.strip(), done.stderr
    return [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]


def second_reading(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices and faces as trimesh reads them, or None where it does not."""
    try:
        scene = trimesh.load_scene(str(path), process=False, skip_materials=True)
        parts = [part for part in scene.dump() if hasattr(part, "faces") and len(part.faces)]
    except BaseException:
        return None
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for part in parts:
        vertices.append(np.asarray(part.vertices, float))
        faces.append(np.asarray(part.faces, np.int64) + count)
        count += len(part.vertices)
    points, corners = np.concatenate(vertices), np.concatenate(faces)
    if not len(corners) or corners.min() < 0 or corners.max() >= len(points):
        return None
    return points, corners


def difference(path: Path, row: dict[str, Any]) -> str | None:
    """How the stored samples contradict what trimesh reads in the file; "unread" where it reads nothing, "polygons"
    where it cuts a face of more corners, which damage may bring about, otherwise.
    """
    found = second_reading(path)
    if found is None:
        return "unread"
    vertices, faces = found
    unit = (vertices + row["offset"]) * row["scale"]
    distance = brute_distance(unit, faces, row["surface_points"].astype(float)).max()
    if not distance < 1e-4:
        if has_polygons(path):
            return "polygons"
        return f"a surface point is {distance:g} from the surface"
    return None


def check_batch(folder: Path, out: Path, lines: list[dict[str, Any]]) -> Counter[str]:
    """How many items came to what, after everything that is ok was held against the laws and a second reader."""
    files = {path.name: path for path in folder.iterdir()}
    assert sorted(line["source"] for line in lines) == sorted(files)
    counts = Counter(line["status"] for line in lines)
    odd = [line for line in lines if line["status"] not in ("ok", "invalid")]
    assert not odd, odd[:3]
    assert all(line["error"].startswith(line["source"]) for line in lines if line["status"] == "invalid")
    assert verify(out) == []
    sources = {line["id"]: line["source"] for line in lines if line["status"] == "ok"}
    wrong = {}
    with open_dataset(out) as dataset:
        assert set(dataset.shape_ids) == set(sources)
        for row in dataset:
            for name in ("points", "distances", "surface_points", "surface_normals"):
                assert row[name].size
                assert np.isfinite(row[name]).all()
            said = difference(files[sources[row["shape_id"]]], row)
            if said in ("unread", "polygons"):
                counts[said] += 1
            elif said is not None:
                wrong[sources[row["shape_id"]]] = said
    assert not wrong, wrong
    return counts


@pytest.mark.parametrize("seeds", ["generated", "real"])
def test_a_run_over_damaged_meshes_ends_and_stores_only_what_is_true(
    seeds: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    times: Callable[[int, int], int],
    record: Callable[..., None],
) -> None:
    chosen = generated() if seeds == "generated" else real(request.getfixturevalue("real_data"))
    total = times(400, 10_000) if seeds == "generated" else times(100, 2_000)
    rng = np.random.default_rng(12 + len(seeds))
    counts: Counter[str] = Counter()
    for number in range(-(-total // BATCH)):
        folder, out = tmp_path / f"in{number}", tmp_path / f"out{number}"
        write_batch(folder, chosen, min(BATCH, total - number * BATCH), rng)
        counts += check_batch(folder, out, sample(folder, out))
    assert counts["ok"] + counts["invalid"] == total
    assert counts["ok"] > total // 20
    assert counts["invalid"] > total // 20
    record(12, seeds=seeds, files=total, formats=len(chosen), **counts)
