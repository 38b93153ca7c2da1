"""Damaged copies of good files: each is refused, or is a mesh that the gate would pass."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import load_mesh
from tests.geometry.mesh_files import CUBES, write

SEEDS = ("quads.obj", "a.off", "a.stl", "text.stl", "a.ply", "little.ply", "a.gltf", "a.glb")
_WORDS = (
    b"-1",
    b"0",
    b"nan",
    b"1e999",
    b"4294967295",
    b"99999999999999999999",
    b" ",
    b"\n",
    b"{",
    b"[]",
    b"null",
    b"/",
)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The data with a few bytes changed, cut, doubled, or replaced by words that parsers stumble over."""
    work = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, max(len(work), 1)))
        length = int(rng.integers(1, 12))
        match int(rng.integers(0, 6)):
            case 0:
                work[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                del work[at : at + length]
            case 2:
                work[at:at] = work[at : at + length]
            case 3:
                work[at : at + length] = _WORDS[int(rng.integers(0, len(_WORDS)))]
            case 4:
                work[at : at + 4] = b"\xff" * 4
            case 5:
                del work[at:]
    return bytes(work)


@pytest.mark.parametrize("name", SEEDS)
def test_a_damaged_file_is_refused_or_gives_a_mesh_that_passes_the_gate(name: str, tmp_path) -> None:
    seed = write(tmp_path, name, CUBES[name]).read_bytes()
    rng = np.random.default_rng(sum(name.encode()))
    refused = 0
    for _ in range(150):
        path = write(tmp_path, name, damaged(seed, rng))
        try:
            mesh = load_mesh(path)
        except MeshError:
            refused += 1
            continue
        assert np.isfinite(mesh.vertices).all()
        assert len(mesh.faces)
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert mesh.area > 0
    assert refused > 0
