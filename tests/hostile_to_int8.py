"""Networks that int8 breaks, in layers that are known."""

from __future__ import annotations

import torch
from torch import nn

BROKEN = ("1.6", "2.0")
"""Layers on both sides of a tensor that int8 cannot show, where the second block is an inverted residual."""


def break_int8(network):
    """Two channels are a large number each, of which the next layer takes the difference.

    Rounding both by one step leaves nothing of all other channels.
    """
    first, second = network.get_submodule("1"), network.get_submodule("2")
    norm = [layer for layer in first.modules() if isinstance(layer, nn.BatchNorm2d)][-1]
    reader = next(layer for layer in second.modules() if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        norm.weight[:2] = 0
        norm.bias[:2] = 2000
        reader.weight[:, 1] = -reader.weight[:, 0]
