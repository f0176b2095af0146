"""The layers of a network as functions of their widths: what a network of other widths costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from hwnas.blocks import layers
from hwnas.blocks.plainconv import PlainConv
from hwnas.blocks.skip import Skip
from hwnas.latency.layers import BlockLayer
from hwnas.space import Workload
from hwnas.widths.groups import ChannelGroup, Prunable


@dataclass(frozen=True)
class WidthLayer(BlockLayer):
    """A convolution or a matrix product of a network that may be narrowed; slots are its groups of channels.

    One that reads several groups beside each other stands here once for each of them.

    Attributes:
        path: Of the layer in its network.
    """

    path: str = ""

    @property
    def in_size(self) -> tuple[int, ...]:
        """Height and width of what it reads."""
        return self.workload.in_shapes[0][1:]

    def workload_at(self, in_channels: int, out_channels: int) -> Workload:
        """The layer with other channels; an identity, which costs nothing, where none are left on a side."""
        if in_channels and out_channels:
            return super().workload_at(in_channels, out_channels)
        (channels, *size), *_ = self.workload.in_shapes
        return Workload(Skip(channels, channels), (channels, *size))  # type: ignore[arg-type]


def layers_of(found: Prunable) -> tuple[WidthLayer, ...]:
    """The layers of a network, with the groups that they read and make.

    Convolutions of several groups that are not depthwise, and what squeeze-excite does, are left out: their
    widths stay.
    """
    makes = {path: group for group in found.groups for path in group.makers}
    through = {path: group for group in found.groups for path in group.handed_on}
    reads: dict[str, list[ChannelGroup]] = {}
    for group in found.groups:
        for path in group.readers:
            reads.setdefault(path, []).append(group)
    slots = {group.name: number for number, group in enumerate(found.groups)}

    def layer(path: str, reads: ChannelGroup | None, out: ChannelGroup | None, form: PlainConv) -> WidthLayer:
        numbers = [None if group is None else slots[group.name] for group in (reads, out)]
        return WidthLayer(Workload(form, (form.in_channels, *sizes[path])), numbers[0], numbers[1], path)

    sizes, made = dict[str, tuple[int, int]](), []
    for path, module, sizes[path] in _seen(found):
        form, out, parts = _form(module), makes.get(path), reads.get(path, [])
        if path in through:
            made.append(layer(path, through[path], through[path], form))
        elif len(parts) > 1:
            forms = [replace(form, in_channels=part.channels) for part in parts]
            made += [layer(path, part, out, own) for part, own in zip(parts, forms, strict=True)]
        elif form.groups == 1:
            made.append(layer(path, parts[0] if parts else None, out, form))
    return tuple(made)


@torch.no_grad()
def _seen(found: Prunable) -> Iterator[tuple[str, Any, tuple[int, int]]]:
    """Each layer in running order, with the height and width of its input."""
    gates = {
        id(part)
        for gate in found.module.modules()
        if isinstance(gate, layers.SqueezeExcite)
        for part in gate.modules()
    }
    seen: list[tuple[str, Any, tuple[int, int]]] = []

    def note(path: str) -> Any:
        def hook(module: nn.Module, given: tuple[torch.Tensor, ...], _made: torch.Tensor) -> None:
            height, width = given[0].shape[2:] if given[0].ndim == 4 else (1, 1)
            seen.append((path, module, (height, width)))

        return hook

    was = found.module.training
    with ExitStack() as hooks:
        for path, module in found.module.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and id(module) not in gates:
                hooks.callback(module.register_forward_hook(note(path)).remove)
        found.module.eval()(torch.zeros(1, *found.shape))
    found.module.train(was)
    yield from seen


def _form(module: nn.Conv2d | nn.Linear) -> PlainConv:
    """A layer as a block of its own."""
    if isinstance(module, nn.Linear):
        point = {"kernel": (1, 1), "border": (0, 0, 0, 0), "activation": "none"}
        return PlainConv(module.in_features, module.out_features, **point)  # type: ignore[arg-type]
    kernel, step = tuple(module.kernel_size), getattr(module, "step", None)
    strides = tuple(module.stride) if step is None else (step, step)
    half = [((size - 1) * apart + 1) // 2 for size, apart in zip(kernel, module.dilation, strict=True)]
    return PlainConv(
        module.in_channels,
        module.out_channels,
        kernel,
        strides,
        (half[0], half[0], half[1], half[1]),
        module.groups,
        "none",
        dilation=tuple(module.dilation),
    )
