"""The loop: what is repeated to the bit, what ends a run early, and what the numbers of a configuration do."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shapetool.errors import CheckpointError, DataError
from shapetool.models.base import Facts, Group, Model, ModelConfig, Objective
from shapetool.models.deepsdf import DeepSDF
from shapetool.training import loop
from shapetool.training.averages import averaged, take_in
from shapetool.training.checkpoint import load
from shapetool.training.log import read_log
from shapetool.training.loop import Terms, fit
from shapetool.training.optimizers import optimizers_of, rate_factor, set_rate
from shapetool.training.shapes import Shapes, open_shapes
from tests.trained import TINY, changed, content

CONFIG = DeepSDF.configs["default"].replace(**TINY)
LOUD = CONFIG.replace(ema=0.9, dropout=0.3, clip=0.5, warmup=3)
REFERENCE = DeepSDF.configs["reference"].replace(**TINY)


@pytest.fixture(scope="module")
def shapes(sampled) -> Shapes:
    return open_shapes([sampled])


def started(config, shapes, seed=0) -> DeepSDF:
    torch.manual_seed(seed)
    return DeepSDF(config, shapes.facts())


class Steps:
    """A `stop` that asks to end after so many more steps."""

    def __init__(self, count):
        self.left = count

    def __call__(self):
        self.left -= 1
        return "SIGTERM" if self.left == 0 else None


@pytest.mark.parametrize("config", [CONFIG, LOUD, REFERENCE], ids=["muon", "ema dropout clip warmup", "reference"])
def test_a_run_that_was_stopped_anywhere_ends_with_the_bits_of_one_that_was_not(config, shapes, tmp_path):
    fit(started(config, shapes), shapes, tmp_path / "whole", Terms(log_every=3))
    for count in (4, 6, 3):  # stops at steps 4, 10 (where a checkpoint is due) and 13
        ended = fit(started(config, shapes), shapes, tmp_path / "parts", Terms(log_every=3, stop=Steps(count)))
        assert ended.stopped == "SIGTERM"
    assert ended.step == 13
    assert fit(started(config, shapes), shapes, tmp_path / "parts", Terms(log_every=3)).step == 20
    assert content(tmp_path / "whole") == content(tmp_path / "parts")


def test_other_seeds_and_other_numbers_give_other_bits(shapes, tmp_path):
    runs = {
        "a": (CONFIG, Terms()),
        "seed": (CONFIG, Terms(seed=1)),
        "dropout": (CONFIG.replace(dropout=0.3), Terms()),
        "clip": (CONFIG.replace(clip=1e-3), Terms()),
    }
    for name, (config, terms) in runs.items():
        fit(started(config, shapes), shapes, tmp_path / name, terms)
    found = {content(tmp_path / name)["last/model.safetensors"] for name in runs}
    assert len(found) == len(runs)


def test_dropout_differs_from_step_to_step_and_from_process_to_process():
    seeds = {loop._step_seed(seed, step, rank) for seed in range(3) for step in range(100) for rank in range(3)}
    assert len(seeds) == 900


def test_a_run_that_is_done_trains_nothing(shapes, tmp_path):
    fit(started(CONFIG, shapes), shapes, tmp_path, Terms())
    before = content(tmp_path)
    ended = fit(started(CONFIG, shapes), shapes, tmp_path, Terms())
    assert (ended.step, ended.stopped) == (20, None)
    assert content(tmp_path) == before


def test_a_stop_at_the_last_step_is_an_end(shapes, tmp_path):
    ended = fit(started(CONFIG, shapes), shapes, tmp_path, Terms(stop=Steps(20)))
    assert (ended.step, ended.stopped) == (20, None)


def test_a_run_that_was_stopped_early_has_both_checkpoints(shapes, tmp_path):
    fit(started(CONFIG, shapes), shapes, tmp_path, Terms(stop=Steps(3)))
    assert load(tmp_path / "last", {}).step == 3
    assert json.loads((tmp_path / "best/state.json").read_text())["step"] == 3


def test_a_huge_value_stops_the_run_before_anything_moves(sampled, tmp_path):
    def spoil(columns, row):
        if row == 3:
            columns["points"][:] = 3e38

    shapes = open_shapes([changed(sampled, tmp_path / "s.h5", spoil)])
    config = CONFIG.replace(shapes=1, checkpoint_every=1, ema=0.5)
    with pytest.raises(DataError, match=r"step (\d): expected a finite loss, found none for shape '(.*)'") as caught:
        fit(started(config, shapes), shapes, tmp_path / "run", Terms())
    step = int(str(caught.value).split()[1].rstrip(":"))
    assert shapes.shape_ids[3] in str(caught.value)
    assert load(tmp_path / "run/last", {}).step == step
    assert all(torch.isfinite(tensor).all() for tensor in load(tmp_path / "run/last", {}).weights.values())
    fit(started(config.replace(steps=step), open_shapes([sampled])), shapes, tmp_path / "other", Terms())
    kept, same = (load(tmp_path / name / "last", {}) for name in ("run", "other"))
    assert kept.step == same.step


def test_a_rate_that_is_too_high_stops_the_run_and_keeps_a_finite_checkpoint(shapes, tmp_path):
    config = CONFIG.replace(lr=1e20, muon_lr=0.0, checkpoint_every=1, steps=50)
    with pytest.raises(DataError, match=r"step \d+: expected"):
        fit(started(config, shapes), shapes, tmp_path, Terms())
    assert all(torch.isfinite(tensor).all() for tensor in load(tmp_path / "last", {}).weights.values())


class Pair(Model[ModelConfig]):
    """Two objectives that pull one number each, as the two of a GAN do."""

    def __init__(self, config, facts):
        super().__init__(config, facts)
        self.first = torch.nn.Parameter(torch.tensor([1.0]))
        self.second = torch.nn.Parameter(torch.tensor([1.0]))

    def objectives(self):
        return [
            Objective("one", [Group([self.first], 0.1)], lambda batch, step: (self.loss(), {"one": 1.0})),
            Objective("two", [Group([self.second], 0.2)], lambda batch, step: (-self.loss(), {"two": 2.0})),
        ]

    def loss(self):
        return (self.first * self.second).sum()


class OneNumber(ModelConfig):
    """Draws nothing."""

    def draw(self, shape, rng, step):
        return {}


class Root(Pair):
    """A loss that is finite where its gradient is not."""

    def objectives(self):
        return [Objective("root", [Group([self.first], 0.1)], lambda batch, step: (self.first.abs().sqrt().sum(), {}))]


def test_a_gradient_that_is_not_finite_moves_nothing(shapes, tmp_path):
    root = Root(OneNumber(steps=3, shapes=2), Facts((), "sdf", 1.0, {}, {}))
    torch.nn.init.zeros_(root.first)
    with pytest.raises(
        DataError, match=r"step 0: expected a finite loss, found none for the gradient of a batch with \['"
    ):
        fit(root, shapes, tmp_path, Terms())
    assert root.first.item() == 0
    assert not (tmp_path / "last").exists()


def test_weights_that_are_not_finite_are_not_kept(shapes, tmp_path):
    model = started(CONFIG.replace(checkpoint_every=1), shapes)

    def spoil(event):
        if event.get("event") == "step" and event["step"] == 3:
            with torch.no_grad():
                model.codes.weight[5] = torch.inf

    with pytest.raises(DataError, match="expected finite weights"):
        fit(model, shapes, tmp_path, Terms(log_every=1, on_event=spoil))
    assert load(tmp_path / "last", {}).step == 2


def test_labels_that_are_all_outside_name_the_shape(sampled, tmp_path):
    shapes = open_shapes(
        [changed(sampled, tmp_path / "s.h5", lambda c, row: c.update(distances=abs(c["distances"]) + 1e-3), 2)]
    )
    with pytest.raises(DataError, match=r"(bottle|capsule).*expected points on both sides, found none inside"):
        fit(started(CONFIG.replace(shapes=2), shapes), shapes, tmp_path / "run", Terms())


def test_a_budget_ends_in_time_and_its_schedule_reaches_the_end(shapes, tmp_path):
    config = CONFIG.replace(steps=10**9, checkpoint_every=10**9)
    ended = fit(started(config, shapes), shapes, tmp_path, Terms(budget=0.5, log_every=1))
    log = read_log(tmp_path / "log.jsonl")
    assert ended.stopped is None
    assert 0.5 <= ended.seconds < 2.0  # one step beyond it, on a machine that does other things
    assert log[0]["lr"] > 0.8 * config.lr
    assert log[-1]["lr"] < 0.5 * log[0]["lr"]
    rates = [entry["lr"] for entry in log]
    assert rates == sorted(rates, reverse=True)
    assert load(tmp_path / "last", {}).step == ended.step
    again = fit(started(config, shapes), shapes, tmp_path, Terms(budget=0.5))
    assert again.step == ended.step


def test_draws_go_by_the_clock_where_a_run_ends_by_it_and_by_their_step_elsewhere(shapes, tmp_path, monkeypatch):
    asked: list[int] = []
    drawn = type(CONFIG).draw

    def draw(config, shape, rng, step):
        asked.append(step)
        return drawn(config, shape, rng, step)

    monkeypatch.setattr(type(CONFIG), "draw", draw)
    config = CONFIG.replace(steps=10**9, checkpoint_every=10**9)
    fit(started(config, shapes), shapes, tmp_path / "clock", Terms(budget=0.5, draw_threads=0))
    assert asked == sorted(asked)
    assert asked[0] == 0
    assert asked[-1] > 10**6  # as many steps would take hours
    asked.clear()
    fit(started(CONFIG.replace(steps=4), shapes), shapes, tmp_path / "steps", Terms(draw_threads=0))
    assert sorted(set(asked)) == [0, 1, 2, 3]


def test_a_budget_counts_all_starts_together(shapes, tmp_path):
    config = CONFIG.replace(steps=10**9, checkpoint_every=10**9)
    first = fit(started(config, shapes), shapes, tmp_path, Terms(budget=0.6, stop=Steps(5)))
    place = tmp_path / "last/state.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"seconds": 0.5}))
    second = fit(started(config, shapes), shapes, tmp_path, Terms(budget=0.6, log_every=1))
    assert second.step > first.step
    assert 0.6 <= second.seconds < 2.0
    assert all(entry["seconds"] >= 0.5 for entry in read_log(tmp_path / "log.jsonl") if entry["step"] > first.step)


def test_pictures_are_due_at_their_shares_of_the_run_once_each(shapes, tmp_path):
    drawn = []
    terms = Terms(pictures=4, on_picture=drawn.append)
    fit(started(CONFIG, shapes), shapes, tmp_path, replace(terms, stop=Steps(7)))
    fit(started(CONFIG, shapes), shapes, tmp_path, terms)
    assert drawn == [5, 10, 15, 20]


def test_a_picture_changes_nothing(shapes, tmp_path):
    model = started(LOUD, shapes)
    codes = {"index": torch.tensor([0])}

    def look(step):
        assert not model.training
        torch.rand(100)
        model.codes_of(codes)

    fit(model, shapes, tmp_path / "seen", Terms(on_picture=look))
    fit(started(LOUD, shapes), shapes, tmp_path / "unseen", Terms(pictures=0))
    assert content(tmp_path / "seen") == content(tmp_path / "unseen")


def test_the_last_checkpoint_is_the_best_where_nothing_judges(shapes, tmp_path):
    fit(started(CONFIG, shapes), shapes, tmp_path, Terms())
    found = content(tmp_path)
    assert found["best/model.safetensors"] == found["last/model.safetensors"]
    assert found["best/state"] == found["last/state"]


def test_the_checkpoint_with_the_lowest_validation_loss_is_the_best(shapes, sampled, tmp_path, monkeypatch):
    losses = iter([0.3, 0.1, 0.2, float("nan")])
    monkeypatch.setattr(loop, "validation_loss", lambda *_: next(losses))
    config = CONFIG.replace(checkpoint_every=5)
    fit(started(config, shapes), shapes, tmp_path, Terms(), val=open_shapes([sampled], shapes.shape_ids[:1]))
    assert json.loads((tmp_path / "best/state.json").read_text())["step"] == 10
    assert json.loads((tmp_path / "last/state.json").read_text())["best"] == 0.1
    logged = [entry["val_loss"] for entry in read_log(tmp_path / "log.jsonl") if "val_loss" in entry]
    assert logged == [0.3, 0.1, 0.2, None]


def test_a_stopped_run_with_validation_ends_with_the_bits_of_one_that_was_not(shapes, sampled, tmp_path):
    train, val = (open_shapes([sampled], shapes.shape_ids[part]) for part in (slice(4), slice(4, 6)))
    for name, counts in (("whole", ()), ("parts", (7, 7))):
        for count in counts:
            fit(started(LOUD, train), train, tmp_path / name, Terms(stop=Steps(count)), val=val)
        fit(started(LOUD, train), train, tmp_path / name, Terms(), val=val)
    assert content(tmp_path / "whole") == content(tmp_path / "parts")
    assert len([1 for entry in read_log(tmp_path / "parts/log.jsonl") if "val_loss" in entry]) == 2


def test_validation_of_an_auto_decoder_fits_codes_to_the_shapes_it_is_given(shapes, sampled):
    from shapetool.training.validation import validation_loss

    train, val = (open_shapes([sampled], shapes.shape_ids[part]) for part in (slice(4), slice(4, 6)))
    model = started(CONFIG, train)
    loss = validation_loss(model, model.objectives()[0], val, 0)
    assert loss == validation_loss(model, model.objectives()[0], val, 0)
    with torch.no_grad():
        model.codes.weight.mul_(100)  # only where a search starts and how it is weighed hangs on trained codes
        model.layers[-1].bias.add_(10)  # every distance is far off, whatever the code
    assert validation_loss(model, model.objectives()[0], val, 0) > 10 * loss


def test_validation_of_other_models_is_by_the_loss_of_the_end_of_a_run(shapes):
    from shapetool.training.validation import validation_loss

    asked = []
    model = Pair(OneNumber(steps=30, shapes=4), Facts(("a",) * 9, "sdf", 1.0, {}, {}))
    model.progress = 0.25

    def loss(batch, step):
        asked.append((batch["index"].tolist(), step, model.progress, torch.is_grad_enabled()))
        return torch.tensor(float(len(batch["index"]))), {}

    assert validation_loss(model, Objective("one", [], loss), shapes, 0) == (4 * 4 + 2 * 2) / 6
    assert asked == [([9, 10, 11, 12], 30, 1.0, False), ([13, 14], 30, 1.0, False)]
    assert model.progress == 0.25


def test_optimizers_of_another_configuration_are_refused(shapes, tmp_path):
    fit(started(CONFIG, shapes), shapes, tmp_path, Terms(stop=Steps(3)))
    with pytest.raises(CheckpointError, match="last"):
        fit(started(CONFIG.replace(width=17), shapes), shapes, tmp_path, Terms())


def test_each_objective_moves_its_own_parameters_only(shapes, tmp_path):
    config = OneNumber(steps=1, schedule="constant")
    pair = Pair(config, Facts((), "sdf", 1.0, {}, {}))
    fit(pair, shapes, tmp_path, Terms(log_every=1))
    assert pair.first.item() == pytest.approx(0.9, abs=1e-6)  # Adam's first step is the rate
    assert pair.second.item() == pytest.approx(1.2, abs=1e-6)
    (entry,) = read_log(tmp_path / "log.jsonl")
    assert (entry["one"], entry["two"]) == (1.0, 2.0)
    assert entry["loss"] == pytest.approx(1.0 - 0.9)  # the sum: 1, then minus what the first step left


@pytest.mark.parametrize(
    ("settings", "step", "progress", "factor"),
    [
        ({}, 0, 0.0, 1.0),
        ({}, 50, 0.5, 0.5),
        ({}, 99, 1.0, 0.0),
        ({"lr_end": 0.1}, 50, 0.5, 0.55),
        ({"lr_end": 0.1}, 99, 1.5, 0.1),
        ({"schedule": "constant"}, 7, 0.9, 1.0),
        ({"schedule": "halve", "halve_every": 10}, 9, 0.0, 1.0),
        ({"schedule": "halve", "halve_every": 10}, 20, 0.0, 0.25),
        ({"schedule": "constant", "warmup": 3}, 0, 0.0, 0.25),
        ({"schedule": "constant", "warmup": 3}, 3, 0.0, 1.0),
    ],
)
def test_rates_follow_their_schedule(settings, step, progress, factor):
    assert rate_factor(ModelConfig(**settings), step, progress) == pytest.approx(factor)


def test_groups_keep_their_own_rates_and_optimizers(shapes):
    model = started(CONFIG, shapes)
    optimizers = optimizers_of(model.objectives()[0])
    assert set(optimizers) == {"sdf/adam", "sdf/muon"}
    set_rate(optimizers, 0.5)
    rates = [group["lr"] for optimizer in optimizers.values() for group in optimizer.param_groups]
    assert sorted(rates) == sorted([CONFIG.lr / 2, CONFIG.code_lr / 2, CONFIG.muon_lr / 2])
    moved = [p for optimizer in optimizers.values() for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in moved} == {id(p) for p in model.parameters()}
    assert len(moved) == len(list(model.parameters()))
    assert all(p.ndim == 2 for group in optimizers["sdf/muon"].param_groups for p in group["params"])


def test_the_average_is_a_weighted_mean_that_starts_fast():
    model = torch.nn.BatchNorm1d(1)
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked.fill_(7)
    take_in(average, model, 0.9, 0)
    assert average["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 3)  # (1 + 0) / (10 + 0) is kept
    take_in(average, model, 0.9, 10_000)
    assert average["weight"].item() == pytest.approx(0.9 * 2.8 + 0.1 * 3)
    assert average["num_batches_tracked"] == 7
    with averaged(model, average):
        assert model.weight.item() == pytest.approx(2.82)
    assert model.weight.item() == 3.0


def test_the_largest_gradient_is_clipped(shapes, tmp_path):
    model = started(CONFIG.replace(clip=1e-4, steps=1), shapes)
    fit(model, shapes, tmp_path, Terms())
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert float(norm) == pytest.approx(1e-4, rel=1e-3)


def test_half_precision_trains(shapes, tmp_path):
    ended = fit(started(CONFIG, shapes), shapes, tmp_path, Terms(precision="bf16"))
    assert ended.loss < 0.1
    assert load(tmp_path / "last", {}).weights["codes.weight"].dtype == torch.float32


def test_events_tell_of_steps_and_checkpoints(shapes, tmp_path):
    events = []
    fit(started(CONFIG, shapes), shapes, tmp_path, Terms(on_event=events.append))
    assert [(event["event"], event["step"]) for event in events] == [
        ("step", 10),
        ("saved", 10),
        ("step", 20),
        ("saved", 20),
    ]
    assert events[2]["progress"] == 1.0


def test_a_file_where_the_checkpoint_goes_is_refused(shapes, tmp_path: Path):
    (tmp_path / "last").write_text("x")
    with pytest.raises(CheckpointError, match="no such folder"):
        fit(started(CONFIG, shapes), shapes, tmp_path, Terms())


def test_progress_goes_by_what_is_nearer_to_its_end():
    run = SimpleNamespace(
        state=SimpleNamespace(step=5, seconds=8.0),
        model=SimpleNamespace(config=SimpleNamespace(steps=10)),
        terms=SimpleNamespace(budget=10.0),
    )
    assert loop._Run.progress.fget(run) == 0.8
    run.terms.budget = None
    assert loop._Run.progress.fget(run) == 0.5


def test_a_step_in_parts_is_the_step_as_a_whole(shapes, tmp_path):
    found = {}
    for parts in (1, 2, 3):
        model = started(CONFIG.replace(parts=parts, steps=3), shapes)
        fit(model, shapes, tmp_path / str(parts), Terms(log_every=1))
        found[parts] = model.state_dict(), read_log(tmp_path / str(parts) / "log.jsonl")
    weights, log = found[1]
    for parts in (2, 3):
        for entry, other in zip(log, found[parts][1], strict=True):
            assert {n: entry[n] for n in ("loss", "distance", "code")} == pytest.approx(
                {n: other[n] for n in ("loss", "distance", "code")}, rel=1e-4
            )
        for name, value in weights.items():
            # The sums have another order, and Adam divides small gradients by their own size.
            torch.testing.assert_close(found[parts][0][name], value, rtol=1e-3, atol=1e-4)
