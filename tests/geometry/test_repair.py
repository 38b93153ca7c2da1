"""Repair: closed, oriented, free of self-intersections, and where the input was, on shapes whose truth is a formula."""

import numpy as np
import pytest
import trimesh

from shapetool.errors import ConfigError, MeshError
from shapetool.geometry.dual import boundary_of, triangulate
from shapetool.geometry.flood import joined
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.repair import RepairRecipe, repair
from shapetool.geometry.sign import winding_number
from tests import analytic

SHAPES = {
    "open box": analytic.open_box(),
    "overlapping": analytic.overlapping_shells(),
    "doubled": analytic.doubled_box(),
    "inside out": analytic.inside_out_box(),
    "nested": analytic.nested_shells(),
    "cavity": analytic.nested_cavity(),
}


def mesh_of(name: str) -> Mesh:
    return Mesh(SHAPES[name].vertices, SHAPES[name].faces)


def crossing_pairs(mesh: Mesh) -> int:
    """Pairs of faces without a common corner of which an edge of one passes through the other, by brute force."""
    t, count = mesh.triangles, 0
    low, high = t.min(axis=1), t.max(axis=1)
    for f in range(len(t)):
        apart = ~(mesh.faces[f + 1 :, :, None] == mesh.faces[f]).any(axis=(1, 2))
        near = ((low[f + 1 :] <= high[f]) & (high[f + 1 :] >= low[f])).all(axis=1)
        for g in np.flatnonzero(apart & near) + f + 1:
            count += pierces(t[f], t[g]) or pierces(t[g], t[f])
    return count


def pierces(edges: np.ndarray, face: np.ndarray) -> bool:
    a, b, c = face
    normal = np.cross(b - a, c - a)
    for p, q in ((edges[0], edges[1]), (edges[1], edges[2]), (edges[2], edges[0])):
        side_p, side_q = normal @ (p - a), normal @ (q - a)
        if side_p * side_q < 0:
            x = p + (q - p) * (side_p / (side_p - side_q))
            if all(normal @ np.cross(v - u, x - u) > 0 for u, v in ((a, b), (b, c), (c, a))):
                return True
    return False


@pytest.mark.parametrize("name", list(SHAPES))
def test_what_is_rebuilt_is_closed_oriented_and_meets_itself_nowhere(name):
    result, report = repair(mesh_of(name), RepairRecipe(resolution=14, force=True))
    judged = trimesh.Trimesh(result.vertices, result.faces, process=False)
    assert judged.is_watertight
    assert judged.is_winding_consistent
    assert judged.volume > 0
    assert report.euler == judged.euler_number
    assert crossing_pairs(result) == 0


def test_random_triangles_come_out_closed():
    rng = np.random.default_rng(3)
    soup = Mesh(rng.normal(size=(60, 3)), np.arange(60).reshape(-1, 3))
    result, _ = repair(soup, RepairRecipe(resolution=48))
    judged = trimesh.Trimesh(result.vertices, result.faces, process=False)
    assert judged.is_watertight
    assert judged.is_winding_consistent


@pytest.mark.parametrize("name", ["overlapping", "doubled", "inside out", "nested"])
def test_a_rebuilt_solid_is_neither_thicker_nor_elsewhere(name):
    shape = SHAPES[name]
    result, report = repair(mesh_of(name), RepairRecipe(resolution=128, force=True))
    side = np.ptp(shape.vertices, axis=0).max()
    assert abs(report.deviation.signed_mean) < 4e-4  # at 128; it goes with the cell
    assert report.deviation.max < 8e-3
    if shape.inside is None:
        return
    points = shape.queries(2000)
    clear = np.abs(shape.distance(points)) > side / 128
    # Nothing but the outermost surface is left, so what lies deep in a shell is inside, whatever the shells within.
    inside = winding_number(result, points) > 0.5
    assert (inside == shape.inside(points))[clear].all()


def test_a_sound_mesh_comes_back_as_it_is():
    low, high = (-1.0, -2.0, -3.0), (1.0, 2.0, 3.0)
    mesh = Mesh(*analytic.box_mesh(low, high))
    result, report = repair(mesh)
    assert result is mesh
    assert report.method == "kept"
    assert (report.euler, report.volume_after) == (2, pytest.approx(48))


def test_a_forced_box_keeps_its_volume():
    mesh = Mesh(*analytic.box_mesh((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0)))
    _, report = repair(mesh, RepairRecipe(resolution=96, force=True))
    assert report.method == "rebuilt"
    assert report.volume_after == pytest.approx(48, rel=3e-3)  # 44 walls of a cell: 0.46 % a tenth of a cell outward
    assert (report.euler, report.components) == (2, 1)


def punched_box(width: float) -> Mesh:
    """The box from 0 to 1 with a square hole of `width` in the middle of its lid."""
    vertices, faces = analytic.box_mesh((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    lid = (vertices[faces][:, :, 2] == 1.0).all(axis=1)
    low, high = 0.5 - width / 2, 0.5 + width / 2
    outer = [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]
    inner = [[low, low, 1], [high, low, 1], [high, high, 1], [low, high, 1]]
    ring = [f for k in range(4) for f in ([k, (k + 1) % 4, 4 + k], [(k + 1) % 4, 4 + (k + 1) % 4, 4 + k])]
    return Mesh(np.concatenate([vertices, outer, inner]), np.concatenate([faces[~lid], np.array(ring) + len(vertices)]))


@pytest.mark.parametrize(("width", "gap", "volume"), [(0.028, None, 1), (0.1, None, 0), (0.1, 0.1, 1), (0.1, 0.05, 0)])
def test_openings_are_closed_below_the_gap_and_only_there(width, gap, volume):
    _, report = repair(punched_box(width), RepairRecipe(resolution=64, gap=gap))
    assert report.volume_after == pytest.approx(volume, abs=0.02)
    assert report.solid == bool(volume)


def test_what_leaks_is_told_the_gap_that_holds_and_refused_on_demand():
    _, report = repair(punched_box(0.1), RepairRecipe(resolution=64))
    assert "--gap" in report.warnings[0]
    with pytest.raises(MeshError, match=r"--gap 0\.125 or --resolution 16"):
        repair(punched_box(0.1), RepairRecipe(resolution=64, sheets=False))


def test_cavities_are_filled_unless_kept():
    shape = SHAPES["cavity"]
    mesh = Mesh(shape.vertices, shape.faces)
    _, filled = repair(mesh, RepairRecipe(resolution=48, force=True))
    _, kept = repair(mesh, RepairRecipe(resolution=48, force=True, keep_cavities=True))
    assert (filled.components, kept.components) == (1, 2)
    assert filled.cavities == kept.cavities == 1
    assert kept.volume_after == pytest.approx(mesh.volume, rel=0.03)
    assert filled.volume_after > kept.volume_after


def test_repair_does_not_depend_on_the_threads():
    one, _ = repair(mesh_of("overlapping"), RepairRecipe(resolution=40, force=True), threads=1)
    two, _ = repair(mesh_of("overlapping"), RepairRecipe(resolution=40, force=True), threads=2)
    assert np.array_equal(one.vertices, two.vertices)
    assert np.array_equal(one.faces, two.faces)


@pytest.mark.parametrize("seed", range(5))
def test_the_boundary_of_any_nodes_is_a_closed_manifold(seed):
    rng = np.random.default_rng(seed)
    inside = np.zeros((9, 9, 9), bool)
    inside[2:-2, 2:-2, 2:-2] = rng.random((5, 5, 5)) < (0.2, 0.35, 0.5, 0.65, 0.8)[seed]
    vertices, quads, used = boundary_of(inside, np.where(inside, -1.0, 1.0))
    mesh = triangulate(vertices, quads)
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # each way once
    assert {tuple(e) for e in edges} == {(b, a) for a, b in edges.tolist()}
    assert mesh.volume > 0
    assert (used | ~inside).all()
    nodes = np.argwhere(np.ones_like(used)).astype(float)
    assert ((winding_number(mesh, nodes, exact=True) > 0.5) == used.reshape(-1)).all()


def test_links_join_what_they_reach():
    links = np.array([[5, 3], [3, 9], [1, 2], [9, 0]])
    assert joined(10, *links.T).tolist() == [0, 1, 1, 0, 4, 0, 6, 7, 8, 0]
    chain = np.arange(1000)
    assert not joined(1000, chain[:-1], chain[1:]).any()


@pytest.mark.parametrize("wrong", [{"resolution": 4}, {"gap": 0.0}, {"gap": 0.7}, {"gap": float("nan")}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RepairRecipe(**wrong)


def test_the_brute_force_check_sees_two_faces_that_cross():
    t = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.2, 0.2, -1], [0.2, 0.2, 1], [0.3, 0.9, 1]])
    assert crossing_pairs(Mesh(t, np.arange(6).reshape(2, 3))) == 1
    t[3:] += [2.0, 0.0, 0.0]
    assert crossing_pairs(Mesh(t, np.arange(6).reshape(2, 3))) == 0


def grooved_block(slope: float) -> Mesh:
    """The box from 0 to 1 with a groove along z, `slope` wide for its depth, from the top down to y = 0.4."""
    half = 0.3 * slope
    outline = np.array([[0, 0], [1, 0], [1, 1], [0.5 + half, 1], [0.5, 0.4], [0.5 - half, 1], [0, 1]])
    cap = np.array([[0, 1, 4], [1, 2, 3], [1, 3, 4], [0, 4, 5], [0, 5, 6]])
    count = len(outline)
    vertices = np.concatenate([np.column_stack([outline, np.full(count, z)]) for z in (0.0, 1.0)])
    sides = [[k, (k + 1) % count, count + (k + 1) % count] for k in range(count)]
    sides += [[k, count + (k + 1) % count, count + k] for k in range(count)]
    return Mesh(vertices, np.concatenate([cap[:, ::-1], cap + count, np.array(sides)]))


def test_the_surface_goes_down_a_groove_further_than_nodes_of_the_lattice_fit():
    groove = grooved_block(0.15)
    assert groove.volume == pytest.approx(1 - 0.09 * 0.6 / 2)
    result, report = repair(groove, RepairRecipe(resolution=32, force=True))
    depth = np.linspace(0.725, 0.975, 11)  # a ball about a node that keeps 0.87 cells fits in from 0.76
    assert (np.abs(winding_number(result, np.column_stack([np.full(11, 0.5), depth, np.full(11, 0.5)]))) < 0.5).all()
    assert report.deviation.max < 0.02  # 0.03 before the surface is led in
    assert trimesh.Trimesh(result.vertices, result.faces, process=False).is_watertight
    assert crossing_pairs(result) == 0
