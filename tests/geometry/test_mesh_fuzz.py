"""Damaged copies of good files: each is refused, or is a mesh that the gate would pass."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import load_mesh
from tests.geometry.damage import damaged
from tests.geometry.mesh_files import CUBES, write

SEEDS = ("quads.obj", "a.off", "a.stl", "text.stl", "a.ply", "little.ply", "a.gltf", "a.glb")


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
