"""Residual networks for images of 32×32 pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of the network.

    Attributes:
        dim: number of features that it gives.
        depth: layers: 20, 32, 44, 56 and so on in three stages [1, §4.2], or 18 or 34 in four, as
            in the networks for large images, but with a first layer for small ones.
        width: channels of the first stage, doubled in each that follows; None is 16 in three stages
            and 64 in four.
        in_channels: channels of an image.
    """

    dim: int
    depth: int = 20
    width: int | None = None
    in_channels: int = 3

    def __post_init__(self) -> None:
        if min(self.dim, self.in_channels) < 1 or (self.width is not None and self.width < 1):
            raise InvalidInputError(f"every size of a resnet32 must be at least 1 but got {self}")
        if not self.blocks():
            raise InvalidInputError(
                f"a resnet32 cannot have a depth of {self.depth}",
                hint="depths are 18, 34, and 6n + 2, such as 20, 32, 44 and 56",
            )

    def blocks(self) -> tuple[int, ...]:
        """Return the number of blocks in each stage; none if there is no such depth."""
        four_stages = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
        if self.depth in four_stages:
            return four_stages[self.depth]
        n, rest = divmod(self.depth - 2, 6)
        return (n, n, n) if n >= 1 and rest == 0 else ()


class _Block(nn.Module):
    """Two 3×3 convolutions and a way around them; the first may halve height and width."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or in_width != width:
            projection = nn.Conv2d(in_width, width, 1, stride=stride, bias=False)
            self.around = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, maps: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(maps)))
        inner = self.second_norm(self.second(inner))
        return functional.relu(inner + self.around(maps))


class ResNet32(nn.Module):
    """Residual blocks in stages, the mean over places, and a linear layer to `dim` features.

    The first layer is a 3×3 convolution without pooling, so that 32×32 images keep their size.

    References:
        [1] He et al., "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385.
            Where a stage widens, the way around is a projection (their option B).
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.in_channels = options.in_channels
        stages = options.blocks()
        width = options.width or (16 if len(stages) == 3 else 64)
        self.stem = nn.Sequential(
            nn.Conv2d(options.in_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage, n_blocks in enumerate(stages):
            for block in range(n_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(_Block(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(channels, options.dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def forward(self, images: Tensor) -> Tensor:
        """Return features.

        Args:
            images: float images, of any height and width from 8 on.
                Shape: (n, in_channels, height, width).

        Returns:
            Features. Shape: (n, dim).

        Raises:
            InvalidInputError: if they are no images, or have other channels.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise InvalidInputError(
                f"images of shape {tuple(images.shape[1:])} came to a resnet32 for "
                f"{self.in_channels} channels",
                hint="set in_channels; channels stand before height and width",
            )
        maps = self.blocks(self.stem(images.contiguous(memory_format=torch.channels_last)))
        features: Tensor = self.linear(maps.mean(dim=(2, 3)))
        return features


def build(options: Options) -> nn.Module:
    """Return the network with fresh weights."""
    return ResNet32(options)
