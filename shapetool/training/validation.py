"""How well a model does on shapes that it does not train on."""

from typing import Any

import torch

from shapetool.models.base import Batch, Model, Objective
from shapetool.models.fitting import Fit, Observations, fit_codes
from shapetool.training.batches import moved, validation_batches
from shapetool.training.shapes import Shapes

FIT_STEPS = 100  # of the code of a shape: fewer than extraction takes, for only checkpoints are compared


def validation_loss(model: Model[Any], objective: Objective, val: Shapes, seed: int) -> float:
    """The mean loss on shapes that are not trained on, each asked the same questions whenever it is asked.

    An auto-decoder has no codes of them: they are fitted first, and the loss is the mean error of their distances. The
    loss of other models is that of the end of the run, so that it is the same one along the whole run.
    """
    total, count = 0.0, 0
    for batch in validation_batches(val, model.config, seed, len(model.facts.shape_ids)):
        there = moved(batch, model.device)
        torch.manual_seed(seed)
        rows = len(batch["index"])
        total += rows * (
            _fitted(model, there) if getattr(model, "auto_decoder", False) else _plain(objective, there, model)
        )
        count += rows
    return total / count


def _plain(objective: Objective, batch: Batch, model: Model[Any]) -> float:
    progress, model.progress = model.progress, 1.0
    with torch.no_grad():
        loss = float(objective.loss(batch, model.config.steps)[0])
    model.progress = progress
    return loss


def _fitted(model: Any, batch: Batch) -> float:
    config = model.config
    seen = Observations(batch["points"], batch["distances"])
    codes = fit_codes(model, seen, Fit(FIT_STEPS, config.fit_lr, config.fit_points, config.fit_penalty))
    with torch.no_grad():
        return float(model.clamped_error(model.values(batch["points"], codes), batch["distances"]).mean())
