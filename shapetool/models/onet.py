"""Occupancy networks: what is known of a shape becomes a code, and with the code every point is inside or outside."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Bool, Float
from torch import Tensor, nn

from shapetool.errors import ConfigError, DataError
from shapetool.models.base import Batch, Facts, Group, Model, ModelConfig, Objective, Shape
from shapetool.models.encoders import CHANNELS, NORMS_2D, ImageEncoder, PairEncoder, PointEncoder, VoxelEncoder
from shapetool.models.layers import NORMS, CodedDecoder, Waves
from shapetool.models.views import picture_size, planes_of, views_of

GIVEN = {"points": "cloud", "voxels": "voxels", "image": "image", "pairs": "points"}
"""What the code may be made from, and what `draw` calls it."""
PRIORS = ("none", "normal")
CANDIDATES = 16  # of so many times the query points it is looked up which are near the surface
SURFACE_ROWS = 4096  # so many points of the surface say where it is
ENDS = ("lift", "label", "last")  # layers that are no hidden ones: of points, of labels, of the answer


@dataclass(frozen=True)
class OnetConfig(ModelConfig):
    """The numbers of an occupancy network; lengths are in the unit frame.

    ``input``: what the code is made from: ``points`` of the surface (``input_points``, with Gaussian ``noise`` in
    each coordinate), ``voxels`` (the column `solid`), ``image`` (any one view, with its alpha or silhouette if the data
    have it) or ``pairs`` (the query points and whether each is inside). ``prior``: ``normal`` makes an autoencoder of
    which one can draw shapes: a code is drawn about what the encoder says, and kept near a normal distribution with
    weight ``kl``. ``width``, ``blocks``: features and residual blocks of the decoder. ``frequencies``: so many
    octaves of waves of a point come with it, half the lowest across the cube. ``norm``: how the decoder takes the code
    in, ``none`` for adding it at the beginning. ``encoder_width``: features of a point or channels of the first
    convolution. ``image_norm``: of the encoder of images, ``group`` or ``batch``. ``near``: share of the query points
    in cells that the surface enters, ``near_cells`` of which are along the shape; 0 takes points as they come.
    ``threshold``: the probability at which the surface is. ``muon_lr``: of hidden matrices, 0 for Adam everywhere.
    """

    steps: int = 800
    points: int = 512
    lr: float = 3e-3
    input: str = "points"
    input_points: int = 300
    noise: float = 0.005
    prior: str = "none"
    kl: float = 1.0
    code_size: int = 64
    width: int = 64
    blocks: int = 3
    frequencies: int = 3
    norm: str = "film"
    encoder_width: int = 32
    image_norm: str = "group"
    near: float = 0.5
    near_cells: int = 24
    threshold: float = 0.5
    muon_lr: float = 2e-2

    kinds: ClassVar[tuple[str, ...]] = ("occupancy",)

    @property
    def columns(self) -> tuple[str, ...]:
        """Points, whether they are inside, and what the code is made from."""
        more = {"points": ("surface_points",), "voxels": ("solid",), "image": ("images",)}.get(self.input, ())
        surface = ("surface_points",) if self.near and "surface_points" not in more else ()
        return ("points", "inside", *more, *surface)

    def check(self) -> None:
        """Nothing, if every number makes sense.

        Raises:
            ConfigError: one does not.
        """
        super().check()
        for name in ("input_points", "code_size", "width", "blocks", "encoder_width", "near_cells"):
            self.require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("noise", "kl", "frequencies", "muon_lr"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        if self.input == "image":
            fits = self.encoder_width % CHANNELS == 0
            self.require("encoder_width", fits, f"a multiple of {CHANNELS}")
        self.require("near", 0 <= self.near < 1, "a share from 0 to below 1")
        self.require("threshold", 0 < self.threshold < 1, "a probability between 0 and 1")
        for name, known in (("input", GIVEN), ("norm", NORMS), ("prior", PRIORS), ("image_norm", NORMS_2D)):
            self.choose(name, tuple(known))

    def draw(self, shape: Shape, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """Query points, whether they are inside, how much each counts, and what the code is made from.

        Raises:
            DataError: the shape has no point inside, or none outside, or no points of its surface.
        """
        points, inside = shape.chunk(("points", "inside"), rng)
        if inside.all() or not inside.any():
            where = "inside" if inside.any() else "outside"
            raise DataError(
                f"{shape.shape_id}: expected points inside and outside, found {len(points)} that are all {where}. "
                "Look at the shape with `shapetool info`, or sample it with --sign winding."
            )
        surface = _surface(shape, rng) if "surface_points" in self.columns else points[:0]
        rows, weights = self._rows(points, surface[:SURFACE_ROWS], rng)
        drawn = {"points": points[rows].astype(np.float32), "inside": inside[rows], "weights": weights}
        if self.input == "points":
            cloud = surface[rng.integers(len(surface), size=self.input_points)].astype(np.float32)
            drawn["cloud"] = cloud + np.float32(self.noise) * rng.standard_normal(cloud.shape, dtype=np.float32)
        elif self.input == "voxels":
            drawn["voxels"] = shape.read("solid")
        elif self.input == "image":
            drawn["image"] = views_of(shape, [int(rng.integers(len(shape.read("images"))))])[0]
        return drawn

    def _rows(
        self, points: np.ndarray, surface: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, Float[np.ndarray, " P"]]:
        """Which points are asked, and what each counts: the share of its kind among all, over that among the asked.

        So a weighted mean over the asked is one over the points of the shard, wherever its recipe put them.
        """
        first = int(rng.integers(max(1, len(points) - CANDIDATES * self.points + 1)))
        found = points[first : first + CANDIDATES * self.points]
        near = near_surface(found, surface, self.near_cells) if self.near else np.zeros(len(found), dtype=bool)
        wanted = round(self.near * self.points)
        kinds = [(np.flatnonzero(near), wanted), (np.flatnonzero(~near), self.points - wanted)]
        if not all(len(kind) and count for kind, count in kinds):
            kinds = [(np.arange(len(found)), self.points)]
        rows = [rng.choice(kind, count, replace=len(kind) < count) for kind, count in kinds]
        weights = [np.full(count, len(kind) / len(found) * self.points / count) for kind, count in kinds]
        return first + np.concatenate(rows), np.concatenate(weights).astype(np.float32)


REFERENCE = OnetConfig(
    steps=300_000, shapes=64, points=2048, lr=1e-4, schedule="constant", code_size=512, width=256, blocks=5,
    frequencies=0, norm="cbn", encoder_width=512, near=0.0, threshold=0.2, muon_lr=0.0, checkpoint_every=2000,
)  # fmt: skip
"""The numbers of the authors for clouds."""


class OccupancyNetwork(Model[OnetConfig]):
    """A field of logits to be inside, for whatever shape its encoder is shown.

    Source: Mescheder et al., "Occupancy Networks: Learning 3D reconstruction in function space", CVPR 2019, and code.
        `reference` is its network on clouds (eq. 3), `reference-image` on images, without weights learned from
        photographs, `reference-voxels` on voxels, `reference-vae` the unconditional one (eq. 4); there is none with
        both a code that is given and one that is drawn. How long they learned is not said, 300,000 steps are ours.
        Losses are means over points instead of sums, and the KL term is divided by their number.
        Differences of `default`: smaller; FiLM and layer normalization, so that no point depends on another and
        training agrees with use; waves of the point beside it (Mildenhall et al., ECCV 2020); half the points near the
        surface, with weights that undo it (as good as uniform ones after 300 steps); Muon on hidden matrices; 0.5 as
        threshold, as probabilities are those of the points. `vae` has short codes, as longer ones leave room between
        those of the shapes where the prior draws empty ones; thin walls stay below one half there, so its threshold is
        0.2.
    """

    configs: ClassVar[Mapping[str, ModelConfig]] = {
        "default": OnetConfig(),
        "voxels": OnetConfig(input="voxels", encoder_width=8),
        "image": OnetConfig(input="image", encoder_width=16),
        "vae": OnetConfig(steps=1200, input="pairs", prior="normal", code_size=6, encoder_width=64, threshold=0.2),
        "reference": REFERENCE,
        "reference-image": REFERENCE.replace(input="image", code_size=256, encoder_width=64, image_norm="batch"),
        "reference-voxels": REFERENCE.replace(input="voxels", points=1024, code_size=256, encoder_width=32),
        "reference-vae": REFERENCE.replace(
            input="pairs", prior="normal", code_size=128, width=128, norm="none", encoder_width=128, threshold=0.5
        ),
    }

    auto_decoder = False
    lipschitz: float | None = None

    def __init__(self, config: OnetConfig, facts: Facts) -> None:
        super().__init__(config, facts)
        self.extent = facts.half
        self.encoder = encoder_of(config, facts)
        waves = Waves(config.frequencies, facts.half)
        self.decoder = CodedDecoder(waves, config.width, config.blocks, config.code_size, config.norm)

    def objectives(self) -> Sequence[Objective]:
        """The one objective: encoder and decoder."""
        named = list(self.named_parameters())
        hidden = [name for name, weight in named if weight.ndim == 2 and name.split(".")[-2] not in ENDS]
        muon = set(hidden) if self.config.muon_lr else set()
        groups = [
            Group([weight for name, weight in named if name not in muon], self.config.lr),
            Group([weight for name, weight in named if name in muon], self.config.muon_lr, "muon"),
        ]
        return [Objective("inside", groups, self._loss)]

    def values(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """How far the logit to be inside is below that of the threshold."""
        level = math.log(self.config.threshold / (1 - self.config.threshold))
        return level - self.decoder(points, codes)

    def codes_of(self, batch: Batch) -> Float[Tensor, "B C"]:
        """What the encoder makes of each shape; with a prior, the middle of where its code may be."""
        return self.posterior(batch)[0]

    def posterior(self, batch: Batch) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B C"] | None]:
        """The mean and the logarithm of the standard deviation of the code of each shape; without a prior, the code."""
        given = batch[GIVEN[self.config.input]]
        found = self.encoder(given, batch["inside"]) if self.config.input == "pairs" else self.encoder(given)
        if self.config.prior == "none":
            return found, None
        mean, log_std = found.chunk(2, dim=1)
        return mean, log_std

    def prior_codes(self, count: int, generator: torch.Generator) -> Float[Tensor, "B C"]:
        """Codes of shapes that nobody gave, from the normal distribution.

        Raises:
            ConfigError: the model was trained without a prior.
        """
        if self.config.prior == "none":
            raise ConfigError("prior is none; this run cannot invent shapes. Train one with --config vae.")
        drawn = torch.randn(count, self.config.code_size, generator=generator, device=generator.device)
        return drawn.to(self.device)

    def _loss(self, batch: Batch, step: int) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """The mean cross-entropy over the points of the shard, and the KL divergence from the prior by their number."""
        codes, log_std = self.posterior(batch)
        parts: dict[str, float] = {}
        extra: Tensor | float = 0.0
        if log_std is not None:
            divergence = kl_from_normal(codes, log_std).sum(dim=1).mean()
            extra = self.config.kl / self.config.points * divergence
            parts["kl"] = float(divergence.detach())
            codes = codes + log_std.exp() * torch.randn_like(codes)
        logits = self.decoder(batch["points"], codes)
        inside = batch["inside"].to(logits.dtype)
        wrong = F.binary_cross_entropy_with_logits(logits, inside, batch["weights"])
        return wrong + extra, {"cross_entropy": float(wrong.detach()), **parts}


def encoder_of(config: OnetConfig, facts: Facts) -> nn.Module:
    """The encoder that a configuration asks for; with a prior it says twice as much, means and deviations."""
    size = config.code_size * (2 if config.prior == "normal" else 1)
    if config.input == "points":
        return PointEncoder(size, config.encoder_width)
    if config.input == "pairs":
        return PairEncoder(size, config.encoder_width)
    if config.input == "voxels":
        return VoxelEncoder(size, facts.sizes["solid"][0], config.encoder_width)
    return ImageEncoder(size, picture_size(facts), config.encoder_width, planes_of(facts), config.image_norm)


def kl_from_normal(mean: Float[Tensor, "B C"], log_std: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
    """The divergence of N(mean, std^2) from N(0, 1) in nats, of each number of the code."""
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std


def near_surface(
    points: Float[np.ndarray, "P 3"], surface: Float[np.ndarray, "M 3"], cells: int
) -> Bool[np.ndarray, " P"]:
    """Which points lie in a cell that holds points of the surface; `cells` of them are along its longest side."""
    axes = np.ascontiguousarray(surface.T, dtype=np.float32)
    low, high = axes.min(axis=1, keepdims=True), axes.max(axis=1, keepdims=True)
    width = max(float((high - low).max()), 1e-9) / cells
    low -= width / 2  # a flat side that is the outermost lies in the middle of cells
    rows = np.array(
        [(cells + 3) ** 2, cells + 3, 1]
    )  # a layer of empty cells is about those that the surface may enter
    lattice = np.zeros((cells + 3) ** 3, dtype=bool)
    lattice[rows @ ((axes - low) / width + 1).astype(np.int64)] = True
    places = (np.ascontiguousarray(points.T, dtype=np.float32) - low) / width + 1
    return lattice[rows @ np.clip(places, 0, cells + 2, out=places).astype(np.int64)]


def _surface(shape: Shape, rng: np.random.Generator) -> Float[np.ndarray, "M 3"]:
    """Points of the surface."""
    (surface,) = shape.chunk(("surface_points",), rng)
    if not len(surface):
        raise DataError(
            f"{shape.shape_id}: expected points of its surface, found none. Sample it with --surface-count."
        )
    return surface
