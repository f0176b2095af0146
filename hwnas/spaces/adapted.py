"""The space of all that is cheaper than a network, block by block: ``from:NETWORK``.

The network is a known one, or one of one's own, ``own-<fingerprint>``. The first candidate of every choice is
the network's own block; the others do the same to the shape with smaller kernels, fewer hidden channels, two
groups, a fused convolution, without squeeze-excite, with a cheaper activation, or not at all, where the shape
allows it. All of them can begin with weights of the network's own (``Block.inherit``). A fused one may have
more multiply-adds than the block, and be faster. Where a known network has a decoder, other decoders are
candidates as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import lcm

from hwnas import known
from hwnas.blocks import FusedMBConv, MBConv, ResidualBlock, Skip, UniversalInvertedBottleneck
from hwnas.errors import SpaceError
from hwnas.known import decoders
from hwnas.space import Architecture, Block, Choice, SearchSpace
from hwnas.spaces import own

PREFIX = own.AROUND
_SHARES = (1.0, 2 / 3, 0.5, 1 / 3)  # of the hidden channels
_CHANNEL_STEP = 8
_CHEAPER = {"hswish": "relu"}
_GROUPS = 2
_GROUPED_FROM = 160  # input channels
_FUSED_TO = 64  # input channels
_FUSED_KERNEL = 3


def adapted(
    name: str,
    *,
    resolution: int | None = None,
    num_classes: int | None = None,
    strides: str | None = None,
) -> SearchSpace:
    """The space of a known network, or of one of one's own.

    Args:
        name: Of the network, short or full, without the prefix.
        resolution: Height and width of the input; by default what the name says.
        num_classes: Classes of the classifier; by default what the name says.
        strides: As of ``known.load``; by default what the name says, or "imagenet".

    Raises:
        SpaceError: There is no such network, or none of its blocks has a cheaper candidate.
    """
    if name.startswith(own.PREFIX):
        return _around_own(name, resolution, num_classes)
    said = known.named(name)
    strides = strides or said.strides or "imagenet"
    network = known.load(name, resolution=resolution, num_classes=num_classes, strides=strides)
    whole = network.space
    body = tuple(choice for choice in whole.choices if choice.name not in decoders.NAMES)
    found = tuple(map(_with_candidates, body))
    if said.decoder:
        features = decoders.taps(whole.input_shape, whole.stem, body)
        found = (*found, *decoders.choices(said.decoder, features, whole.num_classes, others=True))
    _require_any(found, whole.name)
    return SearchSpace(
        name=f"{PREFIX}{whole.name}",
        input_shape=whole.input_shape,
        stem=whole.stem,
        choices=found,
        head=whole.head,
        origin=(0,) * len(found),
    )


def _around_own(name: str, resolution: int | None, num_classes: int | None) -> SearchSpace:
    """The space of a network of one's own; as a file told it, where this process has read that."""
    network = own.load(name, resolution=resolution, num_classes=num_classes)
    if (told := own.known(f"{PREFIX}{network.name}")) is not None:
        return own.typed(told, f"{PREFIX}{network.typed}") if network.typed else told
    found = tuple(map(_with_candidates, network.choices))
    _require_any(found, name)
    return own.around(network, found, [0] * len(found))


def _with_candidates(choice: Choice) -> Choice:
    """The choice of one block with what may take its place, which reads the same."""
    found = tuple(dict.fromkeys(candidates(choice.candidates[0])))
    return Choice(choice.name, found, choice.reads * len(found))


def _require_any(choices: tuple[Choice, ...], name: str) -> None:
    if all(len(choice.candidates) == 1 for choice in choices):
        raise SpaceError(
            "a network must have residual blocks or inverted bottlenecks that something cheaper can replace, "
            f"but {name} has none: adapt it to smaller images, or search around another network"
        )


def candidates(block: Block) -> Iterator[Block]:
    """A block, and what may take its place."""
    yield block
    if isinstance(block, UniversalInvertedBottleneck):
        yield from _of_universal(block)
    elif isinstance(block, FusedMBConv):
        yield from _of_fused(block)
    elif isinstance(block, ResidualBlock):
        yield from _of_residual(block)
    elif isinstance(block, MBConv):
        yield from _of_inverted(block)


def _of_inverted(block: MBConv) -> Iterator[Block]:
    """Narrower, with smaller kernels, of two groups, fused, with less beside convolutions, or not at all."""
    kernels = range(block.kernel_size, 2, -2)
    widths = dict.fromkeys(_hidden(block, share) for share in (_SHARES if block.has_expansion else (1.0,)))
    for kernel in kernels:
        for hidden in widths:
            if (kernel, hidden) != (block.kernel_size, block.hidden_channels):
                yield _narrowed(block, kernel, hidden)
    yield from _grouped(block)
    yield from _fused(block)
    if block.se_channels:
        yield replace(block, se_ratio=0.0)
    if block.activation in _CHEAPER:
        yield replace(block, activation=_CHEAPER[block.activation])
    if block.has_residual:
        yield Skip(block.in_channels, block.out_channels)


def _of_fused(block: FusedMBConv) -> Iterator[Block]:
    """With smaller kernels, with fewer hidden channels, or not at all."""
    for kernel in _kernels(block.kernel_size):
        for hidden in dict.fromkeys(_hidden(block, share) for share in _SHARES):
            yield replace(block, kernel_size=kernel, expansion_ratio=hidden / block.in_channels)
    if block.has_residual:
        yield Skip(block.in_channels, block.out_channels)


def _of_residual(block: ResidualBlock) -> Iterator[Block]:
    """With smaller kernels, with fewer channels inside, or not at all.

    Groups keep their width, so that there are fewer of them.
    """
    count, is_bottleneck = block.channels_between, bool(block.hidden_channels)
    width = count // block.groups if block.groups > 1 else 1
    for kernel in _kernels(block.kernel_size):
        for few in dict.fromkeys(_share(count, share, width) for share in _SHARES):
            groups = few // width if block.groups > 1 else 1
            inside = (few, 0) if is_bottleneck else (0, few)
            yield replace(
                block,
                kernel_size=kernel,
                groups=groups,
                hidden_channels=inside[0],
                inner_channels=inside[1],
            )
    if not block.has_projection:
        yield Skip(block.in_channels, block.out_channels)


def _kernels(most: int) -> range:
    """Odd kernels from a block's own down to 3; its own alone where it is smaller."""
    return range(most, 2, -2) if most > 2 else range(most, most - 1, -1)


def _grouped(block: MBConv) -> Iterator[Block]:
    """With 1x1 convolutions of two groups, from 160 input channels on.

    There it took 0.72 to 0.86 of the block's time for half of the multiply-adds, with fewer channels 0.77 to
    1.01: the expansion is lowered dense, as it holds the shuffle. A block narrowed to two thirds was faster
    and learnt more everywhere: groups are for processors that are not like this one, and few.

    Measured with LiteRT in one thread of an x86 processor: blocks of EfficientNet-Lite0 and MobileNetV2 at 96
    and 224 px, in int8 and fp32.
    """
    channels = block.in_channels, block.hidden_channels, block.out_channels
    is_divided = all(count % _GROUPS == 0 for count in channels)
    if block.has_expansion and block.groups == 1 and block.in_channels >= _GROUPED_FROM and is_divided:
        yield replace(block, groups=_GROUPS)


def _fused(block: MBConv) -> Iterator[Block]:
    """Fused and narrowed, where the block is strided and has at most 64 input channels.

    As wide, it has 1.6 to 1.9 times the multiply-adds of a strided block, which expands before its stride,
    and 3.6 times or more those of another. Measured as for ``_grouped``, two thirds, half and a third as wide
    took 0.37 to 0.70, 0.31 to 0.58 and 0.20 to 0.38 of the block's time in int8 up to 40 input channels, 0.81
    to 1.16, 0.61 to 0.88 and 0.40 to 0.60 from 96 on. In fp32 time goes with multiply-adds, and narrowing is
    better.

    As fast in int8 as the block narrowed to a third, it lost 0.11 instead of 0.18 of the variance of features
    with 16 input channels, 0.27 instead of 0.18 with 24, 0.27 instead of 0.23 with 40 (EfficientNet-Lite0 at
    96 px, 120 steps on photos of clothes, one seed).
    """
    fits = block.has_expansion and block.groups == 1 and not block.se_channels
    if fits and block.stride > 1 and block.in_channels <= _FUSED_TO and block.kernel_size >= _FUSED_KERNEL:
        for hidden in dict.fromkeys(_hidden(block, share) for share in _SHARES[1:]):
            yield FusedMBConv(
                block.in_channels,
                block.out_channels,
                _FUSED_KERNEL,
                block.stride,
                hidden / block.in_channels,
                block.activation,
                block.padding,
            )


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


def _hidden(block: MBConv | UniversalInvertedBottleneck | FusedMBConv, share: float) -> int:
    """So many of the hidden channels, a multiple of 8 where they are one."""
    return _share(block.hidden_channels, share)


def _share(count: int, share: float, width: int = 1) -> int:
    """So many of some channels, a multiple of a width, and of 8 where they are one."""
    step = lcm(_CHANNEL_STEP, width)
    unit = step if count % step == 0 else width
    return max(unit, round(count * share / unit) * unit)


def _narrowed(block: MBConv, kernel_size: int, hidden: int) -> MBConv:
    ratio = block.se_channels / block.hidden_channels
    return replace(block, kernel_size=kernel_size, expansion_ratio=hidden / block.in_channels, se_ratio=ratio)
