"""The modules of decoders for segmentation. Imported only when one is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from hwnas.blocks import layers


class LRASPPDecoder(nn.Module):
    """See ``hwnas.blocks.LRASPP``; ``scales`` are its step and its upscale."""

    def __init__(
        self,
        in_channels: Sequence[int],
        hidden_channels: int,
        num_classes: int,
        scales: tuple[int, int],
        activation: str,
    ) -> None:
        super().__init__()
        fine, coarse = in_channels
        self.project = nn.Sequential(*layers.conv_bn(coarse, hidden_channels, 1, activation=activation))
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(coarse, hidden_channels, 1), nn.Hardsigmoid()
        )
        self.classify_coarse = nn.Conv2d(hidden_channels, num_classes, 1)
        self.resize = layers.Resize(scales[0])
        self.classify_fine = nn.Conv2d(fine, num_classes, 1)
        self.upscale = _resize(scales[1])

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Features (n, c, h, w) in, logits (n, classes, h, w) out."""
        seen = self.classify_coarse(self.project(coarse) * self.gate(coarse))
        return cast(torch.Tensor, self.upscale(self.resize(seen) + self.classify_fine(fine)))


class FPNDecoder(nn.Module):
    """See ``hwnas.blocks.FPNSum``."""

    def __init__(
        self,
        in_channels: Sequence[int],
        hidden_channels: int,
        num_classes: int,
        kernel_size: int,
        activation: str,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Sequential(*layers.conv_bn(channels, hidden_channels, 1)) for channels in in_channels
        )
        self.resize = layers.Resize(2)
        self.smooth = nn.Sequential(
            *layers.conv_bn(
                hidden_channels, hidden_channels, kernel_size, groups=hidden_channels, activation=activation
            ),
            *layers.conv_bn(hidden_channels, hidden_channels, 1, activation=activation),
        )
        self.classify = nn.Conv2d(hidden_channels, num_classes, 1)

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Features (n, c, h, w) in, the finest first; logits (n, classes, h, w) out."""
        *finer, last = zip(self.project, features, strict=True)
        found = last[0](last[1])
        for project, feature in reversed(finer):
            found = project(feature) + self.resize(found)
        return cast(torch.Tensor, self.classify(self.smooth(found)))


class PooledDecoder(nn.Module):
    """See ``hwnas.blocks.PooledContext``."""

    def __init__(
        self, in_channels: int, hidden_channels: int, num_classes: int, upscale: int, activation: str
    ) -> None:
        super().__init__()
        self.project = nn.Sequential(*layers.conv_bn(in_channels, hidden_channels, 1, activation=activation))
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, hidden_channels, 1),
            *layers.activation_layers(activation),
        )
        self.join = nn.Sequential(*layers.conv_bn(hidden_channels, hidden_channels, 1))
        self.join_pooled = nn.Conv2d(hidden_channels, hidden_channels, 1)
        self.activation = nn.Sequential(*layers.activation_layers(activation))
        self.classify = nn.Conv2d(hidden_channels, num_classes, 1)
        self.upscale = _resize(upscale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, c, h, w) in, logits (n, classes, h, w) out."""
        joined = self.join(self.project(x)) + self.join_pooled(self.pool(x))
        return cast(torch.Tensor, self.upscale(self.classify(self.activation(joined))))


def _resize(factor: int) -> nn.Module:
    return layers.Resize(factor) if factor > 1 else nn.Identity()
