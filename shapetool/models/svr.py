"""Single-view reconstruction: an encoder of pictures that learns which code a trained model has for what they show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapetool.errors import ConfigError, DataError
from shapetool.models.base import Batch, Facts, Group, Model, ModelConfig, Objective, Shape
from shapetool.models.encoders import CHANNELS, ImageEncoder
from shapetool.models.views import planes_of, views_of


@dataclass(frozen=True)
class SvrConfig(ModelConfig):
    """The numbers of single-view reconstruction.

    ``target``: the run whose codes are learned and whose decoder is used. ``views``: of each shape a step.
    ``held_out``: so many views at the end of each shape's are never learned from, only judged by. ``shift``: the most
    pixels that a view is moved by while it is learned from, along each axis. ``channels``: of the encoder's first
    layer. ``muon_lr``: of its convolutions, 0 for Adam everywhere. ``code_size``: the longest code of a target that
    there is room for.
    """

    steps: int = 2500
    shapes: int = 24
    lr: float = 2e-3
    muon_lr: float = 5e-2
    warmup: int = 20
    target: str = ""
    views: int = 1
    held_out: int = 0
    shift: int = 2
    channels: int = 16
    code_size: int = 512

    kinds: ClassVar[tuple[str, ...]] = ("views",)

    @property
    def columns(self) -> tuple[str, ...]:
        """The views."""
        return ("images",)

    def check(self) -> None:
        """Nothing, if every number makes sense.

        Raises:
            ConfigError: one does not.
        """
        super().check()
        for name in ("views", "code_size"):
            self.require(name, getattr(self, name) > 0, "a number above 0")
        self.require("channels", self.channels > 0 and self.channels % CHANNELS == 0, f"a multiple of {CHANNELS}")
        for name in ("held_out", "shift"):
            self.require(name, getattr(self, name) >= 0, "0 or more")

    def draw(self, shape: Shape, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Random views of the shape; for validation one, of those that are held out if any are.

        Raises:
            DataError: the shape has too few views.
        """
        count = len(shape.read("images"))
        learned = count - self.held_out
        if learned < 1:
            raise DataError(
                f"{shape.shape_id}: expected more than the {self.held_out} views that are held out, found {count}. "
                "Render more with --views, or hold out fewer with --set held_out=."
            )
        if step < 0:
            return {"images": views_of(shape, [int(rng.integers(learned if self.held_out else 0, count))])}
        rows = rng.choice(learned, self.views, replace=self.views > learned)
        images = views_of(shape, rows)
        return {"images": np.stack([_moved(image, rng, self.shift) for image in images])}


class SingleView(Model[SvrConfig]):
    """An encoder of views to the codes of another, trained model, which stays as it is.

    `attach` gives it that model. Its code is what is learned, in units of how codes differ from their mean.

    Source: Chen and Zhang, "Learning Implicit Fields for Generative Shape Modeling", CVPR 2019, and its code (IM-SVR):
        the mean square error of codes, whose author found it better than errors of the shapes. `reference` has its
        rate, batch and channels. Differences: colours and outline instead of grey, the layers of `ImageEncoder` with
        group instead of batch normalization, codes measured from their mean, views that are moved a little. In
        `default` the rate falls, and Muon moves the convolutions: after 1,000 steps the error of the codes is 0.07
        instead of 0.25 (one run each, of `benchmarks/verify_svr.py`).
    """

    configs: ClassVar[Mapping[str, ModelConfig]] = {
        "default": SvrConfig(),
        "reference": SvrConfig(
            steps=100_000, shapes=64, lr=5e-5, schedule="constant", channels=64, shift=0, warmup=0, muon_lr=0.0
        ),
    }

    auto_decoder = False
    lipschitz: float | None = None

    def __init__(self, config: SvrConfig, facts: Facts) -> None:
        super().__init__(config, facts)
        self.extent = facts.half
        height, width = facts.sizes["images"][1:3]
        self.encoder = ViewEncoder(config.code_size, (height, width), config.channels, planes_of(facts))
        self.mean: Tensor
        self.unit: Tensor
        self.register_buffer("mean", torch.zeros(config.code_size))
        self.register_buffer("unit", torch.zeros(()))  # 0 until codes are known
        self._attached: tuple[Any, Tensor] | None = None  # in a tuple, so that it is no part of this module

    def attach(self, target: Any, codes: Float[Tensor, "S C"]) -> None:
        """None, once this model serves the target's decoder; `codes` are those of its shapes, by index.

        Raises:
            ConfigError: the codes are longer than there is room for, or all the same.
            DataError: the target knows shapes of another frame than that of the views.
        """
        mine, theirs = self.facts.recipe, target.facts.recipe
        for key in ("normalize", "frame_size"):
            if key in mine and key in theirs and mine[key] != theirs[key]:
                raise DataError(
                    f"views: expected the frame of the target, {key} {theirs[key]}, found {mine[key]}. Render with "
                    f"--normalize {theirs.get('normalize')} --set frame_size={theirs.get('frame_size')}."
                )
        size = codes.shape[1]
        if size > self.config.code_size:
            raise ConfigError(
                f"code_size is {self.config.code_size}; expected the {size} of the target's codes or more."
            )
        codes = codes.detach().to(self.mean)
        learned = codes[: len(self.facts.shape_ids)]
        if not self.unit:
            spread = (learned - learned.mean(dim=0)).square().mean().sqrt()
            if not spread > 0:
                raise ConfigError("target: expected shapes with codes that differ, found one code. Train it on more.")
            self.mean[:size] = learned.mean(dim=0)
            self.unit.copy_(spread)
        self._attached = target.to(self.mean.device).eval().requires_grad_(False), codes
        self.extent, self.lipschitz = target.extent, target.lipschitz

    def objectives(self) -> Sequence[Objective]:
        """The one objective: the encoder."""
        muon: list[nn.Parameter] = []
        adam: list[nn.Parameter] = []
        for weight in self.encoder.parameters():
            (muon if self.config.muon_lr and weight.ndim == 4 else adam).append(weight)
        groups = [Group(adam, self.config.lr), Group(muon, self.config.muon_lr, "muon")]
        return [Objective("code", groups, self._loss)]

    def values(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """The target's field of each code at its points."""
        found: Tensor = self._target[0].values(points, codes)
        return found

    def codes_of(self, batch: Batch) -> Float[Tensor, "B C"]:
        """The code that the views of each shape are taken for, their mean if there are several."""
        size = self._target[1].shape[1]
        return self.mean[:size] + self.unit * self._seen(batch).mean(dim=1)

    @property
    def _target(self) -> tuple[Any, Tensor]:
        if self._attached is None:
            raise ConfigError("svr: expected a target. Open the run with `shapetool.pipelines`, or call attach first.")
        return self._attached

    def _seen(self, batch: Batch) -> Float[Tensor, "B N C"]:
        """The code of each view, from the mean of all and in units of how they differ."""
        images = batch["images"]
        return self.encoder(images.flatten(0, 1))[:, : self._target[1].shape[1]].unflatten(0, images.shape[:2])

    def _loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        codes = self._target[1][batch["index"]]
        goal = (codes - self.mean[: codes.shape[1]]) / self.unit
        return (self._seen(batch) - goal[:, None]).square().mean(), {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SingleView":
        """This model, moved or converted, and the target with it."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self._attached is not None:
            target, codes = self._attached
            self._attached = target._apply(fn), fn(codes)
        return self


class ViewEncoder(nn.Module):
    """Views to codes: the layers of `ImageEncoder`, and one that sees every place of what they leave: no mean is taken.

    Source: IM-SVR, whose encoder has no pooling at its end either: where in the picture a part is says what it is.
    """

    def __init__(self, code_size: int, size: tuple[int, int], channels: int, planes: int) -> None:
        super().__init__()
        self.layers = ImageEncoder(1, min(size), channels, planes).layers
        with torch.no_grad():
            left = self.layers(torch.zeros(1, planes, *size)).numel()
        self.code = nn.Linear(left, code_size)

    def forward(self, images: Float[Tensor, "B A H W"]) -> Float[Tensor, "B C"]:
        """The code of each view."""
        return self.code(self.layers(2 * images - 1).flatten(1))


def _moved(image: Float[np.ndarray, "A H W"], rng: np.random.Generator, most: int) -> Float[np.ndarray, "A H W"]:
    """The picture moved by some pixels along both axes; what comes in at a border is as the border was."""
    if not most:
        return image
    down, right = rng.integers(-most, most + 1, size=2)
    height, width = image.shape[1:]
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    return image[:, rows[:, None], columns]
