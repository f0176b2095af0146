"""Every block kind keeps the contract of ``hwnas.space.Block``, and known answers hold."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnas import blocks, spaces, testing
from hwnas.blocks import (
    LRASPP,
    AveragePool,
    ChannelPart,
    Conv,
    ConvPool,
    DenseHead,
    Fallback,
    Finer,
    FPNSum,
    FusedMBConv,
    GlobalPool,
    Head,
    Join,
    LateHead,
    MaxPool,
    MBConv,
    MBStage,
    PlainConv,
    PooledContext,
    PooledHead,
    Pyramid,
    RandomGraph,
    ResidualBlock,
    SeparableConv,
    ShuffleUnit,
    Skip,
    Sum,
    Switch,
    TensorProduct,
    UniversalInvertedBottleneck,
    Zero,
)
from hwnas.errors import SpaceError
from hwnas.space import Block, Workload

EXAMPLES = [
    Workload(Conv(3, 16, kernel_size=3, stride=2), (3, 15, 15)),
    Workload(Conv(8, 4, kernel_size=1, activation="none"), (8, 6, 10)),
    Workload(Conv(3, 8, 5, 2, padding="same"), (3, 12, 15)),
    Workload(Conv(8, 8, 3, 2, groups=8, padding="same"), (8, 10, 10)),
    Workload(Conv(8, 8, 5, activation="relu6", groups=8), (8, 7, 7)),
    Workload(ConvPool(3, 8), (3, 32, 32)),
    Workload(ConvPool(3, 8, stride=1, activation="relu6"), (3, 15, 13)),
    Workload(ShuffleUnit(8, 8), (8, 7, 9)),
    Workload(ShuffleUnit(6, 16, kernel_size=5, stride=2), (6, 9, 8)),
    Workload(LateHead(8, 24, 32, 10), (8, 4, 4)),
    Workload(LateHead(8, 24, 32, 10, "relu", is_normed=True), (8, 4, 4)),
    *(
        Workload(UniversalInvertedBottleneck(8, 8, start, middle), (8, 9, 10))
        for start in (0, 3)
        for middle in (0, 5)
    ),
    Workload(UniversalInvertedBottleneck(8, 16, 3, 5, 2, 3, "relu6"), (8, 9, 10)),
    Workload(UniversalInvertedBottleneck(8, 16, 5, 3, 2, 3, padding="same"), (8, 10, 9)),
    Workload(UniversalInvertedBottleneck(8, 16, 3, 0, 2), (8, 9, 10)),
    Workload(Skip(8, 8), (8, 7, 7)),
    Workload(Skip(8, 12, stride=2), (8, 7, 7)),
    Workload(Head(8, 32, 10), (8, 4, 4)),
    Workload(Head(8, 32, 10, activation="hswish"), (8, 1, 1)),
    Workload(MBConv(8, 8, kernel_size=3), (8, 14, 14)),
    Workload(MBConv(8, 8, expansion_ratio=1, has_expansion=False), (8, 14, 14)),
    Workload(MBConv(8, 16, kernel_size=5, stride=2, expansion_ratio=3, activation="relu6"), (8, 9, 9)),
    Workload(MBConv(8, 8, kernel_size=7, se_ratio=0.25, activation="hswish"), (8, 7, 7)),
    Workload(MBConv(8, 16, expansion_ratio=1, groups=2, stride=2), (8, 8, 12)),
    Workload(MBConv(24, 24, expansion_ratio=11 / 3), (24, 5, 5)),
    Workload(MBConv(8, 16, kernel_size=5, stride=2, expansion_ratio=3, padding="same"), (8, 10, 9)),
    Workload(FusedMBConv(8, 8), (8, 9, 10)),
    Workload(FusedMBConv(8, 16, 5, 2, 3, "relu6"), (8, 9, 9)),
    Workload(FusedMBConv(8, 16, 3, 2, 2, padding="same"), (8, 10, 9)),
    Workload(FusedMBConv(8, 12, 1, 2, 2), (8, 9, 10)),
    Workload(MBStage(8, 16, layers=3, kernel_size=5, stride=2, se_ratio=1 / 24), (8, 9, 9)),
    Workload(MBStage(8, 8, expansion_ratio=1, has_expansion=False), (8, 6, 6)),
    Workload(LRASPP((8, 24), 16, 5, 2), ((8, 8, 12), (24, 4, 6))),
    Workload(LRASPP((8, 24), 16, 2, 4, 2, "relu"), ((8, 8, 8), (24, 2, 2))),
    Workload(FPNSum((8, 16, 24), 16, 3), ((8, 8, 12), (16, 4, 6), (24, 2, 3))),
    Workload(FPNSum((8, 16), 8, 1, 3, "relu"), ((8, 6, 6), (16, 3, 3))),
    Workload(PooledContext(24, 16, 3), (24, 5, 4)),
    Workload(PooledContext(24, 16, 3, 4, "relu"), (24, 3, 4)),
    Workload(Pyramid((8, 16, 24), 16, "none"), ((8, 8, 12), (16, 4, 6), (24, 2, 3))),
    Workload(Pyramid((8, 16, 24), 8, "bc1ad0bde1cf2"), ((8, 8, 8), (16, 4, 4), (24, 2, 2))),
    Workload(Pyramid((8, 16, 24), 8, "ac0cd2", 5, "relu"), ((8, 8, 8), (16, 4, 4), (24, 2, 2))),
    Workload(DenseHead((8, 8), 16, 5), ((8, 8, 6), (8, 4, 3))),
    Workload(DenseHead((8, 16), 8, 1, 1, 8, 3), ((8, 4, 4), (16, 2, 2))),
    Workload(ResidualBlock(8, 8), (8, 9, 8)),
    Workload(ResidualBlock(8, 16, 3, 2, 8, 2, "relu6"), (8, 9, 8)),
    Workload(ResidualBlock(8, 16, hidden_channels=4, groups=4), (8, 6, 6)),
    Workload(PlainConv(8, 12, (2, 3), (2, 1), (0, 1, 1, 2), 4, "silu", False), (8, 7, 6)),
    Workload(PlainConv(8, 8, (1, 1), (2, 2), (0, 0, 0, 0), 1, "sigmoid"), (8, 7, 6)),
    Workload(PlainConv(8, 8, groups=8, activation="hsigmoid"), (8, 7, 6)),
    Workload(PlainConv(8, 8, (3, 3), (1, 1), (2, 2, 0, 0), dilation=(2, 1)), (8, 7, 6)),
    Workload(Sum((8, 8), "relu"), ((8, 5, 6), (8, 5, 6))),
    Workload(TensorProduct((8, 8), True, "silu"), ((8, 5, 6), (8, 1, 1))),
    Workload(TensorProduct((8, 8), False, "none"), ((8, 5, 6), (8, 5, 6))),
    Workload(Join((8, 4, 2), "relu6"), ((8, 5, 6), (4, 5, 6), (2, 5, 6))),
    Workload(GlobalPool(8), (8, 5, 6)),
    Workload(GlobalPool(8, True), (8, 5, 6)),
    Workload(AveragePool(8), (8, 5, 6)),
    Workload(RandomGraph(6, 8, 2, 6, seed=1), (6, 8, 6)),
    Workload(RandomGraph(8, 8, 1, 7, "er", 0, 0.3), (8, 5, 6)),
    Workload(RandomGraph(8, 8, 1, 7, "ba", 2, 0.0, 3), (8, 5, 6)),
    Workload(SeparableConv(8, 12, 5, 2), (8, 8, 7)),
    Workload(SeparableConv(8, 8, 3, layers=1, dilation=2), (8, 7, 6)),
    Workload(SeparableConv(8, 8, 5, 2, layers=1, dilation=2), (8, 8, 8)),
    Workload(AveragePool(8, 5, 2), (8, 7, 6)),
    Workload(Zero(8, 12, 2), (8, 5, 6)),
    Workload(Fallback((8, 8)), ((8, 5, 6), (8, 5, 6))),
    Workload(MaxPool(8), (8, 9, 7)),
    Workload(MaxPool(8, is_ceiling=True), (8, 8, 8)),
    Workload(MaxPool(8, 3, 1, 1), (8, 5, 6)),
    Workload(ChannelPart(8, 2, 6), (8, 5, 6)),
    Workload(Finer(8, 2), (8, 3, 4)),
    Workload(PooledHead(8, 0, 5), (8, 4, 4)),
    Workload(PooledHead(8, 16, 5, "hswish"), (8, 4, 4)),
    *spaces.load("fbnet", resolution=32, num_classes=10, strides="cifar").workloads()[::7],
    *spaces.load("macro").workloads()[::3],
    Workload(Switch(8, "int8", "16x8"), (8, 5, 6)),
]


def test_every_kind_has_an_example():
    assert {type(w.block) for w in EXAMPLES} == set(blocks.KINDS.values())


@pytest.mark.parametrize("workload", EXAMPLES, ids=Workload.key)
def test_contract(workload: Workload):
    testing.check_block(workload.block, workload.in_shape, is_exported=False)
    wrong = tuple((channels + 1, *size) for channels, *size in workload.in_shapes)
    with pytest.raises(SpaceError, match="in_channels"):
        workload.block.out_shape(wrong if len(wrong) > 1 else wrong[0])


def test_keys_that_were_written_before_there_was_a_padding_are_the_same_blocks():
    assert blocks.parse("conv_i3_o16_k3_s2_arelu") == Conv(3, 16, 3, 2)
    old = "mbconv_i8_o16_k5_s2_e3_g1_se0_arelu_x1"
    assert blocks.parse(old).key() == MBConv(8, 16, 5, 2, 3).key() == old


@pytest.mark.parametrize(
    "key",
    [
        "conv_i3_o16_k3_s2_arelu_phalf",  # the usual is not said
        "conv_i3_o16_k3_s1_arelu_psame",  # no difference at stride 1
        "conv_i8_o8_k3_s2_arelu_psame_g8",  # out of order
        "conv_i3_o16_k3_s2_arelu_pother",
        "conv_i8_o8_k3_s2_arelu_g4",
        "conv_i3_o16_k3_s2_arelu_psame_psame",
        "conv_i3_o16_k3_s2",
    ],
)
def test_a_key_that_is_not_canonical_is_refused(key):
    with pytest.raises(SpaceError):
        blocks.parse(key)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("side", [7, 8, 65, 96])
def test_same_padding_is_half_padding_of_the_turned_problem(kernel, side):
    """At stride 2 an odd row of zeros is after, not before: turned by 180 degrees the two agree."""
    same, half = (Conv(4, 4, kernel, 2, "none", 4, padding).build().eval() for padding in ("same", "half"))
    half.load_state_dict(same.state_dict())
    half[0].weight.data = same[0].weight.flip(2, 3)
    images = torch.randn(2, 4, side, side)
    turned = half(images.flip(2, 3)).flip(2, 3)
    torch.testing.assert_close(same(images), turned)
    apart = (same(images) - Conv(4, 4, kernel, 2, "none", 4).build().eval()(images)).abs().max()
    assert apart > 0.01


def test_mobilenet_v2_is_the_published_one():
    """3,504,872 parameters and about 300 M MACs at 224x224 (arXiv:1801.04381)."""
    body: list[Block] = [Conv(3, 32, stride=2, activation="relu6")]
    channels, shape = 32, (3, 224, 224)
    for ratio, width, depth, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
        (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for layer in range(depth):
            body.append(
                MBConv(
                    channels, width, 3, stride if layer == 0 else 1, ratio,
                    activation="relu6", has_expansion=ratio != 1,
                )
            )  # fmt: skip
            channels = width
    body.append(Head(320, 1280, 1000, activation="relu6"))
    macs = 0
    for block in body:
        macs += block.macs(shape)
        shape = block.out_shape(shape)
    assert sum(b.params() for b in body) == 3_504_872
    assert macs == pytest.approx(300e6, rel=0.01)
    assert shape == (1000, 1, 1)


def test_channel_shuffle_mixes_the_groups():
    from hwnas.blocks.layers import ChannelShuffle

    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelShuffle(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_half_of_a_shuffle_unit_is_its_input():
    """Left is as it was, right is new, and the two are interleaved."""
    unit = ShuffleUnit(8, 8).build().eval()
    for p in unit.parameters():
        nn.init.zeros_(p)
    x = torch.randn(1, 8, 5, 5)
    out = unit(x)
    assert torch.equal(out[:, ::2], x[:, :4])
    assert not out[:, 1::2].any()


def test_residual_only_where_the_shape_stays():
    x = torch.randn(1, 8, 6, 6)
    kept = MBConv(8, 8).build().eval()
    for p in kept.parameters():
        nn.init.zeros_(p)
    assert torch.equal(kept(x), x)
    changed = MBConv(8, 8, stride=2).build().eval()
    for p in changed.parameters():
        nn.init.zeros_(p)
    assert not changed(x).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv(0, 8),
        lambda: Conv(3, 8, kernel_size=2),
        lambda: Conv(3, 8, activation="gelu"),
        lambda: MBConv(8, 8, kernel_size=4),
        lambda: MBConv(8, 8, expansion_ratio=0),
        lambda: MBConv(8, 8, groups=3),
        lambda: MBConv(8, 8, se_ratio=2),
        lambda: MBConv(8, 8, expansion_ratio=6, has_expansion=False),
        lambda: MBConv(8, 8, expansion_ratio=1, groups=2, has_expansion=False),
        lambda: Skip(8, 8, stride=0),
        lambda: Head(8, 0, 10),
        lambda: LateHead(8, 8, 0, 10),
        lambda: LateHead(8, 8, 8, 10, "hswish", is_normed=True),
        lambda: ConvPool(3, 8, activation="hswish"),
        lambda: ConvPool(3, 8, kernel_size=4),
        lambda: UniversalInvertedBottleneck(8, 8, 4),
        lambda: UniversalInvertedBottleneck(8, 8, 1),
        lambda: UniversalInvertedBottleneck(8, 16, 0, 0, 2),
        lambda: UniversalInvertedBottleneck(8, 8, expansion_ratio=0),
        lambda: UniversalInvertedBottleneck(8, 8, activation="gelu"),
        lambda: FusedMBConv(8, 0),
        lambda: FusedMBConv(8, 8, 4),
        lambda: FusedMBConv(8, 8, stride=0),
        lambda: FusedMBConv(8, 8, expansion_ratio=0),
        lambda: FusedMBConv(8, 8, expansion_ratio=0.01),
        lambda: FusedMBConv(8, 8, activation="gelu"),
        lambda: FusedMBConv(8, 8, padding="valid"),
        lambda: ShuffleUnit(8, 16),
        lambda: ShuffleUnit(8, 9, stride=2),
    ],
)
def test_impossible_blocks_are_refused(make):
    with pytest.raises(SpaceError, match="but got"):
        make()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "pool_k3",
        "conv_i3",
        "conv_i3_o8_k3_s1_arelu_x",
        "conv_i3_o8_k3_s1_a__import__",
        "conv_ix_o8_k3_s1_arelu",
        "conv_i03_o8_k3_s1_arelu",
        "conv_i3.0_o8_k3_s1_arelu",
        "mbconv_i8_o8_k3_s1_e6.0_g1_se0_arelu_x1",
        "mbconv_i8_o8_k3_s1_einf_g1_se0_arelu_x1",
        "mbconv_i8_o8_k3_s1_e1e9_g1_se0_arelu_x1",
        "mbconv_i8_o8_k3_s1_e6_g1_se0_arelu_x2",
    ],
)
def test_keys_that_are_not_canonical_are_refused(key):
    with pytest.raises(SpaceError):
        blocks.parse(key)
