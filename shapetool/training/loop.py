"""The loop that trains every model, to be read from top to bottom."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shapetool.errors import CheckpointError, ConfigError, DataError
from shapetool.models.base import Batch, Model, Objective
from shapetool.training.batches import Batches, Plan, moved, validation_batches
from shapetool.training.checkpoint import State, load, load_optimizers, load_weights, optimizer_tensors, save
from shapetool.training.distributed import Ranks
from shapetool.training.log import Log
from shapetool.training.optimizers import optimizers_of, rate_factor, set_rate
from shapetool.training.shapes import Shapes

SMOOTHING = 0.98
PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True)
class Terms:
    """What a run is given beside its model: none of it is a number of the model.

    `budget` is in seconds of training, all starts of the run together, pictures and the wait for the first batch not
    counted; the schedule then goes by time, and the run is repeatable in its steps but not in their number.
    `draw_threads` draw ahead. `stop` is asked after every step whether to end, and says why. The log gets a line every
    `log_every` steps.
    """

    seed: int = 0
    budget: float | None = None
    precision: str = "f32"
    draw_threads: int = 1
    log_every: int = 10
    pictures: int = 4
    stop: Callable[[], str | None] = lambda: None
    on_event: Callable[[dict[str, Any]], None] = lambda event: None
    on_picture: Callable[[int], None] = lambda step: None


@dataclass(frozen=True)
class Ended:
    """How a run ended: at which step, after how many seconds, with which loss, and what stopped it early."""

    step: int
    seconds: float
    loss: float
    stopped: str | None


@dataclass
class _Run:
    """What the loop carries along."""

    model: Model[Any]
    objectives: list[Objective]
    optimizers: dict[str, torch.optim.Optimizer]
    state: State
    ranks: Ranks
    terms: Terms
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """The share of the run that is done, from 0 to 1."""
        done = self.state.step / self.model.config.steps
        budget = self.terms.budget
        return min(1.0, max(done, self.state.seconds / budget if budget else 0.0))


def fit(
    model: Model[Any], shapes: Shapes, folder: Path, terms: Terms, ranks: Ranks | None = None, val: Shapes | None = None
) -> Ended:
    """How training ended, after `folder` holds `last/`, `best/` and `log.jsonl`; goes on from `last/` where it exists.

    `best/` has the lowest loss on `val`, or without it the lowest smoothed loss of training, among the checkpoints.
    On the CPU the same call gives the same bits, whether it was interrupted or not.

    Raises:
        CheckpointError: `last/` is damaged or of another model.
        ConfigError: the shapes of a step cannot be divided among the processes.
        DataError: the loss is not finite; the message names step and shape, and `last/` is of before.
        OSError: the disk is full or fails.
    """
    ranks = ranks or Ranks()
    run = _start(model, folder, terms, ranks)
    batches = Batches(shapes, model.config, _plan(model, terms, ranks))(run.state.step)
    log = Log(folder / "log.jsonl", run.state.step) if ranks.first else None
    pictures = _milestones(run)
    stopped, loss = None, math.nan
    try:
        batch = next(batches) if run.progress < 1 else {}
        saved, since, resumed = run.state.step, time.perf_counter(), run.state.seconds
        while run.progress < 1:
            model.train()
            torch.manual_seed(_step_seed(terms.seed, run.state.step))
            loss = _step(run, moved(batch, model.device), shapes)
            run.state.step += 1
            loss, stopped = _agree(run, loss, resumed + time.perf_counter() - since)
            run.state.smooth = _smoothed(run.state, loss)
            finished = run.progress >= 1 or stopped is not None
            if log is not None and (run.state.step % terms.log_every == 0 or finished):
                _note(run, log, loss)
            if run.state.step % model.config.checkpoint_every == 0 or finished:
                _checkpoint(run, folder, val, log)
                saved = run.state.step
            if ranks.first and _due(pictures, run) and stopped is None:
                pause = time.perf_counter()
                _draw(run, terms)
                since += time.perf_counter() - pause
            if finished:
                break
            batch = next(batches)
        if saved != run.state.step:
            _checkpoint(run, folder, val, log)
    finally:
        batches.close()  # type: ignore[attr-defined]
        if log is not None:
            log.close()
    return Ended(run.state.step, run.state.seconds, loss, stopped)


def _start(model: Model[Any], folder: Path, terms: Terms, ranks: Ranks) -> _Run:
    """The state to go on from: that of `last/`, or a fresh one."""
    if terms.precision not in PRECISIONS:
        raise ConfigError(f"precision is {terms.precision!r}; expected {' or '.join(PRECISIONS)}.")
    objectives = list(model.objectives())
    optimizers = {name: made for objective in objectives for name, made in optimizers_of(objective).items()}
    state = State()
    if (folder / "last").exists() or (folder / ".last.old").exists():
        state = load(folder / "last", {"model": type(model).__name__})
        load_weights(model, state.weights, folder / "last")
        try:
            load_optimizers(optimizers, state.optimizer)
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder / 'last'}: expected the state of these optimizers: {error}. The configuration is another "
                "one; train again with --overwrite."
            ) from error
    elif model.config.ema:
        state.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    state.average = {name: tensor.to(model.device) for name, tensor in state.average.items()}
    return _Run(model, objectives, optimizers, state, ranks, terms)


def _plan(model: Model[Any], terms: Terms, ranks: Ranks) -> Plan:
    return Plan(terms.seed, ranks.rank, ranks.count, terms.draw_threads, pin=model.device.type == "cuda")


def _step_seed(seed: int, step: int) -> int:
    """The seed of torch's random numbers in a step: no two steps of a run share one."""
    return (seed * 0x9E3779B97F4A7C15 + step) % 2**63


def _step(run: _Run, batch: Batch, shapes: Shapes) -> float:
    """The loss of one step, after the parameters moved; nothing moves where it is not finite."""
    model, step = run.model, run.state.step
    set_rate(run.optimizers, rate_factor(model.config, step, run.progress))
    total, run.parts = 0.0, {}
    for objective in run.objectives:
        parameters = [parameter for group in objective.groups for parameter in group.parameters]
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast(model.device.type, torch.bfloat16, enabled=run.terms.precision == "bf16"):
            loss, parts = objective.loss(batch, step)
        loss.backward()  # type: ignore[no-untyped-call]
        run.ranks.average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, model.config.clip or math.inf)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise DataError(_not_finite(run, objective, batch, shapes))
        for name, optimizer in run.optimizers.items():
            if name.startswith(f"{objective.name}/"):
                optimizer.step()
        total += float(loss.detach())
        run.parts |= parts
    if run.state.average:
        _average(run)
    return total


def _smoothed(state: State, loss: float) -> float:
    """The running mean of the loss."""
    keep = min(SMOOTHING, state.step / (state.step + 10)) if state.smooth is not None else 0.0
    return loss if state.smooth is None else keep * state.smooth + (1 - keep) * loss


def _average(run: _Run) -> None:
    """None, once the averaged weights have taken in the new ones; young averages forget faster."""
    keep = min(run.model.config.ema, (1 + run.state.step) / (10 + run.state.step))
    for name, tensor in run.model.state_dict().items():
        if tensor.is_floating_point():
            run.state.average[name].lerp_(tensor.detach(), 1 - keep)
        else:
            run.state.average[name].copy_(tensor)


def _not_finite(run: _Run, objective: Objective, batch: Batch, shapes: Shapes) -> str:
    """The message for a loss or a gradient that is not finite: each shape is asked alone."""
    culprits = []
    with torch.no_grad():
        for row in range(len(batch["index"])):
            alone = {name: tensor[row : row + 1] for name, tensor in batch.items()}
            try:
                value = objective.loss(alone, run.state.step)[0]
            except (ValueError, RuntimeError):  # a batch norm may want two shapes
                continue
            if not torch.isfinite(value):
                culprits.append(shapes.shape_ids[int(batch["index"][row])])
    who = f"shape {culprits[0]!r}" if len(culprits) == 1 else f"{len(culprits)} shapes of the batch, {culprits[:3]}"
    if not culprits:
        names = [shapes.shape_ids[int(index)] for index in batch["index"][:3]]
        who = f"the gradient of a batch with {names}"
    return (
        f"step {run.state.step}: expected a finite loss, found none for {who}. The last checkpoint is of before; lower "
        "lr, clip the gradient (--set clip=1), or look at the shape with `shapetool verify`."
    )


def _agree(run: _Run, loss: float, seconds: float) -> tuple[float, str | None]:
    """The loss, and why to stop, the same in every process; the time that is counted becomes the same, too."""
    reason = run.terms.stop()
    loss, run.state.seconds, asked = run.ranks.mean([loss, seconds, float(reason is not None)], run.model.device)
    return loss, (reason or "another process") if asked > 0 else None


def _note(run: _Run, log: Log, loss: float) -> None:
    """None, once the log and whoever listens know of the step."""
    names = list(run.parts)
    state = run.state
    entry: dict[str, Any] = {"step": state.step, "seconds": round(state.seconds, 4), "loss": loss}
    entry |= {name: run.parts[name] for name in names}
    first = next(iter(run.optimizers.values()))
    entry["lr"] = first.param_groups[0]["lr"]
    log.write(entry)
    run.terms.on_event({"event": "step", **entry, "progress": run.progress, "steps": run.model.config.steps})


def _checkpoint(run: _Run, folder: Path, val: Shapes | None, log: Log | None) -> None:
    """None, once `last/` is of this step, and `best/` if this is the best so far."""
    state = run.state
    score = state.smooth if val is None else _validate(run, val)
    state.weights = {name: tensor.detach() for name, tensor in run.model.state_dict().items()}
    state.optimizer = optimizer_tensors(run.optimizers)
    better = score is not None and math.isfinite(score) and (state.best is None or score <= state.best)
    if better:
        state.best = score
    if run.ranks.first:
        about = {"model": type(run.model).__name__}
        save(folder / "last", state, about)
        if better or not (folder / "best").exists():
            save(
                folder / "best",
                State(state.step, state.seconds, state.best, state.smooth, state.weights, state.average),
                about,
            )
        if val is not None and log is not None:
            log.write({"step": state.step, "seconds": round(state.seconds, 4), "val_loss": score})
            run.terms.on_event({"event": "validated", "step": state.step, "val_loss": score})
        run.terms.on_event({"event": "saved", "step": state.step, "best": better})
    state.weights, state.optimizer = {}, {}
    run.ranks.wait()


def _validate(run: _Run, val: Shapes) -> float:
    """The mean loss of the first objective on shapes that are not trained on, with the weights that are kept."""
    model = run.model
    model.eval()
    with averaged(run), torch.no_grad():
        torch.manual_seed(_step_seed(run.terms.seed, -1 % 2**31))
        losses, count = 0.0, 0
        for batch in validation_batches(val, model.config, run.terms.seed):
            rows = len(batch["index"])
            losses += rows * float(run.objectives[0].loss(moved(batch, model.device), run.state.step)[0])
            count += rows
    return losses / count


class averaged:  # noqa: N801 - reads as a verb: with averaged(run)
    """A context in which the model has its averaged weights, if it keeps any."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.own: Mapping[str, Tensor] = {}

    def __enter__(self) -> None:
        if self.run.state.average:
            self.own = {name: tensor.detach().clone() for name, tensor in self.run.model.state_dict().items()}
            self.run.model.load_state_dict(self.run.state.average)

    def __exit__(self, *_: object) -> None:
        if self.own:
            self.run.model.load_state_dict(dict(self.own))


def _milestones(run: _Run) -> list[float]:
    """The shares of the run at which a picture is due, those that lie ahead."""
    count = run.terms.pictures
    return [k / count for k in range(1, count + 1) if k / count > run.progress]


def _due(pictures: list[float], run: _Run) -> bool:
    """Whether a milestone is behind the run that was not yet drawn."""
    passed = [share for share in pictures if share <= run.progress]
    del pictures[: len(passed)]
    return bool(passed)


def _draw(run: _Run, terms: Terms) -> None:
    """None, once a picture of the state was drawn, with the weights that are kept."""
    run.model.eval()
    with averaged(run):
        terms.on_picture(run.state.step)
