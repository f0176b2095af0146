"""Blocks that imported networks are made of, in every format: each beside a convolution before it."""

from __future__ import annotations

import importlib.util

import pytest
from torch import nn

from hwnas import runtimes
from hwnas.blocks import (
    ChannelPart,
    Finer,
    GlobalPool,
    Join,
    MaxPool,
    PlainConv,
    PooledHead,
    ResidualBlock,
    Sum,
    TensorProduct,
)
from hwnas.errors import ExportError
from hwnas.export import lower, random_calibration, random_module
from hwnas.space import IMAGE, Block

FIRST = PlainConv(3, 8, activation="relu", is_normed=False)
GATE = PlainConv(8, 8, (1, 1), border=(0, 0, 0, 0), activation="sigmoid", is_normed=False)
ROWS: list[tuple[Block, ...]] = [
    (ResidualBlock(8, 16, 3, 2, 8, 2), ResidualBlock(16, 16, activation="relu6"), PooledHead(16, 0, 5)),
    (PlainConv(8, 12, (2, 3), (2, 1), (0, 1, 1, 2), 4, "silu"), PooledHead(12, 16, 5, "hswish")),
    (PlainConv(8, 8, (1, 1), (2, 2), (0, 0, 0, 0), activation="sigmoid"), GlobalPool(8)),
    (PlainConv(8, 8, groups=8, activation="hsigmoid"), GlobalPool(8, True)),
    (
        PlainConv(8, 8, (3, 3), (1, 1), (2, 2, 2, 2), 8, dilation=(2, 2)),
        PlainConv(8, 8, (3, 3), (2, 1), (2, 1, 0, 0), dilation=(2, 1)),
    ),
    (MaxPool(8), MaxPool(8, 3, 1, 1), MaxPool(8, is_ceiling=True), Finer(8, 2)),
    (ChannelPart(8, 2, 6), PlainConv(4, 4, activation="none")),
]
WIRED = [
    ((FIRST, FIRST, Sum((8, 8), "relu")), ((IMAGE,), (IMAGE,), (0, 1))),
    ((FIRST, GlobalPool(8), GATE, TensorProduct((8, 8), True, "silu")), ((IMAGE,), (0,), (1,), (0, 2))),
    ((FIRST, GATE, TensorProduct((8, 8), False)), ((IMAGE,), (0,), (0, 1))),
    ((FIRST, GATE, Join((8, 8, 8), "relu6")), ((IMAGE,), (0,), (0, 1, 0))),
]
NETWORKS = [((FIRST, *row), ()) for row in ROWS] + WIRED


def _has_executorch() -> bool:
    """Its packages, and not the folder of its agent, which is called alike."""
    try:
        return importlib.util.find_spec("executorch.exir") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(("parts", "reads"), NETWORKS, ids=lambda each: None)
def test_every_runtime_computes_them_as_pytorch_does(parts, reads) -> None:
    module, images = random_module(parts, 0, reads), random_calibration((3, 16, 12), 8, 1)
    has_executorch = _has_executorch()
    for runtime in runtimes.exporting():
        if runtime.name != "executorch" or has_executorch:
            for precision in runtime.files:
                lower(module, (3, 16, 12), runtime.name, precision, calibration=images)


def test_pooling_that_zeros_would_change_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.MaxPool2d(3, 2, 1))
    lower(module, (3, 9, 9), "litert", "fp32")  # as TensorFlow pads: nothing is written
    with pytest.raises(ExportError, match="does not follow a ReLU"):
        lower(module, (3, 8, 8), "litert", "fp32")
