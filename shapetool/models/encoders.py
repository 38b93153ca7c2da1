"""Encoders: what is known of a shape (points, voxels, a picture) to the code of the shape."""

import math
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from shapetool.errors import ConfigError
from shapetool.models.layers import ResidualBlock

NORMS_2D = ("group", "batch")
LARGEST_GROWTH = 16
"""How many times the channels of the first layer a voxel encoder has at most."""
CHANNELS = 8
"""With four channels, the convolutions of torch 2.13 write beyond their memory on CPUs with AVX2."""
LARGE_PICTURE = 96
"""Pictures of at least so many pixels are made four times smaller at once, as in ResNet; smaller ones twice."""


class PointEncoder(nn.Module):
    """Points of a surface in any order to the code of the shape: (B, N, 3) -> (B, C).

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, and its code (ResnetPointnet): each point to 2 H numbers,
    five residual blocks 2 H -> H; after the first four, each point also sees the largest of all points.
    """

    def __init__(self, code_size: int, hidden: int) -> None:
        super().__init__()
        self.lift = nn.Linear(3, 2 * hidden)
        self.blocks = nn.ModuleList(ResidualBlock(2 * hidden, hidden) for _ in range(5))
        self.code = nn.Linear(hidden, code_size)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B C"]:
        """The code of each cloud."""
        features = self.blocks[0](self.lift(points))
        for block in self.blocks[1:]:
            assert isinstance(block, ResidualBlock)
            features = block.with_shared(features, features.amax(dim=1, keepdim=True))
        return self.code(features.amax(dim=1).relu())


class PairEncoder(nn.Module):
    """Points in any order and whether each is inside to the code of the shape: (B, P, 3), (B, P) -> (B, C).

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, and its code (encoder_latent.Encoder): the point and its
    label to H numbers each, added; three layers, before the last two of which each point sees the largest of all.
    """

    def __init__(self, code_size: int, hidden: int) -> None:
        super().__init__()
        self.lift = nn.Linear(3, hidden)
        self.label = nn.Linear(1, hidden)
        self.layers = nn.ModuleList(nn.Linear(size, hidden) for size in (hidden, 2 * hidden, 2 * hidden))
        self.code = nn.Linear(hidden, code_size)

    def forward(self, points: Float[Tensor, "B P 3"], inside: Bool[Tensor, "B P"]) -> Float[Tensor, "B C"]:
        """The code of each set of pairs."""
        features = self.lift(points) + self.label(inside[..., None].to(points.dtype))
        features = self.layers[0](features.relu())
        for layer in self.layers[1:]:
            pooled = features.amax(dim=1, keepdim=True).expand_as(features)
            features = layer(torch.cat([features, pooled], dim=2).relu())
        return self.code(features.amax(dim=1))


class VoxelEncoder(nn.Module):
    """A lattice of filled and empty cells to the code of the shape: (B, R, R, R) -> (B, C).

    Source: Mescheder et al., "Occupancy Networks", CVPR 2019, and its code (VoxelEncoder): one convolution, then one
    with stride 2 and twice the channels until 2 cells an edge are left, here at most 16 times the first; all 3^3.
    """

    def __init__(self, code_size: int, resolution: int, channels: int) -> None:
        super().__init__()
        sizes, side = [1, channels], resolution
        while side > 2:
            sizes.append(min(2 * sizes[-1], LARGEST_GROWTH * channels))
            side = (side + 1) // 2
        self.layers = nn.ModuleList(
            nn.Conv3d(size, larger, 3, stride=1 if size == 1 else 2, padding=1) for size, larger in pairwise(sizes)
        )
        self.code = nn.Linear(sizes[-1] * side**3, code_size)

    def forward(self, voxels: Bool[Tensor, "B R R R"] | Float[Tensor, "B R R R"]) -> Float[Tensor, "B C"]:
        """The code of each lattice."""
        features = voxels[:, None].to(self.code.weight.dtype)
        for layer in self.layers:
            features = layer(features).relu()
        return self.code(features.flatten(1))


class ImageEncoder(nn.Module):
    """Pictures to the code of what they show: (B, planes, H, W), from 0 to 1, -> (B, C). `planes`: 3 colours, or more.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016: its 18 layers if ``channels`` is 64,
    ``norm`` is ``batch`` and pictures are large. Differences: nothing is learned from photographs beforehand;
    ``group`` normalizes each picture alone (Wu and He, ECCV 2018), so a code depends on its picture only.

    Raises:
        ConfigError: channels that are no multiple of `CHANNELS`.
    """

    def __init__(self, code_size: int, size: int, channels: int, planes: int = 3, norm: str = "group") -> None:
        super().__init__()
        if channels <= 0 or channels % CHANNELS:
            raise ConfigError(
                f"channels of an encoder of pictures: expected a multiple of {CHANNELS}, found {channels}."
            )
        large = size >= LARGE_PICTURE
        first = nn.Conv2d(planes, channels, 7 if large else 3, stride=2, padding=3 if large else 1, bias=False)
        layers: list[nn.Module] = [first, _norm2d(channels, norm), nn.ReLU()]
        if large:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        sizes = [channels, channels, 2 * channels, 4 * channels, 8 * channels]
        for before, after in pairwise(sizes):
            layers += [PictureBlock(before, after, norm), PictureBlock(after, after, norm)]
        self.layers = nn.Sequential(*layers)
        self.code = nn.Linear(sizes[-1], code_size)

    def forward(self, images: Float[Tensor, "B A H W"]) -> Float[Tensor, "B C"]:
        """The code of each picture."""
        return self.code(self.layers(2 * images - 1).mean(dim=(2, 3)))


class PictureBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; where the channels grow, the picture is halved.

    Source: He et al., CVPR 2016 (the basic block); its second normalization begins at 0, after Goyal et al., 2017.
    """

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = _norm2d(outputs, norm)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = _norm2d(outputs, norm)
        nn.init.zeros_(self.second_norm.weight)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), _norm2d(outputs, norm))

    def forward(self, features: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        """The picture after the block."""
        change = self.second_norm(self.second(self.first_norm(self.first(features)).relu()))
        return (self.shortcut(features) + change).relu()


def _norm2d(channels: int, norm: str) -> nn.GroupNorm | nn.BatchNorm2d:
    """The normalization of this name; ``group`` makes up to four groups of equal size."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(math.gcd(channels, 4), channels)
