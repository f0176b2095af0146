"""What every kind says that it computes, against a trace of the network that it builds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from test_blocks import EXAMPLES
from torch import nn

from hwnas import blocks, known, spaces
from hwnas.blocks import Conv, ConvPool, LateHead, MBConv, MBStage, ShuffleUnit, Skip
from hwnas.blocks._base import Base
from hwnas.errors import SpaceError
from hwnas.latency.features import FEATURES, features
from hwnas.search.objective import _CHANNEL_BYTES, WEIGHT_BYTES, sizes
from hwnas.space import OP_KINDS, Block, Op, Workload
from hwnas.testing.traced import operations

WORKLOADS = [
    *EXAMPLES,
    *(w for name in ("mnasnet", "proxylessnas") for w in spaces.load(name).workloads()[::29]),
    *(
        w
        for name in known.FAMILIES
        for w in known.load(name, resolution=32, num_classes=10).space.workloads()[::5]
    ),
]


@pytest.mark.parametrize("workload", WORKLOADS, ids=Workload.key)
def test_ops_are_those_of_the_traced_network(workload: Workload):
    """Every field of every operation, kind by kind: sums and counts follow."""
    is_whole = isinstance(workload.block, Conv | ConvPool)
    said, ran = workload.ops, operations(workload, is_whole=is_whole)
    assert Counter(op.kind for op in said) == Counter(op.kind for op in ran)
    assert sorted(said, key=str) == sorted(ran, key=str)
    assert workload.macs == sum(op.macs for op in ran)
    assert workload.block.params() == sum(op.params for op in ran)


def test_every_kind_and_every_kind_of_operation_is_compared():
    assert {type(w.block) for w in WORKLOADS} == set(blocks.KINDS.values())
    assert {op.kind for w in WORKLOADS for op in w.ops} == set(OP_KINDS)


@pytest.mark.parametrize("kind", blocks.KINDS.values(), ids=lambda k: k.kind)
def test_every_kind_says_its_own_operations(kind: type[Block]):
    assert kind.ops is not Block.ops
    assert kind.ops is not Base.ops
    assert not getattr(kind.ops, "__isabstractmethod__", False)


def test_a_kind_without_operations_cannot_exist():
    class Silent(Base):
        in_channels = 1

        def out_shape(self, in_shape):
            return in_shape

        def build(self):
            return nn.Identity()

    with pytest.raises(TypeError, match="ops"):
        Silent()

    class Foreign:
        kind, is_identity = "foreign", False
        out_shape = macs = params = key = build = lambda self: None

    assert not isinstance(Foreign(), Block)
    with pytest.raises(SpaceError, match="one of the kinds"):
        Op("magic", 1, 1, 1)


def test_blocks_of_the_wrong_input_have_no_operations():
    for workload in EXAMPLES:
        wrong = tuple((channels + 1, *size) for channels, *size in workload.in_shapes)
        with pytest.raises(SpaceError, match="in_channels"):
            workload.block.ops(wrong if len(wrong) > 1 else wrong[0])


def test_a_stage_counts_what_its_layers_count():
    """One stage of three layers was once a single operation of other multiply-adds."""
    stage = MBStage(16, 24, 3, 5, 2, 3.0, se_ratio=1 / 12)
    shape, total = (16, 14, 14), np.zeros(len(FEATURES))
    for layer in stage.blocks:
        total += features(Workload(layer, shape))
        shape = layer.out_shape(shape)
    found = dict(zip(FEATURES, features(Workload(stage, (16, 14, 14))), strict=True))
    assert list(found.values()) == total.tolist()
    squeeze = 48 * 4 + 2 * 72 * 6  # of the first layer, of the other two
    assert found["macs_other"] == 2 * squeeze
    assert found["ops"] == 3 * 3 + 3 * 4 + 2


def test_known_figures():
    unit = dict(zip(FEATURES, features(Workload(ShuffleUnit(8, 8), (8, 4, 4))), strict=True))
    assert unit["ops"] == 7  # two slices, three convolutions, a concatenation, a shuffle
    assert unit["shuffled"] == 8 * 16
    assert unit["macs_depthwise_3"] == 9 * 4 * 16
    assert unit["macs_pointwise"] == 2 * 4 * 4 * 16
    assert unit["macs_other"] == 0
    pooled = dict(zip(FEATURES, features(Workload(ConvPool(3, 8), (3, 16, 16))), strict=True))
    assert pooled["macs_other"] == 27 * 8 * 64
    assert pooled["read"] == 3 * 256 + 8 * 64
    assert pooled["written"] == 8 * 64 + 8 * 16
    late = dict(zip(FEATURES, features(Workload(LateHead(8, 24, 32, 10), (8, 4, 4))), strict=True))
    assert late["macs_pointwise"] == 8 * 24 * 16
    assert late["macs_other"] == 24 * 32 + 32 * 10
    assert late["ops"] == 4
    skip = Skip(8, 12, stride=2).ops((8, 7, 7))
    assert skip == (Op("pointwise", 8 * 12 * 16, 8 * 16, 12 * 16, 96, 12, 120, 1),)
    assert MBConv(8, 8).ops((8, 4, 4))[-1] == Op("add", 0, 256, 128)


@pytest.mark.parametrize("precision", WEIGHT_BYTES)
def test_bytes_are_those_of_the_weights_that_are_built(precision: str):
    rng = np.random.default_rng(0)
    for name in spaces.SPACES:
        arch = spaces.load(name).sample(rng)
        with torch.device("meta"):
            layers = [m for m in blocks.network(arch).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        expected = sum(
            m.weight.numel() * WEIGHT_BYTES[precision] + len(m.weight) * _CHANNEL_BYTES[precision]
            for m in layers
        )
        assert sizes(arch, precision)["bytes"] == expected
