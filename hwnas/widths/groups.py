"""Channels that are kept or left out together, and a network with fewer of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from hwnas.blocks import layers
from hwnas.errors import SpaceError
from hwnas.space import Shape

if TYPE_CHECKING:
    from torch_pruning.dependency import Group

_PROBES = 2
"""Images that a network is traced with; of several, batch norms of one pixel are sound in either mode."""

_FIXED_ORDER = layers.ChannelShuffle, layers.ChannelSlice
"""Layers that say which channel goes where."""


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that go together.

    Attributes:
        name: Path of the first layer that makes them.
        channels: How many there are.
        makers: Paths of the convolutions that make them.
        handed_on: Paths of the depthwise convolutions that they go through.
        readers: Paths of the layers that read them to make others.
        branch: Path of the residual block that adds nothing without them, so that all may be left out; empty
            where one has to stay.
    """

    name: str
    channels: int
    makers: tuple[str, ...]
    handed_on: tuple[str, ...]
    readers: tuple[str, ...]
    branch: str = ""

    @property
    def fewest(self) -> int:
        """Channels that must stay."""
        return 0 if self.branch else 1


@dataclass(frozen=True)
class Prunable:
    """A network, and the channels that can be left out of it.

    Attributes:
        module: The network; never changed.
        shape: Of one image.
        groups: What goes together, from image to output.
    """

    module: nn.Module
    shape: Shape
    groups: tuple[ChannelGroup, ...]
    _found: Mapping[str, Group] = field(repr=False, compare=False)

    def importance(self, measure: Any) -> dict[str, torch.Tensor]:
        """How much each channel matters, by group: shape (channels,), not negative.

        Args:
            measure: One of Torch-Pruning's, of a whole group.
        """
        found = {}
        for group in self.groups:
            values = measure(self._found[group.name])
            found[group.name] = torch.zeros(group.channels) if values is None else values.detach().cpu()
        return found

    def narrowed(self, widths: Mapping[str, int], importance: Mapping[str, torch.Tensor]) -> nn.Module:
        """A copy with fewer channels, those that matter most, and without the residual blocks that have none.

        Args:
            widths: Channels by the name of a group; all of those that are not named.
            importance: Of each channel, by group.

        Raises:
            SpaceError: There is no such group, or it has fewer channels.
        """
        module, fewer = copy.deepcopy(self.module), dict(widths)
        for group in self.groups:
            width = fewer.pop(group.name, group.channels)
            if not group.fewest <= width <= group.channels:
                raise SpaceError(
                    f"the width of {group.name} must be from {group.fewest} to {group.channels} channels, "
                    f"but got {width}"
                )
            if not width:
                module.set_submodule(group.branch, _residual(module, group.branch).without_body())
        if fewer:
            raise SpaceError(f"a width must be of a group of channels, but there is no {min(fewer)!r}")
        graph = _graph(module, self.shape)
        for group in self.groups:
            if 0 < (width := widths.get(group.name, group.channels)) < group.channels:
                order = importance[group.name].argsort(descending=True, stable=True)
                _leave_out(graph, module.get_submodule(group.makers[0]), sorted(order[width:].tolist()))
        module.zero_grad(set_to_none=True)
        return module


def prunable(module: nn.Module, shape: Shape) -> Prunable:
    """Find which channels of a network go together.

    The classes of the answer, hidden channels of squeeze-excite (they cost nothing), and what convolutions
    of several groups divide are left as they are.

    Args:
        module: A network of our blocks, with weights; it stays as it is.
        shape: Of one image.

    Raises:
        SpaceError: The network says which channel goes where, or nothing can be left out.
    """
    if any(isinstance(part, _FIXED_ORDER) for part in module.modules()):
        raise SpaceError(
            "a network must not shuffle or slice its channels to be narrowed, but this one does: replace its "
            "blocks instead (hwnas search --from)"
        )
    graph = _graph(module, shape)
    gates, divided, branches = _gates(module), _divided(module), _branches(module)
    order = {path: number for number, (path, _) in enumerate(module.named_modules())}
    pairs = []
    for found in graph.get_all_groups(ignored_layers=[], root_module_types=[nn.Conv2d, nn.Linear]):
        group = _group(found, order, branches)
        stays = gates.intersection(group.makers) or any(item.dep.target.module in divided for item in found)
        if group.readers and not stays:
            pairs.append((group, found))
    if not pairs:
        raise SpaceError("a network must have channels that can be left out, but this one has none")
    pairs.sort(key=lambda pair: order[pair[0].name])
    found_by_name = {group.name: found for group, found in pairs}
    return Prunable(module, shape, tuple(group for group, _ in pairs), found_by_name)


def _graph(module: nn.Module, shape: Shape) -> Any:
    """Torch-Pruning's graph of what depends on what."""
    from torch_pruning import DependencyGraph

    was = module.training
    images = torch.zeros(_PROBES, *shape, device=next(module.parameters()).device)
    with torch.enable_grad():
        graph = DependencyGraph().build_dependency(module.eval(), example_inputs=images, verbose=False)
    module.train(was)
    return graph


def _gates(module: nn.Module) -> set[str]:
    """Paths of the layers that make the hidden channels of squeeze-excite."""
    return {
        f"{path}.reduce" for path, part in module.named_modules() if isinstance(part, layers.SqueezeExcite)
    }


def _divided(module: nn.Module) -> list[nn.Module]:
    """Convolutions of several groups that are not depthwise."""
    convs = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    return [conv for conv in convs if conv.groups not in (1, conv.in_channels)]


def _branches(module: nn.Module) -> dict[frozenset[str], str]:
    """Paths of the residual blocks whose input goes on as it is, by those of the layers that branch off."""
    return {
        frozenset(f"{path}.body.{inner}" for inner in _weighted(part.body)): path
        for path, part in module.named_modules()
        if _adds_to_its_input(part)
    }


def _adds_to_its_input(part: nn.Module) -> bool:
    is_bare = isinstance(part, layers.ActivatedResidual) and not list(part.short.children())
    return is_bare or isinstance(part, layers.Residual)


def _weighted(body: nn.Module) -> list[str]:
    """Paths of convolutions and matrix products."""
    return [path for path, part in body.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]


def _residual(module: nn.Module, path: str) -> layers.Residual | layers.ActivatedResidual:
    return cast("layers.Residual | layers.ActivatedResidual", module.get_submodule(path))


def _group(found: Group, order: Mapping[str, int], branches: Mapping[frozenset[str], str]) -> ChannelGroup:
    import torch_pruning as tp

    makers, handed_on, readers = set[str](), set[str](), set[str]()
    roles: dict[Any, set[str]] = {
        tp.prune_conv_out_channels: makers,
        tp.prune_linear_out_channels: makers,
        tp.prune_depthwise_conv_out_channels: handed_on,
        tp.prune_conv_in_channels: readers,
        tp.prune_linear_in_channels: readers,
    }
    for item in found:
        if item.dep.handler in roles:
            roles[item.dep.handler].add(str(item.dep.target.name).partition(" ")[0])
    made, through, read = (
        tuple(sorted(each, key=order.__getitem__)) for each in (makers, handed_on, readers)
    )
    branch = branches.get(frozenset((*made, *through, *read)), "")
    return ChannelGroup(made[0], len(found[0].idxs), made, through, read, branch)


def _leave_out(graph: Any, layer: nn.Module, channels: list[int]) -> None:
    import torch_pruning as tp

    prune = tp.prune_conv_out_channels if isinstance(layer, nn.Conv2d) else tp.prune_linear_out_channels
    group = graph.get_pruning_group(layer, prune, idxs=channels)
    group.prune()
