"""What a block does to hardware: work and traffic by kind of operation.

Features are per image and per block, independent of any device, and counted in elements; the
size of an element is a constant of the precision. A latency is near a sum of features with
positive factors (a roofline without overlap), which is why they make a good prior.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.latency.base import FloatArray
from hwnas.space import Shape, Workload

FEATURES = (
    "macs_pointwise",
    "macs_grouped",
    "macs_depthwise_3",
    "macs_depthwise_5",
    "macs_depthwise_other",
    "macs_other",
    "read",
    "written",
    "weights",
    "ops",
    "shuffled",
)
"""Multiply-adds by kind of operation; elements read, written, of weights; operations; elements
whose channels are shuffled."""


@dataclass(frozen=True)
class Op:
    """One operation of a lowered block.

    Attributes:
        kind: "conv", "pointwise", "grouped", "depthwise", "linear", "shuffle", "add", "pool", "scale".
        macs: Multiply-adds.
        read: Elements read, without weights.
        written: Elements written.
        weights: Elements of weights.
        kernel_size: Of a depthwise convolution.
    """

    kind: str
    macs: int
    read: int
    written: int
    weights: int = 0
    kernel_size: int = 1


def ops(workload: Workload) -> tuple[Op, ...]:
    """The operations of a block; one generic operation for kinds that this module does not know."""
    if workload.block.is_identity:
        return ()
    known = _OPS.get(workload.block.kind)
    if known is not None:
        return known(workload.block, workload.in_shape)
    block, shape = workload.block, workload.in_shape
    return (Op("conv", block.macs(shape), _size(shape), _size(block.out_shape(shape)), block.params()),)


def features(workload: Workload) -> FloatArray:
    """Shape (len(FEATURES),)."""
    total = dict.fromkeys(FEATURES, 0)
    for op in ops(workload):
        total[_macs_feature(op)] += op.macs
        total["read"] += op.read
        total["written"] += op.written
        total["weights"] += op.weights
        total["ops"] += 1
        total["shuffled"] += op.read if op.kind == "shuffle" else 0
    return np.array([total[name] for name in FEATURES], dtype=np.float64)


def _macs_feature(op: Op) -> str:
    if op.kind in ("pointwise", "grouped"):
        return f"macs_{op.kind}"
    if op.kind == "depthwise":
        return f"macs_depthwise_{op.kernel_size}" if op.kernel_size in (3, 5) else "macs_depthwise_other"
    return "macs_other"


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _conv_ops(block: Conv, shape: Shape) -> tuple[Op, ...]:
    kind = "pointwise" if block.kernel_size == 1 else "conv"
    weights = block.kernel_size**2 * block.in_channels * block.out_channels
    return (Op(kind, block.macs(shape), _size(shape), _size(block.out_shape(shape)), weights),)


def _skip_ops(block: Skip, shape: Shape) -> tuple[Op, ...]:
    out = block.out_shape(shape)
    # a strided 1x1 convolution reads only the pixels that it uses
    weights = block.in_channels * block.out_channels
    return (Op("pointwise", block.macs(shape), block.in_channels * out[1] * out[2], _size(out), weights),)


def _head_ops(block: Head, shape: Shape) -> tuple[Op, ...]:
    pixels, hidden, classes = shape[1] * shape[2], block.hidden_channels, block.num_classes
    weights = block.in_channels * hidden
    return (
        Op("pointwise", weights * pixels, _size(shape), hidden * pixels, weights),
        Op("pool", 0, hidden * pixels, hidden),
        Op("linear", hidden * classes, hidden, classes, hidden * classes),
    )


def _mbconv_ops(block: MBConv, shape: Shape) -> tuple[Op, ...]:
    out, hidden = block.out_shape(shape), block.hidden_channels
    pixels, out_pixels = shape[1] * shape[2], out[1] * out[2]
    wide, wide_out = hidden * pixels, hidden * out_pixels
    kind = "pointwise" if block.groups == 1 else "grouped"
    found: list[Op] = []
    if block.has_expansion:
        weights = block.in_channels * hidden // block.groups
        found.append(Op(kind, weights * pixels, _size(shape), wide, weights))
    if block.groups > 1:
        found.append(Op("shuffle", 0, wide, wide))
    taps = block.kernel_size**2 * hidden
    found.append(Op("depthwise", taps * out_pixels, wide, wide_out, taps, block.kernel_size))
    if block.se_channels:
        squeeze = hidden * block.se_channels
        found.append(Op("pool", 0, wide_out, hidden))
        found.append(Op("linear", squeeze, hidden, block.se_channels, squeeze))
        found.append(Op("linear", squeeze, block.se_channels, hidden, squeeze))
        found.append(Op("scale", 0, wide_out + hidden, wide_out))
    weights = hidden * block.out_channels // block.groups
    found.append(Op(kind, weights * out_pixels, wide_out, _size(out), weights))
    if block.has_residual:
        found.append(Op("add", 0, 2 * _size(out), _size(out)))
    return tuple(found)


_OPS: dict[str, Callable[[Any, Shape], tuple[Op, ...]]] = {
    "conv": _conv_ops,
    "skip": _skip_ops,
    "head": _head_ops,
    "mbconv": _mbconv_ops,
}
