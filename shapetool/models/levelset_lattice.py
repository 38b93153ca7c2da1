"""Deep Level Sets: voxels or a picture to a code, and the code to a lattice of values whose zero level is the shape."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Bool, Float
from torch import Tensor, nn

from shapetool.errors import DataError
from shapetool.geometry.cloud import cloud_mesh
from shapetool.geometry.distance import closest_point
from shapetool.losses.levelset import LevelSetRecipe, Truth, at_points, levelset_loss
from shapetool.models.base import Batch, Facts, Group, Model, ModelConfig, Objective, Shape
from shapetool.models.encoders import CHANNELS, ImageEncoder
from shapetool.models.views import picture_size, planes_of, views_of

INPUTS = ("voxels", "image")
LOSSES = ("levelset", "cross-entropy")
HALVINGS = 3  # of the lattice on the way to the code, and doublings on the way back
MEASURED_TO = 16384  # points of the surface that the distances of nodes are measured to
START = 0.25  # radius of the sphere that every shape begins as, in edges of the cube
LEAK = 0.02  # slope of the activations below zero, IM-NET's: with none, whole layers can die at large rates
KEPT = 256 << 20  # bytes of distances of nodes that are kept in memory


@dataclass(frozen=True)
class LevelSetConfig(ModelConfig):
    """The numbers of Deep Level Sets; the lattice is as fine as the `solid` voxels of the data.

    ``input``: what the encoder sees, ``voxels`` or one ``image``. ``loss``: ``levelset``, or ``cross-entropy`` of the
    solid voxels for the same network. ``code_size``: numbers of a code, the paper's. ``channels``: of the finest layer,
    twice as many at each coarser one. ``power`` to ``volume``: of the loss, see `LevelSetRecipe`; ``width`` is in
    spacings of the lattice. ``points``: of the surface, a shape and step. All but ``code_size`` are ours.
    """

    steps: int = 400
    shapes: int = 8
    points: int = 1024
    lr: float = 4e-3
    warmup: int = 20
    clip: float = 1.0
    input: str = "voxels"
    loss: str = "levelset"
    code_size: int = 64
    channels: int = 16
    power: float = 2.0
    width: float = 1.5
    normal: float = 0.1
    distance: float = 0.1
    area: float = 0.01
    volume: float = 0.01

    kinds: ClassVar[tuple[str, ...]] = ("occupancy",)

    @property
    def columns(self) -> tuple[str, ...]:
        """Voxels and their cube, points of the surface for the loss of level sets, and views where they are seen."""
        surface = ("surface_points", "surface_normals") if self.loss == "levelset" else ()
        return ("solid", "low", "high", *surface, *(("images",) if self.input == "image" else ()))

    def check(self) -> None:
        """Nothing, if every number makes sense.

        Raises:
            ConfigError: one does not.
        """
        super().check()
        self.choose("input", INPUTS)
        self.choose("loss", LOSSES)
        for name in ("code_size", "channels", "width"):
            self.require(name, getattr(self, name) > 0, "a number above 0")
        if self.input == "image":
            self.require("channels", self.channels % CHANNELS == 0, f"a multiple of {CHANNELS}")
        self.require("power", self.power >= 1, "1 or more")
        for name in ("normal", "distance", "area", "volume"):
            self.require(name, getattr(self, name) >= 0, "0 or more")

    @property
    def recipe(self) -> LevelSetRecipe:
        """How the terms of the loss are measured and weighed."""
        return LevelSetRecipe(self.power, self.width, "arctan", self.normal, self.distance, self.area, self.volume)

    def draw(self, shape: Shape, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
        """The solid voxels or a view; points of the surface with normals, and how far each node is from it.

        Raises:
            DataError: voxels of another cube than one about the origin, or none or all of them solid; no surface.
        """
        half, solid = _cube(shape)
        drawn = {"image": views_of(shape, [_any_view(shape, rng)])[0]} if self.input == "image" else {}
        if self.input == "voxels" or self.loss == "cross-entropy":
            drawn["solid"] = solid
        if self.loss == "levelset":
            points, normals = shape.chunk(("surface_points", "surface_normals"), rng)
            if not len(points):
                raise DataError(
                    f"{shape.shape_id}: expected points of its surface, found none. Sample it with --surface-count."
                )
            rows = rng.integers(len(points), size=self.points)
            drawn |= {"surface_points": points[rows], "surface_normals": normals[rows]}
            drawn["distances"] = _distances(shape.read("surface_points")[:MEASURED_TO], half, len(solid))
        return drawn


class LevelSetLattice(Model[LevelSetConfig]):
    """An encoder to a code and a decoder to values at the nodes of a lattice, negative inside.

    The nodes are the centres of the data's N^3 voxels and of one more layer around them, so that a shape that fills its
    cube ends within. Two things say which side is inside, for the other terms of the loss do not: all shapes begin as
    one sphere, which is learned as well, and the normals point outward.

    Source: Michalkiewicz et al., "Deep Level Sets: Implicit Surface Representations for 3D Shape Inference", 2019; see
        `shapetool.losses.levelset` for the loss. Its layers and numbers were not at hand: all but the 64 numbers of a
        code are ours, and `reference` differs from `default` by its input alone, a view. There, the encoder of views is
        trained with an autoencoder of voxels that shares its codes; here, one encoder is trained.

    Raises:
        DataError: voxels that cannot be halved three times, or of a cube of unknown size.
    """

    configs: ClassVar[Mapping[str, ModelConfig]] = {
        "default": LevelSetConfig(),
        "cross-entropy": LevelSetConfig(loss="cross-entropy"),
        "reference": LevelSetConfig(input="image"),
    }

    auto_decoder = False
    lipschitz: float | None = None

    def __init__(self, config: LevelSetConfig, facts: Facts) -> None:
        super().__init__(config, facts)
        cells = facts.sizes["solid"][0]
        if cells % 2**HALVINGS:
            raise DataError(
                f"solid: expected as many voxels along an edge as a multiple of {2**HALVINGS}, found {cells}. "
                "Sample the shapes with --grid 32."
            )
        if "box_size" not in facts.recipe:
            raise DataError(
                "expected voxels that say how large their cube is. Sample with `shapetool sample-occupancy`."
            )
        self.edge = float(facts.recipe["box_size"])
        self.spacing = self.edge / cells
        self.extent = (self.edge + self.spacing) / 2
        self.low = (-self.extent, -self.extent, -self.extent)
        self.encoder: nn.Module
        if config.input == "image":
            self.encoder = ImageEncoder(config.code_size, picture_size(facts), config.channels, planes_of(facts))
        else:
            self.encoder = encoder_of_voxels(config.code_size, cells, config.channels)
        self.decoder = decoder_to_lattice(config.code_size, cells, config.channels)
        axis = torch.linspace(-self.extent, self.extent, cells + 2) / self.edge
        nodes = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
        self.start = nn.Parameter(nodes.square().sum(dim=0).sqrt() - START)

    def objectives(self) -> Sequence[Objective]:
        """The one objective: encoder, decoder and what every shape begins as."""
        return [Objective(self.config.loss, [Group(list(self.parameters()), self.config.lr)], self._loss)]

    def lattices(self, codes: Float[Tensor, "B C"]) -> Float[Tensor, "B X Y Z"]:
        """The values at the nodes of each code's lattice, of which `low` is the first and `spacing` the distance."""
        return self.edge * (self.start + self.decoder(codes)[:, 0])

    def values(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """Each lattice at its points, linear between nodes; beyond them, the nearest such value and the way there."""
        within = points.clamp(-self.extent, self.extent)
        away = (points - within).square().sum(dim=2)
        beyond = torch.where(away > 0, away.clamp_min(1e-30).sqrt(), away)
        return at_points(self.lattices(codes), within, self.low, self.spacing) + beyond

    def codes_of(self, batch: Batch) -> Float[Tensor, "B C"]:
        """What the encoder makes of the voxels or the view of each shape."""
        if self.config.input == "image":
            return self.encoder(batch["image"])
        return self.encoder(batch["solid"][:, None].to(self.start.dtype))

    def _loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        lattices = self.lattices(self.codes_of(batch))
        if self.config.loss == "levelset":
            truth = Truth(batch["surface_points"], batch["surface_normals"], batch["distances"], self.low, self.spacing)
            return levelset_loss(lattices, truth, self.config.recipe)
        inside = F.pad(batch["solid"].to(lattices.dtype), (1,) * 6)
        return F.binary_cross_entropy_with_logits(-lattices / self.spacing, inside), {}


def encoder_of_voxels(code_size: int, cells: int, channels: int) -> nn.Sequential:
    """(B, 1, N, N, N) to (B, C): three convolutions 4^3 of stride 2, as IM-NET's, then one layer."""
    sizes = [1, *(channels * 2**k for k in range(HALVINGS))]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Conv3d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
    side = cells // 2**HALVINGS
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(sizes[-1] * side**3, code_size))


def decoder_to_lattice(code_size: int, cells: int, channels: int) -> nn.Sequential:
    """(B, C) to (B, 1, N + 2, N + 2, N + 2): one layer, then three deconvolutions 4^3 of stride 2, the last one small.

    The last one cuts nothing off, so that there is one node more on each side.
    """
    sizes = [channels * 2**k for k in reversed(range(HALVINGS))]
    side = cells // 2**HALVINGS
    layers: list[nn.Module] = [nn.Linear(code_size, sizes[0] * side**3), nn.LeakyReLU(LEAK)]
    layers.append(nn.Unflatten(1, (sizes[0], side, side, side)))
    for before, after in pairwise(sizes):
        layers += [nn.ConvTranspose3d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
    last = nn.ConvTranspose3d(sizes[-1], 1, 4, stride=2)
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.mul_(0.1)
    return nn.Sequential(*layers, last)


def _cube(shape: Shape) -> tuple[float, Bool[np.ndarray, "N N N"]]:
    """Half the edge of the cube of the voxels, and which of them are solid.

    Raises:
        DataError: it is no cube about the origin, or none or all are solid.
    """
    low, high = np.asarray(shape.read("low")), np.asarray(shape.read("high"))
    half = float(high[0])
    if not (np.allclose(high, half) and np.allclose(low, -half) and half > 0):
        raise DataError(
            f"{shape.shape_id}: expected voxels of a cube about the origin, found low {low.tolist()} and high "
            f"{high.tolist()}. Sample it with `shapetool sample-occupancy --grid N`."
        )
    solid = shape.read("solid")
    if solid.all() or not solid.any():
        what = "all" if solid.all() else "none"
        raise DataError(
            f"{shape.shape_id}: expected voxels inside and outside, found {what} of {solid.size} inside. Look at it "
            "with `shapetool info`; a shape thinner than a voxel wants a larger --grid."
        )
    return half, solid


def _any_view(shape: Shape, rng: np.random.Generator) -> int:
    return int(rng.integers(len(shape.read("images"))))


class _Remembered:
    """Distances of nodes by what they are made of: they are the same at every step, and cost more than a step."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> np.ndarray | None:
        """What is kept under a key."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: bytes, found: np.ndarray) -> None:
        """None, once this is kept, in place of what was asked for longest ago if there is no room."""
        with self._lock:
            if key not in self._kept:
                self._size += found.nbytes
            self._kept[key] = found
            while self._size > KEPT:
                self._size -= self._kept.popitem(last=False)[1].nbytes


_remembered = _Remembered()


def _distances(points: Float[np.ndarray, "M 3"], half: float, cells: int) -> Float[np.ndarray, "X Y Z"]:
    """How far each node is from the nearest of these points."""
    key = hashlib.blake2b(points.tobytes(), digest_size=16).digest() + np.array([half, cells]).tobytes()
    found = _remembered.get(key)
    if found is None:
        axis = (np.arange(-1, cells + 1) + 0.5) * (2 * half / cells) - half
        nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
        away = closest_point(cloud_mesh(points.astype(np.float64)), nodes.reshape(-1, 3), 1)[0]
        found = away.astype(np.float32).reshape(nodes.shape[:3])
        found.flags.writeable = False
        _remembered.put(key, found)
    return found
