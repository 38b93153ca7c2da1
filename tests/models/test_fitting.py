"""Codes of shapes that were not trained on: found where the answer is known, and refused where nothing can be found."""

import pytest
import torch

from shapetool.errors import ConfigError
from shapetool.models.base import Facts
from shapetool.models.deepsdf import DeepSDF, DeepSdfConfig
from shapetool.models.fitting import Fit, Observations, fit_codes, partial_observations
from shapetool.training.loop import Terms, fit
from shapetool.training.shapes import open_shapes

PLAIN = Fit(steps=200, lr=2e-2, points=10_000, penalty=0.0, start="mean")


class Balls(DeepSDF):
    """Spheres about the origin in closed form: a code is by how much the radius is more than one half."""

    def values(self, points, codes):
        return points.norm(dim=-1) - (0.5 + codes[:, :1])


@pytest.fixture
def balls() -> Balls:
    """Of radius 0.4 and 0.8."""
    config = DeepSdfConfig(code_size=1, width=8, depth=2, skip=0, clamp=10.0)
    model = Balls(config, Facts(("small", "large"), "sdf", 1.0, {}, {}))
    with torch.no_grad():
        model.codes.weight.copy_(torch.tensor([[-0.1], [0.3]]))
    return model


def sphere(radius: float, count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(count, 3), dim=1)
    return radius * normals, normals


def radius(codes: torch.Tensor) -> list[float]:
    return (0.5 + codes[:, 0]).tolist()


def seen_of(*radii: float) -> Observations:
    torch.manual_seed(1)
    points = torch.rand(len(radii), 300, 3) * 2 - 1
    return Observations(points, points.norm(dim=2) - torch.tensor(radii)[:, None])


@pytest.mark.parametrize("start", ["nearest", "mean", "zero"])
def test_the_code_that_explains_the_distances_is_found_from_every_start(balls, start):
    found = fit_codes(balls, seen_of(0.55, 0.7), Fit(200, 2e-2, 100, 0.0, start))
    assert radius(found) == pytest.approx([0.55, 0.7], abs=0.01)


def test_a_shape_is_fitted_as_if_it_were_alone(balls):
    together = fit_codes(balls, seen_of(0.55, 0.7), PLAIN)
    seen = seen_of(0.55, 0.7)
    alone = fit_codes(balls, Observations(seen.points[1:], seen.distances[1:]), PLAIN)
    torch.testing.assert_close(together[1:], alone)


def test_the_nearest_start_is_the_shape_that_explains_most(balls):
    assert radius(fit_codes(balls, seen_of(0.78, 0.41), Fit(0, penalty=0.0))) == pytest.approx([0.8, 0.4])
    assert radius(fit_codes(balls, seen_of(0.61), Fit(0, penalty=0.0))) == pytest.approx([0.6])  # the mean


def test_the_penalty_draws_to_the_codes_that_are_known(balls):
    heavy = Fit(400, 2e-2, 1000, 100.0, "zero")
    assert radius(fit_codes(balls, seen_of(0.75), heavy)) == pytest.approx([0.6], abs=0.01)  # their mean
    published = Fit(400, 2e-2, 1000, 100.0, "mean", spread=False)
    assert radius(fit_codes(balls, seen_of(0.75), published)) == pytest.approx([0.5], abs=0.01)  # the code 0


def test_points_with_normals_on_a_part_of_the_surface_tell_the_radius(balls):
    points, normals = sphere(0.65)
    part = points[:, 2] > 0.3
    found = fit_codes(balls, partial_observations(points[part], normals[part]), PLAIN)
    assert radius(found) == pytest.approx([0.65], abs=0.01)


def test_what_is_seen_through_is_empty(balls):
    points = torch.tensor([[[0.0, 0.0, 0.6], [0.6, 0.0, 0.0]]])
    free = Observations(points, torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool))
    with torch.no_grad():
        balls.codes.weight.copy_(torch.tensor([[0.3], [0.3]]))
    slow = Fit(400, 2e-3, 10, 0.0, "mean")
    assert radius(fit_codes(balls, free, slow)) == pytest.approx([0.59], abs=0.011)  # from 0.8 to where they are free
    with torch.no_grad():
        balls.codes.weight.copy_(torch.tensor([[0.02], [0.02]]))
    assert radius(fit_codes(balls, free, PLAIN)) == pytest.approx([0.52])  # they are free already


def test_observations_of_a_part_are_both_sides_and_the_ray():
    seen = partial_observations(
        torch.tensor([[0.0, 0.0, 0.5]]), torch.tensor([[0.0, 0.0, 1.0]]), 0.01, torch.tensor([0.0, 0.0, 2.0]), 2
    )
    heights = [0.5, 0.51, 0.49, 2 - 0.6 * 1.5, 2 - 0.9 * 1.5]
    torch.testing.assert_close(seen.points[0, :, 2], torch.tensor(heights))
    assert seen.points[0, :, :2].abs().max() == 0
    assert seen.distances[0].tolist() == pytest.approx([0, 0.01, -0.01, 0, 0])
    assert seen.free[0].tolist() == [False, False, False, True, True]
    assert not partial_observations(torch.zeros(2, 3), torch.ones(2, 3)).free.any()


def test_the_search_is_the_same_twice_and_leaves_the_network(balls):
    before = [parameter.clone() for parameter in balls.parameters()]
    some = Fit(20, 2e-2, 50, 1e-4)
    assert torch.equal(fit_codes(balls, seen_of(0.7), some), fit_codes(balls, seen_of(0.7), some))
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, balls.parameters(), strict=True))


def test_one_trained_shape_has_no_spread_and_does_not_break_the_search():
    model = Balls(DeepSdfConfig(code_size=1, width=8, depth=2, skip=0), Facts(("one",), "sdf", 1.0, {}, {}))
    assert torch.isfinite(fit_codes(model, seen_of(0.6), Fit(10))).all()


def test_an_unknown_start_is_refused(balls):
    with pytest.raises(ConfigError, match="start is 'random'; expected nearest, mean, zero"):
        fit_codes(balls, seen_of(0.6), Fit(start="random"))


def test_the_code_of_a_trained_shape_is_found_from_its_points(sampled, tmp_path):
    shapes = open_shapes([sampled])
    config = DeepSdfConfig(
        steps=150, width=48, depth=3, skip=2, points=256, shapes=6, lr=2e-3, code_size=16, code_lr=1e-2
    )
    torch.manual_seed(0)
    model = DeepSDF(config, shapes.facts())
    fit(model, shapes, tmp_path, Terms())
    points, distances = (
        torch.stack([torch.tensor(shapes.read(index, name)[:2000]).float() for index in (0, 2, 4)])
        for name in ("points", "distances")
    )
    found = fit_codes(model, Observations(points, distances), Fit(100, 1e-2, 500, start="mean"))
    with torch.no_grad():
        known = model.codes.weight
        learned = model.clamped_error(model.values(points, known[[0, 2, 4]]), distances).mean(dim=1)
        fitted = model.clamped_error(model.values(points, found), distances).mean(dim=1)
        mean = model.clamped_error(model.values(points, known.mean(0).expand(3, -1)), distances).mean(dim=1)
    assert (fitted < 1.2 * learned).all()
    assert (fitted / mean).mean() < 0.7
