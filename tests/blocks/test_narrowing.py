"""A narrower network is cut out of a wider one: exactly where the rest does nothing, else by importance."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnas import blocks, known
from hwnas.blocks import Conv, ConvPool, Head, MBConv, ShuffleUnit, UniversalInvertedBottleneck, narrowing
from hwnas.errors import SpaceError

FAMILIES = [name for name, family in known.FAMILIES.items() if family.widths is None]


def learned(row, seed=0):
    """Modules whose every number is drawn."""
    module, draw = blocks.build(row).eval(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=draw) * 0.5 + 0.1)
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.copy_(
                    torch.randn(part.weight.shape, generator=draw) / part.weight[0].numel() ** 0.5
                )
    return module


def embedded(row, narrow):
    """Modules of wider blocks that compute what narrower ones do: all other channels, the first, are zero."""
    module = blocks.build(row).eval()
    given = narrow.state_dict()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                own = given[name]
                tensor.zero_()
                tensor[tuple(slice(w - n, None) for w, n in zip(tensor.shape, own.shape, strict=True))] = own
    return module


def plain(module):
    return {name: t for name, t in module.state_dict().items() if not name.endswith("num_batches_tracked")}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_where_all_other_channels_do_nothing_it_computes_the_same(family):
    wide, narrow = (
        known.load(known.short_name(family, width), resolution=32, num_classes=7, strides="imagenet")
        for width in (1.0, 0.6)
    )
    own = learned(narrow.blocks)
    whole = embedded(wide.blocks, own)
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    cut = narrowing.narrowed(wide.blocks, whole, narrow.blocks).eval()
    for name, tensor in plain(own).items():
        assert torch.equal(plain(cut)[name], tensor), name
    assert all(torch.equal(before[name], tensor) for name, tensor in whole.state_dict().items())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = whole(images)
        assert float(wanted.std()) > 0
        torch.testing.assert_close(cut(images), wanted)


def test_a_chain_keeps_the_channels_that_any_of_its_blocks_needs():
    """Of four channels that three blocks share, each is made or read strongly by one of them."""
    row = [Conv(3, 4), MBConv(4, 4, expansion_ratio=2), MBConv(4, 4, expansion_ratio=2), Head(4, 8, 2)]
    to = [Conv(3, 2), MBConv(2, 2, expansion_ratio=4), MBConv(2, 2, expansion_ratio=4), Head(2, 8, 2)]
    module = learned(row)
    with torch.no_grad():
        for norm in (module[0][1], module[1].body[-1], module[2].body[-1]):
            norm.weight.fill_(0.1)
        module[1].body[-1].weight[3] = 2.0
        module[3][0].weight[:, 1] *= 40
        cut = narrowing.narrowed(row, module, to)
    assert torch.equal(cut[0][0].weight, module[0][0].weight[[1, 3]])
    assert torch.equal(cut[2].body[0].weight, module[2].body[0].weight[:, [1, 3]])
    assert torch.equal(cut[2].body[-2].weight, module[2].body[-2].weight[[1, 3]])
    assert torch.equal(cut[3][0].weight, module[3][0].weight[:, [1, 3]])
    assert torch.equal(cut[3][-1].weight, module[3][-1].weight)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (ShuffleUnit(16, 16), ShuffleUnit(8, 8)),
        (ConvPool(16, 16), ConvPool(8, 8)),
        (MBConv(16, 24, groups=2), MBConv(8, 16, groups=2)),
        (MBConv(16, 24), MBConv(8, 8)),  # a residual that was not there
        (MBConv(16, 24, 5), MBConv(8, 16, 3)),
        (MBConv(16, 24), MBConv(8, 16, se_ratio=0.25)),
        (MBConv(16, 24, activation="hswish"), MBConv(8, 16)),
        (Conv(16, 24, stride=2), Conv(8, 16)),
        (Conv(16, 24), MBConv(8, 16)),
        (Conv(16, 24), Conv(8, 32)),
        (UniversalInvertedBottleneck(16, 24), UniversalInvertedBottleneck(8, 16, 3)),
    ],
    ids=lambda block: block.key(),
)
def test_what_cannot_be_cut_is_one_sentence(wide, narrow):
    row, to = ([Conv(3, block.in_channels), block] for block in (wide, narrow))
    with pytest.raises(SpaceError, match="which keep their form, to be cut") as refused:
        narrowing.narrowed(row, blocks.build(row), to)
    assert f"{narrow.key()} cannot be cut out of {wide.key()}" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(SpaceError, match="as many blocks, but got 1 instead of 2"):
        narrowing.narrowed(row, blocks.build(row), to[:1])


def test_all_channels_stay_where_none_is_too_many():
    network = known.load("mobilenetv3-small", resolution=32, num_classes=3, strides="imagenet")
    module = learned(network.blocks)
    cut = narrowing.narrowed(network.blocks, module, network.blocks)
    assert all(torch.equal(plain(cut)[name], tensor) for name, tensor in plain(module).items())
