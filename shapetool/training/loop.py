"""The loop that trains every model, to be read from top to bottom."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from shapetool.errors import CheckpointError, ConfigError, DataError
from shapetool.models.base import Batch, Model, Objective
from shapetool.training.averages import averaged, copied, is_finite, take_in
from shapetool.training.batches import Batches, Plan, moved
from shapetool.training.checkpoint import State, load, load_optimizers, load_weights, optimizer_tensors, save
from shapetool.training.distributed import Ranks
from shapetool.training.log import Log
from shapetool.training.optimizers import optimizers_of, rate_factor, set_rate
from shapetool.training.shapes import Shapes
from shapetool.training.validation import validation_loss

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

    `best/` is the checkpoint with the lowest loss on `val`. Without `val` it is the last one: losses of training say
    little of each other where a method makes its task harder on the way. On the CPU the same call gives the same bits,
    whether it was interrupted or not.

    Raises:
        CheckpointError: `last/` is damaged or of another model.
        ConfigError: the shapes of a step cannot be divided among the processes.
        DataError: the loss is not finite; the message names step and shape, and `last/` is of before.
        OSError: the disk is full or fails.
    """
    ranks = ranks or Ranks()
    run = _start(model, folder, terms, ranks)
    source = Batches(shapes, model.config, _plan(model, terms, ranks))
    source.progress = run.progress if terms.budget else 0.0
    batches = source(run.state.step)
    log = Log(folder / "log.jsonl", run.state.step) if ranks.first else None
    pictures = _milestones(run)
    stopped, loss = None, math.nan
    try:
        batch = next(batches) if run.progress < 1 else {}
        since, before = time.perf_counter(), run.state.seconds
        while run.progress < 1:
            model.train()
            torch.manual_seed(_step_seed(terms.seed, run.state.step, ranks.rank))
            loss = _step(run, moved(batch, model.device), shapes)
            run.state.step += 1
            loss, stopped = _agree(run, loss, before + time.perf_counter() - since)
            source.progress = run.progress if terms.budget else 0.0
            finished = run.progress >= 1
            if log is not None and (run.state.step % terms.log_every == 0 or finished):
                _note(run, log, loss)
            if run.state.step % model.config.checkpoint_every == 0 or finished:
                _judge(run, folder, val, log)
            elif stopped is not None:
                _save(run, folder / "last")
                if run.state.step < model.config.checkpoint_every:
                    _save(run, folder / "best", goes_on=False)  # until there is a better one
            if ranks.first and _due(pictures, run) and (finished or stopped is None):
                pause = time.perf_counter()
                with averaged(model, run.state.average):
                    terms.on_picture(run.state.step)
                since += time.perf_counter() - pause
            if finished or stopped is not None:
                break
            batch = next(batches)
    finally:
        batches.close()  # type: ignore[attr-defined]
        if log is not None:
            log.close()
    return Ended(run.state.step, run.state.seconds, loss, None if run.progress >= 1 else stopped)


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
        state.average = copied(model)
    state.average = {name: tensor.to(model.device) for name, tensor in state.average.items()}
    return _Run(model, objectives, optimizers, state, ranks, terms)


def _plan(model: Model[Any], terms: Terms, ranks: Ranks) -> Plan:
    return Plan(terms.seed, ranks.rank, ranks.count, terms.draw_threads, pin=model.device.type == "cuda")


def _step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of torch's random numbers in a step: no two steps of a run share one, nor two processes of a step."""
    return (seed * 0x9E3779B97F4A7C15 + rank * 0xBF58476D1CE4E5B9 + step) % 2**63


def _step(run: _Run, batch: Batch, shapes: Shapes) -> float:
    """The loss of one step, after the parameters moved; nothing moves where it is not finite."""
    model, step = run.model, run.state.step
    model.progress = run.progress
    set_rate(run.optimizers, rate_factor(model.config, step, run.progress))
    total, run.parts = 0.0, {}
    for objective in run.objectives:
        parameters = [parameter for group in objective.groups for parameter in group.parameters]
        for parameter in parameters:
            parameter.grad = None
        loss = 0.0
        for share, part in _divided(batch, model.config.parts):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=run.terms.precision == "bf16"):
                found, parts = objective.loss(part, step)
            (found if share == 1 else share * found).backward()  # type: ignore[no-untyped-call]
            loss += share * float(found.detach())
            run.parts |= {name: share * value + run.parts.get(name, 0.0) * (share < 1) for name, value in parts.items()}
        run.ranks.average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, model.config.clip or math.inf)
        if not (math.isfinite(loss) and torch.isfinite(norm)):
            raise DataError(_not_finite(run, objective, batch, shapes))
        for name, optimizer in run.optimizers.items():
            if name.startswith(f"{objective.name}/"):
                optimizer.step()
        total += loss
    if run.state.average:
        take_in(run.state.average, model, model.config.ema, step)
    return total


def _divided(batch: Batch, parts: int) -> Iterator[tuple[float, Batch]]:
    """Parts of a batch by shapes, each with its share of them: one after the other they need less memory."""
    count = len(batch["index"])
    if parts == 1:
        yield 1.0, batch
        return
    for rows in torch.arange(count, device=batch["index"].device).chunk(parts):
        yield len(rows) / count, {name: tensor[rows] for name, tensor in batch.items()}


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
    """The loss, and why to stop, the same in every process; the time and the parts of the loss become the same, too."""
    reason, names = run.terms.stop(), sorted(run.parts)
    values = [loss, seconds, float(reason is not None), *(run.parts[name] for name in names)]
    loss, run.state.seconds, asked, *parts = run.ranks.mean(values, run.model.device)
    run.parts |= dict(zip(names, parts, strict=True))
    return loss, (reason or "another process") if asked > 0 else None


def _note(run: _Run, log: Log, loss: float) -> None:
    """None, once the log and whoever listens know of the step."""
    state, first = run.state, next(iter(run.optimizers.values()))
    entry: dict[str, Any] = {"step": state.step, "seconds": round(state.seconds, 4), "loss": loss, **run.parts}
    entry["lr"] = first.param_groups[0]["lr"]
    log.write(entry)
    run.terms.on_event({"event": "step", **entry, "progress": run.progress, "steps": run.model.config.steps})


def _judge(run: _Run, folder: Path, val: Shapes | None, log: Log | None) -> None:
    """None, once `last/` is of this step, and `best/` if this is the best so far.

    `last/` comes at the end: a kill before it is a step that is done again, to the same log and the same `best/`.
    """
    state, score = run.state, None
    if val is not None:
        with averaged(run.model, state.average):
            score = validation_loss(run.model, run.objectives[0], val, run.terms.seed)
    better = score is None or (math.isfinite(score) and (state.best is None or score <= state.best))
    if better:
        state.best = score
    if log is not None and score is not None:
        log.write({"step": state.step, "seconds": round(state.seconds, 4), "val_loss": score})
        run.terms.on_event({"event": "validated", "step": state.step, "val_loss": score})
    if better:
        _save(run, folder / "best", goes_on=False)
    _save(run, folder / "last")
    if run.ranks.first:
        run.terms.on_event({"event": "saved", "step": state.step, "best": better})


def _save(run: _Run, folder: Path, goes_on: bool = True) -> None:
    """None, once the folder holds the state, with what the optimizers remember if a run is to go on from it.

    Raises:
        DataError: a weight is not finite; the checkpoint before stands.
    """
    if not is_finite(run.model):
        raise DataError(
            f"step {run.state.step}: expected finite weights, found some that are not. {folder} is of before; lower lr."
        )
    weights = {name: tensor.detach() for name, tensor in run.model.state_dict().items()}
    state = replace(run.state, weights=weights, optimizer=optimizer_tensors(run.optimizers) if goes_on else {})
    about = {"model": type(run.model).__name__}
    run.ranks.first_does(lambda: save(folder, state, about), run.model.device)


def _milestones(run: _Run) -> list[float]:
    """The shares of the run at which a picture is due, those that lie ahead."""
    count = run.terms.pictures
    return [k / count for k in range(1, count + 1) if k / count > run.progress]


def _due(pictures: list[float], run: _Run) -> bool:
    """Whether a milestone is behind the run that was not yet drawn."""
    passed = [share for share in pictures if share <= run.progress]
    del pictures[: len(passed)]
    return bool(passed)
