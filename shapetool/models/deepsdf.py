"""DeepSDF: one network that knows the signed distance of many shapes, each by a code that is learned with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Float
from torch import Tensor, nn

from shapetool.errors import DataError
from shapetool.models.base import Batch, Facts, Group, Model, ModelConfig, Objective, Shape

HARDNESS = (0.0, 0.1, 0.2, 0.5)  # of wrong signs, by stage of the curriculum
TOLERANCE = (0.025, 0.01, 0.0025, 0.0)
STAGES = (0.1, 0.3, 0.5)  # shares of the run at which a stage ends: epochs 200, 600 and 1000 of 2000


@dataclass(frozen=True)
class DeepSdfConfig(ModelConfig):
    """The numbers of DeepSDF; lengths are in the unit frame.

    ``width`` and ``depth`` of the hidden layers; code and point come in once more before layer ``skip`` (0: never),
    for which the layer before is ``narrow`` by as much, as published, or else beside all of it.
    ``clamp``: distances beyond it count as it. ``one_sided``: where the truth is beyond the clamp, only a prediction
    below it is wrong, so no start can be without a gradient; else both are cut, as published. ``code_penalty``: of the
    norm of a code, rising over ``penalty_rise`` of the run. ``code_std``: about the norm of a fresh code.
    ``code_bound``: largest norm of a code, 0 for none. ``muon_lr``: the rate of Muon on hidden matrices, 0 for Adam
    everywhere. ``curriculum``: small errors count only later, and wrong signs then count more. ``fit_*``: how the code
    of an unseen shape is found.
    """

    steps: int = 1500
    shapes: int = 8
    points: int = 512
    width: int = 128
    depth: int = 6
    skip: int = 3
    narrow: bool = False
    code_size: int = 256
    dropout: float = 0.0
    weight_norm: bool = False
    tanh: bool = False
    last_scale: float = 0.1
    clamp: float = 0.1
    one_sided: bool = True
    code_penalty: float = 1e-4
    penalty_rise: float = 0.05
    code_std: float = 0.4
    code_bound: float = 0.0
    code_lr: float = 1e-3
    muon_lr: float = 1e-2
    curriculum: bool = False
    fit_steps: int = 300
    fit_lr: float = 5e-3
    fit_penalty: float = 1e-4
    fit_points: int = 2048

    kinds: ClassVar[tuple[str, ...]] = ("sdf",)

    @property
    def columns(self) -> tuple[str, ...]:
        """Points and their distances."""
        return ("points", "distances")

    def check(self) -> None:
        """Nothing, if every number makes sense.

        Raises:
            ConfigError: one does not.
        """
        super().check()
        for name in ("width", "depth", "code_size", "clamp", "last_scale", "fit_steps", "fit_lr", "fit_points"):
            self.require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("code_penalty", "penalty_rise", "code_std", "code_bound", "code_lr", "muon_lr", "fit_penalty"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        self.require("skip", 0 <= self.skip < self.depth, "a hidden layer after the first, or 0 for none")
        size = self.code_size + 3
        self.require(
            "width",
            not (self.skip and self.narrow) or self.width > size,
            f"above {size}, as code and point come in beside it",
        )
        self.require("dropout", 0 <= self.dropout < 1, "a share from 0 to below 1")

    def draw(self, shape: Shape, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Points of one chunk with their distances, as many inside as outside.

        Raises:
            DataError: a chunk of the shape has no point inside, or none outside.
        """
        points, distances = shape.chunk(self.columns, rng)
        inside = distances < 0
        found = []
        for side, count in ((inside, self.points // 2), (~inside, self.points - self.points // 2)):
            among = np.flatnonzero(side)
            if not len(among):
                where = "inside" if side is inside else "outside"
                raise DataError(
                    f"{shape.shape_id}: expected points on both sides, found none {where} among {len(points)}. "
                    "Sample the shape with more points near its surface, or look at its sign with `shapetool info`."
                )
            found.append(among[rng.integers(len(among), size=count)])
        rows = np.concatenate(found)
        return {"points": points[rows].astype(np.float32), "distances": distances[rows].astype(np.float32)}


class DeepSDF(Model[DeepSdfConfig]):
    """An auto-decoder of signed distances.

    Source: Park et al., "DeepSDF: Learning Continuous Signed Distance Functions for Shape Representation", CVPR 2019,
        and its code. `reference` has the numbers of that code: eight layers of 512 with weight norm and dropout, tanh
        at the end, the clamped L1 loss, the penalty on the norm of codes (the paper's is on its square), Adam with
        rates that halve. Differences of `default`: a smaller network without dropout and tanh, Muon on the
        hidden matrices, a last layer that begins small, a loss that is cut on one side only, larger rates for codes.
        `curriculum`: Duan et al., "Curriculum DeepSDF", ECCV 2020, its loss; layers are not added on the way.
    """

    configs: ClassVar[dict[str, ModelConfig]] = {
        "default": DeepSdfConfig(),
        "curriculum": DeepSdfConfig(curriculum=True),
        "reference": DeepSdfConfig(
            steps=100_000, shapes=64, points=16384, lr=5e-4, schedule="halve", halve_every=25_000, width=512, depth=8,
            skip=4, narrow=True, code_size=256, dropout=0.2, weight_norm=True, tanh=True, last_scale=1.0,
            one_sided=False, code_std=1.0, code_bound=1.0, code_lr=1e-3, muon_lr=0.0, parts=16, fit_steps=800,
            fit_points=8000,
        ),
    }  # fmt: skip

    auto_decoder = True
    lipschitz: float | None = None

    def __init__(self, config: DeepSdfConfig, facts: Facts) -> None:
        super().__init__(config, facts)
        self.extent = facts.half
        self.codes = nn.Embedding(len(facts.shape_ids), config.code_size)
        nn.init.normal_(self.codes.weight, std=config.code_std / math.sqrt(config.code_size))
        sizes = [config.code_size + 3] + [config.width] * config.depth + [1]
        layers: list[nn.Linear] = []
        for number in range(config.depth + 1):
            given = sizes[number] if number == 0 else config.width
            wanted = sizes[number + 1]
            if config.skip == number and number and not config.narrow:
                given += config.code_size + 3
            if config.skip and config.narrow and number + 1 == config.skip:
                wanted -= config.code_size + 3
            layers.append(nn.Linear(given, wanted))
        for layer in layers[:-1]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            layers[-1].weight.mul_(config.last_scale)
            layers[-1].bias.mul_(config.last_scale)
        if config.weight_norm:
            layers = [nn.utils.parametrizations.weight_norm(layer) for layer in layers[:-1]] + layers[-1:]
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(config.dropout)

    def objectives(self) -> Sequence[Objective]:
        """The one objective: network and codes."""
        config = self.config
        hidden: list[nn.Parameter] = []
        if config.muon_lr and not config.weight_norm:
            hidden = [p for name, p in self.layers.named_parameters() if p.ndim == 2 and self._is_hidden(name)]
        matrices = {id(weight) for weight in hidden}
        rest = [p for p in self.layers.parameters() if id(p) not in matrices]
        groups = [
            Group(rest, config.lr),
            Group(hidden, config.muon_lr, "muon"),
            Group(list(self.codes.parameters()), config.code_lr),
        ]
        return [Objective("sdf", groups, self._loss)]

    def values(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """The signed distance of each code at its points, cut where the training cut it."""
        size = self.config.code_size
        x = points
        for number, layer in enumerate(self.layers):
            weight, bias = cast(Tensor, layer.weight), cast(Tensor, layer.bias)
            if number == 0:
                x = self._with_code(points, codes, weight, bias)
            elif self.config.skip and number == self.config.skip:
                own = weight.shape[1] - size - 3
                x = F.linear(x, weight[:, :own]) + self._with_code(points, codes, weight[:, own:], bias)
            else:
                x = F.linear(x, weight, bias)
            if number < self.config.depth:
                x = self.dropout(F.relu(x))
        x = x.squeeze(-1)
        return torch.tanh(x) if self.config.tanh else x

    def codes_of(self, batch: Batch) -> Float[Tensor, "B C"]:
        """The codes that were learned with the network, by `index`."""
        found: Tensor = self.codes(batch["index"])
        return self._bounded(found)

    @staticmethod
    def _with_code(points: Tensor, codes: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """A layer on code and point together; the part of the code is worked out once a shape."""
        size = codes.shape[-1]
        return F.linear(points, weight[:, size:], bias) + F.linear(codes, weight[:, :size])[:, None]

    def clamped_error(self, found: Float[Tensor, "B P"], true: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        """How wrong each distance is, with the clamp."""
        limit = self.config.clamp
        if not self.config.one_sided:
            return (found.clamp(-limit, limit) - true.clamp(-limit, limit)).abs()
        off = found - true.clamp(-limit, limit)
        # Beyond the clamp, more is not wrong.
        far = true.abs() >= limit
        return torch.where(far, F.relu(-off * true.sign()), off.abs())

    def _bounded(self, codes: Tensor) -> Tensor:
        """Codes no longer than the bound, as torch's `max_norm` keeps them."""
        if not self.config.code_bound:
            return codes
        return codes * (self.config.code_bound / codes.norm(dim=1, keepdim=True).clamp_min(1e-9)).clamp_max(1.0)

    def _loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        codes = self.codes_of(batch)
        found = self.values(batch["points"], codes)
        wrong = self.clamped_error(found, batch["distances"])
        data = self._harder(wrong, found, batch["distances"]).mean()
        rise = min(1.0, self.progress / self.config.penalty_rise) if self.config.penalty_rise else 1.0
        penalty = self.config.code_penalty * rise * codes.norm(dim=1).mean()
        return data + penalty, {
            "distance": float(wrong.detach().mean()),
            "code": float(codes.detach().norm(dim=1).mean()),
        }

    def _is_hidden(self, name: str) -> bool:
        return 0 < int(name.split(".")[0]) < self.config.depth

    def _harder(self, wrong: Tensor, found: Tensor, true: Tensor) -> Tensor:
        """The loss of the stage that the curriculum is in."""
        if not self.config.curriculum:
            return wrong
        stage = sum(self.progress >= share for share in STAGES)
        signs = torch.sign(true) * torch.sign(true - found.detach())
        return F.relu(wrong - TOLERANCE[stage]) * (1 + HARDNESS[stage] * signs)
