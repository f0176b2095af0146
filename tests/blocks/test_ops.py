"""What every kind says that it computes, against a trace of the network that it builds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_blocks import EXAMPLES
from torch import fx, nn

from hwnas import blocks, known, spaces
from hwnas.blocks import Conv, ConvPool, LateHead, MBConv, MBStage, ShuffleUnit, Skip
from hwnas.blocks._base import Base
from hwnas.blocks.layers import LEAVES, ChannelShuffle, ChannelSlice, SqueezeExcite, StridedPointwise
from hwnas.errors import SpaceError
from hwnas.latency.features import FEATURES, features
from hwnas.search.objective import _CHANNEL_BYTES, WEIGHT_BYTES, sizes
from hwnas.space import OP_KINDS, Block, Op, Workload

WORKLOADS = [
    *EXAMPLES,
    *(w for name in ("mnasnet", "proxylessnas") for w in spaces.load(name).workloads()[::29]),
    *(
        w
        for name in known.FAMILIES
        for w in known.load(name, resolution=32, num_classes=10).space.workloads()[::5]
    ),
]


class Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


class Traced(fx.Interpreter):
    """Runs a trace, and notes every operation with what it read and wrote for one image."""

    def __init__(self, module: nn.Module, whole: bool) -> None:
        root = nn.Sequential(module)
        super().__init__(fx.GraphModule(root, Tracer().trace(root)))
        self.excites = [n for n, m in root.named_modules() if isinstance(m, SqueezeExcite)]
        self.found: list[Op] = []
        self.whole = whole  # whether a strided 1x1 convolution counts pixels that it does not use

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        if n.op == "call_module":
            self._module(
                str(n.target),
                self.fetch_attr(str(n.target)),
                self.fetch_args_kwargs_from_env(n)[0][0],
                result,
            )
        elif n.op == "call_function":
            args, _ = self.fetch_args_kwargs_from_env(n)
            parts = args[0] if isinstance(args[0], tuple | list) else args
            kind = {"add": "add", "mul": "scale", "cat": "concat"}[n.target.__name__.strip("_")]
            self.found.append(Op(kind, 0, sum(p[0].numel() for p in parts), result[0].numel()))
        return result

    def _module(self, name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        read, written = x[0].numel(), y[0].numel()
        if isinstance(layer, nn.BatchNorm2d):
            last = self.found[-1]
            self.found[-1] = replace(last, params=last.params + 2 * layer.num_features)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            if isinstance(layer, StridedPointwise) and not self.whole:
                read = layer.picked(x)[0].numel()
            pixels = y[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
            params = sum(p.numel() for p in layer.parameters())
            kernel = layer.kernel_size[0] if isinstance(layer, nn.Conv2d) else 1
            weights = layer.weight.numel()
            self.found.append(
                Op(
                    self._kind(name, layer),
                    weights * pixels,
                    read,
                    written,
                    weights,
                    len(layer.weight),
                    params,
                    kernel,
                )
            )
        elif (kind := _MOVING.get(type(layer))) is not None:
            self.found.append(Op(kind, 0, written if kind == "slice" else read, written))
        else:
            assert isinstance(layer, _SILENT), layer

    def _kind(self, name: str, layer: nn.Module) -> str:
        if isinstance(layer, nn.Linear) or any(name.startswith(f"{e}.") for e in self.excites):
            return "linear"
        if layer.groups == layer.in_channels == layer.out_channels and layer.groups > 1:
            return "depthwise"
        if layer.kernel_size == (1, 1):
            return "pointwise" if layer.groups == 1 else "grouped"
        return "conv"


_MOVING = {
    ChannelShuffle: "shuffle",
    ChannelSlice: "slice",
    nn.AdaptiveAvgPool2d: "pool",
    nn.MaxPool2d: "max_pool",
}
_SILENT = nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Flatten, nn.Identity


def traced(workload: Workload) -> list[Op]:
    walk = Traced(workload.block.build().eval(), whole=isinstance(workload.block, Conv | ConvPool))
    with torch.no_grad():
        walk.run(torch.randn(1, *workload.in_shape))
    return walk.found


@pytest.mark.parametrize("workload", WORKLOADS, ids=Workload.key)
def test_ops_are_those_of_the_traced_network(workload: Workload):
    """Every field of every operation, kind by kind: sums and counts follow."""
    said, ran = workload.ops, traced(workload)
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
        channels, height, width = workload.in_shape
        with pytest.raises(SpaceError, match="in_channels"):
            workload.block.ops((channels + 1, height, width))


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
            layers = [m for m in blocks.build(arch.blocks).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        expected = sum(
            m.weight.numel() * WEIGHT_BYTES[precision] + len(m.weight) * _CHANNEL_BYTES[precision]
            for m in layers
        )
        assert sizes(arch, precision)["bytes"] == expected
