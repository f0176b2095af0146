"""Trains every block of every space for one step, and prints the convolutions that it ran as JSON.

A program of its own, since what it looks for ends the process: ``python convolutions.py BATCH SIDE``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hwnas import blocks, known, spaces
from hwnas.blocks import MBStage, RandomGraph
from hwnas.evaluators.supernet.network import proxy_space
from hwnas.space import Block, SearchSpace

PROXY_WIDTH = 0.5  # a supernet's own


class Recorder(TorchDispatchMode):
    """Notes every convolution that reaches a kernel, going forward or back.

    Attributes:
        found: Shape of the weights, strides and groups of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[tuple[int, ...], tuple[int, ...], int]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self._note(args[1], args[3], args[8])
        elif func is torch.ops.aten.convolution_backward.default:
            self._note(args[2], args[4], args[9])
        return func(*args, **(kwargs or {}))

    def _note(self, weight: torch.Tensor, stride: list[int], groups: int) -> None:
        self.found.add((tuple(weight.shape), tuple(stride), groups))

    @property
    def strided_pointwise(self) -> list[Any]:
        """Those that oneDNN must never be given: kernel 1, stride over 1."""
        return [one for one in self.found if one[0][2:] == (1, 1) and max(one[1]) > 1]


def all_spaces() -> Iterator[SearchSpace]:
    """Every known network and space, and narrower proxies of the spaces."""
    for name, family in known.FAMILIES.items():
        for width in family.widths or (1.0, 0.5):
            yield known.load(known.short_name(name, width)).space
    for name in spaces.SPACES:
        space = spaces.load(name)
        yield space
        width = 1.0 if space.is_begun else PROXY_WIDTH
        yield proxy_space(space, width=width, resolution=max(8, space.input_shape[1] // 2))
    yield from (spaces.load("fbnet", strides="cifar"), known.load("fbnet-c", strides="cifar").space)


def all_blocks() -> dict[Block, int | tuple[int, ...]]:
    """Every block of all spaces, stages as their layers, and the channels of its inputs."""
    found: dict[Block, int | tuple[int, ...]] = {}
    for space in all_spaces():
        for workload in space.workloads():
            block = workload.block
            layers = block.blocks if isinstance(block, MBStage | RandomGraph) else (block,)
            found |= {layer: layer.in_channels for layer in layers}  # type: ignore[attr-defined]
    return found


def step(module: nn.Module, *shapes: tuple[int, ...]) -> None:
    """Forwards and backwards, as training does: fp32, channels last."""
    module = module.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = [
        torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_() for shape in shapes
    ]
    module(*images).sum().backward()


def convolutions(module: nn.Module) -> set[tuple[object, ...]]:
    """What tells one convolution from another, of all that a module has."""
    return {
        (type(layer), tuple(layer.weight.shape), layer.stride, layer.padding, layer.dilation, layer.groups)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d)
    }


def main(batch: int, side: int) -> None:
    ran: set[tuple[object, ...]] = set()
    with Recorder() as recorder:
        for block, channels in all_blocks().items():
            with torch.device("meta"):
                module = block.build()
            if convolutions(module) <= ran:
                continue  # other blocks have the same
            ran |= convolutions(module)
            module = module.to_empty(device="cpu")
            for parameter in module.parameters():
                nn.init.constant_(parameter, 0.01)
            each = channels if isinstance(channels, tuple) else (channels,)
            step(module, *((batch, width, side, side) for width in each))
        for _ in range(5):  # the shape that the crash was found with
            step(blocks.Skip(8, 16, 2).build(), (64, 8, 56, 56))
    print(json.dumps({"ran": len(recorder.found), "refused": recorder.strided_pointwise}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
