"""What fused and grouped blocks begin with of a block that has neither."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from hwnas.blocks import FusedMBConv, MBConv, inheriting, statistics
from hwnas.evaluators.supernet.distillation import channel_weights, error
from hwnas.export import random_module
from hwnas.space import Block

STRIDED = MBConv(16, 24, 3, 2, 6.0, activation="relu6", padding="same")
RESIDUAL = MBConv(16, 16, 5, 1, 6.0, activation="relu6")
IDS = MBConv.key


def learned_of(block: Block) -> nn.Module:
    return random_module([block], seed=0)[0].eval()


def fused(block: MBConv, hidden: int, kernel_size: int = 3) -> FusedMBConv:
    ratio = hidden / block.in_channels
    return FusedMBConv(
        block.in_channels, block.out_channels, kernel_size, block.stride, ratio, "relu6", block.padding
    )


def lost(module: nn.Module, learned: nn.Module) -> float:
    """Squared error over the variance, once statistics are those of the images: 1 for the mean answer."""
    torch.manual_seed(1)
    images, others = torch.randn(128, 16, 12, 12), torch.randn(64, 16, 12, 12)
    statistics.recalibrate(module, images.split(32))
    with torch.no_grad():
        wanted = learned(others)
        return float(error(module.eval()(others), wanted, channel_weights(wanted)))


def normed_as_on_noise(block: MBConv) -> nn.Module:
    learned = learned_of(block)
    torch.manual_seed(0)
    statistics.recalibrate(learned, torch.randn(128, 16, 12, 12).split(32))
    return learned


@pytest.mark.parametrize("block", [STRIDED, RESIDUAL], ids=IDS)
def test_a_fused_block_begins_much_nearer_than_a_fresh_one(block: MBConv):
    """Over four seeds of random weights: as wide 0.41 to 0.56, a third 0.57 to 0.84, fresh ones 1 to 2.3."""
    torch.manual_seed(0)
    learned, found = normed_as_on_noise(block), {}
    for hidden in (96, 64, 48, 32):
        candidate = fused(block, hidden)
        begun, fresh = candidate.build(), candidate.build()
        assert candidate.inherit(begun, block, learned)
        found[hidden] = lost(begun, learned)
        assert found[hidden] < 0.9
        assert found[hidden] < 0.7 * lost(fresh, learned)
    assert found[96] < 0.6
    assert sorted(found.values()) == list(found.values())


def test_without_an_activation_a_fused_block_does_the_same():
    block = MBConv(6, 9, 5, 2, 4.0, activation="none")
    learned = learned_of(block)
    first = inheriting.normed(learned)[0].norm
    with torch.no_grad():  # what is added before the kernel, its border of zeros has not
        first.bias.copy_(first.weight * first.running_mean / (first.running_var + first.eps).sqrt())
    same = FusedMBConv(6, 9, 5, 2, 4.0, activation="none")
    module = same.build().eval()
    assert same.inherit(module, block, learned)
    images = torch.randn(4, 6, 9, 9)
    torch.testing.assert_close(module(images), learned(images), rtol=1e-4, atol=1e-4)


def test_the_filters_of_a_fused_block_are_as_long_as_those_of_the_expansion():
    """Else it learns faster than all others by the square of what they are longer: 10 to 100 times."""
    learned, candidate = learned_of(STRIDED), fused(STRIDED, 48)
    module = candidate.build()
    assert candidate.inherit(module, STRIDED, learned)
    expand, depthwise, project = inheriting.normed(learned)
    kept = inheriting.most_important(depthwise, project, 48)
    lengths = [layer.conv.weight.flatten(1).norm(dim=1) for layer in (inheriting.normed(module)[0], expand)]
    torch.testing.assert_close(lengths[0], lengths[1][kept])


@pytest.mark.parametrize("left", [0.0, 1e-30])
def test_a_filter_that_computes_nothing_stays_as_it_is(left: float):
    learned, candidate = learned_of(STRIDED), fused(STRIDED, 96)
    with torch.no_grad():
        inheriting.normed(learned)[1].conv.weight[3] = left
    module = candidate.build()
    assert candidate.inherit(module, STRIDED, learned)
    assert all(value.isfinite().all() for value in module.state_dict().values())
    assert inheriting.normed(module)[0].conv.weight[3].abs().max() <= left * 10


def test_a_fused_block_takes_the_main_channels_and_the_middle_of_a_wider_one():
    wide, narrow = FusedMBConv(6, 9, 5, 1, 4.0), FusedMBConv(6, 9, 3, 1, 2.0)
    learned, module = learned_of(wide), narrow.build()
    with torch.no_grad():
        kept = torch.arange(24) % 2 == 1
        inheriting.normed(learned)[0].norm.weight[~kept] = 0.0
    assert narrow.inherit(module, wide, learned)
    (first, last), (wider, after) = inheriting.normed(module), inheriting.normed(learned)
    assert torch.equal(first.conv.weight, wider.conv.weight[kept][:, :, 1:4, 1:4])
    assert torch.equal(first.norm.bias, wider.norm.bias[kept])
    assert torch.equal(last.conv.weight, after.conv.weight[:, kept])
    assert not wide.inherit(learned, narrow, module)


@pytest.mark.parametrize(
    "other",
    [
        MBConv(16, 24, 3, 2, 2.0),
        MBConv(16, 24, 1, 2, 6.0),
        MBConv(16, 24, 3, 1, 6.0),
        MBConv(16, 24, 3, 2, 6.0, groups=2),
        MBConv(16, 24, 3, 2, 6.0, se_ratio=0.25),
        MBConv(16, 24, 3, 2, 1.0, has_expansion=False),
    ],
    ids=IDS,
)
def test_a_fused_block_takes_nothing_of_what_does_not_hold_it(other: MBConv):
    hidden = min(48, other.hidden_channels if not other.has_expansion else 48)
    candidate = fused(STRIDED, hidden)
    module = candidate.build()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert not candidate.inherit(module, other, learned_of(other))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def as_one_group(block: MBConv, learned: nn.Module, order: torch.Tensor) -> tuple[MBConv, nn.Module]:
    """The same function without groups, its hidden channels in another order than behind the shuffle."""
    plain = dataclasses.replace(block, groups=1)
    module = plain.build().eval()
    own, theirs = inheriting.normed(module), inheriting.normed(learned)
    count, groups = block.hidden_channels, block.groups
    places = torch.arange(count).reshape(groups, -1).T.flatten()  # of what is made, behind the shuffle
    with torch.no_grad():
        made, read = (dense(theirs[n].conv) for n in (0, -1))
        own[0].conv.weight.copy_(made[places][order])
        own[-1].conv.weight.copy_(read[:, order])
        own[1].conv.weight.copy_(theirs[1].conv.weight[order])
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(own[0].norm, name).copy_(getattr(theirs[0].norm, name)[places][order])
            getattr(own[1].norm, name).copy_(getattr(theirs[1].norm, name)[order])
            getattr(own[-1].norm, name).copy_(getattr(theirs[-1].norm, name))
        if block.se_channels:
            for layer, other in zip(own[2:4], theirs[2:4], strict=True):
                layer.conv.bias.copy_(other.conv.bias if layer is own[2] else other.conv.bias[order])
                weight = other.conv.weight
                layer.conv.weight.copy_(weight[:, order] if layer is own[2] else weight[order])
    return plain, module


def dense(conv: nn.Conv2d) -> torch.Tensor:
    """The weights of a grouped 1x1 convolution, with zeros between groups."""
    parts = conv.weight.flatten(1).chunk(conv.groups)
    return torch.block_diag(*parts)[:, :, None, None]


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
def test_what_was_grouped_in_secret_is_found_and_stays_the_same(groups: int, se_ratio: float):
    """Every kernel, norm and column goes with its channel, whatever the order was."""
    torch.manual_seed(0)
    block = MBConv(12, 18, 5, 1, 3.0, groups=groups, se_ratio=se_ratio)  # 36 channels; 18, 12 a group
    learned = learned_of(block)
    plain, other = as_one_group(block, learned, torch.randperm(36))
    images = torch.randn(4, 12, 7, 7)
    torch.testing.assert_close(other(images), learned(images), rtol=1e-4, atol=1e-4)
    module = block.build().eval()
    assert block.inherit(module, plain, other)
    torch.testing.assert_close(module(images), learned(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hidden", [20, 22])
def test_each_place_gets_one_channel_of_its_groups(hidden: int):
    """Also where groups of outputs do not divide evenly into groups of inputs."""
    before, after = nn.Conv2d(4, hidden, 1), nn.Conv2d(hidden, 6, 1)
    found = inheriting.dealt(inheriting.Normed(before, None), inheriting.Normed(after, None), 2)
    assert sorted(found.tolist()) == list(range(hidden))
    made = inheriting.before_shuffle(found, 2)
    from hwnas.blocks.layers import ChannelShuffle

    assert ChannelShuffle(2)(made.float().reshape(1, -1, 1, 1)).flatten().tolist() == found.tolist()


@pytest.mark.parametrize("block", [STRIDED, RESIDUAL], ids=IDS)
def test_a_grouped_block_begins_nearer_than_a_fresh_one_and_than_in_order(block: MBConv, monkeypatch):
    """Over four seeds it lost 0.39 to 0.96 of random weights, which know no groups; fresh ones 1 to 2.3."""
    torch.manual_seed(0)
    grouped, learned = dataclasses.replace(block, groups=2), normed_as_on_noise(block)
    begun, in_order, fresh = (grouped.build() for _ in range(3))
    assert grouped.inherit(begun, block, learned)
    monkeypatch.setattr(inheriting, "dealt", lambda before, *_: torch.arange(before.conv.out_channels))
    assert grouped.inherit(in_order, block, learned)
    found, control = lost(begun, learned), lost(in_order, learned)
    assert found < 1.0
    assert found < 0.9 * control
    assert found < 0.5 * lost(fresh, learned)


def test_a_grouped_block_keeps_all_hidden_channels_or_takes_nothing():
    block = MBConv(8, 8, 3, 1, 6.0)
    learned = learned_of(block)
    for other in (MBConv(8, 8, 3, 1, 3.0, groups=2), MBConv(8, 8, 5, 1, 6.0, groups=2)):
        assert not other.inherit(other.build(), block, learned)
    grouped = dataclasses.replace(block, groups=2)
    assert not block.inherit(block.build(), grouped, learned_of(grouped))
    assert not dataclasses.replace(block, groups=4).inherit(
        dataclasses.replace(block, groups=4).build(), grouped, learned_of(grouped)
    )


@pytest.mark.parametrize(
    ("block", "other"),
    [
        (MBConv(16, 16, 3, 1, 2.0), RESIDUAL),
        (MBConv(16, 16, 3, 1, 6.0, groups=2), RESIDUAL),
        (fused(STRIDED, 48), STRIDED),
        (MBConv(16, 16, 3, 1, 3.0, se_ratio=0.25), MBConv(16, 16, 3, 1, 6.0, se_ratio=0.25)),
    ],
    ids=["narrower", "grouped", "fused", "squeezed"],
)
def test_all_of_it_stays_on_the_device_of_the_weights(block: MBConv | FusedMBConv, other: MBConv):
    """As on a GPU: an operation on tensors of two devices is an error."""
    with torch.device("meta"):
        module, learned = block.build(), other.build()
    assert block.inherit(module, other, learned)
