"""A network whose channels are multiplied by gates: what leaving some out would do, differentiable."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from hwnas.widths.groups import Prunable


class Gated(nn.Module):
    """A copy of a network that may be learnt from and trained in the place of narrowed ones.

    Gates scale what is last done to channels of their own: by the batch norm behind each layer that makes
    them or hands them on, or by the layer where there is none. A channel whose gate is 0 is 0 wherever it is
    read, as if it were left out, since the usual activations of 0 are 0. Where all gates of a residual block
    are 0, it adds nothing, as if it were left out.

    Args:
        found: The network, and which of its channels go together.

    Attributes:
        network: The copy.
        gates: Of some groups, by name: one number a channel, shape (channels,).
        changed: Parameters of the copy, by name, that others stand in for.
    """

    def __init__(self, found: Prunable) -> None:
        super().__init__()
        self.network = copy.deepcopy(found.module)
        self.gates: Mapping[str, torch.Tensor] = {}
        self.changed: Mapping[str, torch.Tensor] = {}
        self.scaling, self.ending = scaling(found)

    def forward(self, images: torch.Tensor) -> Any:
        """Shape (n, c, h, w) in; out what the network gives."""
        own, put = dict(self.network.named_parameters()), dict(self.changed)
        for group, gates in self.gates.items():
            is_there = gates.any().to(gates).expand(1)
            for path, factors in (
                *((path, gates) for path in self.scaling[group]),
                *((path, is_there) for path in self.ending[group]),
            ):
                for name in (f"{path}.weight", f"{path}.bias"):
                    if name in own:
                        values = put.get(name, own[name])
                        put[name] = values * factors.view(-1, *[1] * (values.ndim - 1))
        return functional_call(self.network, put, (images,))


def masks(importance: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
    """Which channels there are at each width, those that matter most: 1 or 0, shape (widths, channels).

    Args:
        importance: Shape (channels,).
        widths: Numbers of channels.
    """
    rank = importance.argsort(descending=True, stable=True).argsort()
    return (rank < torch.tensor(widths)[:, None]).float()


@torch.no_grad()
def scaling(found: Prunable) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Paths of the layers that scale the channels of each group last, layer by layer that makes them.

    And those that scale last what a residual block adds, where it adds nothing without the group.
    """
    made: dict[int, tuple[str, torch.Tensor]] = {}  # with the tensor, so that no other gets its id
    last: dict[str, str] = {}

    def leaves(path: str) -> Any:
        def hook(_module: nn.Module, _given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
            made[id(out)] = path, out

        return hook

    def enters(path: str) -> Any:
        def hook(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            if id(given[0]) in made:
                last[made[id(given[0])][0]] = path

        return hook

    was = found.module.training
    with ExitStack() as hooks:
        for path, module in found.module.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                hooks.callback(module.register_forward_hook(leaves(path)).remove)
            elif isinstance(module, nn.BatchNorm2d):
                hooks.callback(module.register_forward_pre_hook(enters(path)).remove)
        found.module.eval()(torch.zeros(1, *found.shape))
    found.module.train(was)

    def scaled(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(last.get(path, path) for path in paths)

    made_by = {group.name: scaled((*group.makers, *group.handed_on)) for group in found.groups}
    return made_by, {group.name: scaled(group.readers if group.branch else ()) for group in found.groups}
