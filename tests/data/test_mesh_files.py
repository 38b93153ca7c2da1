"""Written meshes read back, by trimesh and not by our own reader."""

import io

import numpy as np
import pytest
import trimesh

from shapetool.data.mesh_files import WRITTEN_FORMATS, encode_mesh
from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh
from tests.analytic import sharp_wedge


@pytest.mark.parametrize("suffix", WRITTEN_FORMATS)
def test_every_format_reads_back_with_the_same_triangles(suffix: str) -> None:
    truth = sharp_wedge()
    mesh = Mesh(truth.vertices / 3, truth.faces)
    image = encode_mesh(mesh, suffix)
    read = trimesh.load(io.BytesIO(image), file_type=suffix, process=False, force="mesh")
    exact = suffix != "stl"
    np.testing.assert_allclose(read.triangles, mesh.triangles, rtol=0, atol=0 if exact else 3e-8)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown mesh format 'dwg'; known: obj, off, ply, stl"):
        encode_mesh(Mesh(np.eye(3), np.array([[0, 1, 2]])), "dwg")
