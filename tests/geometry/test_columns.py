"""Crossings counted along lines: on whole numbers, where lines meet corners, edges and run along faces all the time."""

import itertools

import numpy as np
import pytest

from shapetool.geometry.inside import InsideTest, is_inside
from shapetool.geometry.kernel import Kernel, kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import signed_distance
from shapetool.geometry.topology import analyse
from tests import analytic

SIDE = 13
NODES = np.array(list(itertools.product(range(SIDE), repeat=3)))
TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def boxes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Boxes with whole corners, each its own vertices, some wound inward; winding number and surface at the nodes."""
    vertices, faces = [], []
    winding, surface = np.zeros(len(NODES), dtype=int), np.zeros(len(NODES), dtype=bool)
    for k in range(count):
        low = rng.integers(0, SIDE - 1, 3)
        high = np.array([rng.integers(x + 1, SIDE) for x in low])
        way = -1 if k % 4 == 3 else 1
        corners, sides = analytic.box_mesh(tuple(low), tuple(high))
        vertices.append(corners)
        faces.append(sides[:, ::way] + 8 * k)
        within = ((low < NODES) & (high > NODES)).all(axis=1)
        winding += way * within
        surface |= ((low <= NODES) & (high >= NODES)).all(axis=1) & ~within
    return np.concatenate(vertices), np.concatenate(faces), winding, surface


def tetrahedra(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same of tetrahedra, by determinants of whole numbers."""
    vertices, faces = [], []
    winding, surface = np.zeros(len(NODES), dtype=int), np.zeros(len(NODES), dtype=bool)
    while len(vertices) < count:
        corners = rng.integers(0, SIDE, (4, 3))
        volume = round(np.linalg.det(corners[1:] - corners[0]))
        if volume == 0:
            continue
        parts = []  # what is left of the volume with a node in the place of each corner
        for c in range(4):
            moved = np.broadcast_to(corners, (len(NODES), 4, 3)).copy()
            moved[:, c] = NODES
            parts.append(np.rint(np.linalg.det(moved[:, 1:] - moved[:, :1])).astype(int) * np.sign(volume))
        least = np.min(parts, axis=0)
        winding += np.sign(volume) * (least > 0)
        surface |= least == 0
        faces.append(TETRAHEDRON + 4 * len(vertices))
        vertices.append(corners)
    return np.concatenate(vertices).astype(float), np.concatenate(faces), winding, surface


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("longest", range(3))
@pytest.mark.parametrize("solids", [boxes, tetrahedra])
def test_lines_through_corners_and_edges_and_along_faces_count_as_lines_beside_them(solids, longest, seed):
    vertices, faces, winding, surface = solids(np.random.default_rng(seed), 12)
    stretched = np.ones(3)
    stretched[longest] = 4  # lines run along the longest side
    mesh, points = Mesh(vertices * stretched, faces), NODES * stretched
    way = kernel_of(mesh).orientation()
    assert way == (1 if analyse(mesh).volume >= 0 else -1)
    told = kernel_of(mesh).inside(points)
    assert np.array_equal(told[told >= 0] > 0, (way * winding > 0)[told >= 0])
    assert (told[surface] < 0).all()
    assert (told[~surface] >= 0).mean() > 0.9
    inside = is_inside(mesh, points)
    assert np.array_equal(inside[~surface], (way * winding > 0)[~surface])
    assert np.array_equal(inside, signed_distance(mesh, points) < 0)
    assert 20 < inside.sum() < 1800


@pytest.mark.parametrize("seed", range(4))
def test_slivers_and_steep_faces_are_decided_as_their_determinants_say(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-1, 1, (60, 4, 3))
    flat = 10.0 ** rng.uniform(-7, 0, 60)  # the last corner comes close to the opposite face
    middle = corners[:, :3].mean(axis=1)
    corners[:, 3] = middle + (corners[:, 3] - middle) * flat[:, None]
    volume = np.linalg.det(corners[:, 1:] - corners[:, :1])
    corners[volume < 0] = corners[volume < 0][:, [0, 2, 1, 3]]
    mesh = Mesh(corners.reshape(-1, 3), (4 * np.arange(60)[:, None, None] + TETRAHEDRON).reshape(-1, 3))
    weights = rng.dirichlet(np.ones(4), (60, 100))
    points = np.concatenate([np.einsum("tpc,tcd->tpd", weights, corners).reshape(-1, 3), rng.uniform(-1, 1, (5000, 3))])
    winding, sure = np.zeros(len(points), dtype=int), np.ones(len(points), dtype=bool)
    for one in corners:
        shares = np.linalg.solve((one[1:] - one[0]).T, (points - one[0]).T)
        shares = np.vstack([1 - shares.sum(axis=0), shares])
        winding += (shares > 0).all(axis=0)
        sure &= (abs(shares) > 1e-7).all(axis=0)
    told = kernel_of(mesh).inside(points)
    assert np.array_equal(told[sure] > 0, winding[sure] > 0)
    assert (told[sure] >= 0).all()
    assert sure.sum() > 6_000
    assert 6_000 < (winding > 0).sum() < 10_000


def test_points_a_hair_from_the_surface_are_left_to_its_distance_and_others_are_not():
    mesh = Mesh(*analytic.box_mesh((-1, -1, -1), (1, 1, 1)))
    for away, doubtful in ((0.0, True), (1e-15, True), (1e-12, False), (1e-6, False)):
        points = np.array([[0.3, 0.2, 1], [0.3, 1, 0.2], [1, 0.3, 0.2], [1, 1, 0.1], [1, 1, 1]]) * (1 - away)
        assert (kernel_of(mesh).inside(points) < 0).tolist() == [doubtful] * 5
        assert np.array_equal(is_inside(mesh, points), signed_distance(mesh, points) < 0)


def test_more_points_than_are_taken_at_once_get_the_labels_they_get_alone():
    truth = analytic.nested_shells()
    mesh = Mesh(truth.vertices, truth.faces)
    points = np.random.default_rng(0).uniform(-1.1, 1.1, (1_200_000, 3)) * np.abs(truth.vertices).max()
    inside = is_inside(mesh, points)
    for part in (slice(0, 1000), slice(1_048_000, 1_049_000), slice(1_199_999, None)):
        assert np.array_equal(inside[part], is_inside(mesh, points[part]))
    assert np.array_equal(inside[-50_000:], truth.inside(points[-50_000:]))


def test_threads_change_no_label():
    vertices, faces, _, _ = tetrahedra(np.random.default_rng(3), 400)
    points = np.random.default_rng(0).uniform(-0.5, SIDE, (150_000, 3))
    told = [Kernel(vertices, faces, threads).inside(points, threads) for threads in (1, 2, 5)]
    assert np.array_equal(told[0], told[1])
    assert np.array_equal(told[0], told[2])
    assert (told[0] > 0).any()


def test_every_instruction_set_gives_the_same_labels_and_doubts(run_python):
    script = (
        "import numpy as np, hashlib; from tests.geometry.test_columns import NODES, tetrahedra;"
        "from shapetool.geometry.kernel import Kernel, simd; rng = np.random.default_rng(1);"
        "v, f, _, _ = tetrahedra(rng, 40); p = np.concatenate([NODES, rng.uniform(0, 13, (9999, 3))]);"
        "print(simd(), hashlib.sha256(Kernel(v, f).inside(p).tobytes()).hexdigest())"
    )
    results = dict(run_python(script, SHAPETOOL_SIMD=name).split() for name in ("baseline", "avx2", "avx512"))
    assert "baseline" in results
    assert len(set(results.values())) == 1


@pytest.mark.parametrize("seed", range(40))
def test_the_orientation_is_what_the_topology_says(seed):
    rng = np.random.default_rng(seed)
    vertices, faces, _, _ = tetrahedra(rng, 6)
    spoilt = faces.copy()
    kind = seed % 5
    if kind == 1:  # an open edge
        spoilt = faces[1:]
    if kind == 2:  # two faces that disagree
        spoilt[4] = spoilt[4, ::-1]
    if kind == 3:  # four faces an edge
        spoilt = np.concatenate([faces, faces[:4]])
    if kind == 4:  # a face that runs along an edge and back
        spoilt[5] = spoilt[5, [0, 1, 0]]
    mesh = Mesh(vertices, spoilt)
    found = analyse(mesh)
    whole = found.watertight and found.oriented
    assert whole == (kind == 0)
    assert kernel_of(mesh).orientation() == (np.sign(found.volume) if whole else 0)
    if not whole:
        with pytest.raises(ValueError, match="closed mesh wound one way"):
            kernel_of(mesh).inside(np.zeros((1, 3)))
        assert InsideTest(mesh).sign_method == "winding"


def test_a_flat_shell_has_no_inside_and_no_line_divides_by_its_width():
    corners = np.array([[0, 0, 1], [2, 0, 1], [2, 3, 1], [0, 3, 1]], dtype=float)
    front = np.array([[0, 1, 2], [0, 2, 3]])
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        mesh = Mesh(corners[:, order], np.concatenate([front, front[:, ::-1]]))
        points = np.random.default_rng(0).uniform(-1, 4, (1000, 3))
        points[::2, order.index(2)] = 1
        assert not is_inside(mesh, points).any()
