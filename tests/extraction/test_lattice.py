"""Meshes of lattices: closed, on the zero level, and as accurate as the cell is small."""

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.extraction.lattice import mesh_of_lattice
from shapetool.geometry import analytic
from shapetool.geometry.lattice import lattice_axes
from shapetool.geometry.topology import analyse

BOX = ((-1.0, -0.9, -1.1), (1.0, 1.2, 1.0))


def lattice_of(field, resolution, box=BOX):
    nodes = np.stack(np.meshgrid(*lattice_axes(box, resolution), indexing="ij"), axis=-1)
    return field(nodes.reshape(-1, 3)).reshape((resolution,) * 3)


def test_a_ball_becomes_a_ball_and_the_error_falls_with_the_square_of_the_cell():
    errors, volumes = [], []
    for resolution in (20, 40):
        mesh = mesh_of_lattice(lattice_of(analytic.sphere(0.7), resolution), BOX)
        found = analyse(mesh)
        assert found.sound
        assert found.components == 1
        errors.append(np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.7).max())
        volumes.append(abs(mesh.volume / (4 / 3 * np.pi * 0.7**3) - 1))
    assert errors[1] < errors[0] / 2.5
    assert volumes[1] < volumes[0] / 2.5
    assert volumes[1] < 0.01


def test_a_torus_keeps_its_hole():
    mesh = mesh_of_lattice(lattice_of(analytic.torus(0.6, 0.2), 40), BOX)
    edges = len(mesh.faces) * 3 // 2
    assert len(mesh.vertices) - edges + len(mesh.faces) == 0
    assert analyse(mesh).sound


def test_what_reaches_the_box_is_closed_at_it():
    box = ((-0.5,) * 3, (0.5,) * 3)
    mesh = mesh_of_lattice(lattice_of(analytic.sphere(0.6), 20, box), box)
    assert analyse(mesh).sound
    low, high = mesh.bounds
    cell = 1 / 19
    assert (low >= -0.5 - 0.021 * cell).all()
    assert (high <= 0.5 + 0.021 * cell).all()
    assert high.min() > 0.5 - 1e-12


def test_the_scale_of_the_values_does_not_matter():
    values = lattice_of(analytic.torus(0.6, 0.2), 24)
    one, other = mesh_of_lattice(values, BOX), mesh_of_lattice(1024 * values, BOX)
    np.testing.assert_array_equal(one.faces, other.faces)
    np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-12)


def test_nothing_inside_and_values_that_are_not_finite_are_refused():
    with pytest.raises(MeshError, match="expected a node inside, found none"):
        mesh_of_lattice(np.ones((4, 4, 4)), BOX)
    with pytest.raises(MeshError, match="expected finite values"):
        mesh_of_lattice(np.full((4, 4, 4), np.nan), BOX)
