"""Operations that blocks say of themselves; shapes are (channels, height, width)."""

from __future__ import annotations

from hwnas.space import Op, Shape


def size(shape: Shape) -> int:
    """Elements of a tensor."""
    return shape[0] * shape[1] * shape[2]


def conv(kind: str, in_shape: Shape, out_shape: Shape, *, kernel_size: int = 1, groups: int = 1) -> Op:
    """A convolution with a batch norm behind it.

    Args:
        kind: "conv", "pointwise", "grouped" or "depthwise".
        in_shape: What there is to read.
        out_shape: What it writes.
        kernel_size: Side of its kernel.
        groups: Its groups.
    """
    channels, height, width = out_shape
    weights = kernel_size**2 * in_shape[0] * channels // groups
    return Op(
        kind,
        weights * height * width,
        size(in_shape),
        size(out_shape),
        weights,
        channels,
        weights + 2 * channels,
        kernel_size,
    )


def biased(in_shape: Shape, channels: int) -> Op:
    """A 1x1 convolution with a bias and nothing behind it.

    Args:
        in_shape: What there is to read.
        channels: That it writes.
    """
    height, width = in_shape[1:]
    weights, written = in_shape[0] * channels, (channels, height, width)
    return Op(
        "pointwise",
        weights * height * width,
        size(in_shape),
        size(written),
        weights,
        channels,
        weights + channels,
    )


def resized(in_shape: Shape, factor: int) -> tuple[Op, Shape]:
    """A tensor made a whole number of times as fine, and its shape; nothing may be computed by factor 1."""
    channels, height, width = in_shape
    out = (channels, factor * height, factor * width)
    return moved("resize", size(in_shape), size(out)), out


def linear(inputs: int, outputs: int) -> Op:
    """A matrix product with a bias: a linear layer, or a 1x1 convolution of one pixel."""
    weights = inputs * outputs
    return Op("linear", weights, inputs, outputs, weights, outputs, weights + outputs)


def moved(kind: str, read: int, written: int) -> Op:
    """An operation without weights."""
    return Op(kind, 0, read, written)
