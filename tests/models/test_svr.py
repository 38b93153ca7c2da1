"""Single-view reconstruction: views that are held out, codes of another model, and that views are told apart."""

import numpy as np
import pytest
import torch
from torch import nn

from shapetool.errors import ConfigError, DataError
from shapetool.models import model_class
from shapetool.models.base import Facts, FieldModel, Model, ModelConfig
from shapetool.models.svr import SingleView, SvrConfig, ViewEncoder
from shapetool.training.batches import stacked
from shapetool.training.optimizers import optimizers_of, rate_factor, set_rate

PIXELS, VIEWS = 16, 6
TINY = SvrConfig(shapes=3, channels=8, code_size=8, views=2, held_out=2, shift=1, target="somewhere")
RECIPE = {"normalize": "sphere", "frame_size": 0.9}


class Balls(Model[ModelConfig]):
    """A trained model of balls: the radius is the first number of a code; a share of the second is added to all."""

    extent, lipschitz, auto_decoder = 0.7, 1.0, True

    def __init__(self, recipe=None):
        super().__init__(ModelConfig(), Facts(("a", "b", "c"), "sdf", 0.7, RECIPE if recipe is None else recipe, {}))
        self.share = nn.Parameter(torch.tensor(0.5))

    def values(self, points, codes):
        return points.norm(dim=2) - codes[:, :1] + self.share * codes[:, 1:2]

    def codes_of(self, batch):
        raise AssertionError("codes come by attach")


class Pictures:
    """A shape whose views are one shade, but for a column that says which view it is."""

    def __init__(self, number=0, views=VIEWS, **columns):
        self.shape_id, self.index = f"shape-{number}", number
        images = np.full((views, PIXELS, PIXELS, 3), 60 * number + 30, np.uint8)
        images[:, :, 8, 0] = np.arange(views)[:, None]
        self.columns = {"images": images} | columns

    def __contains__(self, name):
        return name in self.columns

    def read(self, name):
        return self.columns[name]

    def chunk(self, names, rng):
        raise AssertionError("views are read by number")


CODES = torch.tensor([[0.2, 0.02], [0.3, 0.0], [0.6, 0.01]])


def facts(ids=("shape-0", "shape-1", "shape-2"), recipe=None) -> Facts:
    return Facts(ids, "views", 1.0, RECIPE if recipe is None else recipe, {"images": (VIEWS, PIXELS, PIXELS, 3)})


def made(config: SvrConfig = TINY, codes: torch.Tensor = CODES, attached: bool = True, **how) -> SingleView:
    torch.manual_seed(0)
    model = SingleView(config, facts(**how))
    if attached:
        model.attach(Balls(), codes)
    return model


def which(drawn: np.ndarray) -> set[int]:
    """The numbers of the views in planes (N, A, H, W), wherever they were moved."""
    return {round(float(view[0, PIXELS // 2, 6:11].min()) * 255) for view in drawn}


def batch_of(config: SvrConfig, step: int = 0, count: int = 3) -> dict[str, torch.Tensor]:
    draws = [(k, config.draw(Pictures(k), np.random.default_rng([step % 2**32, k]), step)) for k in range(count)]
    return stacked(draws)


def test_it_is_registered_and_a_field_and_needs_views():
    assert model_class("svr") is SingleView
    assert {"default", "reference"} <= set(SingleView.configs)
    assert isinstance(made(), FieldModel)
    assert (SvrConfig.kinds, TINY.columns) == (("views",), ("images",))
    reference = SingleView.configs["reference"]
    assert (reference.lr, reference.shapes, reference.shift) == (5e-5, 64, 0)  # of the author's code


def test_views_that_are_held_out_are_drawn_for_validation_only():
    config, shape = TINY.replace(shift=0), Pictures(2)
    learned = [config.draw(shape, np.random.default_rng(seed), 5)["images"] for seed in range(40)]
    assert {drawn.shape for drawn in learned} == {(2, 3, PIXELS, PIXELS)}
    assert all(len(which(drawn)) == 2 for drawn in learned)
    assert set.union(*map(which, learned)) == {0, 1, 2, 3}
    judged = [config.draw(shape, np.random.default_rng(seed), -1)["images"] for seed in range(40)]
    assert {drawn.shape for drawn in judged} == {(1, 3, PIXELS, PIXELS)}
    assert set.union(*map(which, judged)) == {4, 5}
    anywhere = [config.replace(held_out=0).draw(shape, np.random.default_rng(seed), -1)["images"] for seed in range(60)]
    assert set.union(*map(which, anywhere)) == set(range(6))


def test_more_views_a_step_than_there_are_come_more_than_once():
    assert TINY.replace(views=7).draw(Pictures(), np.random.default_rng(0), 0)["images"].shape[0] == 7


def test_what_is_drawn_is_the_same_for_the_same_generator_only():
    first, again, other = (TINY.draw(Pictures(), np.random.default_rng(seed), 0)["images"] for seed in (0, 0, 3))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_views_are_moved_by_no_more_than_asked_and_only_while_they_are_learned_from():
    places = set()
    image = np.zeros((VIEWS, PIXELS, PIXELS, 3), np.uint8)
    image[:, 5, 8] = 255
    shape = Pictures(images=image)
    for seed in range(200):
        for view in TINY.draw(shape, np.random.default_rng(seed), 0)["images"]:
            (spot,) = np.argwhere(view[0])
            places.add(tuple((spot - (5, 8)).tolist()))
    assert places == {(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)}
    np.testing.assert_array_equal(
        TINY.draw(shape, np.random.default_rng(0), -1)["images"][0, 0], image[0, ..., 0] / 255
    )


def test_too_few_views_are_refused_with_the_name_of_the_shape():
    with pytest.raises(DataError, match=r"shape-1: expected more than the 2 views .* found 2"):
        TINY.draw(Pictures(1, views=2), np.random.default_rng(0), 0)


@pytest.mark.parametrize("setting", [{"views": 0}, {"held_out": -1}, {"shift": -1}, {"channels": 0}, {"channels": 4}])
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        TINY.replace(**setting)


def test_the_field_is_that_of_the_target():
    model = made()
    points, codes = torch.rand(2, 9, 3), torch.rand(2, 2)
    torch.testing.assert_close(model.values(points, codes), points.norm(dim=2) - codes[:, :1] + 0.5 * codes[:, 1:])
    assert (model.extent, model.lipschitz) == (0.7, 1.0)


def test_the_last_layer_sees_every_place_of_the_picture():
    torch.manual_seed(0)
    encoder = ViewEncoder(8, (32, 48), 8, 3).eval()
    # Halved by the first convolution and three of the four pairs of blocks: 2 x 3 places, 8 times the channels.
    assert encoder.code.in_features == 2 * 3 * 64
    image = torch.rand(1, 3, 32, 48)
    assert (encoder(image) - encoder(image.roll(16, dims=3))).abs().max() > 1e-3


def test_the_loss_is_the_square_error_of_codes_in_units_of_how_they_differ():
    model = made()
    batch = batch_of(TINY)
    loss, _ = model.objectives()[0].loss(batch, 0)
    codes = torch.stack([model.codes_of({"images": batch["images"][:, k : k + 1]}) for k in range(2)], dim=1)
    error = (codes - CODES[:, None]).square().mean()
    spread = (CODES - CODES.mean(dim=0)).square().mean()
    assert loss.item() == pytest.approx((error / spread).item(), rel=1e-4)


def test_always_saying_the_mean_of_all_codes_costs_one():
    model = made()
    nn.init.zeros_(model.encoder.code.weight)
    nn.init.zeros_(model.encoder.code.bias)
    torch.testing.assert_close(model.codes_of(batch_of(TINY)), CODES.mean(dim=0).expand(3, 2))
    assert model.objectives()[0].loss(batch_of(TINY), 0)[0].item() == pytest.approx(1, rel=1e-5)


def test_several_views_are_taken_for_the_mean_of_their_codes():
    model = made()
    batch = batch_of(TINY.replace(views=4))
    single = [model.codes_of({"images": batch["images"][:, k : k + 1]}) for k in range(4)]
    torch.testing.assert_close(model.codes_of(batch), torch.stack(single).mean(dim=0))


def test_shapes_of_a_batch_do_not_know_each_other_and_training_agrees_with_use():
    model = made()
    batch = batch_of(TINY)
    together = model.train().codes_of(batch)
    model.eval()
    torch.testing.assert_close(model.codes_of(batch), together)
    alone = torch.cat([model.codes_of({"images": batch["images"][k : k + 1]}) for k in range(3)])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=1e-5)


def test_codes_of_shapes_that_choose_the_best_are_known_but_not_counted():
    more = torch.cat([CODES, torch.tensor([[9.0, 9.0]])])
    model = made(codes=more)
    torch.testing.assert_close(model.mean[:2], CODES.mean(dim=0))
    assert model.unit.item() == pytest.approx((CODES - CODES.mean(dim=0)).square().mean().sqrt().item())
    batch = batch_of(TINY) | {"index": torch.tensor([3, 3, 3])}
    assert model.objectives()[0].loss(batch, 0)[0] > 100


def test_only_the_encoder_learns_and_only_it_is_saved():
    target = Balls()
    model = made(attached=False)
    model.attach(target, CODES)
    (objective,) = model.objectives()
    objective.loss(batch_of(TINY), 0)[0].backward()
    assert target.share.grad is None
    learned = {id(parameter) for group in objective.groups for parameter in group.parameters}
    assert learned == {id(parameter) for parameter in model.parameters()}
    assert id(target.share) not in learned
    model.train()
    assert not target.training
    assert set(model.state_dict()) == {"mean", "unit"} | {f"encoder.{name}" for name in model.encoder.state_dict()}


def test_a_model_that_is_opened_again_keeps_its_own_unit():
    saved = made().state_dict()
    again = made(attached=False)
    again.load_state_dict(saved)
    again.attach(Balls(), CODES + 0.001)  # found anew, on another machine
    torch.testing.assert_close(again.mean[:2], CODES.mean(dim=0))
    torch.testing.assert_close(again.codes_of(batch_of(TINY)), made().codes_of(batch_of(TINY)))


def test_the_target_goes_where_the_model_goes():
    model = made()
    model.double()
    found = model.values(
        torch.rand(1, 2, 3, dtype=torch.float64), model.codes_of({"images": torch.rand(1, 1, 3, 16, 16).double()})
    )
    assert found.dtype == torch.float64
    assert model._attached[0].share.dtype == torch.float64


def test_what_cannot_be_attached_is_refused():
    with pytest.raises(ConfigError, match="expected the 9 of the target"):
        made(codes=torch.rand(3, 9))
    with pytest.raises(ConfigError, match="codes that differ"):
        made(codes=CODES[:1].expand(3, 2))
    model = made(attached=False, recipe={"normalize": "box", "frame_size": 1.0})
    with pytest.raises(DataError, match=r"normalize sphere, found box. Render with --normalize sphere"):
        model.attach(Balls(), CODES)
    with pytest.raises(ConfigError, match="expected a target"):
        made(attached=False).codes_of(batch_of(TINY))


def test_views_of_three_shapes_are_told_apart():
    config = TINY.replace(steps=60, lr=5e-3, warmup=5)
    model = made(config)
    (objective,) = model.objectives()
    optimizers = optimizers_of(objective)
    for step in range(config.steps):
        set_rate(optimizers, rate_factor(config, step, step / config.steps))
        loss, _ = objective.loss(batch_of(config, step), step)
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
    held = batch_of(config, -1)
    assert objective.loss(held, 0)[0] < 0.05  # the mean code is at 1
    assert torch.cdist(model.codes_of(held), CODES).argmin(dim=1).tolist() == [0, 1, 2]
