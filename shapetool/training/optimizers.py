"""Optimizers of an objective's groups, and how their rate falls."""

import math

import torch

from shapetool.models.base import ModelConfig, Objective
from shapetool.training.muon import Muon


def optimizers_of(objective: Objective) -> dict[str, torch.optim.Optimizer]:
    """The optimizers that move the groups of an objective, by name.

    Source: Kingma and Ba, "Adam", ICLR 2015. Muon: `training/muon.py`; without a decay of weights, which pulls small
        networks to zero.
    """
    found: dict[str, torch.optim.Optimizer] = {}
    for kind in ("adam", "muon"):
        groups = [
            {"params": list(group.parameters), "lr": group.lr, "share": group.lr}
            | ({"betas": group.betas} if kind == "adam" else {})
            for group in objective.groups
            if group.optimizer == kind and len(group.parameters)
        ]
        if groups:
            name = f"{objective.name}/{kind}"
            found[name] = torch.optim.Adam(groups) if kind == "adam" else Muon(groups)
    return found


def set_rate(optimizers: dict[str, torch.optim.Optimizer], factor: float) -> None:
    """None, once every group learns at this factor of its own rate."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * factor


def rate_factor(config: ModelConfig, step: int, progress: float) -> float:
    """The share of its rate at which a group learns at a step, where `progress` of the run (0 to 1) is behind it."""
    rise = min(1.0, (step + 1) / (config.warmup + 1))
    if config.schedule == "cosine":
        return rise * (config.lr_end + (1 - config.lr_end) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
    if config.schedule == "halve":
        return rise * 0.5 ** (step // config.halve_every)
    return rise
