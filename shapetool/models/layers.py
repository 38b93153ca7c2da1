"""What occupancy networks are made of: layers with a shortcut, alone or steered by a code, and their decoder."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Float
from torch import Tensor, nn

NORMS = ("film", "cbn", "none")
"""How a decoder takes a code in; `none` adds it at the beginning."""


class ResidualBlock(nn.Module):
    """Two fully connected layers beside a shortcut; in the beginning the shortcut is all there is.

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, and its code (ResnetBlockFC): ReLU before each layer, the
    smaller size between them, the second layer's weights 0 at first, a shortcut without bias where sizes differ.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, min(inputs, outputs))
        self.second = nn.Linear(min(inputs, outputs), outputs)
        self.shortcut: nn.Module = nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Float[Tensor, "*rows I"]) -> Float[Tensor, "*rows O"]:
        """The shortcut plus what the layers add to it."""
        return self.shortcut(features) + self.second(self.first(features.relu()).relu())

    def with_shared(self, own: Float[Tensor, "B N I1"], shared: Float[Tensor, "B 1 I2"]) -> Float[Tensor, "B N O"]:
        """The block of each row's own features followed by those that all rows share, which are worked out once."""
        change = _joined(self.first, own.relu(), shared.relu())
        return _joined(self.shortcut, own, shared) + self.second(change.relu())


def _joined(layer: nn.Module, own: Tensor, shared: Tensor) -> Tensor:
    """A linear layer of two parts of its input."""
    assert isinstance(layer, nn.Linear)
    size = own.shape[-1]
    return F.linear(own, layer.weight[:, :size]) + F.linear(shared, layer.weight[:, size:], layer.bias)


class CodedNorm(nn.Module):
    """Features of points brought to mean 0 and variance 1, then scaled and moved as the shape's code says.

    ``cbn`` takes mean and variance over all points of all shapes of the batch, and in the end those remembered from
    training; ``film`` takes them over the features of each point, so a point depends on no other.

    Source: de Vries et al., "Modulating early visual processing by language", NIPS 2017, as in the code of Occupancy
    Networks: the scale is 1 and the shift 0 at first, whatever the code. ``film``: Perez et al., "FiLM", AAAI 2018,
    after the layer normalization of Ba et al., 2016.
    """

    def __init__(self, features: int, code_size: int, norm: str) -> None:
        super().__init__()
        self.norm: nn.Module = nn.LayerNorm(features, elementwise_affine=False)
        if norm == "cbn":
            self.norm = nn.BatchNorm1d(features, affine=False)
        self.scale = nn.Linear(code_size, features)
        self.shift = nn.Linear(code_size, features)
        for layer, start in ((self.scale, 1.0), (self.shift, 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, start)

    def forward(self, features: Float[Tensor, "B P F"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P F"]:
        """The features as the codes want them."""
        rows = self.norm(features.flatten(0, 1)).view_as(features)
        return torch.addcmul(self.shift(codes)[:, None], rows, self.scale(codes)[:, None])


class CodedBlock(nn.Module):
    """Two layers beside a shortcut, before each of which the code has its say.

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, and its code (CResnetBlockConv1d): normalize, ReLU,
    layer, twice; the second layer's weights are 0 at first.
    """

    def __init__(self, features: int, code_size: int, norm: str) -> None:
        super().__init__()
        self.first_norm = CodedNorm(features, code_size, norm)
        self.first = nn.Linear(features, features)
        self.second_norm = CodedNorm(features, code_size, norm)
        self.second = nn.Linear(features, features)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Float[Tensor, "B P F"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P F"]:
        """The features plus what the layers add to them."""
        change = self.first(self.first_norm(features, codes).relu())
        return features + self.second(self.second_norm(change, codes).relu())


class Waves(nn.Module):
    """Points, and beside them sines and cosines of their coordinates in octaves; half the lowest fits into the cube.

    Source: Mildenhall et al., "NeRF", ECCV 2020 (positional encoding).
    """

    factors: Tensor

    def __init__(self, octaves: int, extent: float) -> None:
        super().__init__()
        self.size = 3 + 6 * octaves
        self.register_buffer("factors", math.pi / (2 * extent) * 2.0 ** torch.arange(octaves), persistent=False)

    def forward(self, points: Float[Tensor, "B P 3"]) -> Float[Tensor, "B P W"]:
        """What a network sees of the points."""
        if self.size == 3:
            return points
        angles = (points[..., None] * self.factors).flatten(2)
        return torch.cat([points, angles.sin(), angles.cos()], dim=2)


class CodedDecoder(nn.Module):
    """Points and the codes of their shapes to one number each: (B, P, 3), (B, C) -> (B, P).

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, and its code: with ``cbn`` DecoderCBatchNorm, with
    ``none`` Decoder, whose blocks have no say of the code. `waves` beside the points are not of it.
    """

    def __init__(self, waves: Waves, width: int, blocks: int, code_size: int, norm: str) -> None:
        super().__init__()
        self.waves, self.added = waves, norm == "none"
        self.lift = nn.Linear(waves.size, width)
        if self.added:
            self.shift = nn.Linear(code_size, width)
            self.blocks = nn.ModuleList(ResidualBlock(width, width) for _ in range(blocks))
        else:
            self.blocks = nn.ModuleList(CodedBlock(width, code_size, norm) for _ in range(blocks))
            self.last_norm = CodedNorm(width, code_size, norm)
        self.last = nn.Linear(width, 1)

    def forward(self, points: Float[Tensor, "B P 3"], codes: Float[Tensor, "B C"]) -> Float[Tensor, "B P"]:
        """The number of each point, a logit for an occupancy network."""
        features = self.lift(self.waves(points))
        if self.added:
            features = features + self.shift(codes)[:, None]
            for block in self.blocks:
                features = block(features)
        else:
            for block in self.blocks:
                features = block(features, codes)
            features = self.last_norm(features, codes)
        return self.last(features.relu()).squeeze(-1)
