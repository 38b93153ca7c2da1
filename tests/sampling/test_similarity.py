"""Copies of a shape are told from other shapes, on procedural shapes and on real ones."""

import numpy as np
import pytest

from shapetool.errors import DataError
from shapetool.geometry.families import FAMILIES, build, draw_parameters
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.sampling.seed import shape_rng
from shapetool.sampling.similarity import ALIKE, DRAWN, ENOUGH, LENGTH, signature, similar_groups
from shapetool.sampling.surface import sample_surface


def signature_of(mesh: Mesh, name: str, count: int = DRAWN) -> np.ndarray:
    rng = shape_rng(0, name)
    return signature(sample_surface(mesh, count, rng)[0], rng)


def moved(mesh: Mesh, seed: int, mirror: bool = True) -> Mesh:
    """The mesh turned, mirrored, resized and shifted."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if (np.linalg.det(turn) < 0) != mirror:
        turn[:, 0] *= -1
    faces = mesh.faces[:, ::-1] if mirror else mesh.faces
    return Mesh(mesh.vertices @ turn * 37.0 + 5.0, faces)


def snapped(mesh: Mesh) -> Mesh:
    """A coarser mesh of the same shape: vertices within 1/200 of the diagonal become one."""
    low, high = mesh.bounds
    cells = np.round((mesh.vertices - low) / (np.linalg.norm(high - low) / 200)).astype(int)
    kept, index = np.unique(cells, axis=0, return_inverse=True)
    index = index.ravel()
    sums = np.zeros((len(kept), 3))
    np.add.at(sums, index, mesh.vertices)
    faces = index[mesh.faces]
    proper = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return Mesh(sums / np.bincount(index)[:, None], faces[proper])


def test_copies_of_procedural_shapes_share_a_group_and_different_shapes_mostly_do_not():
    meshes = [
        build(family, draw_parameters(family, shape_rng(0, f"{family} {number}")))
        for family in FAMILIES
        for number in range(3)
    ]
    rows = [signature_of(mesh, f"original {number}") for number, mesh in enumerate(meshes)]
    for turn, mirror in ((1, True), (2, False)):
        rows += [signature_of(moved(mesh, turn, mirror), f"copy {turn} {n}") for n, mesh in enumerate(meshes)]
    groups = similar_groups(np.array(rows)).reshape(3, -1)
    np.testing.assert_array_equal(groups[1], groups[0])
    np.testing.assert_array_equal(groups[2], groups[0])
    assert len(np.unique(groups)) >= 0.9 * len(meshes)


def test_a_point_set_and_its_mirrored_image_in_another_size_have_one_signature():
    points = np.random.default_rng(0).normal(size=(5000, 3)) * (1, 2, 5)
    image = moved(Mesh(points, np.array([[0, 1, 2]])), 3).vertices
    ours, theirs = (signature(p, np.random.default_rng(1)) for p in (points, image))
    assert ours.shape == (LENGTH,)
    np.testing.assert_allclose(theirs, ours, atol=1e-12)


def test_spreads_and_radii_of_a_sphere_are_those_of_the_closed_form():
    points = np.random.default_rng(0).normal(size=(200_000, 3))
    found = signature(points / np.linalg.norm(points, axis=1, keepdims=True), np.random.default_rng(0))
    np.testing.assert_allclose(found[:3], 1 / np.sqrt(3), atol=5e-3)
    np.testing.assert_allclose(found[3:35] * np.sqrt(32), 1, atol=1e-2)
    # The chord between two random points of a unit sphere has the distribution P(length < l) = l^2 / 4.
    np.testing.assert_allclose(found[35:] * np.sqrt(32), 2 * np.sqrt((np.arange(32) + 0.5) / 32), atol=1e-2)


def test_groups_are_the_components_of_what_is_near_across_blocks():
    rng = np.random.default_rng(0)
    centres = np.zeros((60, LENGTH))
    centres[:, :3] = np.stack(np.meshgrid(np.arange(5), np.arange(4), np.arange(3)), -1).reshape(-1, 3)
    belongs = rng.integers(0, 60, 3000)
    rows = centres[belongs] + rng.uniform(-1, 1, (3000, LENGTH)) * ALIKE / 20
    groups = similar_groups(rows)
    first = np.array([np.flatnonzero(belongs == own)[0] for own in belongs])
    np.testing.assert_array_equal(groups, first)
    chain = np.zeros((2500, LENGTH))
    chain[:, 0] = rng.permutation(2500) * ALIKE * 0.9
    assert set(similar_groups(chain)) == {0}
    assert len(similar_groups(np.zeros((0, LENGTH)))) == 0


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.ones((10, 3)), np.full((10, 3), np.nan)])
def test_points_without_extent_are_refused(points):
    with pytest.raises(DataError, match="extent"):
        signature(points, np.random.default_rng(0))


@pytest.mark.parametrize("count", [ENOUGH, DRAWN])
def test_every_bone_is_nearer_to_its_copies_than_the_limit_and_most_bones_are_apart(real_data, count):
    meshes = [load_mesh(path) for path in sorted((real_data / "bones").iterdir())]
    rows = np.array([signature_of(mesh, f"{number}", count) for number, mesh in enumerate(meshes)])
    copies = [signature_of(moved(mesh, n), f"copy {n}", count) for n, mesh in enumerate(meshes)]
    coarse = [signature_of(moved(snapped(mesh), n), f"coarse {n}", count) for n, mesh in enumerate(meshes)]
    for others in (copies, coarse):
        assert np.linalg.norm(rows - np.array(others), axis=1).max() < ALIKE
    distances = np.linalg.norm(rows[:, None] - rows, axis=2)[np.triu_indices(len(rows), 1)]
    assert (distances < ALIKE).mean() < 0.02
