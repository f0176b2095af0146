"""Which channels go together, and a network with fewer of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hwnas import blocks, known
from hwnas.errors import SpaceError
from hwnas.importing import in_blocks
from hwnas.widths import prunable, width_space
from hwnas.widths.importance import kept
from hwnas.widths.layers import layers_of

SHAPE = (3, 32, 32)


def _brought(module: nn.Module) -> nn.Module:
    """A module in our blocks."""
    return in_blocks(module, SHAPE)[1].eval()


class Branching(nn.Module):
    """A sum and a concatenation, whose channels are counted by hand below."""

    def __init__(self) -> None:
        super().__init__()

        def conv(i: int, o: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())

        self.first, self.down, self.again = conv(3, 16), conv(16, 32, 2), conv(32, 32)
        self.side, self.last, self.classes = conv(16, 24, 2), conv(56, 64), nn.Linear(64, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.down(x)
        y = torch.cat([y + self.again(y), self.side(x)], 1)
        return self.classes(self.last(y).mean((2, 3)))


def _known(name: str) -> nn.Module:
    """A known network, or two residual blocks after ResNet's, whose batch norms do something."""
    two = (blocks.Conv(3, 16, stride=2), *[blocks.ResidualBlock(16, 16)] * 2, blocks.PooledHead(16, 0, 5))
    arch = known.load("mobilenetv3-small", resolution=32, num_classes=5)
    network = (blocks.build(two) if name == "resnet" else blocks.network(arch)).eval()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.weight, 0.5, 0.2)
                nn.init.normal_(part.bias, 0.5, 0.2)
    return network


def _even(found: object) -> dict[str, torch.Tensor]:
    return {group.name: torch.arange(group.channels).float() for group in found.groups}


@pytest.mark.slow
def test_channels_that_meet_in_a_sum_go_together_and_those_beside_each_other_alone() -> None:
    found = prunable(_brought(Branching().eval()), SHAPE)
    assert [(g.channels, len(g.makers), len(g.readers)) for g in found.groups] == [
        (16, 1, 2),
        (32, 2, 2),
        (24, 1, 1),
        (64, 1, 1),
    ]


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenetv3-small", "mobilenetv4-conv-small"])
def test_layers_at_their_whole_widths_are_the_network(name: str) -> None:
    arch = known.load(name, resolution=64, num_classes=5)
    network = blocks.network(arch)
    found = prunable(network, (3, 64, 64))
    macs = sum(layer.workload_at(layer.in_channels, layer.out_channels).macs for layer in layers_of(found))
    gated = sum(
        part.reduce.weight.numel() + part.expand.weight.numel()
        for part in network.modules()
        if hasattr(part, "reduce")
    )
    assert macs + gated == arch.macs


def test_channels_that_are_zero_may_go_and_nothing_changes() -> None:
    network = _brought(Branching().eval())
    found = prunable(network, SHAPE)
    order = _even(found)
    with torch.no_grad():
        for group in found.groups:  # the first half says nothing to anybody
            for path in group.makers:
                stem, _, number = path.rpartition(".")
                norm = network.get_submodule(f"{stem}.{int(number) + 1}")
                norm.weight[: group.channels // 2], norm.bias[: group.channels // 2] = 0, 0
    images = torch.rand(2, *SHAPE)
    narrowed = found.narrowed({group.name: group.channels // 2 for group in found.groups}, order).eval()
    assert torch.allclose(narrowed(images), network(images), atol=1e-5)
    assert sum(p.numel() for p in narrowed.parameters()) < sum(p.numel() for p in network.parameters()) / 3


@pytest.mark.slow
def test_a_narrowed_network_is_one_of_our_blocks_again() -> None:
    network = blocks.network(known.load("mobilenetv2", resolution=32, num_classes=5)).eval()
    found = prunable(network, SHAPE)
    narrowed = found.narrowed(
        {group.name: max(1, group.channels // 3) for group in found.groups}, _even(found)
    )
    again, images = _brought(narrowed.eval()), torch.rand(2, *SHAPE)
    assert torch.allclose(again(images), narrowed(images), atol=1e-5)
    assert {type(part) for part in again.modules()} <= {type(part) for part in network.modules()}


@pytest.mark.parametrize("name", [pytest.param("mobilenetv3-small", marks=pytest.mark.slow), "resnet"])
def test_a_residual_block_without_channels_of_its_own_is_left_out(name: str) -> None:
    """What is left computes what it would with the branch shut, and is made of our blocks."""
    network = _known(name)
    found = prunable(network, SHAPE)
    inner = [group for group in found.groups if group.branch]
    assert inner
    shut, images = copy.deepcopy(network), torch.rand(2, *SHAPE)
    for group in inner:
        body = shut.get_submodule(group.branch).body
        *_, norm = (part for part in body.modules() if isinstance(part, nn.BatchNorm2d))
        nn.init.zeros_(norm.weight)
        nn.init.zeros_(norm.bias)
    left = found.narrowed({group.name: 0 for group in inner}, _even(found)).eval()
    assert torch.allclose(left(images), shut.eval()(images), atol=1e-5)
    again = in_blocks(left, SHAPE)[1].eval()
    assert torch.allclose(again(images), left(images), atol=1e-5)
    fewer, whole = (sum(isinstance(p, nn.Conv2d) for p in net.modules()) for net in (again, network))
    assert fewer <= whole - 2 * len(inner)
    outside = next(group for group in found.groups if not group.branch)
    with pytest.raises(SpaceError, match=r"must be from 1 to \d+ channels, but got 0"):
        found.narrowed({outside.name: 0}, _even(found))


def test_a_block_that_is_left_out_costs_nothing() -> None:
    found = prunable(_known("mobilenetv3-small"), SHAPE)
    space = width_space("it", found.groups, 8)
    assert [widths[0] == 0 for widths in space.widths] == [bool(group.branch) for group in found.groups]
    assert all(space.chosen(space.at_share(0.0)).values())
    slots = {slot for slot, group in enumerate(found.groups) if group.branch}
    for layer in layers_of(found):
        reads, makes = (
            0 if s in slots else n
            for s, n in ((layer.in_slot, layer.in_channels), (layer.out_slot, layer.out_channels))
        )
        assert layer.workload_at(reads, makes).block.is_identity == (0 in (reads, makes))
    assert kept({"it": torch.arange(4.0)}, "it", (0, 1, 4)) == [0.0, 3.0, 6.0]


def test_widths_are_steps_and_the_last_is_all() -> None:
    found = prunable(_brought(Branching().eval()), SHAPE)
    space = width_space("branching", found.groups, 8)
    assert space.widths == ((8, 16), (8, 16, 24, 32), (8, 16, 24), (16, 24, 32, 40, 48, 56, 64))
    assert space.chosen(space.at_share(1.0)) == {group.name: group.channels for group in found.groups}
    assert space.chosen(space.at_share(0.5))[found.groups[3].name] == 32


def test_what_cannot_be_narrowed_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpaceError, match="must not shuffle or slice its channels"):
        prunable(blocks.network(known.load("shufflenetv2", resolution=64, num_classes=5)), (3, 64, 64))
    found = prunable(_brought(Branching().eval()), SHAPE)
    with pytest.raises(SpaceError, match="must be from 1 to 16 channels, but got 17"):
        found.narrowed({found.groups[0].name: 17}, _even(found))
    with pytest.raises(SpaceError, match="no 'nowhere'"):
        found.narrowed({"nowhere": 8}, _even(found))
    with pytest.raises(SpaceError, match="must have more than 64 channels somewhere"):
        width_space("branching", found.groups, 64)
