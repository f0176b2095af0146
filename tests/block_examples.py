"""A small block of every kind, and more of some, each with a shape that it takes."""

from __future__ import annotations

from hwnas.blocks import (
    LRASPP,
    Conv,
    ConvPool,
    DenseHead,
    FPNSum,
    FusedMBConv,
    Head,
    LateHead,
    MBConv,
    MBStage,
    PooledContext,
    Pyramid,
    ShuffleUnit,
    Skip,
    UniversalInvertedBottleneck,
)

EXAMPLES = [
    (Conv(3, 16, kernel_size=3, stride=2), (3, 16, 16)),
    (MBConv(8, 8, kernel_size=3), (8, 14, 14)),
    (MBConv(8, 16, kernel_size=5, stride=2, expansion_ratio=3, activation="relu6"), (8, 9, 9)),
    (MBConv(8, 8, kernel_size=7, se_ratio=0.25, activation="hswish"), (8, 8, 8)),
    (MBConv(8, 16, expansion_ratio=1, groups=2, stride=2), (8, 8, 12)),
    (MBStage(8, 16, layers=2, kernel_size=5, stride=2), (8, 10, 10)),
    (FusedMBConv(8, 16, stride=2, padding="same"), (8, 10, 10)),
    (UniversalInvertedBottleneck(8, 8, 3, 5), (8, 9, 10)),
    (Skip(8, 12, stride=2), (8, 8, 8)),
    (Head(8, 32, 10), (8, 4, 4)),
    (ConvPool(3, 8), (3, 32, 32)),
    (ShuffleUnit(8, 8), (8, 7, 9)),
    (ShuffleUnit(6, 16, kernel_size=5, stride=2), (6, 9, 8)),
    (LateHead(8, 24, 32, 10), (8, 4, 4)),
    (LRASPP((8, 24), 16, 5, 2, 2), ((8, 8, 12), (24, 4, 6))),
    (FPNSum((8, 16, 24), 16, 3), ((8, 8, 12), (16, 4, 6), (24, 2, 3))),
    (PooledContext(24, 16, 3, 4), (24, 5, 4)),
    (Pyramid((8, 16, 24), 16, "bc1ad0bde1cf2"), ((8, 8, 12), (16, 4, 6), (24, 2, 3))),
    (DenseHead((8, 8), 16, 5), ((8, 8, 6), (8, 4, 3))),
]
