"""What a block takes over of the weights of a larger one: the middle of kernels, the channels that count.

A module of our layers is seen as its convolutions with the batch norm behind each, in forward order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

_OF_CHANNELS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Normed:
    """A convolution and what is behind it.

    Attributes:
        conv: The convolution; a linear layer where a whole network is seen so.
        norm: Its batch norm; None where it has none, as in squeeze-excite.
    """

    conv: nn.Conv2d | nn.Linear
    norm: nn.BatchNorm2d | None

    def take(self, other: Normed, outputs: torch.Tensor | None, inputs: torch.Tensor | None) -> None:
        """Copy the weights of chosen output and input channels, all where None; kernels keep their middle."""
        weight = other.conv.weight if outputs is None else other.conv.weight[outputs]
        if inputs is not None:
            weight = weight[:, inputs]
        self.conv.weight.copy_(_middle(weight, self.conv.weight.shape[-1]))
        if self.conv.bias is not None and other.conv.bias is not None:
            self.conv.bias.copy_(other.conv.bias if outputs is None else other.conv.bias[outputs])
        if self.norm is not None and other.norm is not None:
            for name in _OF_CHANNELS:
                values = getattr(other.norm, name)
                getattr(self.norm, name).copy_(values if outputs is None else values[outputs])

    def absorb(self, before: Normed) -> None:
        """Do what a linear depthwise convolution before this one does to even features, but for its shift.

        Args:
            before: Depthwise, with a batch norm and no activation behind it.
        """
        if before.norm is None or before.norm.running_var is None:
            raise ValueError("what is absorbed must be normed")
        scale = before.norm.weight / (before.norm.running_var + before.norm.eps).sqrt()
        self.conv.weight.mul_((scale * before.conv.weight.sum((1, 2, 3))).reshape(1, -1, 1, 1))


def normed(module: nn.Module) -> list[Normed]:
    """The convolutions of a module in forward order."""
    found: list[Normed] = []
    for layer in _layers(module):
        if isinstance(layer, nn.Conv2d):
            found.append(Normed(layer, None))
        elif found:
            found[-1] = Normed(found[-1].conv, layer)
    return found


def _layers(module: nn.Module) -> Iterator[nn.Conv2d | nn.BatchNorm2d]:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            yield layer


def most_important(before: Normed, after: Normed, count: int) -> torch.Tensor:
    """The channels between two convolutions that matter most, in their order: shape (count,).

    A channel matters as the scale of its batch norm times the norm of the weights that read it: to first
    order that is how much of the output it moves.

    Args:
        before: Depthwise, or any that makes the channels.
        after: Reads them, one group.
        count: How many to keep.
    """
    if before.norm is None:
        raise ValueError("channels must be normed to be compared")
    reads = after.conv.weight.pow(2).sum((0, 2, 3)).sqrt()
    return largest(before.norm.weight.abs() * reads, count)


def largest(importance: torch.Tensor, count: int) -> torch.Tensor:
    """Where the largest values are, in their order: shape (count,)."""
    return importance.argsort(descending=True, stable=True)[:count].sort().values


def _middle(weight: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """The middle of kernels (out, in, k, k); a matrix (out, in) as it is."""
    if weight.ndim == 2:
        return weight
    cut = (weight.shape[2] - kernel_size) // 2
    return weight[:, :, cut : cut + kernel_size, cut : cut + kernel_size]
