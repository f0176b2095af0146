"""Which blocks may be at a place of a network. A guess: whether one is, matching says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from hwnas.blocks import (
    Conv,
    ConvPool,
    FusedMBConv,
    Head,
    LateHead,
    MBConv,
    ResidualBlock,
    ShuffleUnit,
    UniversalInvertedBottleneck,
)
from hwnas.blocks._key import PADDINGS
from hwnas.errors import SpaceError
from hwnas.export import _graph
from hwnas.export._graph import Arithmetic, HardSwish, Linear, MaxPool, Node, Pool, Slice, Tensor
from hwnas.importing.matching import View
from hwnas.space import Block

_DEEPEST = 4  # convolutions of a block one after the other


@dataclass(frozen=True)
class Convolved:
    """A convolution with what follows it.

    Attributes:
        node: The convolution.
        activation: Behind it.
        squeezed: Hidden channels of squeeze-excite behind that; 0 where there is none.
    """

    node: _graph.Conv
    activation: str
    squeezed: int

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is convolved alone."""
        return self.node.groups == self.inputs == self.outputs > 1

    @property
    def inputs(self) -> int:
        """Input channels."""
        return self.node.source.shape[1]

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.node.result.shape[1]

    @property
    def kernel(self) -> int:
        """Height of the kernel."""
        return int(self.node.weight.shape[2])

    @property
    def stride(self) -> int:
        """Of its rows."""
        return self.node.stride[0]


def spine(view: View, node: Node) -> list[Convolved]:
    """The convolutions from a node on, one after the other; squeeze-excite between them is looked over."""
    found: list[Convolved] = []
    while isinstance(node, _graph.Conv) and len(found) < _DEEPEST:
        value, activation = node.result, str(node.fused)
        following = view.only(value)
        if activation == "none" and isinstance(following, HardSwish):
            value, activation = following.result, "hswish"
        squeezed, value = _squeezed(view, value)
        found.append(Convolved(node, activation, squeezed))
        next_one = view.only(value)
        if next_one is None:
            break
        node = next_one
    return found


def _squeezed(view: View, value: Tensor) -> tuple[int, Tensor]:
    """Hidden channels of a squeeze-excite of a value, and what it makes; 0 and the value of none."""
    readers = view.readers(value)
    pools = [node for node in readers if isinstance(node, Pool)]
    products = [node for node in readers if isinstance(node, Arithmetic) and node.op == "mul"]
    if len(readers) == 2 and len(pools) == len(products) == 1:
        first = view.only(pools[0].result)
        if isinstance(first, _graph.Conv):
            return first.result.shape[1], products[0].result
    return 0, value


@dataclass(frozen=True)
class Proposal:
    """A block that may begin with a node.

    Attributes:
        block: The block.
        reads: What it reads, where that is not what the node reads in its order.
    """

    block: Block
    reads: tuple[Tensor, ...] = ()


def valid(*makers: Callable[[], Block] | None, reads: tuple[Tensor, ...] = ()) -> Iterator[Proposal]:
    """The blocks that there can be."""
    for make in makers:
        try:
            if make is not None:
                yield Proposal(make(), reads)
        except SpaceError:
            continue


def _inverted(view: View, node: Node) -> Iterator[Proposal]:
    steps = spine(view, node)
    for padding in PADDINGS:
        yield from valid(_mbconv(steps[:3], padding), _mbconv(steps[:2], padding))
        yield from valid(*(_universal(steps[:count], padding) for count in (4, 3, 2)))
        yield from valid(_fused(steps[:2], padding))


def _mbconv(steps: list[Convolved], padding: str) -> Callable[[], Block] | None:
    if not 1 < len(steps) < 4 or not steps[-2].is_depthwise:
        return None
    *expand, depthwise, project = steps
    hidden, channels = depthwise.outputs, steps[0].inputs
    return lambda: MBConv(
        channels,
        project.outputs,
        depthwise.kernel,
        depthwise.stride,
        hidden / channels,
        groups=project.node.groups,
        se_ratio=depthwise.squeezed / hidden,
        activation=depthwise.activation,
        has_expansion=bool(expand),
        padding=padding,
    )


def _universal(steps: list[Convolved], padding: str) -> Callable[[], Block] | None:
    kinds = [step.is_depthwise for step in steps]
    if kinds not in ([True, False, True, False], [True, False, False], [False, False]):
        return None
    middle = steps[2] if len(steps) == 4 else None
    start = steps[0] if kinds[0] else None
    expand = steps[1] if start else steps[0]
    if expand.activation == "none":  # the end of a block and the beginning of the next one
        return None
    return lambda: UniversalInvertedBottleneck(
        steps[0].inputs,
        steps[-1].outputs,
        start.kernel if start else 0,
        middle.kernel if middle else 0,
        (middle or start or expand).stride,
        expand.outputs / steps[0].inputs,
        expand.activation,
        padding,
    )


def _fused(steps: list[Convolved], padding: str) -> Callable[[], Block] | None:
    if len(steps) != 2 or any(step.is_depthwise for step in steps) or steps[0].activation == "none":
        return None
    full, project = steps
    return lambda: FusedMBConv(
        full.inputs,
        project.outputs,
        full.kernel,
        full.stride,
        full.outputs / full.inputs,
        full.activation,
        padding,
    )


def _residual(view: View, node: Node) -> Iterator[Proposal]:
    """Where a network branches: its ways to the sum are a body and a short way, if there is one."""
    if not isinstance(node, _graph.Conv):
        return
    for reader in view.readers(node.source):
        steps = spine(view, reader)
        for count in (2, 3):
            if len(steps) < count:
                break
            full, last = steps[count - 2], steps[count - 1]
            hidden = full.outputs if count == 3 else 0
            sizes = steps[0].inputs, last.outputs, full.kernel, full.stride if count == 3 else steps[0].stride
            inner = full.outputs if count == 2 else 0
            form = hidden, full.node.groups, steps[0].activation, inner
            yield from valid(partial(ResidualBlock, *sizes, *form))


def _shuffle_unit(view: View, node: Node) -> Iterator[Proposal]:
    readers = view.readers(node.source) if isinstance(node, Slice | _graph.Conv) else []
    if isinstance(node, Slice):
        convs = [spine(view, reader) for each in readers for reader in view.readers(each.result)]
        right = max(convs, key=len, default=[])
        channels = node.source.shape[1]
        out, steps = channels, right
    else:
        steps = max((spine(view, reader) for reader in readers), key=len, default=[])
        out = 2 * steps[-1].outputs if steps else 0
        channels = steps[0].inputs if steps else 0
    if len(steps) == 3 and len(readers) == 2:
        sizes = channels, out, steps[1].kernel, steps[1].stride
        yield from valid(partial(ShuffleUnit, *sizes, steps[0].activation))


def _heads(view: View, node: Node) -> Iterator[Proposal]:
    steps = spine(view, node)[:1]
    if not steps:
        return
    last = steps[0].node.result
    if steps[0].activation == "hswish":
        last = view.readers(last)[0].result
    pool = view.only(last)
    found = linears(view, pool) if isinstance(pool, Pool) else []
    conv, act = steps[0], steps[0].activation
    if len(found) == 1:
        yield from valid(partial(Head, conv.inputs, conv.outputs, found[0].result.shape[1], act))
    elif len(found) == 2:
        hidden, classes = (each.result.shape[1] for each in found)
        sizes = conv.inputs, conv.outputs, hidden, classes, act
        yield from valid(*(partial(LateHead, *sizes, is_normed) for is_normed in (True, False)))


def linears(view: View, pool: Node) -> list[Linear]:
    """The linear layers behind pooling."""
    found: list[Linear] = []
    node = view.only(pool.result)
    while isinstance(node, Linear | HardSwish):
        if isinstance(node, Linear):
            found.append(node)
        following = view.only(node.result)
        if following is None:
            break
        node = following
    return found


def _conv(view: View, node: Node) -> Iterator[Proposal]:
    for step in spine(view, node)[:1]:
        pools = view.only(step.node.result)
        sizes = step.inputs, step.outputs, step.kernel, step.stride, step.activation
        if isinstance(pools, MaxPool):
            yield from valid(partial(ConvPool, *sizes))
        for padding in PADDINGS:
            yield from valid(partial(Conv, *sizes, step.node.groups, padding))


def known(view: View, node: Node) -> Iterator[Proposal]:
    """Blocks of this project that may begin with a node, those that know most first."""
    for propose in (_inverted, _residual, _shuffle_unit, _heads, _conv):
        yield from propose(view, node)
