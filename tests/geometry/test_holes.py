"""Small holes are filled, large ones are not, and the faces that were there stay."""

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.geometry.holes import borders, fill_holes
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.repair import RepairRecipe, repair
from shapetool.geometry.topology import analyse
from tests import analytic


def ball(n: int = 24) -> Mesh:
    """A ball of radius one, wound outward."""
    down = np.pi * np.arange(1, n) / n
    around = 2 * np.pi * np.arange(2 * n) / (2 * n)
    t, a = np.meshgrid(down, around, indexing="ij")
    rings = np.stack([np.sin(t) * np.cos(a), np.sin(t) * np.sin(a), np.cos(t)], axis=-1).reshape(-1, 3)
    vertices = np.concatenate([rings, [[0, 0, 1.0], [0, 0, -1.0]]])
    j = np.arange(2 * n)
    k = (j + 1) % (2 * n)
    top = np.stack([np.full_like(j, len(rings)), j, k], axis=1)
    last = (n - 2) * 2 * n
    bottom = np.stack([np.full_like(j, len(rings) + 1), last + k, last + j], axis=1)
    between = [np.stack([r * 2 * n + j, (r + 1) * 2 * n + j, (r + 1) * 2 * n + k], axis=1) for r in range(n - 2)]
    other = [np.stack([r * 2 * n + j, (r + 1) * 2 * n + k, r * 2 * n + k], axis=1) for r in range(n - 2)]
    return Mesh(vertices, np.concatenate([top, bottom, *between, *other]))


def without(mesh: Mesh, *centres: tuple[float, float, float], radius: float) -> Mesh:
    """The mesh without the faces whose middle is near one of these places."""
    middle = mesh.triangles.mean(axis=1)
    near = np.min([np.linalg.norm(middle - centre, axis=1) for centre in centres], axis=0) < radius
    return Mesh(mesh.vertices, mesh.faces[~near])


def test_holes_of_a_ball_are_filled_and_its_faces_stay():
    whole = ball()
    mesh = without(whole, (0, 0, 1), (1, 0, 0), (0, -0.6, -0.8), radius=0.25)
    result, report = repair(mesh, RepairRecipe(fill_holes=0.5))
    assert (report.method, report.holes_filled, report.euler) == ("filled", 3, 2)
    assert np.array_equal(result.vertices, mesh.vertices)
    assert np.array_equal(result.faces[: len(mesh.faces)], mesh.faces)
    found = analyse(result)
    assert found.watertight
    assert found.oriented
    assert found.manifold
    assert not found.self_intersecting
    # A flat patch over a hole of radius r lies r^2 / 2 below the sphere.
    assert abs(result.volume - whole.volume) < 3 * np.pi * 0.25**2 * 0.25**2 / 2
    # The middle of a patch is as far from the input as the border is wide.
    assert 0.2 < report.deviation.max * np.sqrt(12) < 0.35


def test_only_holes_up_to_the_size_are_filled_and_the_rest_is_rebuilt():
    mesh = without(without(ball(), (0, 0, 1), radius=0.2), (1, 0, 0), radius=0.7)
    assert len(borders(mesh.faces)) == 2
    filled, count = fill_holes(mesh, 0.4)
    assert count == 1
    assert len(borders(filled.faces)) == 1
    _, report = repair(mesh, RepairRecipe(resolution=32, fill_holes=0.4))
    assert (report.method, report.holes_filled) == ("rebuilt", 1)
    _, report = repair(mesh, RepairRecipe(resolution=32, fill_holes=1.5))
    assert (report.method, report.holes_filled) == ("filled", 2)


def comb(depth: float = 1.0) -> np.ndarray:
    """The outline of a comb, with more than one vertex on its straight sides."""
    x = np.arange(9.0)
    y = np.where(np.arange(9) % 2, 0.2, depth)
    low = np.stack([np.linspace(8, 0, 17), np.full(17, -0.5)], axis=1)
    return np.concatenate([np.stack([x, y], axis=1), low])


def prism(outline: np.ndarray) -> Mesh:
    """The side walls of a prism over an outline against the clock, wound outward, without lids."""
    n = len(outline)
    flat = np.concatenate([outline, outline])
    vertices = np.column_stack([flat, np.repeat([0.0, 1.0], n)])
    i, k = np.arange(n), (np.arange(n) + 1) % n
    return Mesh(vertices, np.concatenate([np.stack([i, k, k + n], axis=1), np.stack([i, k + n, i + n], axis=1)]))


def test_a_flat_hole_that_is_not_convex_gets_its_own_area_and_no_thin_triangle():
    outline = comb()[::-1]
    x, y = outline.T
    area = float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    assert area > 0
    result, report = repair(prism(outline), RepairRecipe(fill_holes=2.0))
    assert (report.method, report.holes_filled) == ("filled", 2)
    np.testing.assert_allclose(result.volume, area, rtol=1e-12)
    assert analyse(result).degenerate_faces == 0


def test_a_patch_that_meets_other_faces_is_cut_where_it_does():
    vertices, faces = analytic.box_mesh((-1, -1, -1), (1, 1, 1))
    open_top = ~(vertices[faces][:, :, 2] == 1).all(axis=1)
    thorn, more = analytic.box_mesh((-0.1, -0.1, 0.5), (0.1, 0.1, 1.5))
    mesh = Mesh(np.concatenate([vertices, thorn]), np.concatenate([faces[open_top], more + 8]))
    result, report = repair(mesh, RepairRecipe(resolution=32, fill_holes=2.0))
    assert (report.method, report.holes_filled) == ("cut", 1)
    assert analyse(result).sound
    np.testing.assert_allclose(result.volume, 8 + 0.2 * 0.2 * 0.5, rtol=1e-12)


def test_holes_that_share_a_vertex_are_left_alone():
    vertices, faces = analytic.box_mesh((-1, -1, -1), (1, 1, 1))
    one = (vertices[faces][:, :, 2] == 1).all(axis=1)
    other = (vertices[faces][:, :, 2] == -1).all(axis=1)
    assert len(borders(faces[~(one | other)])) == 2
    around = np.flatnonzero((faces == 0).any(axis=1))
    tips = Mesh(vertices, np.delete(faces, around[[0, len(around) // 2]], axis=0))
    assert all(len(set(border.tolist())) == len(border) for border in borders(tips.faces))


def test_a_size_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"fill_holes is -1\.0"):
        RepairRecipe(fill_holes=-1.0)
