import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh
from shapetool.geometry.sdf import SignedField, signed_distance
from shapetool.geometry.sign import winding_number
from shapetool.sampling.surface import sample_surface
from tests import analytic, naive

DECIDED = [
    analytic.nested_cavity,
    analytic.nested_shells,
    analytic.overlapping_shells,
    analytic.thin_plate,
    analytic.sharp_wedge,
    analytic.sliver_box,
    analytic.inside_out_box,
    analytic.open_box,
]


@pytest.mark.parametrize("shape", DECIDED, ids=lambda f: f.__name__)
def test_no_sign_is_wrong_on_shapes_decided_by_hand(shape):
    truth = shape()
    points = truth.queries(30000)
    distances = signed_distance(Mesh(truth.vertices, truth.faces), points)
    wrong = (distances < 0) != truth.inside(points)
    assert not wrong[abs(distances) > 1e-12].any()
    np.testing.assert_allclose(abs(distances), truth.distance(points), rtol=0, atol=2e-15)


@pytest.mark.parametrize("sign", ["pseudonormal", "winding", "parity"])
@pytest.mark.parametrize("shape", [analytic.nested_cavity, analytic.thin_plate, analytic.sharp_wedge])
def test_every_method_is_right_on_a_clean_closed_mesh(sign, shape):
    truth = shape()
    points = truth.queries(10000)
    field = SignedField(Mesh(truth.vertices, truth.faces), sign=sign)
    distances = field(points)
    assert field.sign_method == sign
    assert not ((distances < 0) != truth.inside(points))[abs(distances) > 1e-12].any()


def test_outside_is_positive_and_inside_negative():
    vertices, faces = analytic.box_mesh((-1, -1, -1), (1, 1, 1))
    assert signed_distance(Mesh(vertices, faces), np.array([[0.0, 0, 0], [3.0, 0, 0]])).tolist() == [-1.0, 2.0]


@pytest.mark.parametrize(
    ("shape", "method"),
    [
        (analytic.nested_cavity, "pseudonormal"),
        (analytic.nested_shells, "pseudonormal"),
        (analytic.overlapping_shells, "winding"),
        (analytic.open_box, "winding"),
        (analytic.doubled_box, "winding"),
    ],
)
def test_auto_takes_pseudonormals_only_where_they_are_proved(shape, method):
    truth = shape()
    field = SignedField(Mesh(truth.vertices, truth.faces))
    assert field.sign_method == method
    assert field.watertight == truth.closed


def test_an_inside_out_mesh_is_turned_with_a_warning():
    truth = analytic.inside_out_box()
    field = SignedField(Mesh(truth.vertices, truth.faces))
    assert field.warnings == ("inside out: flipped.",)


def test_forcing_pseudonormals_on_an_open_mesh_warns():
    truth = analytic.open_box()
    field = SignedField(Mesh(truth.vertices, truth.faces), sign="pseudonormal")
    assert field.sign_method == "pseudonormal"
    assert "wrong signs" in field.warnings[0]


def test_a_mesh_with_every_face_twice_the_other_way_round_has_no_inside():
    truth = analytic.doubled_box()
    assert (signed_distance(Mesh(truth.vertices, truth.faces), truth.queries(2000)) >= 0).all()


def test_the_zero_level_of_an_open_mesh_is_where_the_winding_number_is_one_half():
    truth = analytic.open_box()
    mesh = Mesh(truth.vertices, truth.faces)
    points = truth.queries(5000)
    exact = naive.brute_winding(truth.vertices, truth.faces, points)
    sure = abs(exact - 0.5) > 1e-9
    assert np.array_equal((signed_distance(mesh, points) < 0)[sure], (exact > 0.5)[sure])


def soup(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Separate triangles any way round, whose every edge is a boundary."""
    corners = rng.uniform(-1, 1, (12, 1, 3)) + rng.uniform(-0.6, 0.6, (12, 3, 3))
    return corners.reshape(-1, 3), np.arange(36).reshape(-1, 3)


def tube(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A pipe open at both ends, of slivers a hundred times as long as wide, one of them turned."""
    angle = np.linspace(0, 2 * np.pi, 61)[:-1]
    ring = np.stack([0.05 * np.cos(angle), 0.05 * np.sin(angle), np.full(60, -0.5)], axis=1)
    low, turn = np.arange(60), (np.arange(60) + 1) % 60
    faces = np.concatenate([np.stack([low, turn, low + 60], 1), np.stack([turn, turn + 60, low + 60], 1)])
    faces[7] = faces[7][::-1]
    return np.concatenate([ring, ring + np.array([0, 0, 1])]), faces


def cap(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A sphere without its top, and a closed box above it, which no boundary tells of."""
    down, around = np.meshgrid(np.linspace(0.7, np.pi - 0.01, 14), np.arange(32) * np.pi / 16, indexing="ij")
    ball = np.stack([np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down)], axis=-1)
    row, column = (index.ravel() for index in np.meshgrid(np.arange(13), np.arange(32), indexing="ij"))
    here, beside = row * 32 + column, row * 32 + (column + 1) % 32
    faces = np.concatenate([np.stack([here, here + 32, beside], 1), np.stack([beside, here + 32, beside + 32], 1)])
    box, sides = analytic.box_mesh((-0.3, -0.3, 0.8), (0.3, 0.3, 1.1))
    return np.concatenate([ball.reshape(-1, 3), box]), np.concatenate([faces, sides + ball[..., 0].size])


@pytest.mark.parametrize(("make", "opening", "size"), [(soup, 0, 0.4), (tube, 0.5, 0.1), (cap, 0.75, 0.5)])
def test_signs_of_open_surfaces_are_those_of_the_exact_winding_number(make, opening, size):
    rng = np.random.default_rng(11)
    vertices, faces = make(rng)
    mesh = Mesh(vertices, faces)
    surface, _, _ = sample_surface(mesh, 3000, rng)
    points = np.concatenate(
        [
            surface[:1000] + 0.1 * rng.standard_normal((1000, 3)),
            surface[1000:2000] + 0.003 * rng.standard_normal((1000, 3)),
            surface[2000:] + 1e-5 * rng.standard_normal((1000, 3)),
            rng.uniform(-1.2, 1.2, (3000, 3)),
            np.array([0, 0, opening]) + rng.uniform(-size, size, (20_000, 3)),  # where the sign changes in the open
        ]
    )
    exact = naive.brute_winding(mesh.vertices, mesh.faces, points)
    sure = abs(exact - 0.5) > 1e-6
    assert sure.sum() > 25_900
    assert (exact > 0.5).sum() > 20
    assert np.array_equal((signed_distance(mesh, points, sign="winding") < 0)[sure], (exact > 0.5)[sure])


@pytest.mark.parametrize("make", [soup, tube, cap])
def test_the_boundary_tells_the_change_of_the_winding_number_within_its_bound(make):
    rng = np.random.default_rng(5)
    mesh = Mesh(*make(rng))
    kernel = kernel_of(mesh)
    met, bent = 0, 0
    for start in rng.uniform(-1.2, 1.2, (200, 3)):
        # A ball that no triangle enters: there the boundary alone tells how the number changes.
        free = kernel.closest(start[None])[0][0]
        way = rng.standard_normal((100, 3))
        way *= free * rng.random((100, 1)) / np.linalg.norm(way, axis=1, keepdims=True)
        points = np.concatenate([start[None], start + way])
        change, doubt = kernel.winding_change(points)
        exact = naive.brute_winding(mesh.vertices, mesh.faces, points)
        error = np.abs(exact - exact[0] - change)
        assert (error <= doubt).all()
        met += np.isfinite(doubt).sum()
        bent += (error > 2e-3).sum()
    assert met > 10_000
    assert bent > 5  # the gradient alone would not do


def test_winding_numbers_equal_the_sum_of_solid_angles():
    truth = analytic.overlapping_shells()
    mesh, points = Mesh(truth.vertices, truth.faces), truth.queries(1000)
    expected = naive.brute_winding(truth.vertices, truth.faces, points)
    np.testing.assert_allclose(winding_number(mesh, points, exact=True), expected, atol=1e-12)
    assert expected.max() > 1.9  # both boxes count where they overlap


def test_fast_winding_numbers_are_close_on_a_bumpy_open_surface():
    rng = np.random.default_rng(0)
    n = 80
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    z = 0.2 * np.sin(5 * x) * np.cos(4 * y) + 0.01 * rng.normal(size=x.shape)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    faces = np.concatenate([np.stack([i, i + n, i + 1], 1), np.stack([i + 1, i + n, i + n + 1], 1)])
    mesh, points = Mesh(vertices, faces), rng.uniform(-1.2, 1.2, (500, 3))
    exact = naive.brute_winding(vertices, faces, points)
    assert abs(exact - 0.5).min() < 0.4  # it is not all near 0 or 1
    np.testing.assert_allclose(winding_number(mesh, points), exact, atol=1e-3)  # the bound the documentation gives


def near(rng, vertices, faces, count, spread):
    """Points as dense around the surface as samples for training are: there neighbours speak for each other."""
    triangles = vertices[faces[rng.integers(len(faces), size=count)]]
    weights = rng.dirichlet((1, 1, 1), count)
    return (triangles * weights[..., None]).sum(axis=1) + spread * rng.normal(size=(count, 3))


def sheet(rng, n=40):
    """An open sheet of waves, with a hole, a lone flap and a patch wound the other way round."""
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    vertices = np.stack([x, y, 0.3 * np.sin(4 * x) * np.cos(3 * y)], axis=-1).reshape(-1, 3)
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    faces = np.concatenate([np.stack([i, i + n, i + 1], 1), np.stack([i + 1, i + n, i + n + 1], 1)])
    middle = vertices[faces].mean(axis=1)
    faces = faces[np.linalg.norm(middle[:, :2] - 0.4, axis=1) > 0.2]
    turned = np.linalg.norm(vertices[faces].mean(axis=1)[:, :2] + 0.5, axis=1) < 0.3
    faces[turned] = faces[turned][:, ::-1]
    return np.concatenate([vertices, [[0, 0, 0.5], [0.5, 0, 0.5], [0, 0.5, 0.8]]]), np.concatenate(
        [faces, [[n * n + k for k in range(3)]]]
    )


def ring(n=24):
    """A closed tube that meets itself where it crosses, and has no boundary at all."""
    t, u = np.meshgrid(np.arange(2 * n) * np.pi / n, np.arange(8) * np.pi / 4, indexing="ij")
    radius = 0.5 + 0.2 * np.cos(u)
    place = np.stack([radius * np.cos(t), 0.6 * radius * np.sin(2 * t), 0.2 * np.sin(u)], axis=-1)
    i, j = (a.reshape(-1) for a in np.meshgrid(np.arange(2 * n), np.arange(8), indexing="ij"))
    a, b, c, d = (
        8 * (i % (2 * n)) + j,
        8 * ((i + 1) % (2 * n)) + j,
        8 * ((i + 1) % (2 * n)) + (j + 1) % 8,
        8 * i + (j + 1) % 8,
    )
    return place.reshape(-1, 3), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])[:, ::-1]


def slivers(rng, count=60):
    """Long needles, nearly in one plane and all over each other."""
    a = rng.uniform(-1, 1, (count, 3)) * [1, 1, 0.01]
    along = rng.normal(size=(count, 3)) * [1, 1, 0.01]
    width = 10.0 ** rng.uniform(-5, -1, (count, 1)) * rng.normal(size=(count, 3))
    return np.stack([a, a + along, a + 0.5 * along + width], axis=1).reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize("spread", [0.2, 0.02, 0.0005])
@pytest.mark.parametrize("shape", ["sheet", "ring", "slivers", "shells"])
def test_dense_queries_get_the_sign_of_the_exact_winding_number(shape, spread):
    rng = np.random.default_rng(3)
    shells = analytic.overlapping_shells()
    vertices, faces = {
        "sheet": lambda: sheet(rng),
        "ring": ring,
        "slivers": lambda: slivers(rng),
        "shells": lambda: (shells.vertices, shells.faces),
    }[shape]()
    points = near(rng, vertices, faces, 20000, spread)
    distances = signed_distance(Mesh(vertices, faces), points, sign="winding")
    exact = naive.brute_winding(vertices, faces, points)
    sure = (abs(exact - 0.5) > 1e-9) & (abs(distances) > 1e-9)
    assert np.array_equal((distances < 0)[sure], (exact > 0.5)[sure])


def test_turns_past_a_whole_one_are_counted():
    boxes = [analytic.box_mesh((-k, -k, -k), (k, k, k)) for k in range(1, 61)]
    vertices = np.concatenate([v for v, _ in boxes])
    faces = np.concatenate([f + 8 * k for k, (_, f) in enumerate(boxes)])
    points = np.array([[0, 0, 0], [0.1, 0.2, 0.3], [30.5, 0.1, -0.2], [61, 0, 0.0]])
    for sign, wanted in ((1, [60, 60, 30, 0]), (-1, [-60, -60, -30, 0])):
        mesh = Mesh(vertices, faces[:, ::sign])
        np.testing.assert_allclose(winding_number(mesh, points, exact=True), wanted, atol=1e-11)
        np.testing.assert_allclose(winding_number(mesh, points), wanted, atol=1e-3)


def test_every_instruction_set_gives_the_same_winding_numbers_and_signs(run_python):
    script = (
        "import numpy as np, hashlib; from tests.geometry.test_sdf import near, sheet;"
        "from shapetool.geometry.mesh import Mesh; from shapetool.geometry.sdf import signed_distance;"
        "from shapetool.geometry.sign import winding_number; from shapetool.geometry.kernel import simd;"
        "rng = np.random.default_rng(0); v, f = sheet(rng); p = near(rng, v, f, 5000, .02); m = Mesh(v, f);"
        "r = [signed_distance(m, p), winding_number(m, p), winding_number(m, p[:500], exact=True)];"
        "print(simd(), hashlib.sha256(b''.join(x.tobytes() for x in r)).hexdigest())"
    )
    results = dict(run_python(script, SHAPETOOL_SIMD=name).split() for name in ("baseline", "avx2", "avx512"))
    assert "baseline" in results
    assert len(set(results.values())) == 1


def test_the_flood_is_a_field_of_its_own():
    truth = analytic.thin_plate()
    with pytest.raises(ConfigError, match="FloodField"):
        SignedField(Mesh(truth.vertices, truth.faces), sign="flood")


def test_an_unknown_sign_method_is_refused_with_the_known_ones():
    truth = analytic.thin_plate()
    with pytest.raises(ConfigError, match="pseudonormal"):
        SignedField(Mesh(truth.vertices, truth.faces), sign="normals")


def test_signs_do_not_depend_on_threads():
    truth = analytic.overlapping_shells()
    points = truth.queries(5000)
    one = signed_distance(Mesh(truth.vertices, truth.faces), points, threads=1)
    four = signed_distance(Mesh(truth.vertices, truth.faces), points, threads=4)
    assert np.array_equal(one, four)
