"""The space of all that is cheaper than a known network, block by block: ``from:NETWORK``.

The first candidate of every choice is the network's own block; the others do the same to the shape with
smaller kernels, fewer hidden channels, without squeeze-excite, with a cheaper activation, or not at all,
where the shape allows it. All of them can begin with weights of the network's own (``Block.inherit``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hwnas import known
from hwnas.blocks import MBConv, Skip, UniversalInvertedBottleneck
from hwnas.errors import SpaceError
from hwnas.space import Architecture, Block, Choice, SearchSpace

PREFIX = "from:"
_SHARES = (1.0, 2 / 3, 0.5, 1 / 3)  # of the hidden channels
_CHANNEL_STEP = 8
_CHEAPER = {"hswish": "relu"}


def adapted(name: str, *, resolution: int | None = None, num_classes: int | None = None) -> SearchSpace:
    """The space of a known network.

    Args:
        name: Of the network, short or full, without the prefix.
        resolution: Height and width of the input; by default what the name says.
        num_classes: Classes of the classifier; by default what the name says.

    Raises:
        SpaceError: There is no such network, or none of its blocks has a cheaper candidate.
    """
    network = known.load(name, resolution=resolution, num_classes=num_classes, strides="imagenet")
    whole = network.space
    found = tuple(Choice(c.name, tuple(candidates(c.candidates[0]))) for c in whole.choices)
    if all(len(choice.candidates) == 1 for choice in found):
        raise SpaceError(
            "a network must have inverted bottlenecks that something cheaper can replace, but "
            f"{whole.name} has none: adapt it to smaller images, or search around another network"
        )
    return SearchSpace(
        name=f"{PREFIX}{whole.name}",
        input_shape=whole.input_shape,
        stem=whole.stem,
        choices=found,
        head=whole.head,
    )


def candidates(block: Block) -> Iterator[Block]:
    """A block, and what may take its place."""
    yield block
    if isinstance(block, UniversalInvertedBottleneck):
        yield from _of_universal(block)
    if not isinstance(block, MBConv):
        return
    kernels = range(block.kernel_size, 2, -2)
    widths = dict.fromkeys(_hidden(block, share) for share in (_SHARES if block.has_expansion else (1.0,)))
    for kernel in kernels:
        for hidden in widths:
            if (kernel, hidden) != (block.kernel_size, block.hidden_channels):
                yield _narrowed(block, kernel, hidden)
    if block.se_channels:
        yield replace(block, se_ratio=0.0)
    if block.activation in _CHEAPER:
        yield replace(block, activation=_CHEAPER[block.activation])
    if block.has_residual:
        yield Skip(block.in_channels, block.out_channels)


def _of_universal(block: UniversalInvertedBottleneck) -> Iterator[Block]:
    """With kernels of 3, without the first one, with fewer hidden channels, or not at all."""
    start, middle = block.start_kernel, block.middle_kernel
    kernels = dict.fromkeys([(start, middle), (min(start, 3), min(middle, 3))])
    if middle or block.stride == 1:
        kernels |= dict.fromkeys([(0, middle), (0, min(middle, 3))])
    for first, second in kernels:
        for hidden in dict.fromkeys(_hidden(block, share) for share in _SHARES):
            if (first, second, hidden) != (start, middle, block.hidden_channels):
                ratio = hidden / block.in_channels
                yield replace(block, start_kernel=first, middle_kernel=second, expansion_ratio=ratio)
    if block.has_residual:
        yield Skip(block.in_channels, block.out_channels)


def teacher(space: SearchSpace) -> Architecture:
    """The network that a space of ``adapted`` is of."""
    return space.architecture([0] * len(space.choices))


def _hidden(block: MBConv | UniversalInvertedBottleneck, share: float) -> int:
    """So many of the hidden channels, a multiple of 8 where they are one."""
    unit = _CHANNEL_STEP if block.hidden_channels % _CHANNEL_STEP == 0 else 1
    return max(unit, round(block.hidden_channels * share / unit) * unit)


def _narrowed(block: MBConv, kernel_size: int, hidden: int) -> MBConv:
    ratio = block.se_channels / block.hidden_channels
    return replace(block, kernel_size=kernel_size, expansion_ratio=hidden / block.in_channels, se_ratio=ratio)
