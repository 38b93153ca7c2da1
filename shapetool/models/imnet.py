"""IM-NET: voxels become a code, and with the code every point is inside or outside; learned coarse to fine."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Bool, Float
from torch import Tensor, nn

from shapetool.errors import DataError
from shapetool.models.base import Batch, Facts, Group, Model, ModelConfig, Objective, Shape
from shapetool.recipes import PROGRESSIVE
from shapetool.sampling.cells import BORDER, METHODS, WIDENED, lattice_points
from shapetool.sampling.progressive import pooled

LEAK = 0.02  # of the layers
CLIP_LEAK = 0.01
KERNEL = 4
STORED = "stored"
NORMS = ("instance", "batch")
OUTPUTS = ("logit", "sigmoid", "clip")
STUCK_AFTER = 0.1  # of the run, and never before
STUCK_LEAST = 100  # steps
STUCK = 0.98  # of the variance of the labels


@dataclass(frozen=True)
class ImnetConfig(ModelConfig):
    """The numbers of IM-NET.

    The encoder sees ``input`` cells along an edge; its first layer has ``channels`` filters, each halving doubles them;
    ``norm``: ``instance`` or ``batch``. The code has ``code_size`` numbers from 0 to 1; the decoder sees them from
    -``spread`` to ``spread``, or as they are with 0. ``widths`` of its hidden layers; ``joined``: all but the last also
    give on its input. ``cube``: half the edge of the cube of the points as it sees it. ``octaves`` of sines
    and cosines, the first of one wave a cube, stand beside the points. ``output``: ``logit`` is learned by
    cross-entropy, ``sigmoid`` and leaky ``clip`` by squares. ``init``: deviation of the decoder's weights at first, 0
    for torch's own. ``beta1`` of Adam; ``muon_lr``: of Muon on the decoder's hidden matrices, 0 for Adam everywhere.

    ``stages``: cells along an edge, coarse to fine. ``stage_steps``: their shares of the steps, none for equal ones.
    ``stage_points``: of a shape in a step of each; with none, ``points`` in the last and half as many in each before.
    ``sets``: ``stored`` are those of the recipes imnet-v1 and -v2; ``mixed``, ``v1`` and ``v2`` are made of the solid
    lattice, see `lattice_points`.
    """

    steps: int = 1000
    shapes: int = 8
    points: int = 512
    lr: float = 3e-3
    input: int = 32
    channels: int = 8
    norm: str = "instance"
    code_size: int = 64
    spread: float = 3.0
    widths: tuple[int, ...] = (128, 128, 128, 128)
    joined: bool = True
    cube: float = 1.0
    octaves: int = 4
    output: str = "logit"
    init: float = 0.0
    beta1: float = 0.9
    muon_lr: float = 2e-2
    stages: tuple[int, ...] = (16, 32)
    stage_steps: tuple[int, ...] = ()
    stage_points: tuple[int, ...] = ()
    sets: str = "mixed"

    kinds: ClassVar[tuple[str, ...]] = ("occupancy",)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the recipes of IM-NET store, or what `--grid` does."""
        return ("order", "voxels", "points", "inside") if self.sets == STORED else ("solid", "low", "high")

    def check(self) -> None:
        """Nothing, if every number makes sense, alone and together.

        Raises:
            ConfigError: one does not; the message names it.
        """
        super().check()
        self.require("input", self.input in (8, 16, 32, 64, 128), "8, 16, 32, 64 or 128 cells")
        for name in ("channels", "code_size", "cube"):
            self.require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("spread", "octaves", "init", "muon_lr"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        self.require("beta1", 0 <= self.beta1 < 1, "a share from 0 to below 1")
        for name, known in (("norm", NORMS), ("output", OUTPUTS), ("sets", (STORED, *METHODS))):
            self.choose(name, known)
        self.require("widths", bool(self.widths) and min(self.widths) > 0, "one width above 0 or more")
        rising = bool(self.stages) and list(self.stages) == sorted({*self.stages})
        self.require("stages", rising and all(n > 0 and n % BORDER == 0 for n in self.stages), "such as 16,32,64")
        for name in ("stage_steps", "stage_points"):
            given = getattr(self, name)
            fits = not given or (len(given) == len(self.stages) and min(given) > 0)
            self.require(name, fits, f"a number above 0 for each of {len(self.stages)} stages, or none")

    def stage(self, step: int) -> int:
        """Which of the stages a step belongs to, counted from 0; the last for validation and beyond the steps."""
        shares = np.cumsum(self.stage_steps or (1,) * len(self.stages))
        if not 0 <= step < self.steps:
            return len(shares) - 1
        return int(np.searchsorted(shares * self.steps, step * shares[-1], side="right"))

    def points_at(self, step: int) -> int:
        """How many points of a shape a step looks at."""
        stage = self.stage(step)
        return self.stage_points[stage] if self.stage_points else max(1, self.points >> (len(self.stages) - 1 - stage))

    def evaluations(self, steps: int) -> int:
        """How many points the decoder is asked for in so many steps: what learning coarse to fine is to spare."""
        return self.shapes * sum(self.points_at(step) for step in range(steps))

    def draw(self, shape: Shape, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Voxels for the encoder, and points of the step's stage with whether they are inside.

        Raises:
            DataError: the shape has no voxels, none of them is filled, or they cannot be cut as the stages say.
        """
        across, count = self.stages[self.stage(step)], self.points_at(step)
        voxels = self._voxels(shape, across)
        if self.sets == STORED:
            points, inside = _of_set(shape, across)
            chosen = rng.choice(len(points), count, replace=count > len(points))
            points, inside = points[chosen], inside[chosen]
        else:
            low, high = shape.read("low"), shape.read("high")
            points, inside = lattice_points(voxels, across, self.sets, count, rng)
            points = (low + high) / 2 + points * (high - low)
        return {"voxels": pooled(voxels, self.input), "points": points.astype(np.float32), "inside": inside}

    def _voxels(self, shape: Shape, across: int) -> Bool[np.ndarray, "N N N"]:
        """The voxels of a shape.

        Raises:
            DataError: none is filled, or they cannot be joined into the cells of the encoder or of a stage.
        """
        name = "voxels" if self.sets == STORED else "solid"
        if name not in shape:
            raise DataError(
                f"{shape.shape_id}: expected the column {name!r}, found none. Sample with --grid {across}, or with "
                f"--recipe imnet-v2 for --set sets={STORED}."
            )
        voxels = shape.read(name)
        for cells, setting in ((self.input, "input"), (across, "stages")):
            if len(voxels) % cells:
                raise DataError(
                    f"{shape.shape_id}: expected a multiple of {cells} voxels along an edge, found {len(voxels)}. "
                    f"Sample with --grid {max(self.stages)}, or choose other {setting} with --set."
                )
        if not voxels.any():
            raise DataError(
                f"{shape.shape_id}: expected voxels inside, found none of {voxels.size:,}. The shape is thinner than "
                f"a voxel, or inside out: use more than --grid {len(voxels)}, or leave it out."
            )
        return voxels


def _of_set(shape: Shape, across: int) -> tuple[Float[np.ndarray, "P 3"], Bool[np.ndarray, " P"]]:
    """The points of one of the progressive sets of IM-NET's recipes.

    Raises:
        DataError: the shape has no such set.
    """
    order = shape.read("order")
    sizes = next((sizes for sizes in PROGRESSIVE.values() if sum(sizes.values()) == len(order)), {})
    if across not in sizes:
        totals = " or ".join(f"{sum(sizes.values()):,}" for sizes in PROGRESSIVE.values())
        raise DataError(
            f"{shape.shape_id}: expected a set of {across}^3 cells among {totals} points, found {len(order):,} points. "
            "Sample with --recipe imnet-v1 or imnet-v2 and no --count, and choose stages among 16,32,64."
        )
    start = sum(size for level, size in sizes.items() if level < across)
    rows = np.flatnonzero((order >= start) & (order < start + sizes[across]))
    return shape.read("points")[rows], shape.read("inside")[rows]


class ImNet(Model[ImnetConfig]):
    """An autoencoder from voxels to a field.

    Source: Chen and Zhang, "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, and its two codes:
        `reference-v1` is implicit-decoder, whose decoder sees its input again at every layer and ends in a sigmoid,
        `reference` is IM-NET-pytorch, without such skips and with a leaky clip. Differences of both: steps instead of
        epochs, divided among the stages as theirs; points of a set are drawn at random; what a code adds to a layer is
        worked out once a shape, which is the same up to rounding; the last layer's weights have mean 0, not 1e-5. As in
        the first code, the last hidden layer does not give on the input. Differences of `default`: a small decoder with
        skips, cross-entropy on logits, codes that weigh more, sines and cosines of the points, Muon on hidden matrices.
    """

    configs: ClassVar[Mapping[str, ModelConfig]] = {
        "default": ImnetConfig(),
        "reference": ImnetConfig(
            steps=40_000, shapes=32, points=4096, lr=5e-5, schedule="constant", input=64, channels=32, code_size=256,
            spread=0.0, widths=(1024, 1024, 1024, 512, 256, 128), joined=False, cube=0.5, octaves=0, output="clip",
            init=0.02, beta1=0.5, muon_lr=0.0, stages=(16, 32, 64), stage_steps=(1, 1, 2),
            stage_points=(4096, 4096, 4096), sets=STORED,
        ),
        "reference-v1": ImnetConfig(
            steps=40_000, shapes=1, points=16384, lr=5e-5, schedule="constant", input=64, channels=32, norm="batch",
            code_size=128, spread=0.0, widths=(2048, 1024, 512, 256, 128), octaves=0, output="sigmoid", init=0.02,
            beta1=0.5, muon_lr=0.0, stages=(16, 32, 64), stage_steps=(1, 1, 2), stage_points=(4096, 8192, 16384),
            sets=STORED,
        ),
    }  # fmt: skip

    auto_decoder = False
    lipschitz: float | None = None

    def __init__(self, config: ImnetConfig, facts: Facts) -> None:
        super().__init__(config, facts)
        box = facts.recipe.get("box_size", math.inf) / 2
        self.extent = float(min(facts.half, box * WIDENED))  # farther out nothing is learned
        self.scale = config.cube / self.extent
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self._warned = False

    def objectives(self) -> Sequence[Objective]:
        """The one objective: encoder and decoder."""
        config = self.config
        hidden = [cast(nn.Parameter, layer.weight) for layer in self.decoder.layers[1:-1]] if config.muon_lr else []
        known = {id(matrix) for matrix in hidden}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        adam = Group(rest, config.lr, betas=(config.beta1, 0.999))
        groups = [adam, Group(hidden, config.muon_lr, "muon")] if hidden else [adam]
        return [Objective("inside", groups, self._loss)]

    def values(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """The negative logit of being inside, or one half less the leaky clip."""
        raw = self.decoder(points * self.scale, codes)
        return 0.5 - leaky_clip(raw) if self.config.output == "clip" else -raw

    def codes_of(self, batch: Batch) -> Float[Tensor, "B C"]:
        """What the encoder says of the voxels of each shape: numbers from 0 to 1."""
        codes: Tensor = self.encoder(batch["voxels"])
        return codes

    def _loss(self, batch: Batch, step: int) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """How wrong the labels are, with the cells of the stage, and whether no shape has been learned."""
        raw = self.decoder(batch["points"] * self.scale, self.codes_of(batch))
        inside = batch["inside"].to(raw.dtype)
        shares = leaky_clip(raw) if self.config.output == "clip" else torch.sigmoid(raw)
        squares = F.mse_loss(shares, inside)
        loss = F.binary_cross_entropy_with_logits(raw, inside) if self.config.output == "logit" else squares
        behind = max(self.progress, step / self.config.steps)
        parts = {"stage": float(self.config.stages[self.config.stage(max(step, int(behind * self.config.steps)))])}
        if STUCK_LEAST <= step < self.config.steps and behind >= STUCK_AFTER:
            parts["stuck"] = self._stuck(float(squares.detach()), float(inside.mean()), step)
        return loss, parts

    def _stuck(self, squares: float, share: float, step: int) -> float:
        """1 where a constant would do as well, else 0; with a warning the first time."""
        variance = share * (1 - share)
        stuck = variance > 0 and squares >= STUCK * variance
        if stuck and self.training and not self._warned:
            self._warned = True
            warnings.warn(
                f"step {step}: expected less than the variance of the labels, {variance:.3g}, found squared errors of "
                f"{squares:.3g}: no shape is learned, everything is taken for empty. Take cross-entropy (--set "
                "output=logit), larger first weights (--set init=0.05) or another --seed.",
                stacklevel=2,
            )
        return float(stuck)


class Encoder(nn.Module):
    """Voxels to codes from 0 to 1: halved until 4 along an edge are left, then one filter a number of the code."""

    def __init__(self, config: ImnetConfig) -> None:
        super().__init__()
        batch = config.norm == "batch"
        sizes = [1, *(config.channels << level for level in range(round(math.log2(config.input / KERNEL))))]
        self.layers = nn.ModuleList(nn.Conv3d(a, b, KERNEL, 2, 1, bias=batch) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(
            nn.BatchNorm3d(size, momentum=0.001) if batch else nn.InstanceNorm3d(size) for size in sizes[1:]
        )
        self.code = nn.Conv3d(sizes[-1], config.code_size, KERNEL)
        for layer in (*self.layers, self.code):
            nn.init.xavier_uniform_(cast(Tensor, layer.weight))
            if layer.bias is not None:
                nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, voxels: Bool[Tensor, "B R R R"]) -> Float[Tensor, "B C"]:
        """The code of each shape."""
        features = voxels[:, None].to(self.code.weight.dtype)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features = F.leaky_relu(norm(layer(features)), LEAK)
        return torch.sigmoid(self.code(features).flatten(1))


class Decoder(nn.Module):
    """Points with the code of their shape to a number each, larger inside."""

    def __init__(self, config: ImnetConfig) -> None:
        super().__init__()
        self.spread, self.joined = config.spread, config.joined
        own = 3 * (1 + 2 * config.octaves)
        again = (own + config.code_size) * config.joined
        sizes = [own + config.code_size, *(width + again for width in config.widths[:-1]), config.widths[-1]]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, (*config.widths, 1), strict=True))
        for layer in self.layers if config.init else ():
            nn.init.normal_(cast(Tensor, layer.weight), std=config.init)
            nn.init.zeros_(cast(Tensor, layer.bias))
        waves = math.pi / config.cube * 2.0 ** torch.arange(config.octaves)
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """The number of each point; points are in the cube that the decoder sees."""
        if self.spread:
            codes = self.spread * (2 * codes - 1)
        angles = (points[..., None, :] * cast(Tensor, self.waves)[:, None]).flatten(2)
        given = torch.cat([points, angles.sin(), angles.cos()], dim=-1)
        hidden = given[..., :0]
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            if number == 0 or (self.joined and number < last):
                hidden = _with_input(cast(nn.Linear, layer), torch.cat([hidden, given], dim=-1), codes)
            else:
                hidden = layer(hidden)
            hidden = F.leaky_relu(hidden, LEAK) if number < last else hidden
        return hidden[..., 0]


def _with_input(layer: nn.Linear, own: Float[Tensor, "B P I"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P O"]:
    """A layer of what each point has, followed by the code of its shape, whose part is worked out once a shape."""
    size = own.shape[-1]
    return F.linear(own, layer.weight[:, :size]) + F.linear(codes, layer.weight[:, size:], layer.bias)[:, None]


def leaky_clip(values: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """The values where they are from 0 to 1, and beyond with a hundredth of the slope."""
    return torch.maximum(torch.minimum(values, CLIP_LEAK * values + 1 - CLIP_LEAK), CLIP_LEAK * values)
