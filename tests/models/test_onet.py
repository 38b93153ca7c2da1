"""Occupancy networks: sizes as published, the sign, fair draws, the autoencoder's terms, and what they learn."""

import dataclasses

import numpy as np
import pytest
import torch

from shapetool.errors import ConfigError, DataError
from shapetool.models import model_class
from shapetool.models.base import Facts, FieldModel, Generator
from shapetool.models.onet import OccupancyNetwork, OnetConfig, kl_from_normal, near_surface
from shapetool.training.optimizers import optimizers_of, rate_factor, set_rate

HALF = 0.55
TINY = {"width": 8, "blocks": 2, "code_size": 4, "encoder_width": 8, "input_points": 20, "points": 32, "frequencies": 2}
VIEWS, PIXELS, CELLS = 3, 16, 8


class Ball:
    """A ball as the data of a run would show it: points and views of it, and their columns."""

    def __init__(self, radius=0.4, number=0, rows=4000, **columns):
        rng = np.random.default_rng(number)
        self.shape_id, self.index = f"ball-{number}", number
        points = rng.uniform(-HALF, HALF, (rows, 3)).astype(np.float16)
        directions = rng.standard_normal((rows, 3))
        surface = radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        cells = (np.arange(CELLS) + 0.5) / CELLS - 0.5
        x, y, z = np.meshgrid(cells, cells, cells, indexing="ij")
        self.columns = {
            "points": points,
            "inside": np.linalg.norm(points.astype(float), axis=1) < radius,
            "surface_points": surface.astype(np.float32),
            "solid": x**2 + y**2 + z**2 < radius**2,
            "images": rng.integers(256, size=(VIEWS, PIXELS, PIXELS, 3), dtype=np.uint8),
        } | columns

    def __contains__(self, name):
        return name in self.columns

    def read(self, name):
        return self.columns[name]

    def chunk(self, names, rng):
        return [self.columns[name] for name in names]


def facts(shape, count=1):
    sizes = {name: column.shape for name, column in shape.columns.items()}
    return Facts(tuple(f"ball-{k}" for k in range(count)), "occupancy", HALF, {}, sizes)


def batch_of(config, shapes, seed=0):
    drawn = [config.draw(shape, np.random.default_rng((seed, k)), 0) for k, shape in enumerate(shapes)]
    return {name: torch.from_numpy(np.stack([record[name] for record in drawn])) for name in drawn[0]}


def network(seed=0, shape=None, **settings):
    """A tiny network whose weights are nowhere 0 by design."""
    torch.manual_seed(seed)
    model = OccupancyNetwork(OnetConfig(**(TINY | settings)), facts(shape or Ball()))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def linear(inputs, outputs):
    return inputs * outputs + outputs


def test_the_decoders_have_as_many_weights_as_the_published_ones():
    given = facts(Ball())
    clouds = OccupancyNetwork(OccupancyNetwork.configs["reference"], given).decoder
    coded_norm = 2 * linear(512, 256)  # CBatchNorm1d: conv_gamma and conv_beta; the statistics are no weights
    assert count(clouds) == linear(3, 256) + 5 * (2 * coded_norm + 2 * linear(256, 256)) + coded_norm + linear(256, 1)
    assert len([name for name, _ in clouds.named_buffers() if name.endswith("running_mean")]) == 11
    alone = OccupancyNetwork(OccupancyNetwork.configs["reference-vae"], given).decoder
    assert count(alone) == linear(3, 128) + linear(128, 128) + 5 * 2 * linear(128, 128) + linear(128, 1)


def test_the_reference_has_the_numbers_of_the_authors():
    config = OccupancyNetwork.configs["reference"]
    assert (config.shapes, config.points, config.input_points, config.noise) == (64, 2048, 300, 0.005)
    assert (config.lr, config.schedule, config.muon_lr, config.near, config.threshold) == (1e-4, "constant", 0, 0, 0.2)
    assert (config.norm, config.width, config.blocks, config.code_size, config.frequencies) == ("cbn", 256, 5, 512, 0)
    image = OccupancyNetwork.configs["reference-image"]
    assert (image.input, image.code_size, image.image_norm, image.norm) == ("image", 256, "batch", "cbn")


def test_it_is_what_the_table_of_models_names_and_what_extraction_asks_for():
    model = network()
    assert model_class("onet") is OccupancyNetwork
    assert isinstance(model, FieldModel)
    assert isinstance(model, Generator)
    assert model.extent == HALF
    assert not model.auto_decoder
    assert all(dataclasses.is_dataclass(config) for config in OccupancyNetwork.configs.values())


def test_the_field_is_negative_where_the_probability_is_above_the_threshold():
    points, codes = torch.rand(2, 50, 3) - 0.5, torch.randn(2, 4)
    for threshold in (0.2, 0.5):
        model = network(threshold=threshold)
        values = model.values(points, codes)
        probabilities = torch.sigmoid(model.decoder(points, codes))
        assert torch.equal(values < 0, probabilities > threshold)
        torch.testing.assert_close(
            torch.sigmoid(-values), torch.sigmoid(torch.logit(probabilities) - np.log(threshold / (1 - threshold)))
        )
    assert (values < 0).any()
    assert (values > 0).any()


@pytest.mark.parametrize("norm", ["film", "none", "cbn"])
def test_a_point_is_answered_alike_in_any_company_when_the_network_is_used(norm):
    torch.manual_seed(1)
    model, points, codes = network(norm=norm), torch.rand(3, 20, 3) - 0.5, torch.randn(3, 4)
    learning = model.values(points, codes)
    model.eval()
    used = model.values(points, codes)
    torch.testing.assert_close(model.values(points[1:2, 5:9], codes[1:2]), used[1:2, 5:9])
    # Only statistics of the batch make training differ from use.
    assert torch.allclose(learning, used, atol=1e-6) == (norm != "cbn")


@pytest.mark.parametrize("norm", ["film", "none", "cbn"])
def test_gradients_along_points_and_codes_are_those_of_differences(norm):
    torch.manual_seed(2)
    model = network(norm=norm).double().eval()
    points = (torch.rand(1, 3, 3, dtype=torch.float64) - 0.5).requires_grad_()
    codes = torch.randn(1, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model.values, (points, codes))


def test_waves_tell_the_ends_of_the_cube_apart():
    waves = network(frequencies=2).decoder.waves
    found = waves(torch.tensor([[[0.1, -0.2, 0.3]]]) * HALF)[0, 0]
    assert found.shape == (3 + 12,)
    angles = np.pi / 2 * np.array([0.1, 0.2, -0.2, -0.4, 0.3, 0.6])
    expected = np.concatenate([HALF * np.array([0.1, -0.2, 0.3]), np.sin(angles), np.cos(angles)])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    ends = waves(torch.tensor([[[-HALF] * 3, [HALF] * 3]]))[0]
    torch.testing.assert_close(ends[:, 3::2][:, :3], torch.tensor([[-1.0] * 3, [1.0] * 3]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(OccupancyNetwork.configs))
def test_every_named_configuration_reads_its_columns_and_gives_codes(name):
    config = OccupancyNetwork.configs[name].replace(
        **TINY | {"image_norm": "group", "frequencies": 0, "norm": OccupancyNetwork.configs[name].norm}
    )
    whole = Ball()
    shape = Ball()
    shape.columns = {column: whole.columns[column] for column in config.columns}
    model = OccupancyNetwork(config, facts(shape))
    batch = batch_of(config, [shape, shape])
    codes = model.codes_of(batch)
    assert codes.shape == (2, 4)
    assert model.values(batch["points"], codes).shape == (2, 32)
    (objective,) = model.objectives()
    loss, parts = objective.loss(batch, 0)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert "cross_entropy" in parts
    weights = [id(weight) for group in objective.groups for weight in group.parameters]
    assert sorted(weights) == sorted(id(weight) for weight in model.parameters())


def test_muon_moves_hidden_matrices_only():
    model = network()
    (objective,) = model.objectives()
    names = {id(weight): name for name, weight in model.named_parameters()}
    moved = {
        names[id(weight)] for group in objective.groups if group.optimizer == "muon" for weight in group.parameters
    }
    assert {
        "decoder.blocks.0.first.weight",
        "decoder.last_norm.scale.weight",
        "encoder.blocks.4.shortcut.weight",
        "encoder.code.weight",
    } <= moved
    assert not {name for name in moved if any(end in name for end in ("lift", "last.", "bias"))}
    (objective,) = network(muon_lr=0.0).objectives()
    assert not [group for group in objective.groups if group.optimizer == "muon" and group.parameters]


def test_a_draw_depends_on_its_arguments_alone():
    shape = Ball(silhouette=np.ones((VIEWS, PIXELS, PIXELS), dtype=bool))
    for given in ("points", "voxels", "image", "pairs"):
        config = OnetConfig(**(TINY | {"input": given}))
        first, again = (config.draw(shape, np.random.default_rng(5), 3) for _ in range(2))
        other = config.draw(shape, np.random.default_rng(6), 3)
        assert first.keys() == other.keys()
        for name, array in first.items():
            assert array.dtype in (np.float32, np.bool_)
            assert np.array_equal(array, again[name])
            assert array.shape == other[name].shape
        assert not np.array_equal(first["points"], other["points"])


def test_labels_stay_with_their_points():
    drawn = OnetConfig(**TINY).draw(Ball(0.3), np.random.default_rng(0), 0)
    assert np.array_equal(np.linalg.norm(drawn["points"].astype(float), axis=1) < 0.3, drawn["inside"])


def test_the_cloud_is_on_the_surface_but_for_its_noise():
    config = OnetConfig(**(TINY | {"input_points": 2000, "noise": 0.01}))
    cloud = config.draw(Ball(0.4), np.random.default_rng(0), 0)["cloud"]
    off = np.linalg.norm(cloud, axis=1) - 0.4
    assert off.std() == pytest.approx(0.01, rel=0.1)  # of 2000 draws: 1.6 % is one standard error
    quiet = config.replace(noise=0).draw(Ball(0.4), np.random.default_rng(0), 0)["cloud"]
    np.testing.assert_allclose(np.linalg.norm(quiet, axis=1), 0.4, atol=1e-6)


def test_a_view_has_its_colours_and_what_it_covers():
    alpha = np.random.default_rng(1).integers(256, size=(VIEWS, PIXELS, PIXELS), dtype=np.uint8)
    config = OnetConfig(**(TINY | {"input": "image"}))
    for more, planes in (({}, 3), ({"silhouette": alpha > 99}, 4), ({"alpha": alpha, "silhouette": alpha > 99}, 4)):
        shape = Ball(**more)
        image = config.draw(shape, np.random.default_rng(2), 0)["image"]
        assert image.shape == (planes, PIXELS, PIXELS)
        colours = np.rint(image[:3].transpose(1, 2, 0) * 255)
        (view,) = [k for k in range(VIEWS) if np.array_equal(colours, shape.columns["images"][k])]
        if more:
            expected = alpha[view] / 255 if "alpha" in more else alpha[view] > 99
            np.testing.assert_allclose(image[3], expected, atol=1e-6)
        codes = OccupancyNetwork(config, facts(shape)).codes_of({"image": torch.from_numpy(image[None])})
        assert codes.shape == (1, 4)


def test_points_are_near_the_surface_in_the_cells_that_it_enters():
    surface = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0.5, 0.1, 0.2]], dtype=np.float32)
    # Ten cells of 0.1 along x, whose borders are at -0.55, -0.45, ...; along y and z at -0.05, 0.05, ...
    points = np.array(
        [[-0.54, 0.04, -0.04], [-0.44, 0, 0], [-0.56, 0, 0], [0.54, 0.04, 0], [0.54, 0.06, 0], [0.51, 0.14, 0.16]],
        dtype=np.float32,
    )
    assert near_surface(points, surface, 10).tolist() == [True, False, False, True, False, True]
    assert not near_surface(np.array([[9, 9, 9], [-9, 0, 0], [0.5, 0.1, -9]], dtype=np.float32), surface, 10).any()
    assert near_surface(surface, surface, 3).all()
    assert near_surface(surface[:1], surface[:1], 3).all()  # a surface without extent


def test_half_the_points_are_near_the_surface_and_weights_undo_it():
    shape, config = Ball(0.3, rows=40_000), OnetConfig(**(TINY | {"points": 512, "near": 0.5}))
    plain = config.replace(near=0.0)
    means, plain_means = [], []
    for seed in range(100):
        drawn = config.draw(shape, np.random.default_rng(seed), 0)
        assert drawn["weights"].mean() == pytest.approx(1, rel=1e-5)
        distance = np.abs(np.linalg.norm(drawn["points"], axis=1) - 0.3)
        assert (distance < 0.6 / 24 * 1.8).mean() > 0.5  # the diagonal of a cell is 1.73 of its side
        means.append([np.mean(drawn["weights"] * part) for part in (drawn["inside"], distance < 0.005)])
        rest = plain.draw(shape, np.random.default_rng(seed), 0)
        assert np.array_equal(rest["weights"], np.ones(512, dtype=np.float32))
        distance = np.abs(np.linalg.norm(rest["points"], axis=1) - 0.3)
        plain_means.append([np.mean(part) for part in (rest["inside"], distance < 0.005)])
    off = np.abs(np.linalg.norm(shape.columns["points"].astype(float), axis=1) - 0.3)
    true = [shape.columns["inside"].mean(), np.mean(off < 0.005)]
    for found in (np.array(means), np.array(plain_means)):
        error = found.std(axis=0) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - true) < 4 * error).all()
    # What happens next to the surface, where a good network still errs, is told better by the same number of points.
    assert np.std([row[1] for row in means]) < 0.75 * np.std([row[1] for row in plain_means])


def test_the_loss_is_the_mean_cross_entropy_over_the_points_of_the_shape():
    """By weights: the expectation over draws is that over all points, within four standard errors."""
    shape, model = Ball(0.3), network(points=256)
    points, inside = torch.from_numpy(shape.columns["points"].astype(np.float32)), shape.columns["inside"]
    batch = batch_of(model.config, [shape])
    logits = model.decoder(points[None], model.codes_of(batch))[0].detach().numpy().astype(float)
    whole = np.mean(np.logaddexp(0, np.where(inside, -logits, logits)))
    (objective,) = model.objectives()
    found = []
    for seed in range(60):
        drawn = batch_of(model.config, [shape], seed)
        found.append(float(objective.loss(drawn | {"cloud": batch["cloud"]}, 0)[0].detach()))
    assert np.mean(found) == pytest.approx(whole, abs=4 * np.std(found) / np.sqrt(60))


def test_the_divergence_is_that_of_torch_and_none_at_the_prior():
    torch.manual_seed(3)
    mean, log_std = torch.randn(4, 5), torch.randn(4, 5)
    found, normal = torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(kl_from_normal(mean, log_std), torch.distributions.kl_divergence(found, normal))
    assert (kl_from_normal(torch.zeros(1, 2), torch.zeros(1, 2)) == 0).all()


def test_the_autoencoder_adds_its_divergence_by_the_number_of_points():
    shape = Ball()
    found = {}
    for kl in (0.0, 2.0):
        model = network(input="pairs", prior="normal", kl=kl)
        batch = batch_of(model.config, [shape, Ball(0.2)])
        torch.manual_seed(9)
        found[kl], parts = model.objectives()[0].loss(batch, 0)
    mean, log_std = model.posterior(batch)
    divergence = kl_from_normal(mean, log_std).sum(dim=1).mean()
    torch.testing.assert_close(found[2.0] - found[0.0], 2.0 * divergence / 32, rtol=1e-3, atol=1e-6)
    assert parts["kl"] == pytest.approx(float(divergence.detach()), rel=1e-5)


def test_learning_draws_codes_from_the_global_generator_and_use_draws_none():
    model = network(input="pairs", prior="normal")
    batch = batch_of(model.config, [Ball()])
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(float(model.objectives()[0].loss(batch, 0)[0].detach()))
    assert losses[0] == losses[1] != losses[2]
    state = torch.get_rng_state()
    assert torch.equal(model.codes_of(batch), model.codes_of(batch))
    assert torch.equal(torch.get_rng_state(), state)


def test_codes_of_the_prior_are_normal_and_belong_to_their_generator():
    model = network(input="pairs", prior="normal")
    codes = model.prior_codes(4000, torch.Generator().manual_seed(1))
    assert codes.shape == (4000, 4)
    assert codes.mean(dim=0).abs().max() < 4 / 4000**0.5
    assert (codes.std(dim=0) - 1).abs().max() < 4 / 8000**0.5
    assert torch.equal(codes, model.prior_codes(4000, torch.Generator().manual_seed(1)))
    with pytest.raises(ConfigError, match="vae"):
        network().prior_codes(1, torch.Generator())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input": "cloud"}, "input"),
        ({"norm": "bn"}, "norm"),
        ({"prior": "normals"}, "did you mean 'normal'"),
        ({"image_norm": "layer"}, "image_norm"),
        ({"near": 1.0}, "near"),
        ({"threshold": 0.0}, "threshold"),
        ({"noise": -1.0}, "noise"),
        ({"code_size": 0}, "code_size"),
        ({"frequencies": -1}, "frequencies"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        OnetConfig(**settings)


def test_shapes_that_teach_nothing_are_named():
    config = OnetConfig(**TINY)
    rows = len(Ball().columns["points"])
    for label, where in ((True, "inside"), (False, "outside")):
        with pytest.raises(DataError, match=f"ball-7.*{where}"):
            config.draw(Ball(number=7, inside=np.full(rows, label)), np.random.default_rng(0), 0)
    bare = Ball(number=7, surface_points=np.zeros((0, 3), dtype=np.float32))
    with pytest.raises(DataError, match=r"ball-7.*surface-count"):
        config.draw(bare, np.random.default_rng(0), 0)
    assert "surface_points" not in config.replace(input="voxels", near=0.0).columns


def test_shards_with_few_points_and_points_that_are_all_near_can_be_learned_from():
    config = OnetConfig(**TINY)
    few = config.draw(Ball(rows=10), np.random.default_rng(0), 0)
    assert few["points"].shape == (32, 3)
    close = Ball()
    points = close.columns["surface_points"] * np.linspace(0.99, 1.01, 4000, dtype=np.float32)[:, None]
    config = config.replace(near_cells=2)
    drawn = config.draw(Ball(points=points, inside=np.arange(4000) < 2000), np.random.default_rng(0), 0)
    assert np.array_equal(drawn["weights"], np.ones(32, dtype=np.float32))


def learned(config, shapes, steps):
    """A network after so many steps, as the trunk makes them."""
    torch.manual_seed(0)
    model = OccupancyNetwork(config.replace(steps=steps), facts(shapes[0], len(shapes)))
    (objective,) = model.objectives()
    optimizers = optimizers_of(objective)
    for step in range(steps):
        set_rate(optimizers, rate_factor(model.config, step, step / steps))
        loss, _ = objective.loss(batch_of(config, shapes, step), step)
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
    return model.eval()


def overlap(model, shape, codes):
    points = torch.from_numpy(shape.columns["points"].astype(np.float32))
    with torch.no_grad():
        found = (model.values(points[None], codes)[0] < 0).numpy()
    true = shape.columns["inside"]
    return (found & true).sum() / (found | true).sum()


@pytest.mark.parametrize(("name", "steps", "rates"), [("default", 110, {}), ("vae", 180, {"muon_lr": 0.05, "kl": 0.1})])
def test_it_learns_balls_it_was_shown_and_one_it_was_not(name, steps, rates):
    radii = np.array([0.2, 0.28, 0.36, 0.44])
    shapes = [Ball(radius, k) for k, radius in enumerate(radii)]
    small = {"width": 16, "blocks": 1, "code_size": 8, "encoder_width": 16, "input_points": 64, "points": 128}
    config = OccupancyNetwork.configs[name].replace(**small, **rates, frequencies=1, near_cells=8, lr=1e-2)
    model = learned(config, shapes, steps)
    found = [
        overlap(model, shape, model.codes_of(batch_of(config, [shape], 1000))) for shape in (*shapes, Ball(0.32, 9))
    ]
    # The best that one answer for all can do is a ball of some radius, whose overlaps are ratios of volumes.
    constant = max(np.mean(np.minimum(radii / r, r / radii) ** 3) for r in np.linspace(0.2, 0.44, 100))
    assert np.mean(found[:4]) > constant + 0.2
    assert found[4] > 0.65
