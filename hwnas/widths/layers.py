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
from hwnas.space import Workload
from hwnas.widths.groups import ChannelGroup, Prunable


@dataclass(frozen=True)
class WidthLayer:
    """A convolution or a matrix product of a network that may be narrowed.

    One that reads several groups beside each other stands here once for each of them.

    Attributes:
        path: Of the layer in its network.
        in_group: Name of the group that it reads; None where that stays.
        out_group: Name of the group that it makes or hands on; None where that stays.
        in_slot: Number of that group among those of the network.
        out_slot: The same of what it makes.
        form: The layer at its whole widths.
        in_size: Height and width of what it reads.
    """

    path: str
    in_group: str | None
    out_group: str | None
    in_slot: int | None
    out_slot: int | None
    form: PlainConv
    in_size: tuple[int, int]

    @property
    def in_channels(self) -> int:
        """Channels that it reads in the whole network."""
        return self.form.in_channels

    @property
    def out_channels(self) -> int:
        """Channels that it makes in the whole network."""
        return self.form.out_channels

    def workload_at(self, in_channels: int, out_channels: int) -> Workload:
        """The layer alone, at other widths; a depthwise one hands on what it reads."""
        groups = in_channels if self.form.groups > 1 else 1
        made = in_channels if self.form.groups > 1 else out_channels
        form = replace(self.form, in_channels=in_channels, out_channels=made, groups=groups)
        return Workload(form, (in_channels, *self.in_size))


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
        names = [None if group is None else group.name for group in (reads, out)]
        numbers = [None if name is None else slots[name] for name in names]
        return WidthLayer(path, names[0], names[1], numbers[0], numbers[1], form, sizes[path])

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
