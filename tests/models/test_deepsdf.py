"""DeepSDF: its layers restated, its losses by hand, what it draws, and that it learns."""

import numpy as np
import pytest
import torch
from torch import nn

from shapetool.errors import ConfigError, DataError
from shapetool.models.base import Facts, FieldModel
from shapetool.models.deepsdf import DeepSDF, DeepSdfConfig
from shapetool.training.loop import Terms, fit
from shapetool.training.shapes import open_shapes

REFERENCE = DeepSDF.configs["reference"]
SMALL = DeepSdfConfig(width=24, depth=4, skip=2, code_size=5, points=16, shapes=3)


def facts(count: int = 3) -> Facts:
    return Facts(tuple(f"s{k}" for k in range(count)), "sdf", 1.0, {}, {})


def made(config: DeepSdfConfig = SMALL, count: int = 3) -> DeepSDF:
    torch.manual_seed(0)
    return DeepSDF(config, facts(count))


def by_hand(model: DeepSDF, points: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """The author's network as it is published: code and point are joined, and joined again before layer `skip`."""
    found = []
    for shape, code in zip(points, codes, strict=True):
        given = torch.cat([code.expand(len(shape), -1), shape], dim=1)
        x = given
        for number, layer in enumerate(model.layers):
            if model.config.skip and number == model.config.skip:
                x = torch.cat([x, given], dim=1)
            x = x @ layer.weight.T + layer.bias
            if number < len(model.layers) - 1:
                x = x.clamp_min(0)
        found.append(x[:, 0].tanh() if model.config.tanh else x[:, 0])
    return torch.stack(found)


def test_the_reference_has_the_weights_of_the_paper():
    inner = [(259, 512), (512, 512), (512, 512), (512, 253), (512, 512), (512, 512), (512, 512), (512, 512), (512, 1)]
    plain = sum(a * b + b for a, b in inner)
    assert plain == 1_839_358  # at 4 bytes the 7.4 MB of the paper
    counts = {}
    for norm in (False, True):
        model = made(REFERENCE.replace(weight_norm=norm), count=2)
        counts[norm] = sum(parameter.numel() for parameter in model.layers.parameters())
        assert [tuple(layer.weight.shape) for layer in model.layers] == [(b, a) for a, b in inner]
        assert model.codes.weight.shape == (2, 256)
    assert counts[False] == plain
    assert counts[True] == plain + sum(b for _, b in inner[:-1])  # a length for each row that is normed


def test_the_reference_has_the_numbers_of_the_author_s_code():
    assert (REFERENCE.dropout, REFERENCE.clamp, REFERENCE.code_penalty, REFERENCE.code_bound) == (0.2, 0.1, 1e-4, 1.0)
    assert (REFERENCE.lr, REFERENCE.code_lr, REFERENCE.shapes, REFERENCE.points) == (5e-4, 1e-3, 64, 16384)
    assert (REFERENCE.tanh, REFERENCE.one_sided, REFERENCE.muon_lr) == (True, False, 0.0)
    codes = made(REFERENCE, count=50).codes.weight.detach()
    assert float(codes.norm(dim=1).mean()) == pytest.approx(1.0, rel=0.1)  # 1 / sqrt(256) in each of 256 numbers


@pytest.mark.parametrize(
    "settings", [{}, {"narrow": True}, {"skip": 0}, {"skip": 3, "depth": 5}, {"weight_norm": True, "tanh": True}]
)
def test_values_are_those_of_the_network_written_out(settings):
    model = made(SMALL.replace(**settings)).eval()
    points, codes = torch.rand(3, 40, 3) * 2 - 1, torch.randn(3, 5)
    torch.testing.assert_close(model.values(points, codes), by_hand(model, points, codes), atol=1e-6, rtol=1e-5)


def test_dropout_is_on_the_hidden_layers_in_training_only():
    model = made(SMALL.replace(dropout=0.5))
    points, codes = torch.rand(1, 8, 3), torch.randn(1, 5)
    model.train()
    torch.manual_seed(0)
    first = model.values(points, codes)
    assert not torch.equal(first, model.values(points, codes))
    model.eval()
    assert torch.equal(model.values(points, codes), model.values(points, codes))
    torch.testing.assert_close(model.values(points, codes), by_hand(model, points, codes), atol=1e-6, rtol=1e-5)


def test_a_shape_is_the_same_alone_and_among_others():
    model = made().eval()
    points, codes = torch.rand(3, 20, 3), torch.randn(3, 5)
    together = model.values(points, codes)
    for row in range(3):
        torch.testing.assert_close(model.values(points[row : row + 1], codes[row : row + 1])[0], together[row])
    turned = torch.randperm(20)
    torch.testing.assert_close(model.values(points[:, turned], codes), together[:, turned])


def test_gradients_to_points_and_codes_are_those_of_differences():
    model = made(SMALL.replace(tanh=True)).double().eval()
    points = (torch.rand(2, 4, 3, dtype=torch.float64) * 2 - 1).requires_grad_()
    codes = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model.values, (points, codes))


def clamped(model: DeepSDF) -> list[float]:
    found = torch.tensor([[-0.3, 0.05, 0.3, 0.3, 0.05, 0.15]])
    true = torch.tensor([[-0.2, 0.02, 0.04, -0.2, 0.2, 0.1]])
    return model.clamped_error(found, true)[0].tolist()


def test_the_published_error_is_between_clamped_distances():
    assert clamped(made(SMALL.replace(one_sided=False))) == pytest.approx([0, 0.03, 0.06, 0.2, 0.05, 0])


def test_the_one_sided_error_is_nothing_beyond_the_clamp_on_the_right_side():
    assert clamped(made()) == pytest.approx([0, 0.03, 0.26, 0.4, 0.05, 0])


@pytest.mark.parametrize("start", [-5.0, 5.0])
def test_the_published_loss_stalls_where_all_is_beyond_the_clamp_and_the_default_does_not(start):
    batch = {"points": torch.rand(3, 16, 3), "distances": torch.linspace(-0.3, 0.3, 48).reshape(3, 16)}
    batch["index"] = torch.arange(3)
    for one_sided in (False, True):
        model = made(SMALL.replace(one_sided=one_sided, code_penalty=0.0))
        nn.init.constant_(model.layers[-1].bias, start)
        model.objectives()[0].loss(batch, 0)[0].backward()
        moved = max(float(parameter.grad.abs().max()) for parameter in model.parameters())
        assert (moved > 0) == one_sided


def test_the_penalty_is_on_the_norm_of_codes_and_rises():
    config = SMALL.replace(code_penalty=0.1, penalty_rise=0.5)
    model = made(config)
    batch = {"points": torch.rand(2, 9, 3), "distances": torch.rand(2, 9), "index": torch.tensor([2, 0])}
    loss = model.objectives()[0].loss
    norms = model.codes.weight[[2, 0]].norm(dim=1).mean().item()
    for progress, share in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.99, 1.0)):
        model.progress = progress
        value, parts = loss(batch, 0)
        assert value.item() == pytest.approx(parts["distance"] + 0.1 * share * norms, rel=1e-5)
        assert parts["code"] == pytest.approx(norms)


def test_codes_are_cut_at_the_bound_and_keep_their_heading():
    model = made(SMALL.replace(code_bound=1.0))
    with torch.no_grad():
        model.codes.weight.copy_(torch.tensor([[3.0, 4, 0, 0, 0], [0.3, 0, 0, 0, 0], [0, 0, 0, 0, 0]]))
    found = model.codes_of({"index": torch.tensor([0, 1, 2])})
    expected = [[0.6, 0.8, 0, 0, 0], [0.3, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        # errors .04 (too small outside), .04 (too large outside), .2 (wrong sign, of truth -.1)
        (0.09, [0.015, 0.015, 0.175]),
        (0.1, [0.03 * 1.1, 0.03 * 0.9, 0.19 * 1.1]),
        (0.3, [0.0375 * 1.2, 0.0375 * 0.8, 0.1975 * 1.2]),
        (0.5, [0.04 * 1.5, 0.04 * 0.5, 0.2 * 1.5]),
    ],
)
def test_the_curriculum_forgives_less_and_minds_wrong_signs_more(progress, expected):
    model = made(SMALL.replace(curriculum=True))
    model.progress = progress
    true, found = torch.tensor([[0.05, 0.05, -0.1]]), torch.tensor([[0.01, 0.09, 0.1]])
    harder = model._harder(model.clamped_error(found, true), found, true)
    assert harder[0].tolist() == pytest.approx(expected, abs=1e-6)


class Ball:
    """A shape whose distances are known."""

    index, shape_id = 0, "ball"

    def __init__(self, radius: float = 0.5, count: int = 2000) -> None:
        self.points = np.random.default_rng(1).uniform(-1, 1, (count, 3)).astype("f2")
        self.radius = radius

    def __contains__(self, name):
        return name in ("points", "distances")

    def read(self, name):
        distances = (np.linalg.norm(self.points.astype("f4"), axis=1) - self.radius).astype("f4")
        return {"points": self.points, "distances": distances}[name]

    def chunk(self, names, rng):
        first = int(rng.integers(2)) * 1000
        return [self.read(name)[first : first + 1000] for name in names]


@pytest.mark.parametrize("points", [2, 33, 512])
def test_what_is_drawn_is_balanced_and_points_keep_their_distances(points):
    drawn = SMALL.replace(points=points).draw(Ball(), np.random.default_rng(0), 0)
    inside = drawn["distances"] < 0
    assert inside.sum() == points // 2
    assert {array.dtype.name for array in drawn.values()} == {"float32"}
    assert np.allclose(np.linalg.norm(drawn["points"], axis=1) - 0.5, drawn["distances"], atol=1e-6)


def test_what_is_drawn_follows_from_the_generator_alone():
    config = SMALL.replace(points=50)
    one, two, other = (
        config.draw(Ball(), np.random.default_rng(seed), step) for seed, step in ((0, 0), (0, 7), (1, 0))
    )
    assert np.array_equal(one["points"], two["points"])
    assert not np.array_equal(one["points"], other["points"])


@pytest.mark.parametrize(("radius", "side"), [(0.0, "inside"), (9.0, "outside")])
def test_a_shape_with_one_side_only_is_refused_by_its_name(radius, side):
    with pytest.raises(DataError, match=f"ball: expected points on both sides, found none {side} among 1000"):
        SMALL.draw(Ball(radius), np.random.default_rng(0), 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"skip": 4},
        {"skip": -1},
        {"width": 0},
        {"depth": 0, "skip": 0},
        {"width": 8, "narrow": True},
        {"dropout": 1.0},
        {"clamp": 0},
    ],
    ids=str,
)
def test_numbers_that_make_no_network_are_refused(settings):
    with pytest.raises(ConfigError, match=r"(skip|width|depth|dropout|clamp) is"):
        SMALL.replace(**settings)


def test_it_is_a_field_of_the_cube_of_its_data():
    model = DeepSDF(SMALL, Facts(("a",), "sdf", 1.25, {}, {}))
    assert isinstance(model, FieldModel)
    assert (model.extent, model.auto_decoder, model.lipschitz) == (1.25, True, None)


def test_a_short_run_learns_the_shapes(sampled, tmp_path):
    shapes = open_shapes([sampled])
    config = DeepSdfConfig(steps=250, width=64, depth=4, skip=2, points=256, shapes=6, lr=2e-3, muon_lr=1e-2)
    torch.manual_seed(0)
    model = DeepSDF(config, shapes.facts())
    fit(model, shapes, tmp_path, Terms())
    points, true = (
        torch.stack([torch.tensor(shapes.read(index, name)[:4000]).float() for index in range(len(shapes))])
        for name in ("points", "distances")
    )
    with torch.no_grad():
        found = model.eval().values(points, model.codes_of({"index": torch.arange(len(shapes))}))
    error, true = model.clamped_error(found, true).mean(dim=1), true.clamp(-0.1, 0.1)
    constant = (true - true.median(dim=1, keepdim=True).values).abs().mean(dim=1)
    assert (error < 0.8 * constant).all()
    assert (error / constant).mean() < 0.5
    assert ((found < 0) == (true < 0))[true.abs() > 0.05].float().mean() > 0.9
