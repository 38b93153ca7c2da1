"""IM-NET: the two published networks, what a step learns, the field and its frame, and a loss that is stuck."""

import warnings
from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch

from shapetool.cli.app import main
from shapetool.errors import ConfigError, DataError
from shapetool.models import model_class
from shapetool.models.base import Facts, FieldModel
from shapetool.models.imnet import Encoder, ImNet, ImnetConfig, leaky_clip
from shapetool.recipes import PROGRESSIVE
from shapetool.training.optimizers import optimizers_of
from shapetool.training.shapes import open_shapes

FACTS = Facts(("a", "b"), "occupancy", 0.55, {"box_size": 1.0, "padding": 0.1}, {})
TINY = ImnetConfig().replace(
    steps=100, shapes=2, points=64, input=16, channels=4, code_size=8, widths=[16, 16, 16], octaves=2, stages=[16]
)


class Columns(dict):
    """A shape that holds these columns."""

    shape_id, index = "chair/1a", 0
    read = dict.__getitem__

    def chunk(self, names, rng):
        raise AssertionError("IM-NET reads whole columns")


def stored(method: str) -> Columns:
    """A shape with the sets of a generation, each point of which tells its place in their order."""
    total = sum(PROGRESSIVE[method].values())
    order = np.random.default_rng(0).permutation(total).astype(np.int32)
    points = np.stack([order, order % 7, order % 5], axis=1).astype(np.float32) / total
    voxels = np.zeros((64, 64, 64), dtype=bool)
    voxels[10:40, 20:30, 30:33] = True
    return Columns(order=order, points=points, inside=order % 3 == 0, voxels=voxels)


def solid(size: int = 16, seed: int = 0, half: float = 0.5) -> Columns:
    """A shape with a solid lattice of a slab without symmetry."""
    lattice = np.zeros((size,) * 3, dtype=bool)
    low = np.random.default_rng(seed).integers(0, size // 2, 3)
    lattice[low[0] :, low[1] : low[1] + size // 4, low[2] : low[2] + size // 3] = True
    return Columns(solid=lattice, low=np.full(3, -half), high=np.full(3, half))


def model_of(config: ImnetConfig, seed: int = 0, facts: Facts = FACTS) -> ImNet:
    torch.manual_seed(seed)
    return ImNet(config, facts)


def batch_of(config: ImnetConfig, shapes: list[Columns], step: int = 0) -> dict[str, torch.Tensor]:
    drawn = [config.draw(shape, np.random.default_rng([step + 1, k]), step) for k, shape in enumerate(shapes)]
    return {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}


def trained(model: ImNet, shapes: list[Columns], steps: int) -> dict[str, float]:
    """The parts of the last loss, after so many steps on all the shapes."""
    (objective,) = model.objectives()
    optimizers = list(optimizers_of(objective).values())
    for step in range(steps):
        loss, parts = objective.loss(batch_of(model.config, shapes, step), step)
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    return parts | {"loss": loss.item()}


def test_the_model_is_in_the_table_and_every_configuration_makes_a_field():
    assert model_class("imnet") is ImNet
    assert set(ImNet.configs) == {"default", "reference", "reference-v1"}
    for name, config in ImNet.configs.items():
        model = model_of(config)
        assert isinstance(model, FieldModel)
        groups = model.objectives()[0].groups
        moved = [id(parameter) for group in groups for parameter in group.parameters]
        assert sorted(moved) == sorted(id(parameter) for parameter in model.parameters())  # each once
        muon = [id(matrix) for group in groups if group.optimizer == "muon" for matrix in group.parameters]
        hidden = model.decoder.layers[1:-1] if name == "default" else []
        assert muon == [id(layer.weight) for layer in hidden]
        assert config.replace(**config.to_dict()) == config


def test_the_published_networks_have_as_many_numbers_as_published():
    sizes = {
        "reference": [259, 1024, 1024, 1024, 512, 256, 128, 1],
        "reference-v1": [131, 2048, 1024, 512, 256, 128, 1],
    }
    for name, widths in sizes.items():
        again = 131 if name == "reference-v1" else 0
        layers = list(pairwise(widths))
        joined = [0] + [again] * (len(layers) - 2) + [0]
        model = model_of(ImNet.configs[name])
        expected = sum((a + more) * b + b for (a, b), more in zip(layers, joined, strict=True))
        assert sum(parameter.numel() for parameter in model.decoder.parameters()) == expected
    convolutions = 64 * (32 + 32 * 64 + 64 * 128 + 128 * 256)
    encoders = {name: sum(p.numel() for p in model_of(ImNet.configs[name]).encoder.parameters()) for name in sizes}
    assert encoders["reference"] == convolutions + 64 * 256 * 256 + 256
    norms_and_biases = 3 * (32 + 64 + 128 + 256)
    assert encoders["reference-v1"] == convolutions + 64 * 256 * 128 + 128 + norms_and_biases


@pytest.mark.parametrize("name", ["reference", "reference-v1"])
def test_the_decoder_is_the_authors_layer_by_layer(name):
    config = ImNet.configs[name].replace(widths=[32, 16, 16, 8], code_size=5)
    half = 4 * config.cube  # of the data; the decoder sees a quarter of that
    model = model_of(config, facts=Facts(("a",), "occupancy", half, {"box_size": 2 * half}, {}))
    for layer in model.decoder.layers:
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.normal_(layer.bias, std=0.3)
    seen, codes = torch.rand(2, 50, 3) - 0.5, torch.rand(2, 5)
    with torch.no_grad():  # some numbers below 0, between, and above 1
        raw = model.decoder(seen, codes)
        model.decoder.layers[-1].weight.div_(raw.std())
        model.decoder.layers[-1].bias.sub_(raw.mean()).div_(raw.std()).add_(0.5)
    given = torch.cat([seen, codes[:, None].expand(2, 50, 5)], dim=2)
    hidden = given
    for number, layer in enumerate(model.decoder.layers[:-1]):
        if name == "reference-v1" and number > 0:
            hidden = torch.cat([hidden, given], dim=2)
        hidden = layer(hidden)
        hidden = torch.maximum(hidden, 0.02 * hidden)
    raw = model.decoder.layers[-1](hidden)[..., 0]
    expected = -raw
    if name == "reference":
        expected = 0.5 - torch.maximum(torch.minimum(raw, 0.01 * raw + 0.99), 0.01 * raw)
    torch.testing.assert_close(model.values(4 * seen, codes), expected, rtol=1e-4, atol=1e-5)
    assert raw.min() < 0
    assert raw.max() > 1


def test_the_first_weights_of_the_published_decoders_are_normal_and_their_biases_zero():
    for name in ("reference", "reference-v1"):
        for layer in model_of(ImNet.configs[name]).decoder.layers:
            deviation = 0.02 / np.sqrt(2 * layer.weight.numel())
            assert abs(float(layer.weight.detach().std()) - 0.02) < 5 * deviation
            assert not layer.bias.any()


def test_the_encoder_halves_down_to_four_cells_and_ends_between_0_and_1():
    encoder = Encoder(ImNet.configs["reference"].replace(channels=2, code_size=6))
    seen = []
    for layer in (*encoder.layers, encoder.code):
        layer.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    codes = encoder(torch.rand(3, 64, 64, 64) < 0.3)
    assert seen == [(2, 32, 32, 32), (4, 16, 16, 16), (8, 8, 8, 8), (16, 4, 4, 4), (6, 1, 1, 1)]
    assert codes.shape == (3, 6)
    assert ((codes > 0) & (codes < 1)).all()


def test_only_the_first_generations_norm_looks_at_other_shapes_and_only_in_training():
    voxels = torch.rand(3, 16, 16, 16) < torch.tensor([0.1, 0.3, 0.6])[:, None, None, None]
    for norm, alone in (("instance", True), ("batch", False)):
        encoder = Encoder(TINY.replace(norm=norm))
        assert torch.allclose(encoder(voxels)[:1], encoder(voxels[:1]), atol=1e-5) is alone
        encoder.eval()
        torch.testing.assert_close(encoder(voxels)[:1], encoder(voxels[:1]))


def test_leaky_clip_is_the_identity_between_and_flat_beyond():
    values = torch.tensor([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    clipped = leaky_clip(values)
    torch.testing.assert_close(clipped, torch.tensor([-0.02, -0.005, 0.0, 0.25, 1.0, 1.02], dtype=torch.float64))
    clipped.sum().backward()
    torch.testing.assert_close(values.grad[[0, 1, 3, 5]], torch.tensor([0.01, 0.01, 1.0, 0.01], dtype=torch.float64))


@pytest.mark.parametrize("output", ["logit", "sigmoid", "clip"])
def test_the_field_is_negative_where_the_loss_calls_for_inside(output):
    config = TINY.replace(output=output)
    model = model_of(config)
    batch = batch_of(config, [solid(seed=0), solid(seed=1)])
    for label in (True, False):
        with torch.no_grad():
            model.decoder.layers[-1].bias.zero_()
        biased = []
        for _ in range(2):
            loss, _ = model._loss(batch | {"inside": torch.full_like(batch["inside"], label)}, 0)
            biased.append((loss.item(), model.values(batch["points"], model.codes_of(batch)).mean().item()))
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                model.decoder.layers[-1].bias -= model.decoder.layers[-1].bias.grad
        assert biased[1][0] < biased[0][0]
        assert (biased[1][1] < biased[0][1]) is label


def test_points_and_shapes_do_not_look_at_each_other():
    model = model_of(TINY).eval()
    points, codes = torch.rand(3, 40, 3) - 0.5, torch.rand(3, 8)
    values = model.values(points, codes)
    order = torch.randperm(40)
    torch.testing.assert_close(model.values(points[:, order], codes), values[:, order])
    torch.testing.assert_close(model.values(points[1:2, :7], codes[1:2]), values[1:2, :7])
    assert not torch.allclose(values[0], model.values(points[:1], codes[1:2])[0])


def test_gradients_of_the_decoder_are_those_of_finite_differences():
    model = model_of(TINY.replace(output="clip")).double()
    points, codes = torch.rand(1, 4, 3, dtype=torch.float64) - 0.5, torch.rand(1, 8, dtype=torch.float64)
    assert torch.autograd.gradcheck(model.values, (points.requires_grad_(), codes.requires_grad_()))


def test_stages_share_the_steps_as_the_authors_epochs_do():
    config = ImNet.configs["reference-v1"].replace(steps=200)  # epochs 50, 50 and 100
    assert [config.stages[config.stage(step)] for step in (0, 49, 50, 99, 100, 199)] == [16, 16, 32, 32, 64, 64]
    assert [config.points_at(step) for step in (0, 50, 100)] == [4096, 8192, 16384]
    assert config.stages[config.stage(-1)] == 64  # validation, which a loss may call by its number of steps too
    assert config.stage(200) == config.stage(10**6) == 2
    clock = config.replace(steps=10**9)  # a run that ends by the clock: batches ask by how much of it is over
    assert [clock.stage(int(share * 10**9)) for share in (0, 0.24, 0.26, 0.49, 0.51)] == [0, 0, 1, 1, 2]
    assert config.evaluations(200) == 50 * 4096 + 50 * 8192 + 100 * 16384
    halves = TINY.replace(stages=[16, 32, 64], steps=7, points=100, shapes=3)
    assert [halves.stage(step) for step in range(7)] == [0, 0, 0, 1, 1, 2, 2]
    assert [halves.points_at(step) for step in range(7)] == [25, 25, 25, 50, 50, 100, 100]
    assert halves.evaluations(4) == 3 * (25 + 25 + 25 + 50)


@pytest.mark.parametrize("method", PROGRESSIVE)
def test_a_step_learns_the_stored_set_of_its_stage(method):
    config = ImNet.configs["reference"].replace(steps=100, stage_points=[4096, 500, 500])
    shape, total = stored(method), sum(PROGRESSIVE[method].values())
    ends = np.cumsum([0, *PROGRESSIVE[method].values()])
    for step, stage in ((0, 0), (30, 1), (60, 2), (-1, 2)):
        drawn = config.draw(shape, np.random.default_rng(step + 1), step)
        places = np.rint(drawn["points"][:, 0] * total).astype(int)
        assert ends[stage] <= places.min()
        assert places.max() < ends[stage + 1]
        assert len(np.unique(places)) == config.points_at(step)
        assert np.array_equal(drawn["inside"], places % 3 == 0)
        assert np.array_equal(drawn["voxels"], shape["voxels"])
    small = config.replace(input=16).draw(shape, np.random.default_rng(0), 0)["voxels"]
    assert np.argwhere(small).min(axis=0).tolist() == [2, 5, 7]
    assert np.argwhere(small).max(axis=0).tolist() == [9, 7, 8]


def test_cells_of_a_solid_lattice_lie_in_its_box_and_around():
    config = TINY.replace(points=4000)
    shape = solid(half=0.7)
    shape["low"], shape["high"] = np.array([-0.2, -0.7, -0.7]), np.array([1.2, 0.7, 0.7])
    drawn = config.draw(shape, np.random.default_rng(0), 0)
    cells = np.floor((drawn["points"] - [-0.2, -0.7, -0.7]) / 1.4 * 16 + 1e-4).astype(int)
    known = ((cells >= 0) & (cells < 16)).all(axis=1)
    assert np.array_equal(drawn["inside"], known & shape["solid"][tuple(np.where(known[:, None], cells, 0).T)])
    assert (~known).any()
    assert cells.min() == -1
    assert cells.max() == 16
    assert {name: (array.dtype, array.shape) for name, array in drawn.items()} == {
        "voxels": (np.bool_, (16, 16, 16)),
        "points": (np.float32, (4000, 3)),
        "inside": (np.bool_, (4000,)),
    }


@pytest.mark.parametrize("sets", ["stored", "mixed", "v1", "v2"])
def test_what_is_drawn_follows_from_the_arguments(sets):
    config = TINY.replace(sets=sets)
    shape = stored("v2") if sets == "stored" else solid()
    first, again, other = (config.draw(shape, np.random.default_rng(seed), 3) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["points"], other["points"])
    assert set(config.columns) <= set(shape)  # and no other columns are read
    read = Columns({name: shape[name] for name in config.columns})
    assert np.array_equal(config.draw(read, np.random.default_rng(0), 3)["points"], first["points"])


def test_the_field_reaches_as_far_as_something_was_learned():
    assert model_of(TINY).extent == 0.55
    far = Facts(("a",), "occupancy", 0.8, {"box_size": 1.0, "padding": 0.6}, {})
    assert model_of(TINY, facts=far).extent == 0.5625
    assert model_of(TINY, facts=Facts(("a",), "occupancy", 1.0, {}, {})).extent == 1.0


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        (Columns(points=0, inside=0), {}, "chair/1a: expected the column 'solid', found none. Sample with --grid 16"),
        (solid(), {"sets": "stored"}, "chair/1a: expected the column 'voxels'"),
        (solid(24), {}, "chair/1a: expected a multiple of 16 voxels along an edge, found 24"),
        (solid(), {"stages": [16, 32]}, None),
        (solid(), {"stages": [32]}, "expected a multiple of 32 voxels along an edge, found 16. Sample with --grid 32"),
        (solid() | {"solid": np.zeros((16, 16, 16), dtype=bool)}, {}, "expected voxels inside, found none of 4,096"),
        (stored("v1") | {"order": np.arange(9)}, {"sets": "stored"}, "among 45,056 or 24,576 points, found 9 points"),
        (stored("v1"), {"sets": "stored", "stages": [48]}, "expected a multiple of 48 voxels"),
    ],
)
def test_a_shape_that_teaches_nothing_is_named(shape, settings, said):
    config = TINY.replace(**settings)
    shape = Columns(shape)
    if said is None:
        assert config.draw(shape, np.random.default_rng(0), 0)["inside"].any()
        return
    with pytest.raises(DataError) as error:
        config.draw(shape, np.random.default_rng(0), 0)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"input": 24}, "input is 24; expected 8, 16, 32, 64 or 128 cells"),
        ({"norm": "layer"}, "unknown norm 'layer'"),
        ({"output": "tanh"}, "unknown output 'tanh'"),
        ({"sets": "v3"}, "unknown sets 'v3'"),
        ({"stages": [32, 16]}, "stages is (32, 16); expected such as 16,32,64"),
        ({"stages": [20]}, "stages is (20,)"),
        ({"stages": []}, "stages is ()"),
        ({"stage_steps": [1, 2]}, "stage_steps is (1, 2); expected a number above 0 for each of 1 stages, or none"),
        ({"stage_points": [0]}, "stage_points is (0,)"),
        ({"widths": []}, "widths is ()"),
        ({"spread": -1}, "spread is -1.0"),
        ({"cube": 0}, "cube is 0.0"),
        ({"beta1": 1}, "beta1 is 1.0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(ConfigError) as error:
        TINY.replace(**settings)
    assert said in str(error.value)


def test_predicting_nothing_is_noticed_and_said_once():
    config = TINY.replace(steps=2000, output="clip", muon_lr=0, spread=0, joined=False, octaves=0, init=1e-4, lr=1e-6)
    model = model_of(config)
    batch = batch_of(config, [solid(seed=0), solid(seed=1)])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        parts = [model._loss(batch, step)[1] for step in (199, 200, 1000, 2000)]
    assert [one.get("stuck") for one in parts] == [None, 1.0, 1.0, None]  # the last is how validation calls
    (warning,) = heard
    assert "step 200: expected less than the variance of the labels" in str(warning.message)
    assert "--set output=logit" in str(warning.message)
    empty = batch | {"inside": torch.zeros_like(batch["inside"])}
    assert model._loss(empty, 1000)[1]["stuck"] == 0.0  # where all are outside, nothing inside is right
    timed = model_of(config.replace(steps=10**9))
    timed._warned = True
    assert timed._loss(batch, 500)[1].get("stuck") is None
    timed.progress = 0.1  # of a run that ends by time
    assert timed._loss(batch, 500)[1]["stuck"] == 1.0
    assert model_of(config.replace(steps=500))._loss(batch, 99)[1].get("stuck") is None  # too early to tell


def test_a_short_training_beats_the_constant_and_is_not_stuck():
    shapes = [solid(seed=seed) for seed in range(3)]
    config = TINY.replace(steps=110, points=128, lr=1e-2)
    model = model_of(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = trained(model, shapes, 110)
    share = float(batch_of(config, shapes)["inside"].float().mean())
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert parts["stage"] == 16
    assert parts["stuck"] == 0
    assert parts["loss"] < 0.5 * entropy


def test_the_field_is_in_the_frame_of_the_points_of_the_shard(tmp_path):
    corners = "v 0 0 0\nv 1 0 0\nv 0 0.8 0\nv 0 0 0.6\n"  # of a tetrahedron that no mirror keeps
    (tmp_path / "corner.obj").write_text(corners + "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    words = ["sample-occupancy", str(tmp_path / "corner.obj"), str(tmp_path / "out.h5"), "--grid", "32"]
    assert main([*words, "--count", "4000", "--surface-count", "0", "-j", "1", "-q"]) == 0
    shapes = open_shapes([tmp_path / "out.h5"])
    config = TINY.replace(steps=60, points=512, widths=[32, 32, 32], stages=[16, 32], lr=1e-2)
    model = model_of(config, facts=shapes.facts())
    trained(model, [shapes[0]], 60)
    model.eval()
    code = model.codes_of(batch_of(config, [shapes[0]]))
    points, inside = shapes[0].read("points").astype(np.float32), shapes[0].read("inside")
    shares = {}
    for axes in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            turned = torch.from_numpy(points[:, axes] * np.array(signs, np.float32))
            found = (model.values(turned[None], code)[0] < 0).numpy()
            shares[axes, signs] = (found & inside).sum() / (found | inside).sum()
    own = shares.pop(((0, 1, 2), (1, 1, 1)))
    assert own > 0.65
    assert own > max(shares.values()) + 0.1
