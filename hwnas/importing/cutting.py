"""Cuts a network into blocks, each as large as there is one, and puts its weights into them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hwnas import blocks
from hwnas.blocks import Classifier
from hwnas.errors import ExportError
from hwnas.export._graph import Arithmetic, Conv, Graph, HardSwish, Linear, Node, Sigmoid, Tensor, operands
from hwnas.importing.canonical import FoldedNetwork, Unfolded
from hwnas.importing.generic import single
from hwnas.importing.matching import Laid, Layer, View, match
from hwnas.importing.proposing import known
from hwnas.importing.raw import unknown
from hwnas.space import STEM, Architecture, Block, Choice
from hwnas.spaces import own

if TYPE_CHECKING:
    from torch import nn

Weighted = Conv | Linear


@dataclass(frozen=True)
class Cut:
    """A network in blocks.

    Attributes:
        architecture: The only one of its space.
        matches: What each of its blocks is in the place of.
    """

    architecture: Architecture
    matches: tuple[Laid, ...]


def cut(network: FoldedNetwork) -> Cut:
    """The blocks of a network.

    Raises:
        ExportError: An operator is part of no block, or there is none.
    """
    view = View(network.graph, network.normed)
    done, matches = set[str](), list[Laid]()
    for node in network.graph.nodes:
        if node.result.name not in done:
            matches.append(_largest(view, node, done))
            done |= matches[-1].covered
    if not matches:
        raise ExportError("a network must compute something to be imported, but it answers with its image")
    return Cut(_architecture(network.graph, matches), tuple(matches))


def _largest(view: View, node: Node, done: Collection[str]) -> Laid:
    """The block of most nodes that begins with a node; of several the one that knows most."""
    found: list[Laid] = []
    for proposed in dict.fromkeys((*known(view, node), *single(view, node))):
        matched = match(proposed.block, proposed.reads or operands(node), view, node, done)
        if matched is not None and _fits(matched, view) and not _is_cut_off(matched, view):
            found.append(matched)
    if not found:
        raise unknown(type(node).__name__, node.result.name, "no block of hwnas has it in this place")
    return max(found, key=lambda each: len(each.pairs))


def _is_cut_off(matched: Laid, view: View) -> bool:
    """Whether what follows can only be part of this block: no block begins with an activation."""
    return any(
        isinstance(reader, HardSwish | Sigmoid)
        or (isinstance(reader, Arithmetic) and not isinstance(reader.other, Tensor))
        for reader in view.readers(matched.result)
    )


def _architecture(graph: Graph, matches: list[Laid]) -> Architecture:
    names = {graph.sources[0].name: STEM}
    names |= {each.result.name: f"block{number}" for number, each in enumerate(matches, start=1)}
    body, head = matches, tuple[Block, ...]()
    last = matches[-1]
    before_last = tuple(each.result for each in matches[-2:-1])
    if isinstance(last.template.block, Classifier) and last.reads == before_last:
        body, head = matches[:-1], (last.template.block,)
    choices = []
    for number, each in enumerate(body):
        reads = tuple(names[tensor.name] for tensor in each.reads)
        before = (f"block{number}" if number else STEM,)
        choices.append(
            Choice(f"block{number + 1}", (each.template.block,), () if reads == before else (reads,))
        )
    shape = graph.sources[0].shape[1:]
    return own.space(cast(Any, shape), (), tuple(choices), head).architecture([0] * len(choices))


def _weighted(matched: Laid) -> list[tuple[Layer, Weighted, Weighted]]:
    """Layers with weights of a block, each with its node and the one in its place."""
    pairs = [pair for pair in matched.pairs if isinstance(pair[0], Conv | Linear)]
    return [
        (layer, cast(Weighted, own_node), cast(Weighted, theirs))
        for layer, (own_node, theirs) in zip(matched.template.layers, pairs, strict=True)
    ]


def _fits(matched: Laid, view: View) -> bool:
    """Whether the block's layers can have the weights of what they are in the place of."""
    module = matched.template.module
    for layer, _, theirs in _weighted(matched):
        conv: Any = module.get_submodule(layer.path)
        if conv.weight.numel() != theirs.weight.size:  # a shuffle that is part of one makes it dense
            return False
        if (conv.bias is None) if layer.norm is None else not view.is_normed(theirs):
            return False
    return True


def built(network: FoldedNetwork) -> tuple[Cut, nn.Module, tuple[str, ...]]:
    """A network in blocks, with its weights.

    Returns:
        The cut, the network of its architecture, and what ``fill`` says of it.

    Raises:
        ExportError: An operator is part of no block.
    """
    parts = cut(network)
    made = blocks.network(parts.architecture)
    return parts, made, fill(made, parts, network.unfolded)


def fill(network: nn.Module, found: Cut, unfolded: Mapping[str, Unfolded]) -> tuple[str, ...]:
    """Give the network of a cut the weights of what it was cut from.

    Args:
        network: Of the cut's architecture; changed.
        found: The cut.
        unfolded: Batch norms as they were before they were folded.

    Returns:
        Names of the batch norms whose statistics are not known, which only shift.
    """
    import torch

    shifting = []
    with torch.no_grad():
        for number, (part, matched) in enumerate(zip(network.children(), found.matches, strict=True)):
            for layer, own_node, theirs in _weighted(matched):
                bias = theirs.bias - own_node.bias  # without what the form itself adds
                conv: Any = part.get_submodule(layer.path)
                if layer.norm is None:
                    _copy(conv, weight=theirs.weight, bias=bias)
                else:
                    norm: Any = part.get_submodule(layer.norm)
                    before = unfolded.get(theirs.result.name)
                    _place(conv, norm, theirs.weight, bias, before)
                    if before is None:
                        shifting.append(f"{number}.{layer.norm}")
    return tuple(shifting)


def _place(conv: Any, norm: Any, weight: np.ndarray, bias: np.ndarray, before: Unfolded | None) -> None:
    """Set a convolution and its batch norm: the one that was folded into it, or one that only shifts."""
    nothing = np.zeros_like(bias)
    if before is None:
        _copy(conv, weight=weight)
        _copy(norm, weight=nothing + 1, bias=bias, running_mean=nothing, running_var=nothing + 1 - norm.eps)
        return
    own = before.norm
    shift = bias - ((before.bias - own.mean) * own.weight / np.sqrt(own.variance) + own.bias)
    _copy(conv, weight=before.weight)
    _copy(norm, weight=own.weight, bias=own.bias + shift)
    _copy(norm, running_mean=own.mean - before.bias, running_var=own.variance - norm.eps)


def _copy(layer: Any, **values: np.ndarray) -> None:
    """Set parameters and statistics of a layer."""
    import torch

    for name, value in values.items():
        own = getattr(layer, name)
        own.copy_(torch.from_numpy(np.ascontiguousarray(value, np.float64)).reshape(own.shape))
