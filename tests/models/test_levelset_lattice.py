"""Deep Level Sets: the network layer by layer, where its nodes are, the sign, what it draws, and that it learns."""

import numpy as np
import pytest
import torch
from torch import nn

from shapetool.errors import ConfigError, DataError
from shapetool.models import levelset_lattice, model_class
from shapetool.models.base import Facts, FieldModel
from shapetool.models.levelset_lattice import LevelSetConfig, LevelSetLattice
from shapetool.training.batches import stacked
from shapetool.training.optimizers import optimizers_of, rate_factor, set_rate

CELLS, HALF = 8, 0.5
SPACING = 2 * HALF / CELLS
TINY = LevelSetConfig(code_size=6, channels=4, points=64, shapes=4)
CENTRES = (np.arange(CELLS) + 0.5) * SPACING - HALF


class Ball:
    """A ball as `sample-occupancy --grid 8` would store it, with views that are its size in grey."""

    def __init__(self, radius=0.3, number=0, **columns):
        rng = np.random.default_rng(number)
        self.shape_id, self.index, self.radius = f"ball-{number}", number, radius
        normals = rng.standard_normal((2000, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        x, y, z = np.meshgrid(CENTRES, CENTRES, CENTRES, indexing="ij")
        self.columns = {
            "low": np.full(3, -HALF),
            "high": np.full(3, HALF),
            "solid": x**2 + y**2 + z**2 < radius**2,
            "surface_points": (radius * normals).astype(np.float32),
            "surface_normals": normals.astype(np.float32),
            "images": np.full((3, 16, 16, 3), int(500 * radius), np.uint8),
        } | columns

    def __contains__(self, name):
        return name in self.columns

    def read(self, name):
        return self.columns[name]

    def chunk(self, names, rng):
        first = int(rng.integers(2)) * 1000
        return [self.columns[name][first : first + 1000] for name in names]


def facts(cells: int = CELLS, **recipe) -> Facts:
    sizes = {"solid": (cells, cells, cells), "images": (3, 16, 16, 3)}
    return Facts(("a", "b"), "occupancy", 0.55, {"box_size": 2 * HALF} | recipe, sizes)


def made(config: LevelSetConfig = TINY) -> LevelSetLattice:
    torch.manual_seed(0)
    return LevelSetLattice(config, facts()).eval()


def batch_of(config: LevelSetConfig, shapes: list[Ball], step: int = 0) -> dict[str, torch.Tensor]:
    return stacked(
        [(shape.index, config.draw(shape, np.random.default_rng([step, shape.index]), step)) for shape in shapes]
    )


def trained(config: LevelSetConfig, shapes: list[Ball]) -> LevelSetLattice:
    model = made(config)
    (objective,) = model.objectives()
    optimizers = optimizers_of(objective)
    for step in range(config.steps):
        set_rate(optimizers, rate_factor(config, step, step / config.steps))
        loss, _ = objective.loss(batch_of(config, shapes, step), step)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for optimizer in optimizers.values():
            optimizer.step()
    return model.eval()


def test_it_is_registered_and_has_the_configurations_that_every_model_has():
    assert model_class("levelset-grid") is LevelSetLattice
    assert {"default", "reference", "cross-entropy"} <= set(LevelSetLattice.configs)
    assert LevelSetLattice.configs["reference"].input == "image"
    assert LevelSetLattice.configs["default"].code_size == 64  # the paper's
    assert isinstance(made(), FieldModel)


def test_the_layers_at_32_cells_are_a_mirror_of_each_other():
    torch.manual_seed(0)
    model = LevelSetLattice(LevelSetConfig(), facts(32))
    encoder = [(1, 16), (16, 32), (32, 64)]
    decoder = [(64, 32), (32, 16), (16, 1)]
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == encoder + decoder
    assert {(layer.kernel_size, layer.stride) for layer in convolutions} == {((4, 4, 4), (2, 2, 2))}
    weights = sum(64 * a * b + b for a, b in encoder + decoder) + (64 * 64 * 64 + 64) + (64 * 64 * 64 + 64 * 64)
    assert sum(parameter.numel() for parameter in model.parameters()) == weights + 34**3
    assert model.lattices(torch.zeros(2, 64)).shape == (2, 34, 34, 34)


def test_every_shape_begins_as_nearly_the_same_sphere_negative_inside():
    model = made()
    points = torch.tensor([[[0, 0, 0], [0.25, 0, 0], [0, 0, -0.5], [0, 0.5, 0]]], dtype=torch.float32)
    found = model.values(points, torch.zeros(1, 6))
    torch.testing.assert_close(found, torch.tensor([[-0.25, 0, 0.25, 0.25]]), atol=0.12, rtol=0)  # a coarse lattice
    codes = torch.randn(8, 6)
    assert (model.lattices(codes) - model.lattices(codes).mean(dim=0)).abs().max() < 0.1


def test_nodes_are_the_centres_of_the_voxels_and_one_layer_more():
    model = made()
    assert model.spacing == pytest.approx(SPACING)
    assert model.low[0] == pytest.approx(CENTRES[0] - SPACING)
    assert model.extent == pytest.approx(-model.low[0])
    lattice = model.lattices(torch.randn(1, 6))
    places = torch.tensor(CENTRES, dtype=torch.float32)
    points = torch.stack(torch.meshgrid(places, places, places, indexing="ij"), dim=-1).reshape(1, -1, 3)
    torch.manual_seed(0)
    code = torch.randn(1, 6)
    lattice = model.lattices(code)
    torch.testing.assert_close(
        model.values(points, code).view(1, CELLS, CELLS, CELLS), lattice[:, 1:-1, 1:-1, 1:-1], atol=1e-6, rtol=1e-5
    )


def test_beyond_the_nodes_values_grow_by_the_way_there():
    model = made()
    code = torch.randn(1, 6)
    edge = torch.tensor([[[model.extent, 0.1, -0.2]]])
    beyond = edge + torch.tensor([0.3, 0, 0])
    torch.testing.assert_close(model.values(beyond, code), model.values(edge, code) + 0.3)
    corner = torch.full((1, 1, 3), model.extent)
    torch.testing.assert_close(model.values(corner + 1, code), model.values(corner, code) + 3**0.5)


def test_gradients_at_points_are_those_of_finite_differences():
    model = made().double()
    code = torch.randn(1, 6, dtype=torch.float64)
    points = (torch.rand(1, 5, 3, dtype=torch.float64) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda where: model.values(where, code), points)
    outside = torch.tensor([[[0.9, 0.1, 0.2], [1.0, -1.0, 0.3]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda where: model.values(where, code), outside)


def test_a_larger_cube_is_the_same_field_made_larger():
    torch.manual_seed(0)
    small = LevelSetLattice(TINY, facts())
    torch.manual_seed(0)
    large = LevelSetLattice(TINY, facts(box_size=3.0))
    code, points = torch.randn(1, 6), torch.rand(1, 50, 3) - 0.5
    torch.testing.assert_close(large.values(3 * points, code), 3 * small.values(points, code), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("given", ["voxels", "image"])
def test_shapes_of_a_batch_do_not_know_each_other_and_training_agrees_with_use(given):
    config = TINY.replace(input=given, channels=8)
    model = made(config)
    batch = batch_of(config, [Ball(0.2, 0), Ball(0.3, 1), Ball(0.4, 2)])
    together = model.codes_of(batch)
    alone = torch.cat([model.codes_of({name: value[k : k + 1] for name, value in batch.items()}) for k in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    model.train()
    torch.testing.assert_close(model.codes_of(batch), together)
    assert (together[0] - together[2]).abs().max() > 1e-4


def test_the_cross_entropy_is_that_of_solid_voxels_with_nothing_around_them():
    config = TINY.replace(loss="cross-entropy")
    model = made(config)
    batch = batch_of(config, [Ball(0.3)])
    lattice = model.lattices(model.codes_of(batch))[0].detach().numpy().astype(float)
    inside = np.zeros_like(lattice)
    inside[1:-1, 1:-1, 1:-1] = Ball(0.3).columns["solid"]
    probability = 1 / (1 + np.exp(lattice / SPACING))  # to be inside: values are negative there
    expected = -np.mean(inside * np.log(probability) + (1 - inside) * np.log(1 - probability))
    loss, _ = model.objectives()[0].loss(batch, 0)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_what_is_drawn_has_the_sizes_and_types_of_every_step():
    drawn = TINY.draw(Ball(), np.random.default_rng(0), 0)
    assert {name: (value.shape, value.dtype.name) for name, value in drawn.items()} == {
        "solid": ((CELLS, CELLS, CELLS), "bool"),
        "surface_points": ((64, 3), "float32"),
        "surface_normals": ((64, 3), "float32"),
        "distances": ((CELLS + 2, CELLS + 2, CELLS + 2), "float32"),
    }
    image = TINY.replace(input="image", channels=8).draw(Ball(), np.random.default_rng(0), 0)
    assert set(image) == {"image", "surface_points", "surface_normals", "distances"}
    assert image["image"].shape == (3, 16, 16)
    entropy = TINY.replace(input="image", channels=8, loss="cross-entropy").draw(Ball(), np.random.default_rng(0), 0)
    assert set(entropy) == {"image", "solid"}


def test_what_is_drawn_is_the_same_for_the_same_generator_only():
    first, again, other = (TINY.draw(Ball(), np.random.default_rng(seed), 3) for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["surface_points"], other["surface_points"])
    np.testing.assert_allclose(0.3 * first["surface_normals"], first["surface_points"], atol=1e-6)  # rows stay together


def test_distances_of_nodes_are_those_to_the_nearest_point_of_the_surface():
    ball = Ball(0.3)
    drawn = TINY.draw(ball, np.random.default_rng(0), 0)
    axis = np.concatenate([[CENTRES[0] - SPACING], CENTRES, [CENTRES[-1] + SPACING]])
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    surface = ball.columns["surface_points"].astype(float)
    naive = np.array([[np.linalg.norm(row[:, None] - surface, axis=2).min(axis=1) for row in plane] for plane in nodes])
    np.testing.assert_allclose(drawn["distances"], naive, atol=1e-6)
    np.testing.assert_allclose(drawn["distances"], np.abs(np.linalg.norm(nodes, axis=-1) - 0.3), atol=0.02)


def test_distances_are_remembered_by_what_they_are_made_of(monkeypatch):
    asked = []
    original = levelset_lattice.closest_point
    monkeypatch.setattr(levelset_lattice, "closest_point", lambda *given: asked.append(1) or original(*given))
    monkeypatch.setattr(levelset_lattice, "_remembered", levelset_lattice._Remembered())
    draws = [TINY.draw(ball, np.random.default_rng(0), 0)["distances"] for ball in (Ball(0.31), Ball(0.31), Ball(0.32))]
    assert len(asked) == 2
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    monkeypatch.setattr(levelset_lattice, "KEPT", draws[0].nbytes)
    TINY.draw(Ball(0.33), np.random.default_rng(0), 0)
    TINY.draw(Ball(0.31), np.random.default_rng(0), 0)
    assert len(asked) == 4  # there was room for one
    wider = Ball(0.31, low=np.full(3, -0.6), high=np.full(3, 0.6))  # the same points in another cube
    assert not np.allclose(TINY.draw(wider, np.random.default_rng(0), 0)["distances"], draws[0], atol=0.01)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"solid": np.zeros((8, 8, 8), bool)}, "none of 512 inside"),
        ({"solid": np.ones((8, 8, 8), bool)}, "all of 512 inside"),
        ({"low": np.zeros(3)}, "cube about the origin"),
        ({"high": np.array([0.5, 0.5, 0.6])}, "cube about the origin"),
        ({"surface_points": np.zeros((0, 3), "f4"), "surface_normals": np.zeros((0, 3), "f4")}, "--surface-count"),
    ],
)
def test_a_shape_that_cannot_be_learned_from_is_named(columns, message):
    with pytest.raises(DataError, match=message) as raised:
        TINY.draw(Ball(**columns), np.random.default_rng(0), 0)
    assert "ball-0" in str(raised.value)


def test_a_lattice_that_cannot_be_halved_three_times_is_refused():
    with pytest.raises(DataError, match="multiple of 8, found 30"):
        LevelSetLattice(TINY, facts(30))
    with pytest.raises(DataError, match="how large their cube is"):
        LevelSetLattice(TINY, Facts(("a",), "occupancy", 0.55, {}, facts().sizes))


@pytest.mark.parametrize(
    "setting", [{"input": "images"}, {"loss": "mse"}, {"power": 0.5}, {"width": 0.0}, {"area": -1.0}, {"channels": 0}]
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        TINY.replace(**setting)
    with pytest.raises(ConfigError, match="multiple of 8"):
        TINY.replace(input="image", channels=12)


def test_columns_are_those_that_are_read():
    assert TINY.columns == ("solid", "low", "high", "surface_points", "surface_normals")
    assert TINY.replace(loss="cross-entropy", input="image", channels=8).columns == ("solid", "low", "high", "images")


def test_balls_are_learned_far_better_than_the_sphere_that_all_begin_as():
    balls = [Ball(radius, number) for number, radius in enumerate((0.2, 0.28, 0.36, 0.42))]
    config = TINY.replace(steps=120, lr=8e-3)
    models = {"before": made(config), "after": trained(config, balls)}
    errors = {}
    for name, model in models.items():
        codes = model.codes_of(batch_of(config, balls))
        surface = torch.stack([torch.from_numpy(ball.columns["surface_points"][:300]) for ball in balls])
        errors[name] = model.values(surface, codes).abs().mean().item()
    assert errors["after"] < 0.15 * errors["before"]
    centres = models["after"].values(torch.zeros(4, 1, 3), codes)
    assert (centres < 0).all()
    corners = models["after"].values(torch.full((4, 1, 3), 0.5), codes)
    assert (corners > 0).all()


def test_the_same_network_learns_solid_voxels_by_cross_entropy():
    balls = [Ball(radius, number) for number, radius in enumerate((0.2, 0.28, 0.36, 0.42))]
    config = TINY.replace(steps=120, lr=8e-3, loss="cross-entropy")
    model = trained(config, balls)
    batch = batch_of(config, balls)
    lattices = model.lattices(model.codes_of(batch))[:, 1:-1, 1:-1, 1:-1]
    solid = batch["solid"]
    assert ((lattices < 0) == solid).float().mean() > 0.97
    assert (((lattices < 0) & solid).sum((1, 2, 3)) / ((lattices < 0) | solid).sum((1, 2, 3))).min() > 0.75
