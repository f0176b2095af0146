"""Which block of one operator may be at a place, where no larger one is. A guess: matching says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hwnas.blocks import (
    ChannelPart,
    Finer,
    GlobalPool,
    Join,
    MaxPool,
    PlainConv,
    PooledHead,
    Sum,
    TensorProduct,
)
from hwnas.export import _graph
from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    HardSwish,
    Linear,
    Node,
    Pool,
    Resize,
    Sigmoid,
    Slice,
    Tensor,
)
from hwnas.importing.matching import View, border
from hwnas.importing.proposing import Proposal, linears, valid
from hwnas.space import Block

_FUSING = Conv | Linear | Arithmetic


def single(view: View, node: Node) -> Iterator[Proposal]:
    """Blocks of the operator of a node, with what may follow it."""
    found: list[Any] = []
    acts = _activations(view, node)
    sizes: tuple[Any, ...]
    if isinstance(node, Conv):
        (top, bottom), (left, right) = border(node)
        out, _, *kernel = node.weight.shape
        sizes = node.source.shape[1], out, tuple(kernel), node.stride, (top, bottom, left, right), node.groups
        found = [partial(PlainConv, *sizes, act, view.is_normed(node), node.dilation) for act in acts]
    elif isinstance(node, Concat):
        channels = tuple(part.shape[1] for part in node.sources)
        found = [partial(Join, channels, act) for act in acts]
    elif isinstance(node, Pool):
        found = list(_pooled(view, node))
    elif isinstance(node, _graph.MaxPool):
        sizes = node.source.shape[1], node.kernel[0], node.stride[0], node.padding[0][0]
        found = [partial(MaxPool, *sizes, ceiling) for ceiling in (False, True)]
    elif isinstance(node, Slice):
        found = [partial(ChannelPart, node.source.shape[1], node.start, node.stop)]
    elif isinstance(node, Resize):
        factor = node.result.shape[2] // node.source.shape[2]
        found = [partial(Finer, node.source.shape[1], factor)]
    yield from valid(*found)
    if isinstance(node, Arithmetic) and isinstance(node.other, Tensor):
        yield from _of_two(node.op, node.source, node.other, acts)


def _activations(view: View, node: Node) -> list[str]:
    """Activations that may be behind what a node makes."""
    fused = str(getattr(node, "fused", "none"))
    found = [fused]
    if not isinstance(node, _FUSING):  # theirs is an operator of its own
        found += ["relu", "relu6"]
    for reader in view.readers(node.result):
        if isinstance(reader, HardSwish):
            found.append("hswish")
        elif isinstance(reader, Sigmoid):
            found += ["sigmoid", "silu"]
        elif isinstance(reader, Arithmetic) and not isinstance(reader.other, Tensor):
            found.append("hsigmoid")
    return list(dict.fromkeys(found))


def _of_two(op: str, left: Tensor, right: Tensor, acts: list[str]) -> Iterator[Proposal]:
    channels = left.shape[1], right.shape[1]
    for act in acts:
        if op == "add":
            yield from valid(partial(Sum, channels, act))
            continue
        features, gate = sorted((left, right), key=lambda each: each.shape[2:], reverse=True)
        is_gate = features.shape[2:] != gate.shape[2:]
        yield from valid(partial(TensorProduct, channels, is_gate, act), reads=(features, gate))


def _pooled(view: View, node: Pool) -> Iterator[Callable[[], Block]]:
    channels, found = node.source.shape[1], linears(view, node)
    for is_flat in (False, True):
        yield partial(GlobalPool, channels, is_flat)
    if len(found) == 1:
        yield partial(PooledHead, channels, 0, found[0].result.shape[1])
    elif len(found) == 2:
        hidden, classes = (each.result.shape[1] for each in found)
        act = "hswish" if isinstance(view.only(found[0].result), HardSwish) else found[0].fused
        yield partial(PooledHead, channels, hidden, classes, act)
