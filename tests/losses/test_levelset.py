"""The five terms of Deep Level Sets: areas and volumes in closed form, planes and boxes, and gradients."""

import math
from itertools import pairwise

import pytest
import torch

from shapetool.errors import ConfigError
from shapetool.losses import levelset
from shapetool.losses.levelset import LevelSetRecipe, Truth, at_points, gradients, levelset_loss

HALF = 0.5


def nodes(count: int, half: float = HALF) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """The middles of count^3 cells of a cube, and the edge of a cell."""
    spacing = 2 * half / count
    axis = (torch.arange(count, dtype=torch.float64) + 0.5) * spacing - half
    return *torch.meshgrid(axis, axis, axis, indexing="ij"), spacing


def sphere(count: int, radius: float, centre=(0.0, 0.0, 0.0)) -> tuple[torch.Tensor, float]:
    """The signed distance to a sphere, and the spacing of its lattice."""
    x, y, z, spacing = nodes(count)
    away = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2).sqrt()
    return (away - radius)[None], spacing


def box_distance(count: int, half: tuple[float, float, float]) -> tuple[torch.Tensor, float]:
    x, y, z, spacing = nodes(count)
    beyond = torch.stack([x, y, z]).abs() - torch.tensor(half, dtype=torch.float64)[:, None, None, None]
    return (beyond.clamp_min(0).norm(dim=0) + beyond.amax(dim=0).clamp_max(0))[None], spacing


def some_truth(count: int = 5, points: int = 6, shapes: int = 2) -> Truth:
    torch.manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(shapes, points, 3, dtype=torch.float64), dim=2)
    spacing = 2 * HALF / count
    low = (spacing / 2 - HALF,) * 3
    inside = (2 * torch.rand(shapes, points, 3, dtype=torch.float64) - 1) * (HALF - spacing)
    return Truth(inside, normals, torch.rand(shapes, *[count] * 3, dtype=torch.float64), low, spacing)


def sphere_truth(count: int, radius: float, points: int = 500) -> tuple[torch.Tensor, Truth]:
    """The true lattice of a sphere, and what is known of it."""
    torch.manual_seed(0)
    lattice, spacing = sphere(count, radius)
    normals = torch.nn.functional.normalize(torch.randn(1, points, 3, dtype=torch.float64), dim=2)
    return lattice, Truth(radius * normals, normals, lattice.abs(), (spacing / 2 - HALF,) * 3, spacing)


@pytest.mark.parametrize("radius", [0.2, 0.3, 0.4])
@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (0.011, -0.007, 0.003)])
def test_a_sphere_has_its_area_and_its_volume_within_one_percent(radius, centre):
    lattice, spacing = sphere(64, radius, centre)
    assert levelset.area(lattice, spacing).item() == pytest.approx(4 * math.pi * radius**2, rel=0.01)
    assert levelset.volume(lattice, spacing).item() == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.01)


def test_area_and_volume_come_nearer_with_the_square_of_the_spacing():
    errors = []
    for count in (16, 32, 64):
        lattice, spacing = sphere(count, 0.3, (0.004, 0.009, -0.002))
        area, volume = levelset.area(lattice, spacing).item(), levelset.volume(lattice, spacing).item()
        errors.append((abs(area / (4 * math.pi * 0.09) - 1), abs(volume / (4 / 3 * math.pi * 0.027) - 1)))
    for coarse, fine in pairwise(errors):
        assert fine[0] < coarse[0] / 2.5  # 4 in the mean; how nodes lie to the surface is in it as well
        assert fine[1] < coarse[1] / 3.5


def test_the_volume_of_a_sphere_is_too_large_by_what_the_smoothing_adds():
    # Along a radius, the smoothed step has variance w^2 (1/3 - 2/pi^2) about the surface: the volume grows by
    # 4 pi r times it.
    lattice, spacing = sphere(64, 0.3)
    width = 3 * spacing
    more = 4 * math.pi * 0.3 * width**2 * (1 / 3 - 2 / math.pi**2)
    found = levelset.volume(lattice, spacing, width).item() - 4 / 3 * math.pi * 0.3**3
    assert found == pytest.approx(more, rel=0.02)


def test_the_arctan_profile_measures_more_area_the_larger_the_cube():
    lattice, spacing = sphere(48, 0.2)
    truth = 4 * math.pi * 0.04
    small = levelset.area(lattice[:, 12:36, 12:36, 12:36], spacing, profile="arctan").item()
    large = levelset.area(lattice, spacing, profile="arctan").item()
    exact = levelset.area(lattice, spacing, profile="cosine").item()
    assert abs(exact / truth - 1) < 0.01
    assert large > 1.05 * small
    assert large > 1.05 * truth


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("place", [0.0, 0.013, -0.2])
def test_a_plane_along_an_axis_has_exactly_the_area_of_its_section(axis, place):
    count = 20
    lattice = (nodes(count)[axis] - place)[None]
    spacing = 2 * HALF / count
    inner = (1 - 2 * spacing) ** 2  # the border is left out
    assert levelset.area(lattice, spacing).item() == pytest.approx(inner, rel=1e-9)
    assert levelset.volume(lattice, spacing).item() == pytest.approx(place + HALF, abs=1e-9)


def test_a_box_has_its_area_and_its_volume():
    half = (0.3, 0.2, 0.35)
    lattice, spacing = box_distance(80, half)
    a, b, c = (2 * edge for edge in half)
    assert levelset.volume(lattice, spacing).item() == pytest.approx(a * b * c, rel=0.01)
    assert levelset.area(lattice, spacing).item() == pytest.approx(2 * (a * b + b * c + c * a), rel=0.02)  # edges


def test_area_goes_with_the_square_of_lengths_and_volume_with_the_cube():
    lattice, spacing = sphere(24, 0.3)
    for profile in levelset.PROFILES:
        width = 1.5 * spacing
        area = levelset.area(lattice, spacing, width, profile)
        torch.testing.assert_close(levelset.area(3 * lattice, 3 * spacing, 3 * width, profile), 9 * area)
        volume = levelset.volume(lattice, spacing, width, profile)
        torch.testing.assert_close(levelset.volume(3 * lattice, 3 * spacing, 3 * width, profile), 27 * volume)


def test_steps_and_bumps_are_what_the_paper_writes():
    at = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64)
    half = 0.5 + math.atan(0.5) / math.pi
    far = 0.5 + math.atan(3.0) / math.pi
    expected = torch.tensor([1 - far, 1 - half, 0.5, half, far], dtype=torch.float64)
    torch.testing.assert_close(levelset.step(at, 1.0, "arctan"), expected)
    assert levelset.delta(at, 2.0, "arctan")[2].item() == pytest.approx(1 / (2 * math.pi))
    assert levelset.step(at, 1.0).tolist()[::4] == pytest.approx([0, 1], abs=1e-15)
    assert levelset.step(at, 1.0)[3].item() == pytest.approx(0.75 + 1 / (2 * math.pi))
    assert levelset.delta(at, 1.0).tolist() == pytest.approx([0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize("profile", levelset.PROFILES)
def test_a_bump_is_the_derivative_of_its_step_and_has_integral_one(profile):
    at = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(levelset.step(at, 0.7, profile).sum(), at)
    torch.testing.assert_close(slope, levelset.delta(at.detach(), 0.7, profile))
    wide = torch.linspace(-2000, 2000, 4_000_001, dtype=torch.float64)
    assert levelset.delta(wide, 0.7, profile).sum().item() * 1e-3 == pytest.approx(1, abs=3e-4)


def test_gradients_of_a_linear_function_are_exact_but_on_the_border():
    x, y, z, spacing = nodes(6)
    found = gradients((2 * x - 3 * y + 0.5 * z)[None], spacing)
    inner = found[0, :, 1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.tensor([2, -3, 0.5]).to(inner)[:, None, None, None].expand_as(inner))
    torch.testing.assert_close(found[0, 0, 0, 2, 2], torch.tensor(1.0).to(inner))  # half as long
    steep = levelset.steepness((2 * x - 3 * y + 0.5 * z)[None], spacing)
    torch.testing.assert_close(steep, torch.full_like(steep, math.sqrt(13.25)))


def test_looking_up_is_exact_for_trilinear_functions_along_the_right_axes():
    axes = [torch.linspace(0, length - 1, length, dtype=torch.float64) for length in (4, 5, 7)]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    spacing, low = 0.25, (-1.0, 2.0, 0.5)

    def function(a, b, c):
        return 1 + a - 2 * b + 3 * c + a * b - b * c + 0.5 * a * b * c

    torch.manual_seed(0)
    places = torch.rand(2, 30, 3, dtype=torch.float64) * torch.tensor([3.0, 4.0, 6.0])
    points = torch.tensor(low) + spacing * places
    found = at_points(torch.stack([function(x, y, z), -x]), points, low, spacing)
    torch.testing.assert_close(found[0], function(*places[0].T))
    torch.testing.assert_close(found[1], -places[1, :, 0])
    many = at_points(torch.stack([x, y, z])[None].expand(2, -1, -1, -1, -1), points, low, spacing)
    torch.testing.assert_close(many, places.transpose(1, 2))


def test_a_true_signed_distance_leaves_nothing_but_area_and_volume():
    lattice, truth = sphere_truth(48, 0.3)
    assert levelset.normal_term(lattice, truth).item() < 1e-3
    assert levelset.distance_term(lattice, truth.spacing).item() < 2e-3  # its middle has a kink
    on_surface = at_points(lattice, truth.points, truth.low, truth.spacing).abs().mean().item()
    assert on_surface < truth.spacing**2 / 0.3  # h^2 / 8 times the two curvatures of 1 / r, at most
    recipe = LevelSetRecipe(profile="cosine")
    # Within the width w the mean square of distances is w^2 (1/3 - 2/pi^2).
    expected = recipe.width * truth.spacing * math.sqrt((1 / 3 - 2 / math.pi**2) * 4 * math.pi * 0.09)
    assert levelset.surface_term(lattice, truth, recipe).item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_surface_term_of_a_sphere_that_is_too_large_is_how_much_times_the_root_of_its_area(power):
    _, truth = sphere_truth(64, 0.2)
    larger, _ = sphere(64, 0.35)
    found = levelset.surface_term(larger, truth, LevelSetRecipe(power=power, profile="cosine")).item()
    assert found == pytest.approx(0.15 * (4 * math.pi * 0.35**2) ** (1 / power), rel=0.02)


def test_only_the_normals_and_the_volume_know_which_side_is_inside():
    lattice, truth = sphere_truth(24, 0.3)
    _, right = levelset_loss(lattice, truth, LevelSetRecipe())
    _, wrong = levelset_loss(-lattice, truth, LevelSetRecipe())
    for name in ("surface", "distance", "area"):
        assert wrong[name] == pytest.approx(right[name], rel=1e-9)
    assert wrong["normal"] == pytest.approx(2 - right["normal"], rel=1e-9)
    assert wrong["volume"] == pytest.approx(1 - right["volume"], rel=1e-9)
    assert wrong["normal"] > 1.9


def test_no_surface_at_all_is_worse_than_the_right_one():
    lattice, truth = sphere_truth(24, 0.3)
    right, _ = levelset_loss(lattice, truth, LevelSetRecipe())
    nothing, _ = levelset_loss(lattice + 1, truth, LevelSetRecipe())
    flat, _ = levelset_loss(torch.zeros_like(lattice), truth, LevelSetRecipe())
    assert right < nothing / 3
    assert right < flat


def test_the_loss_is_the_weighted_sum_of_its_terms_one_by_one():
    truth = some_truth()
    lattices = torch.randn(2, 5, 5, 5, dtype=torch.float64) * 0.2
    recipe = LevelSetRecipe(2.5, 1.7, "arctan", 0.3, 0.2, 0.05, 0.07)
    loss, parts = levelset_loss(lattices, truth, recipe)
    width = 1.7 * truth.spacing
    terms = {
        "surface": levelset.surface_term(lattices, truth, recipe)
        + at_points(lattices, truth.points, truth.low, truth.spacing).abs().mean(dim=1),
        "normal": levelset.normal_term(lattices, truth),
        "distance": levelset.distance_term(lattices, truth.spacing),
        "area": levelset.area(lattices, truth.spacing, width, "arctan"),
        "volume": levelset.volume(lattices, truth.spacing, width, "arctan"),
    }
    assert parts == pytest.approx({name: term.mean().item() for name, term in terms.items()})
    weights = {"surface": 1, "normal": 0.3, "distance": 0.2, "area": 0.05, "volume": 0.07}
    assert loss.item() == pytest.approx(sum(weights[name] * parts[name] for name in parts))


def test_shapes_of_a_batch_do_not_know_each_other():
    truth = some_truth()
    lattices = torch.randn(2, 5, 5, 5, dtype=torch.float64) * 0.2
    alone = [
        levelset_loss(
            lattices[k : k + 1],
            Truth(
                truth.points[k : k + 1],
                truth.normals[k : k + 1],
                truth.distances[k : k + 1],
                truth.low,
                truth.spacing,
            ),
            LevelSetRecipe(),
        )[0]
        for k in range(2)
    ]
    torch.testing.assert_close(levelset_loss(lattices, truth, LevelSetRecipe())[0], torch.stack(alone).mean())


@pytest.mark.parametrize("profile", levelset.PROFILES)
def test_gradients_of_the_loss_are_those_of_finite_differences(profile):
    truth = some_truth(points=4, shapes=1)
    torch.manual_seed(2)
    lattices = (torch.randn(1, 5, 5, 5, dtype=torch.float64) * 0.2).requires_grad_()
    recipe = LevelSetRecipe(profile=profile, area=0.3, volume=0.4)
    assert torch.autograd.gradcheck(lambda values: levelset_loss(values, truth, recipe)[0], lattices)
    assert torch.autograd.gradcheck(lambda values: levelset.area(values, truth.spacing, None, profile), lattices)
    assert torch.autograd.gradcheck(lambda values: levelset.volume(values, truth.spacing, None, profile), lattices)


def test_flat_lattices_have_finite_gradients():
    truth = some_truth()
    lattices = torch.zeros(2, 5, 5, 5, dtype=torch.float64, requires_grad=True)
    loss, _ = levelset_loss(lattices, truth, LevelSetRecipe())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(lattices.grad).all()


def test_descent_from_a_small_sphere_finds_the_true_one():
    lattice, truth = sphere_truth(16, 0.33)
    values = (lattice + 0.13).clone().requires_grad_()  # radius 0.2
    optimizer = torch.optim.Adam([values], lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        loss, _ = levelset_loss(values, truth, LevelSetRecipe())
        loss.backward()
        optimizer.step()
    on_surface = at_points(values.detach(), truth.points, truth.low, truth.spacing)
    assert on_surface.abs().mean() < 0.02 < 0.13
    assert values[0, 8, 8, 8] < -0.1
    assert levelset.volume(values.detach(), truth.spacing).item() == pytest.approx(4 / 3 * math.pi * 0.33**3, rel=0.15)


@pytest.mark.parametrize(("width", "profile"), [(0.0, "cosine"), (math.inf, "arctan"), (1.0, "cosin")])
def test_what_smooths_nothing_is_refused(width, profile):
    with pytest.raises(ConfigError, match=r"width|profile"):
        levelset.step(torch.zeros(1), width, profile)
    with pytest.raises(ConfigError, match=r"width|profile"):
        levelset.delta(torch.zeros(1), width, profile)
