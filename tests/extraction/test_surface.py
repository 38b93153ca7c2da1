"""Surfaces of fields: the sparse search finds what the dense one finds, to the bit, and the meshes obey the laws."""

import numpy as np
import pytest

from shapetool.errors import ConfigError, MeshError
from shapetool.extraction.surface import Extraction, extract_surface, extract_with_facts
from shapetool.geometry import analytic, families
from shapetool.geometry.dual import boundary_of, triangulate
from shapetool.geometry.lattice import lattice_axes
from shapetool.geometry.topology import analyse

BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
ODD = ((-1.0, -0.9, -1.1), (1.0, 1.2, 1.05))  # not a cube, and its nodes are nowhere in particular
NODES = 64
CELL = 2 / (NODES - 1)
AXIS = lattice_axes(BOX, NODES)[0]


def moved(field, *by):
    return lambda points: field(points - np.array(by))


def turned(field):
    """About the axis (1, 2, 3), so that nothing lies along the axes."""
    x, y, z = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + np.sin(1.0) * cross + (1 - np.cos(1.0)) * cross @ cross
    # Not points @ rotation, whose last bits depend on how many points there are.
    return lambda points: field(sum(points[:, k, None] * rotation[k] for k in range(3)))


def plate(cells):
    """A plate this many cells thick, between planes of nodes."""
    return analytic.box((-0.7, -0.6, float(AXIS[36])), (0.6, 0.7, float(AXIS[36 + cells])))


SHAPES = {
    "sphere": analytic.sphere(0.7),
    "torus": analytic.torus(0.6, 0.2),
    "turned torus": turned(analytic.torus(0.6, 0.05)),
    "cylinder": turned(analytic.cylinder(0.5, 0.3)),
    "box on planes of nodes": analytic.box([float(AXIS[16])] * 3, [float(AXIS[44])] * 3),
    "plate": plate(2),
    "turned plate": turned(plate(2)),
    "rod": turned(analytic.capsule(0.8, CELL)),
    "two pieces": analytic.disjoint(
        [moved(analytic.sphere(0.2), 0.5, 0, 0), moved(analytic.sphere(0.02), -0.5, 0.3, 0)]
    ),
    "beyond the box": analytic.sphere(1.2),
    "sheets that nearly touch": analytic.disjoint([plate(2), moved(plate(2), 0.01, 0, 3.1 * CELL)]),
}


def all_nodes(box, resolution):
    return np.stack(np.meshgrid(*lattice_axes(box, resolution), indexing="ij"), axis=-1).reshape(-1, 3)


def slow_twin(field, box, resolution):
    """The mesh by the whole lattice in memory: nothing here but the boundary of sets of nodes is used for both."""
    values = np.pad(field(all_nodes(box, resolution)).reshape((resolution,) * 3), 1, constant_values=np.inf)
    used = boundary_of(values < 0, np.clip(values, -1, 1), -1e-6)[2]
    corners = [np.s_[x : x - 1 or None, y : y - 1 or None, z : z - 1 or None] for x, y, z in np.ndindex(2, 2, 2)]
    counts = sum(used[corner].astype(int) for corner in corners)
    mixed = (counts > 0) & (counts < 8)
    scale = max(np.abs(values[corner][mixed & np.isfinite(values[corner])]).max() for corner in corners)
    places, quads, _ = boundary_of(values < 0, np.where(np.isfinite(values), values / scale, 1e9), -1e-6)
    axes = lattice_axes(box, resolution)
    low, step = np.array([axis[0] for axis in axes]), (np.array(box[1]) - np.array(box[0])) / (resolution - 1)
    return triangulate(low + (places - 1) * step, quads)


def assert_same(one, other):
    np.testing.assert_array_equal(one.faces, other.faces)
    np.testing.assert_array_equal(one.vertices, other.vertices)


@pytest.mark.parametrize("box", [BOX, ODD], ids=["cube", "odd"])
@pytest.mark.parametrize("name", SHAPES)
def test_mise_and_dense_are_the_slow_twin_to_the_bit(name, box):
    field = SHAPES[name]
    truth = slow_twin(field, box, NODES)
    for method, lipschitz in (("dense", None), ("mise", 1.0), ("mise", None)):
        mesh = extract_surface(field, box, NODES, method, Extraction(refine=0, lipschitz=lipschitz))
        assert_same(mesh, truth)


@pytest.mark.parametrize("name", SHAPES)
def test_moved_vertices_are_the_same_too_and_the_mesh_is_sound(name):
    dense = extract_surface(SHAPES[name], BOX, NODES, "dense")
    assert_same(extract_surface(SHAPES[name], BOX, NODES), dense)
    found = analyse(dense)
    assert found.watertight
    assert found.oriented
    assert found.manifold
    assert found.volume > 0
    assert found.components == (2 if name in ("two pieces", "sheets that nearly touch") else 1)


@pytest.mark.parametrize("resolution", [2, 3, 5, 17, 33, 70])
def test_every_resolution_has_its_levels(resolution):
    field = moved(analytic.sphere(0.95), 0.01, 0.02, -0.01)
    if resolution == 2:
        field = moved(analytic.sphere(1.7), -1, -1, -1)
    whole = slow_twin(field, ODD, resolution)
    for start in (None, 2, 7, 1000):
        assert_same(extract_surface(field, ODD, resolution, "mise", Extraction(refine=0, start=start)), whole)


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name, family in families.FAMILIES.items() if family.truth])
def test_every_family_with_a_closed_form_is_found_whole(family):
    rng = np.random.default_rng(5)
    parameters = families.draw_parameters(family, rng, segments=24)
    field = families.true_distance(family, parameters)
    low, high = families.build(family, parameters).bounds
    box = (tuple((low - 0.05).tolist()), tuple((high + 0.05).tolist()))
    dense = extract_surface(field, box, 128, "dense")
    assert_same(extract_surface(field, box, 128, "mise", Extraction(lipschitz=1.0)), dense)
    assert_same(extract_surface(field, box, 128, "mise"), dense)
    assert analyse(dense).manifold


def test_a_random_field_is_the_slow_twin_to_the_bit():
    """Waves in all directions, with many cells in which two sheets meet, so that the inside grows in places."""
    rng = np.random.default_rng(0)
    wave, phase = rng.normal(0, 12, (40, 3)), rng.uniform(0, 6, 40)
    field = lambda points: np.cos(points @ wave.T + phase).sum(axis=1) + 2  # noqa: E731
    truth = slow_twin(field, ODD, 40)
    for method in ("dense", "mise"):
        assert_same(extract_surface(field, ODD, 40, method, Extraction(refine=0, start=40)), truth)
    moved_onto = extract_surface(field, ODD, 40, "dense")
    np.testing.assert_array_equal(moved_onto.vertices.shape, truth.vertices.shape)
    found = analyse(moved_onto)
    assert found.watertight
    assert found.oriented
    assert found.manifold


def saturated(field, width=0.01):
    """A field that says nothing a little away from its surface, as those of occupancy do."""
    return lambda points: np.clip(field(points), -width, width)


def test_a_thin_rod_is_followed_from_the_only_end_that_the_coarse_nodes_see():
    """A knob at one end of a rod that has one line of nodes inside, which the levels above do not have."""
    axis = lattice_axes(BOX, 128)[0]
    across = axis[67], axis[67]
    rod = moved(analytic.capsule(0.8, 0.75 * 2 / 127), *across, 0)
    knob = moved(analytic.sphere(0.12), *across, 0.8)
    field = saturated(lambda points: np.minimum(rod(points), knob(points)))
    mesh, facts = extract_with_facts(field, BOX, 128, "mise", Extraction(start=16))
    assert mesh.bounds[0, 2] < -0.79
    assert_same(mesh, extract_surface(field, BOX, 128, "dense"))
    # Few calls: a wave goes on by whole blocks.
    assert facts.calls < 60
    assert facts.evaluations < 0.02 * 128**3


def test_a_bound_finds_what_no_coarse_node_sees():
    """A ball of two cells among nodes eight cells apart, in a field that is flat but for it."""
    place = -1 + 20 * CELL * np.ones(3)
    ball = moved(analytic.sphere(1.2 * CELL), *place)
    both = lambda points: np.minimum(ball(points), moved(analytic.sphere(0.2), 0.5, 0.5, 0.5)(points))  # noqa: E731
    dense = extract_surface(both, BOX, NODES, "dense")
    assert analyse(dense).components == 2
    assert_same(extract_surface(both, BOX, NODES, "mise", Extraction(lipschitz=1.0, start=8)), dense)
    unseen = extract_surface(saturated(both, 0.05), BOX, NODES, "mise", Extraction(start=8))
    assert analyse(unseen).components == 1  # what is flat everywhere else is out of reach without a bound


def test_a_field_that_grows_faster_than_one_is_found_by_its_own_slopes():
    field = SHAPES["turned plate"]
    dense = extract_surface(lambda points: 50 * field(points), BOX, NODES, "dense")
    assert_same(extract_surface(lambda points: 50 * field(points), BOX, NODES), dense)


def test_mise_asks_for_a_small_part_of_the_nodes():
    for field in (SHAPES["sphere"], SHAPES["turned torus"]):
        _, facts = extract_with_facts(field, BOX, 256, "mise", Extraction(refine=0))
        assert facts.evaluations < 0.05 * 256**3  # the part halves from 256 to 512 nodes
        assert facts.calls < 60


def test_batches_do_not_matter_and_are_kept_to():
    asked = []

    def field(points):
        asked.append(len(points))
        return SHAPES["torus"](points)

    one = extract_surface(field, BOX, 64, "mise", Extraction(batch=1000))
    assert max(asked) == 1000
    assert_same(one, extract_surface(field, BOX, 64, "dense", Extraction(batch=77777)))


@pytest.mark.parametrize("method", ["dense", "mise"])
def test_volume_and_area_converge_with_the_square_of_the_cell(method):
    truth = 2 * np.pi**2 * 0.6 * 0.2**2, 4 * np.pi**2 * 0.6 * 0.2
    errors = []
    for resolution in (33, 65, 129):
        mesh = extract_surface(SHAPES["torus"], BOX, resolution, method)
        errors.append([mesh.volume / truth[0] - 1, mesh.area / truth[1] - 1])
    order = np.log2(np.abs(np.array(errors[:-1]) / np.array(errors[1:])))
    assert (order > 1.7).all()
    assert np.abs(errors[-1]).max() < 3e-3


def test_the_euler_number_is_that_of_the_shape():
    for name, euler in (("sphere", 2), ("torus", 0), ("two pieces", 4), ("beyond the box", None)):
        mesh = extract_surface(SHAPES[name], BOX, NODES)
        found = len(mesh.vertices) - len(mesh.faces) * 3 // 2 + len(mesh.faces)
        assert euler is None or found == euler


def test_vertices_lie_on_the_zero_of_the_field():
    for name in ("sphere", "torus", "turned torus"):
        values = SHAPES[name](extract_surface(SHAPES[name], BOX, NODES).vertices)
        # A vertex stays in its cell, and where the surface bulges out of that, zero is outside.
        bound = 0.15 if name == "turned torus" else 0.02
        before = SHAPES[name](extract_surface(SHAPES[name], BOX, NODES, "mise", Extraction(refine=0)).vertices)
        assert np.abs(values).max() < bound * CELL
        assert np.abs(values).mean() < 2e-3 * CELL
        assert np.abs(values).mean() < 0.2 * np.abs(before).mean()
    on_planes = SHAPES["box on planes of nodes"]
    assert np.abs(on_planes(extract_surface(on_planes, BOX, NODES).vertices)).max() < 2e-3 * CELL


def test_a_mirrored_field_gives_the_mirrored_mesh():
    field = turned(analytic.cylinder(0.5, 0.3))
    mirror = np.array([-1.0, 1.0, 1.0])
    one = extract_surface(field, BOX, 64)
    other = extract_surface(lambda points: field(points * mirror), BOX, 64)
    order = [np.lexsort(np.round(vertices, 9).T) for vertices in (one.vertices * mirror, other.vertices)]
    np.testing.assert_allclose((one.vertices * mirror)[order[0]], other.vertices[order[1]], atol=1e-9)
    assert other.volume == pytest.approx(one.volume, rel=1e-3)  # the shorter of two equal diagonals may be the other


def test_a_box_that_moves_with_the_field_gives_the_same_mesh():
    shift = np.array([4.0, -8.0, 16.0])  # sums with the coordinates are rounded, but only a little
    box = tuple(tuple((np.array(corner) + shift).tolist()) for corner in BOX)
    one = extract_surface(turned(SHAPES["torus"]), BOX, 65)
    other = extract_surface(moved(turned(SHAPES["torus"]), *shift), box, 65)
    np.testing.assert_allclose(other.vertices - shift, one.vertices, atol=1e-8)


def test_what_leaves_the_box_is_closed_there_or_open_if_wished():
    closed = extract_surface(SHAPES["beyond the box"], BOX, NODES)
    assert analyse(closed).sound
    assert closed.volume == pytest.approx(_cut_ball(1.2), rel=2e-3)
    opened = extract_surface(SHAPES["beyond the box"], BOX, NODES, "mise", Extraction(close=False))
    found = analyse(opened)
    assert found.open_edges > 0
    assert found.nonmanifold_edges == found.misoriented_edges == 0
    assert (np.abs(opened.vertices) <= 1).all()
    assert np.abs(SHAPES["beyond the box"](opened.vertices)).max() < 0.01 * CELL


def _cut_ball(radius):
    """The ball less its six caps beyond the planes at distance 1, which do not meet for radii below sqrt 2."""
    height = radius - 1
    return 4 / 3 * np.pi * radius**3 - 6 * np.pi * height**2 * (3 * radius - height) / 3


def test_a_network_of_torch_is_a_field():
    import torch

    class Ball(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.radius = torch.nn.Parameter(torch.tensor(0.6))

        def forward(self, points):
            return points.norm(dim=1, keepdim=True) - self.radius

    one, other = (extract_surface(Ball(), BOX, 64, method) for method in ("dense", "mise"))
    np.testing.assert_array_equal(one.faces, other.faces)
    np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-6)
    assert np.abs(np.linalg.norm(one.vertices, axis=1) - 0.6).max() < 1e-5


@pytest.mark.parametrize("method", ["dense", "mise"])
def test_a_field_without_a_surface_is_refused_with_what_was_seen(method):
    with pytest.raises(MeshError, match=r"all of [\d,]+ nodes outside at resolution 32: values from 0\.\d+ to"):
        extract_surface(moved(analytic.sphere(0.5), 3, 0, 0.02), ((-1.0,) * 3, (2.47, 1.0, 1.0)), 32, method)
    with pytest.raises(MeshError, match=r"nodes inside at resolution 32: values from -2 to -2"):
        extract_surface(lambda points: np.full(len(points), -2.0), BOX, 32, method)


@pytest.mark.parametrize("method", ["dense", "mise"])
def test_a_value_that_is_not_finite_is_named_with_its_point(method):
    def field(points):
        values = SHAPES["sphere"](points)
        return np.where(np.linalg.norm(points - 1, axis=1) < 1e-9, np.nan, values)

    with pytest.raises(ConfigError, match=r"found nan at \[1\.0, 1\.0, 1\.0\]"):
        extract_surface(field, BOX, 32, method)
    with pytest.raises(ConfigError, match=r"expected one value for each of \d+ points, found an array \(\d+, 1\)"):
        extract_surface(lambda points: points[:, :1], BOX, 32, method)


def test_words_and_numbers_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'mise'"):
        extract_surface(SHAPES["sphere"], BOX, 32, "mice")
    with pytest.raises(ConfigError, match="at least 2 nodes"):
        extract_surface(SHAPES["sphere"], BOX, 1)
    for name, value in (("batch", 0), ("refine", -1), ("start", 0), ("lipschitz", 0.0), ("lipschitz", np.nan)):
        with pytest.raises(ConfigError, match=name):
            Extraction(**{name: value})
    with pytest.raises(ConfigError, match="share of the largest"):
        Extraction(least=2.0)


def test_settings_drop_small_pieces():
    mesh = extract_surface(SHAPES["two pieces"], BOX, NODES, "mise", Extraction(least=0.1))
    assert analyse(mesh).components == 1
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.01)
