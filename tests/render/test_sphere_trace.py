"""Sphere tracing against closed forms, against a fine mesh, and where its promises end."""

import numpy as np
import pytest

from shapetool.errors import ConfigError
from shapetool.geometry import analytic
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.views import ViewsRecipe
from shapetool.render.placing import placed
from shapetool.render.sphere_trace import March, TorchField, normals_of, sphere_traced_views, trace
from shapetool.render.views import render_views
from tests.analytic import box_mesh

RADIUS = 0.7
RING, TUBE = 0.6, 0.25
LOW, HIGH = (-0.5, -0.4, -0.6), (0.5, 0.45, 0.3)


def rays(count=4000, seed=0):
    """Rays from a sphere of radius 3 to points within the unit ball, of any length."""
    rng = np.random.default_rng(seed)
    origins, aims = rng.normal(size=(2, count, 3))
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    aims *= rng.random((count, 1)) / np.linalg.norm(aims, axis=1, keepdims=True)
    return origins, (aims - origins) * rng.uniform(0.2, 2, (count, 1))


def sphere_hit(origins, directions):
    """t of the first hit of the ball, inf on a miss, by the quadratic."""
    a, b = (directions**2).sum(axis=1), (origins * directions).sum(axis=1)
    root = b**2 - a * ((origins**2).sum(axis=1) - RADIUS**2)
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


def box_hit(origins, directions):
    one, other = (LOW - origins) / directions, (HIGH - origins) / directions
    near, far = np.minimum(one, other).max(axis=1), np.maximum(one, other).min(axis=1)
    return np.where(near < far, near, np.inf)


def torus_hit(origins, directions):
    """t of the first hit by the roots of the quartic (|p|^2 + R^2 - r^2)^2 = 4 R^2 (x^2 + y^2)."""
    found = np.full(len(origins), np.inf)
    for row, (o, d) in enumerate(zip(origins, directions, strict=True)):
        whole = np.array([d @ d, 2 * o @ d, o @ o + RING**2 - TUBE**2])
        flat = 4 * RING**2 * np.array([d[:2] @ d[:2], 2 * o[:2] @ d[:2], o[:2] @ o[:2]])
        roots = np.roots(np.polysub(np.polymul(whole, whole), flat))
        real = roots.real[np.abs(roots.imag) < 1e-7]
        found[row] = min(real[real > 0], default=np.inf)
    return found


SOLIDS = {
    "sphere": (analytic.sphere(RADIUS), sphere_hit),
    "box": (analytic.box(LOW, HIGH), box_hit),
    "torus": (analytic.torus(RING, TUBE), torus_hit),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_hits_of_a_solid_are_where_its_equation_says(name):
    field, truth = SOLIDS[name]
    origins, directions = rays()
    traced, true = trace(field, origins, directions), truth(origins, directions)
    same = traced.hit == np.isfinite(true)
    assert not traced.undecided.any()
    # A ray that enters by less than the least step is long, 1e-4, may pass between two steps.
    assert same.mean() > 0.999
    both = traced.hit & same
    assert both.sum() > 1000
    length = np.linalg.norm(directions, axis=1)
    off = np.abs(traced.t[both] - true[both]) * length[both]
    assert off.max() < 1e-7 if name != "torus" else np.quantile(off, 0.999) < 1e-5  # roots of a quartic lose digits
    assert np.isinf(traced.t[~traced.hit]).all()


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_scaled_field_with_its_bound_hits_where_the_distance_does(factor):
    origins, directions = rays(1000)
    field = analytic.torus(RING, TUBE)
    true = trace(field, origins, directions)
    scaled = trace(lambda points: factor * field(points), origins, directions, march=March(lipschitz=factor))
    np.testing.assert_array_equal(scaled.hit, true.hit)
    np.testing.assert_allclose(scaled.t[true.hit], true.t[true.hit], atol=1e-7)


def test_a_clamped_field_is_marched_in_steps_of_its_clamp():
    origins, directions = rays(1000)
    field = analytic.box(LOW, HIGH)

    def clamped(points):
        values = field(points)
        return np.where(np.abs(values) < 0.05, values, 9 * np.sign(values))  # beyond the clamp only the sign holds

    true, found = trace(field, origins, directions), trace(clamped, origins, directions, march=March(clamp=0.05))
    np.testing.assert_array_equal(found.hit, true.hit)
    np.testing.assert_allclose(found.t[true.hit], true.t[true.hit], atol=1e-7)
    assert trace(clamped, origins, directions).hit.sum() < true.hit.sum() / 2


def test_a_thin_shell_is_found_with_the_right_bound_and_missed_without():
    ball = analytic.sphere(RADIUS)

    def shell(points):
        return 5 * (np.abs(ball(points)) - 0.0005)

    origins, directions = rays(1000)
    true = np.isfinite(sphere_hit(origins, directions))
    assert (trace(shell, origins, directions, march=March(lipschitz=5)).hit == true).mean() > 0.998
    assert trace(shell, origins, directions).hit.sum() < 0.9 * true.sum()


def test_rays_from_within_hit_the_wall_around_them():
    directions = np.random.default_rng(0).normal(size=(500, 3))
    traced = trace(analytic.sphere(RADIUS), np.zeros((500, 3)), directions)
    assert traced.hit.all()
    np.testing.assert_allclose(traced.t * np.linalg.norm(directions, axis=1), RADIUS, atol=1e-8)


def test_rays_that_meet_nothing_hit_nothing():
    origins = np.array([[0, 0, 3.0], [0, 0, 3.0], [0, 2.0, 3.0], [0, 0, 3.0]])
    directions = np.array([[0, 0, 1.0], [1.0, 0, 0], [0, 0, -1.0], [0, 0, 0]])
    traced = trace(analytic.sphere(RADIUS), origins, directions)
    assert not traced.hit.any()
    assert not traced.undecided.any()


def test_grazing_rays_end_and_those_out_of_steps_are_counted():
    heights = RADIUS + np.array([-1e-3, 1e-3, 1e-6])
    origins = np.column_stack([np.full(3, -2.0), heights, np.zeros(3)])
    directions = np.tile([1.0, 0, 0], (3, 1))
    traced = trace(analytic.sphere(RADIUS), origins, directions)
    np.testing.assert_array_equal(traced.hit, [True, False, False])
    assert not traced.undecided.any()
    few = trace(analytic.sphere(RADIUS), origins, directions, march=March(steps=5))
    assert few.undecided.all()
    assert not few.hit.any()


def test_gradients_by_autograd_and_by_differences_are_the_normals():
    torch = pytest.importorskip("torch")
    points = np.random.default_rng(0).normal(size=(200, 3))
    true = points / np.linalg.norm(points, axis=1, keepdims=True)
    field = TorchField(lambda given: given.norm(dim=1) - RADIUS)
    np.testing.assert_allclose(normals_of(field, points), true, atol=1e-12)
    np.testing.assert_allclose(normals_of(analytic.sphere(RADIUS), points), true, atol=1e-7)

    class Ball(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.radius = torch.nn.Parameter(torch.tensor(RADIUS))

        def forward(self, given):
            return given.norm(dim=1, keepdim=True) - self.radius

    np.testing.assert_allclose(normals_of(Ball(), points), true, atol=1e-6)
    origins, directions = rays(300)
    found = trace(Ball(), origins, directions)
    assert found.hit.any()
    np.testing.assert_allclose(found.t[found.hit], sphere_hit(origins, directions)[found.hit], atol=2e-4)


CHANNELS = ("rgb", "alpha", "depth", "ray_length", "normal", "camera_normal", "silhouette", "coordinates")


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_views_of_a_field_are_those_of_its_mesh(projection):
    recipe = ViewsRecipe(views=3, height=40, width=48, samples=1, channels=CHANNELS, projection=projection)
    cameras = placed(recipe, np.random.default_rng(3))
    traced = sphere_traced_views(analytic.box(LOW, HIGH), cameras, recipe)
    drawn = render_views(Mesh(*box_mesh(LOW, HIGH)), cameras, recipe)
    assert traced.undecided == 0
    assert set(traced.channels) == set(drawn.channels)
    same = traced.channels["silhouette"] == drawn.channels["silhouette"]
    assert same.mean() > 0.999
    for name in ("depth", "ray_length", "coordinates"):
        np.testing.assert_allclose(traced.channels[name][same], drawn.channels[name][same], atol=1e-5)
    for name in ("normal", "camera_normal"):  # within the width of a difference from an edge there is no one normal
        off = np.abs(traced.channels[name] - drawn.channels[name]).max(axis=-1)[same]
        assert (off < 1e-5).mean() > 0.999
    for name in CHANNELS:
        assert traced.channels[name].dtype == drawn.channels[name].dtype
        assert traced.channels[name].shape == drawn.channels[name].shape


def torus_mesh(rounds, sides):
    """The torus about z as quads of its two angles, each cut in two, wound outward."""
    one, other = np.meshgrid(np.arange(rounds), np.arange(sides), indexing="ij")
    turn, tilt = 2 * np.pi * one / rounds, 2 * np.pi * other / sides
    reach = RING + TUBE * np.cos(tilt)
    vertices = np.stack([reach * np.cos(turn), reach * np.sin(turn), TUBE * np.sin(tilt)], axis=-1).reshape(-1, 3)
    a, b = one * sides + other, (one + 1) % rounds * sides + other
    c, d = (one + 1) % rounds * sides + (other + 1) % sides, one * sides + (other + 1) % sides
    return Mesh(vertices, np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3))


def test_views_of_a_torus_are_those_of_a_fine_mesh_of_it():
    recipe = ViewsRecipe(views=3, height=64, width=64, samples=1, channels=CHANNELS)
    cameras = placed(recipe, np.random.default_rng(5))
    traced = sphere_traced_views(analytic.torus(RING, TUBE), cameras, recipe).channels
    drawn = render_views(torus_mesh(384, 192), cameras, recipe).channels
    both = traced["silhouette"] & drawn["silhouette"]
    assert (traced["silhouette"] == drawn["silhouette"]).mean() > 0.998
    facing = -traced["camera_normal"][..., 2]
    # The mesh is at most RING + TUBE times 1 - cos(pi / 384), and TUBE times 1 - cos(pi / 192), beneath the torus.
    beneath = 0.85 * (1 - np.cos(np.pi / 384)) + 0.25 * (1 - np.cos(np.pi / 192))
    off = np.abs(traced["depth"] - drawn["depth"])[both]
    steep = np.abs(facing[both]) > 0.5
    assert steep.sum() > 500
    assert off[steep].max() < 4 * beneath
    # A face is turned by up to half a step of either angle from the torus.
    turned = np.linalg.norm(traced["normal"] - drawn["normal"], axis=-1)[both]
    assert np.quantile(turned, 0.99) < np.pi / 192 + np.pi / 384


def test_views_are_the_same_twice_and_in_other_batches():
    recipe = ViewsRecipe(views=2, height=24, width=24, samples=2, channels=CHANNELS)
    cameras = placed(recipe, np.random.default_rng(0))
    one, other = (
        sphere_traced_views(analytic.torus(RING, TUBE), cameras, recipe, march=March(batch=batch))
        for batch in (1 << 18, 37)
    )
    for name in CHANNELS:
        np.testing.assert_array_equal(one.channels[name], other.channels[name])
    edge = one.channels["alpha"]
    assert ((edge > 0) & (edge < 255)).any()


def test_the_silhouette_of_a_ball_has_the_area_of_its_cone():
    recipe = ViewsRecipe(views=1, height=256, width=256, samples=4, channels=("alpha",))
    cameras = placed(recipe, np.random.default_rng(0))
    found = sphere_traced_views(analytic.sphere(RADIUS), cameras, recipe).channels["alpha"].sum() / 255
    distance = np.linalg.norm(cameras.positions[0])
    true = np.pi * (cameras.intrinsics[0, 0, 0] * RADIUS / np.sqrt(distance**2 - RADIUS**2)) ** 2
    assert abs(found / true - 1) < 1e-3


def test_what_is_no_field_is_refused():
    origins, directions = rays(10)
    with pytest.raises(ConfigError, match="expected finite values, found nan"):
        trace(lambda points: points[:, 0] * np.nan, origins, directions)
    with pytest.raises(ConfigError, match="one value for each"):
        trace(lambda points: points, origins, directions)
    with pytest.raises(ConfigError, match="lipschitz"):
        March(lipschitz=0)
    recipe = ViewsRecipe(views=1, height=4, width=4, channels=("face",))
    with pytest.raises(ConfigError, match="no channel `face`"):
        sphere_traced_views(analytic.sphere(1.0), placed(recipe, np.random.default_rng(0)), recipe)


def test_straight_colours_are_not_darkened_where_a_pixel_is_half_covered():
    recipe = ViewsRecipe(views=1, height=40, width=40, channels=("rgb", "alpha"), ambient=1.0, background="transparent")
    cameras = placed(recipe, np.random.default_rng(0))
    views = sphere_traced_views(analytic.sphere(RADIUS), cameras, recipe).channels
    covered = views["alpha"] > 0
    assert ((views["alpha"] > 0) & (views["alpha"] < 255)).any()
    assert (np.abs(views["rgb"][covered] - 0.7 * 255.0) <= 0.5).all()
    assert (views["rgb"][~covered] == 0).all()
