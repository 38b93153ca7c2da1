"""Every procedural family: closed, wound outward, free of self-intersection, and as far from its truth as it says."""

from collections import Counter

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.geometry.analytic import Field
from shapetool.geometry.boxes import box_union_mesh
from shapetool.geometry.families import FAMILIES, build, draw_parameters, tessellation_error, true_distance
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import signed_distance
from shapetool.sampling.surface import sample_surface

COARSE = 24


def _edges_pair_up(mesh: Mesh) -> bool:
    directed = Counter((int(f[i]), int(f[(i + 1) % 3])) for f in mesh.faces for i in range(3))
    return all(count == 1 and directed[(b, a)] == 1 for (a, b), count in directed.items())


def _volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6


def _piercings(mesh: Mesh) -> int:
    """How many edges go through the inside of a triangle that they share no vertex with; all pairs are tried."""
    pairs = np.unique(np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    ends = mesh.vertices[pairs]
    low, high = ends.min(axis=1), ends.max(axis=1)
    found = 0
    for face in mesh.faces:
        corners = mesh.vertices[face]
        near = np.flatnonzero(((low <= corners.max(axis=0)) & (high >= corners.min(axis=0))).all(axis=1))
        near = near[~np.isin(pairs[near], face).any(axis=1)]
        a, b, c = corners
        normal = np.cross(b - a, c - a)
        start, along = ends[near, 0], ends[near, 1] - ends[near, 0]
        rate = along @ normal
        apart = np.abs(rate) > 1e-12 * np.linalg.norm(normal)
        place = ((a - start[apart]) @ normal) / rate[apart]
        hits = start[apart] + place[:, None] * along[apart]
        turns = [np.cross(q - p, hits - p) @ normal / (normal @ normal) for p, q in ((a, b), (b, c), (c, a))]
        found += int(np.count_nonzero((place > 1e-9) & (place < 1 - 1e-9) & (np.min(turns, axis=0) > 1e-9)))
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(4))
def test_every_shape_is_one_closed_surface_wound_outward(family: str, seed: int) -> None:
    mesh = build(family, draw_parameters(family, np.random.default_rng(seed), COARSE))
    assert _edges_pair_up(mesh)
    assert _volume(mesh) > 0
    assert mesh.face_areas.min() > 0
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices) == len(np.unique(mesh.faces))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_edge_pierces_a_face(family: str) -> None:
    for seed in range(2):
        assert _piercings(build(family, draw_parameters(family, np.random.default_rng(seed), COARSE))) == 0


def test_the_search_for_piercings_finds_one() -> None:
    box = build("box", draw_parameters("box", np.random.default_rng(0)))
    shifted = Mesh(
        np.concatenate([box.vertices, box.vertices + 0.1]), np.concatenate([box.faces, box.faces + len(box.vertices)])
    )
    assert _piercings(shifted) > 0


def _known(family: str, rng: np.random.Generator, segments: int) -> tuple[Mesh, Field, float]:
    """A random shape of a family with a closed form: the mesh, the true distance, and how far they may lie apart."""
    parameters = draw_parameters(family, rng, segments)
    truth, bound = true_distance(family, parameters), tessellation_error(family, parameters)
    assert truth is not None
    assert bound is not None
    return build(family, parameters), truth, bound


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.truth])
@pytest.mark.parametrize("segments", [COARSE, 96])
def test_the_mesh_is_as_close_to_the_true_surface_as_it_says(family: str, segments: int) -> None:
    rng = np.random.default_rng(5)
    mesh, truth, bound = _known(family, rng, segments)
    points, normals, _ = sample_surface(mesh, 3000, rng)
    assert np.abs(truth(points)).max() <= bound + 1e-12
    step = 3 * bound + 1e-4
    assert (truth(points + step * normals) > 0).mean() > 0.95  # in a notch another wall may be nearer
    assert (truth(points - step * normals) < 0).mean() > 0.95
    if bound:
        assert np.abs(truth(points)).max() > bound / 10  # and the bound is not empty


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.truth])
def test_the_kernel_agrees_with_the_truth_to_the_stated_error(family: str) -> None:
    rng = np.random.default_rng(6)
    mesh, truth, bound = _known(family, rng, COARSE)
    surface, _, _ = sample_surface(mesh, 1500, rng)
    points = np.concatenate([surface + rng.normal(0, 0.05, surface.shape), rng.uniform(-1.5, 1.5, (1500, 3))])
    assert np.abs(signed_distance(mesh, points) - truth(points)).max() <= bound + 1e-12


def test_families_without_a_closed_form_say_so() -> None:
    for family in ("mug", "knot"):
        parameters = draw_parameters(family, np.random.default_rng(0))
        assert true_distance(family, parameters) is None
        assert tessellation_error(family, parameters) is None


@pytest.mark.parametrize(("family", "genus"), [("mug", 1), ("knot", 1), ("torus", 1), ("gear", 1), ("vase", 0)])
def test_handles_and_holes_are_really_there(family: str, genus: int) -> None:
    mesh = build(family, draw_parameters(family, np.random.default_rng(1), COARSE))
    euler = len(mesh.vertices) - 3 * len(mesh.faces) // 2 + len(mesh.faces)
    assert euler == 2 - 2 * genus


def test_the_same_generator_gives_the_same_shape_and_another_does_not() -> None:
    for family in FAMILIES:
        first, again, other = (draw_parameters(family, np.random.default_rng(seed)) for seed in (3, 3, 4))
        assert first == again != other


def test_boxes_that_only_touch_along_an_edge_are_refused() -> None:
    with pytest.raises(ConfigError, match="found 1 edges where they only touch"):
        box_union_mesh(np.array([[[0.0, 0, 0], [1, 1, 1]], [[1, 1, 0], [2, 2, 1]]]))


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown family 'chiar'; did you mean 'chair'"):
        draw_parameters("chiar", np.random.default_rng(0))


@pytest.mark.parametrize("segments", [0, 20, 26, 5000])
def test_a_circle_needs_a_sensible_number_of_sides(segments: int) -> None:
    with pytest.raises(ConfigError, match="multiple of 4"):
        draw_parameters("sphere", np.random.default_rng(0), segments)
