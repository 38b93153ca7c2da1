"""What every model is made of: its numbers, what it reads of a shape, its objectives, and what it can be asked for."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapetool.errors import ConfigError, suggestion

Batch = dict[str, Tensor]
"""What `draw` gave for B shapes, stacked: each entry has B rows. `index` (B,) i8 is their place among the shapes."""

SCHEDULES = ("cosine", "constant", "halve")
OPTIMIZERS = ("adam", "muon")
Numbers = TypeVar("Numbers", bound="ModelConfig")


@runtime_checkable
class Shape(Protocol):
    """One shape of the data that a run learns from, as `draw` sees it; columns are those of the shards."""

    shape_id: str
    index: int

    def __contains__(self, name: str) -> bool:
        """Whether the data have this column."""

    def read(self, name: str) -> np.ndarray:
        """A whole column of the shape."""

    def chunk(self, names: Sequence[str], rng: np.random.Generator) -> list[np.ndarray]:
        """The same random rows of several columns: a stretch as long as a chunk of the file, or all there are."""


@dataclass(frozen=True)
class Facts:
    """What the data of a run are: stored with it, so that the model can be built again without them.

    `half` is half the side of the cube about the origin that holds every point, in the unit frame.
    """

    shape_ids: tuple[str, ...]
    kind: str
    half: float
    recipe: Mapping[str, Any]
    sizes: Mapping[str, tuple[int, ...]]  # of each column, by shape: points (P, 3), images (N, H, W, 3), ...


@dataclass(frozen=True)
class ModelConfig:
    """The numbers that every model has; a model adds its own.

    ``steps`` of ``shapes`` shapes with ``points`` query points each. ``lr`` falls by half a cosine to ``lr_end`` of
    itself (``cosine``), stays (``constant``), or halves every ``halve_every`` steps (``halve``), after ``warmup``
    steps in which it rises. ``clip``: largest norm of the gradient, 0 for none. ``ema``: how much of the averaged
    weights each step keeps, 0 for no average. ``checkpoint_every`` steps the run is saved. ``parts``: into how many
    parts a step's shapes are divided, whose gradients are added up, for less memory.
    """

    steps: int = 1000
    shapes: int = 16
    points: int = 1024
    lr: float = 1e-3
    lr_end: float = 0.0
    schedule: str = "cosine"
    halve_every: int = 500
    warmup: int = 0
    clip: float = 0.0
    ema: float = 0.0
    checkpoint_every: int = 500
    parts: int = 1

    kinds: ClassVar[tuple[str, ...]] = ("sdf",)
    """The kinds of shards that the model learns from."""
    least_shapes: ClassVar[int] = 1
    """Fewer shapes than this teach the model nothing."""

    def __post_init__(self) -> None:
        self.check()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `draw` reads."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """What one step learns of one shape: arrays of the same size for every shape, float32, int64 or bool.

        A function of the arguments alone, for it runs in threads of its own. `step` is -1 for validation; in a run that
        ends by the clock it is so far into `steps` as the run is into its time.

        Raises:
            DataError: the shape cannot be learned from; the message names it.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Nothing, if every number makes sense, alone and together.

        Raises:
            ConfigError: one does not; the message names it.
        """
        for name in ("steps", "shapes", "points", "lr", "halve_every", "checkpoint_every", "parts"):
            self.require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("lr_end", "warmup", "clip"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        self.require("ema", 0 <= self.ema < 1, "a share from 0 to below 1")
        self.choose("schedule", SCHEDULES)

    def require(self, name: str, holds: bool, expected: str) -> None:
        """Nothing, if the condition on a setting holds.

        Raises:
            ConfigError: it does not.
        """
        value = getattr(self, name)
        if not holds or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{name} is {value}; expected {expected}.")

    def choose(self, name: str, known: Sequence[str]) -> None:
        """Nothing, if a setting is one of the known words.

        Raises:
            ConfigError: it is not.
        """
        if getattr(self, name) not in known:
            raise ConfigError(f"unknown {name} {getattr(self, name)!r}{suggestion(getattr(self, name), known)}")

    def replace(self: Numbers, **given: Any) -> Numbers:
        """This configuration with some settings changed; words are read as what the setting is.

        Raises:
            ConfigError: a setting is unknown, of another type or out of range.
        """
        known = {field.name for field in dataclasses.fields(self)}
        for key in given:
            if key not in known:
                raise ConfigError(f"unknown setting {key!r}{suggestion(key, sorted(known))}")
        return dataclasses.replace(self, **{key: _typed(self, key, value) for key, value in given.items()})

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain JSON values; `replace` reads them back."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self).items()}


def _typed(config: ModelConfig, key: str, value: Any) -> Any:
    """A value in the type that the setting has.

    Raises:
        ConfigError: it cannot be read so.
    """
    now = getattr(config, key)
    if isinstance(now, str):
        return str(value)
    if isinstance(now, bool):
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if str(value).lower() not in words:
            raise ConfigError(f"{key} is {value!r}; expected true or false.")
        return words[str(value).lower()]
    items = list(value) if isinstance(value, list | tuple) else [value]
    try:
        numbers = [float(item) for item in items]
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{key} is {value!r}; expected a number.") from None
    whole = isinstance(now, int) or (isinstance(now, tuple) and all(isinstance(item, int) for item in now))
    if whole and not all(number.is_integer() for number in numbers):
        raise ConfigError(f"{key} is {value!r}; expected a whole number.")
    if whole:
        numbers = [int(number) for number in numbers]
    if isinstance(now, tuple):
        return tuple(numbers)
    if len(numbers) != 1:
        raise ConfigError(f"{key} is {value!r}; expected one number.")
    return numbers[0]


@dataclass(frozen=True)
class Group:
    """Parameters that one optimizer moves: `adam`, or `muon` for matrices, at `lr` times the schedule."""

    parameters: Sequence[nn.Parameter]
    lr: float
    optimizer: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Objective:
    """What is made small: a loss of a batch and a step, over groups of parameters.

    The loss is a mean over the shapes of the batch (and of what is drawn of each), so that parts of a batch can be
    averaged. It comes with parts of it by name, for the log; they have no gradient. A GAN has two objectives, every
    other model one.
    """

    name: str
    groups: Sequence[Group]
    loss: Callable[[Batch, int], tuple[Float[Tensor, ""], dict[str, float]]]


class Model(nn.Module, Generic[Numbers]):
    """A module with its configuration and what is known of its data; built again from both by `extract`.

    `progress` is the share of the run that lies behind, from 0 to 1, by steps or by time: the loop sets it before each
    step, for losses that change on the way.
    """

    configs: ClassVar[Mapping[str, ModelConfig]] = {}
    """Configurations by name: `default`, and `reference` for the author's own."""

    def __init__(self, config: Numbers, facts: Facts) -> None:
        super().__init__()
        self.config = config
        self.facts = facts
        self.progress = 0.0

    def objectives(self) -> Sequence[Objective]:
        """What the run makes small, in the order of a step."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


@runtime_checkable
class FieldModel(Protocol):
    """A model whose shapes are functions of points: negative inside, the surface at 0.

    `extent` is half the side of the cube about the origin in which the field is known. `lipschitz`: the most that a
    field changes over a length of one, None where nothing is known. `codes_of` gives a code to each shape of a batch
    as `draw` makes it; an auto-decoder knows only the shapes it was trained on, by `index`.
    """

    extent: float
    lipschitz: float | None
    auto_decoder: bool

    def values(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """The field of each code at its points."""

    def codes_of(self, batch: Batch) -> Float[Tensor, "B C"]:
        """The codes of the shapes of a batch."""


@runtime_checkable
class PointSetModel(Protocol):
    """A model whose shapes are sets of points."""

    def point_sets(self, codes: Float[Tensor, "B C"]) -> Float[Tensor, "B N 3"]:
        """The points of each code."""


@runtime_checkable
class RadianceModel(Protocol):
    """A model whose scenes are densities and colours, seen along directions."""

    def radiance(
        self, points: Float[Tensor, "P 3"], directions: Float[Tensor, "P 3"]
    ) -> tuple[Float[Tensor, " P"], Float[Tensor, "P 3"]]:
        """Density and colour (red, green and blue from 0 to 1) at points, seen along unit directions."""


@runtime_checkable
class Generator(Protocol):
    """A model that can make codes of shapes that nobody gave it."""

    def prior_codes(self, count: int, generator: torch.Generator) -> Float[Tensor, "B C"]:
        """Codes drawn from what the model takes for likely."""
