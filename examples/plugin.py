"""One of each in one file: what a user brings with ``--plugin``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwnas import blocks, spaces
from hwnas.blocks import Conv, Head, Skip, ops
from hwnas.search import register
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.sampling.random import RandomSampler
from hwnas.space import Choice, SearchSpace


@blocks.register
@dataclass(frozen=True)
class Twin(blocks.Strided):
    """Two plain 3x3 convolutions, one after the other."""

    kind: ClassVar[str] = "twin"

    in_channels: int = blocks.tagged("i")
    out_channels: int = blocks.tagged("o")
    stride: int = blocks.tagged("s", 1)

    def ops(self, in_shape):
        out = self.out_shape(in_shape)
        first = ops.conv("conv", in_shape, out, kernel_size=3)
        return first, ops.conv("conv", out, out, kernel_size=3)

    def build(self):
        from torch import nn

        from hwnas.blocks.layers import conv_bn

        channels = self.out_channels
        return nn.Sequential(
            *conv_bn(self.in_channels, channels, 3, stride=self.stride, activation="relu"),
            *conv_bn(channels, channels, 3, activation="relu"),
        )


@spaces.register
def tiny(resolution: int = 8, num_classes: int = 10) -> SearchSpace:
    """Four choices of two candidates."""
    places = ((8, 16, 2), (16, 16, 1), (16, 16, 1), (16, 16, 1))
    choices = (Choice(f"place{n}", (Skip(*place), Twin(*place))) for n, place in enumerate(places))
    name = f"tiny-r{resolution}-c{num_classes}"
    shape = (3, resolution, resolution)
    return SearchSpace(name, shape, (Conv(3, 8),), tuple(choices), (Head(16, 16, num_classes),))


@register
@dataclass(frozen=True, kw_only=True)
class Simple(SamplingStrategy):
    """Random search under another name."""

    name: ClassVar[str] = "simple"

    def sampler(self, problem, rng):
        return RandomSampler(problem, rng)


def size_of(name: str) -> int:
    """Something for another process to do."""
    return spaces.load(name).num_architectures
