"""What is left of closed meshes that meet themselves, against formulas, winding numbers and manifold3d."""

import manifold3d
import numpy as np
import pytest
import trimesh

from shapetool.geometry.arrangement import pieces_of
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.repair import RepairRecipe, repair
from shapetool.geometry.self_union import self_union
from shapetool.geometry.shells import outermost, shells_of
from shapetool.geometry.sign import winding_number
from tests import analytic
from tests.geometry.test_repair import crossing_pairs


def stacked(*parts: tuple[np.ndarray, np.ndarray]) -> Mesh:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return Mesh(np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces))


def box(low, high) -> tuple[np.ndarray, np.ndarray]:
    return analytic.box_mesh(tuple(map(float, low)), tuple(map(float, high)))


def turned(part: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    return part[0] @ rotation.T + rng.normal(size=3) * 0.3, part[1]


def sound(mesh: Mesh) -> bool:
    judged = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return judged.is_watertight and judged.is_winding_consistent and crossing_pairs(mesh) == 0


@pytest.mark.parametrize(
    ("second", "volume", "euler"),
    [
        (((0.5, 0.25, 0.25), (1.5, 0.75, 0.75)), 1.125, 2),  # through one side
        (((-1, 0.25, 0.25), (2, 0.75, 0.75)), 1.5, 2),  # right through
        (((0, 0, 0), (1, 1, 1)), 1, 2),  # the same again
        (((0, 0, 0), (1, 1, 2)), 2, 2),  # five faces in the same planes
        (((0.5, 0, 0), (1.5, 1, 1)), 1.5, 2),  # four overlap
        (((1, 0, 0), (2, 1, 1)), 2, 2),  # face to face
        (((1, 0.25, 0.25), (2, 0.75, 0.75)), 1.25, 2),  # a smaller face on a face
        (((0.2, 0.2, 0.2), (0.8, 0.8, 0.8)), 1, 2),  # within
        (((1, 1, 0), (2, 2, 1)), 2, 4),  # edge to edge
        (((1, 1, 1), (2, 2, 2)), 2, 4),  # corner to corner
        (((3, 3, 3), (4, 4, 4)), 2, 4),  # apart
    ],
)
def test_the_union_of_two_boxes(second, volume, euler):
    result = self_union(stacked(box((0, 0, 0), (1, 1, 1)), box(*second)))
    assert sound(result)
    assert result.volume == pytest.approx(volume, rel=1e-4 if euler == 4 else 1e-12)
    assert trimesh.Trimesh(result.vertices, result.faces, process=False).euler_number == euler


def test_a_wall_between_a_box_and_one_that_is_inside_out_goes():
    vertices, faces = box((1, 0, 0), (2, 1, 1))
    result = self_union(stacked(box((0, 0, 0), (1, 1, 1)), (vertices, faces[:, ::-1])))
    assert sound(result)
    assert result.volume == pytest.approx(2, rel=1e-12)
    assert result.area == pytest.approx(10, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_union_of_turned_boxes_is_that_of_manifold3d(seed):
    rng = np.random.default_rng(seed)
    parts = [turned(box(-rng.uniform(0.2, 1, 3), rng.uniform(0.2, 1, 3)), rng) for _ in range(6)]
    result = self_union(stacked(*parts))
    assert sound(result)
    solids = [manifold3d.Manifold(manifold3d.Mesh64(v, f.astype(np.uint64))) for v, f in parts]
    peer = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add)
    assert result.volume == pytest.approx(peer.volume(), rel=1e-9)
    assert result.area == pytest.approx(peer.surface_area(), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_random_tetrahedra_of_either_winding_leave_what_they_wind_around(seed):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(12, 4, 3))
    flip = np.linalg.det(corners[:, 1:] - corners[:, :1]) < 0
    flip[3] = not flip[3]  # one that is inside out
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    parts = [(c, faces[:, ::-1] if f else faces) for c, f in zip(corners, flip, strict=True)]
    mesh = stacked(*parts)
    result = self_union(mesh)
    assert sound(result)
    points = rng.normal(size=(4000, 3)) * 1.2
    points = points[kernel_of(mesh).closest(points)[0] > 1e-3]
    around = np.round(winding_number(mesh, points, exact=True))
    assert ((winding_number(result, points, exact=True) > 0.5) == (around != 0)).all()
    assert kernel_of(mesh).closest(result.vertices)[0].max() < 1e-4


def test_pieces_cover_each_face_as_often_as_the_faces_do():
    rng = np.random.default_rng(1)
    mesh = stacked(*(turned(box((-1, -1, -1), (1, 1, 1)), rng) for _ in range(3)), box((0, 0, 0), (1, 1, 1)))
    pairs = kernel_of(mesh).intersecting_pairs(0.0, 0).reshape(-1, 2).astype(np.int64)
    pieces = pieces_of(mesh.vertices, mesh.faces, pairs)
    cut = Mesh(pieces.vertices, pieces.faces)
    assert (cut.face_areas * pieces.copies).sum() == pytest.approx(mesh.area, rel=1e-12)
    assert crossing_pairs(cut) == 0


def test_a_lobe_that_is_inside_out_is_kept_and_turned():
    """A unit box whose lid comes down to a point as far below the floor as the lid was above it."""
    vertices, faces = box((0, 0, 0), (1, 1, 1))
    lid = (vertices[faces][:, :, 2] == 1).all(axis=1)
    ring = [k for k in range(8) if vertices[k, 2] == 1]
    ring.sort(key=lambda k: np.arctan2(vertices[k, 1] - 0.5, vertices[k, 0] - 0.5))
    funnel = [[ring[k - 1], ring[k], 8] for k in range(4)]
    mesh = Mesh(np.vstack([vertices, [0.5, 0.5, -1.0]]), np.vstack([faces[~lid], funnel]))
    result = self_union(mesh)
    assert sound(result)
    walls, tip = 1 - (1 + 1 / 2 + 1 / 4) / 3, 1 / 4 / 3
    assert mesh.volume == pytest.approx(walls - tip, rel=1e-12)
    assert result.volume == pytest.approx(walls + tip, rel=1e-4)


@pytest.mark.parametrize(
    "mesh",
    [
        Mesh(*box((0, 0, 0), (1, 1, 1))[:1], box((0, 0, 0), (1, 1, 1))[1][1:]),
        stacked(box((0, 0, 0), (1, 1, 1)), (np.eye(3) * 3, np.array([[0, 1, 2], [0, 2, 1]]))),
        Mesh(np.eye(3), np.array([[0, 1, 2], [0, 2, 1]])),
    ],
    ids=["open", "a sheet beside", "only a sheet"],
)
def test_what_has_a_boundary_or_would_lose_a_sheet_is_left(mesh):
    assert self_union(mesh) is None


def test_faces_without_area_and_points_in_the_middle_of_an_edge_close_up():
    vertices, faces = box((0, 0, 0), (1, 1, 1))
    edge = faces[0, :2]
    apex = next(k for k in faces[0] if k not in edge)
    middle = len(vertices)
    split = [[edge[0], middle, apex], [middle, edge[1], apex], [edge[0], edge[1], middle]]
    mesh = Mesh(np.vstack([vertices, vertices[edge].mean(axis=0)]), np.vstack([np.delete(faces, 0, axis=0), split]))
    result, report = repair(mesh)
    assert report.method == "cut"
    assert report.deviation.max == 0
    assert (len(result.faces), report.euler) == (14, 2)
    assert sound(result)


def test_repair_cuts_and_drops_what_is_inside():
    mesh = Mesh(analytic.overlapping_shells().vertices, analytic.overlapping_shells().faces)
    result, report = repair(mesh)
    assert report.method == "cut"
    assert report.deviation.max < 2e-6  # what is less deep inside is compared, too
    assert 0 < report.deviation.hidden < 1
    first, second, both = 1.3 * 1.0 * 1.0, 1.15 * 0.9 * 1.0, 0.55 * 0.7 * 0.7
    assert report.volume_after == pytest.approx(first + second - both, rel=1e-12)
    assert sound(result)


def test_a_stated_gap_is_closed_all_the_same():
    mesh = Mesh(analytic.overlapping_shells().vertices, analytic.overlapping_shells().faces)
    assert repair(mesh, RepairRecipe(resolution=32, gap=0.1))[1].method == "rebuilt"


@pytest.mark.parametrize(("keep", "shells", "volume"), [(False, 1, 5.76), (True, 2, 5.76 - 0.9 * 0.8 * 0.6)])
def test_a_cavity_goes_unless_it_is_kept(keep, shells, volume):
    truth = analytic.nested_cavity()
    _, report = repair(Mesh(truth.vertices, truth.faces), RepairRecipe(keep_cavities=keep))
    assert report.method == ("kept" if keep else "cut")
    assert (report.cavities, report.components) == (1, shells)
    assert report.volume_after == pytest.approx(volume, rel=1e-12)


@pytest.mark.parametrize("keep", [False, True])
def test_a_shell_within_the_solid_always_goes(keep):
    truth = analytic.nested_shells()
    _, report = repair(Mesh(truth.vertices, truth.faces), RepairRecipe(keep_cavities=keep))
    assert (report.method, report.cavities, report.components) == ("cut", 0, 1)


def test_shells_know_what_is_around_them():
    inward = [(v, f[:, ::-1]) for v, f in (box((1, 1, 1), (9, 9, 9)), box((20, 0, 0), (21, 1, 1)))]
    mesh = stacked(box((0, 0, 0), (10, 10, 10)), inward[0], box((2, 2, 2), (3, 3, 3)), inward[1])
    shells = shells_of(mesh)
    assert shells.outward.tolist() == [True, False, True, False]
    assert shells.depth.tolist() == [0, 1, 2, 0]
    assert shells.around.tolist() == [0, 1, 0, 0]
    assert shells.cavities == 1
    assert not shells.single
    assert len(outermost(mesh, shells).faces) == 24
