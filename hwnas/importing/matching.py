"""Whether a block computes a part of a network: its own graph is laid over that part, node by node."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hwnas.errors import ExportError, SpaceError
from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    Graph,
    Linear,
    MaxPool,
    Node,
    Pool,
    Shuffle,
    Slice,
    Tensor,
    operands,
)
from hwnas.space import IMAGE, Block, shapes_of

if TYPE_CHECKING:
    from torch import nn

    from hwnas.blocks.layers import Pads
    from hwnas.space import Shape, Shapes


_CLOSE = 1e-6  # of numbers that a file has in float32
_PART = "0"  # the block in a network of one block


class View:
    """A graph and who reads what in it.

    Args:
        graph: The graph.
        normed: Results of the convolutions that had a batch norm; None where that is not known.
    """

    def __init__(self, graph: Graph, normed: Collection[str] | None = None) -> None:
        self.graph = graph
        self._normed = normed
        self.makers = {node.result.name: node for node in graph.nodes}
        self._readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for tensor in dict.fromkeys(operands(node)):
                self._readers.setdefault(tensor.name, []).append(node)

    def readers(self, tensor: Tensor) -> list[Node]:
        """The nodes that read a tensor, in running order."""
        return self._readers.get(tensor.name, [])

    def is_normed(self, node: Node) -> bool:
        """Whether a convolution had a batch norm, or may have had one: squeeze-excite seldom has."""
        if self._normed is None:
            return not (isinstance(node, Conv) and self._is_pooled(node.source))
        return node.result.name in self._normed

    def _is_pooled(self, tensor: Tensor) -> bool:
        """Whether a tensor is one pixel because it was pooled."""
        made = self.makers.get(tensor.name)
        if tensor.shape[2:] != (1, 1) or made is None or isinstance(made, Concat):
            return False
        return isinstance(made, Pool) or self._is_pooled(made.source)

    def only(self, tensor: Tensor) -> Node | None:
        """The one node that reads a tensor; None where there are several, or none."""
        found = self.readers(tensor)
        return found[0] if len(found) == 1 and tensor not in self.graph.results else None


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer of a block.

    Attributes:
        path: Of its module within the block's.
        norm: Path of the batch norm behind it; None where there is none.
    """

    path: str
    norm: str | None


@dataclass(frozen=True)
class Template:
    """What a block is traced to.

    Attributes:
        block: The block.
        graph: Of its module, whose batch norms do nothing and whose weights are zero, so that biases of the
            graph are those that its form adds.
        module: The module of the block.
        layers: Its layers with weights, in the order in which they run.
    """

    block: Block
    graph: Graph
    module: nn.Module
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Laid:
    """A block in the place of some nodes.

    Attributes:
        template: The block and its graph.
        reads: What it reads.
        result: What it makes.
        pairs: Nodes of its graph, in running order, each with the one in its place.
    """

    template: Template
    reads: tuple[Tensor, ...]
    result: Tensor
    pairs: tuple[tuple[Node, Node], ...]

    @property
    def covered(self) -> frozenset[str]:
        """Names of the results of all nodes that it is in the place of."""
        return frozenset(node.result.name for _, node in self.pairs)


@lru_cache(maxsize=64)
def template(block: Block, in_shape: Shape | Shapes) -> Template:
    """What a block is traced to on inputs of a shape."""
    import torch
    from torch import nn

    from hwnas.blocks import build
    from hwnas.export import _trace

    with torch.device("meta"):  # nothing is drawn
        module = build([block], ((IMAGE,),)).eval()
    module = module.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.zero_()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.fill_(1)
                layer.get_buffer("running_var").fill_(1 - layer.eps)
    graph = _trace.trace(module, *((1, *shape) for shape in shapes_of(in_shape)), native_hswish=True)
    return Template(block, graph, module.get_submodule(_PART), _layers(module, len(graph.sources)))


def _layers(module: nn.Module, inputs: int) -> tuple[Layer, ...]:
    from torch import nn

    from hwnas.blocks.wired import recorded

    root, calls = recorded(module, inputs)
    found = []
    for call in calls.nodes:
        if isinstance(_called(root, call), nn.Conv2d | nn.Linear):
            norms = [user for user in call.users if isinstance(_called(root, user), nn.BatchNorm2d)]
            found.append(Layer(_path(call), _path(norms[0]) if norms else None))
    return tuple(found)


def _called(root: nn.Module, call: Any) -> nn.Module | None:
    return root.get_submodule(str(call.target)) if call.op == "call_module" else None


def _path(call: Any) -> str:
    """Path of what is called within the block, which is the only part of what was recorded as a part."""
    return str(call.target).removeprefix(f"0.{_PART}").removeprefix(".")


def match(
    block: Block, reads: tuple[Tensor, ...], view: View, first: Node, taken: Collection[str] = ()
) -> Laid | None:
    """The nodes whose place a block can take; None where there are none.

    Args:
        block: The block.
        reads: What it reads.
        view: The graph.
        first: A node that must be one of them.
        taken: Results of nodes that must not.
    """
    shapes = tuple((*tensor.shape[1:], 1, 1)[:3] for tensor in reads)
    try:
        found = template(block, shapes if len(shapes) > 1 else shapes[0])  # type: ignore[arg-type]
    except (ExportError, SpaceError):  # it does not take them
        return None
    given = {own.name: theirs for own, theirs in zip(found.graph.sources, reads, strict=True)}
    if any(own.shape != theirs.shape for own, theirs in zip(found.graph.sources, reads, strict=True)):
        return None
    for values in _laid(found.graph.nodes, given, view):
        pairs = tuple((node, view.makers[values[node.result.name].name]) for node in found.graph.nodes)
        made = Laid(found, reads, values[found.graph.results[0].name], pairs)
        is_free = first.result.name in made.covered and made.covered.isdisjoint(taken)
        if is_free and len(found.graph.results) == 1 and _is_closed(made, view):
            return made
    return None


def _laid(nodes: tuple[Node, ...], values: Mapping[str, Tensor], view: View) -> Iterator[dict[str, Tensor]]:
    """Every way to lay nodes over those of a graph, as what their tensors are there."""
    if not nodes:
        yield dict(values)
        return
    node, *rest = nodes
    taken = {tensor.name for tensor in values.values()}
    for theirs in view.readers(values[operands(node)[0].name]):
        if theirs.result.name not in taken and _is_alike(node, theirs, values):
            yield from _laid(tuple(rest), {**values, node.result.name: theirs.result}, view)


def _is_closed(made: Laid, view: View) -> bool:
    """Whether nothing else reads what the block has inside."""
    inside = made.covered
    kept = inside - {made.result.name}
    if kept & {tensor.name for tensor in view.graph.results}:
        return False
    return all(
        reader.result.name in inside
        for _, node in made.pairs
        if node.result.name in kept
        for reader in view.readers(node.result)
    )


def _is_alike(own: Node, theirs: Node, values: Mapping[str, Tensor]) -> bool:
    """Whether two nodes do the same, but for their weights."""
    if type(own) is not type(theirs) or own.result.shape != theirs.result.shape:
        return False
    wanted = [values[tensor.name].name for tensor in operands(own)]
    found = [tensor.name for tensor in operands(theirs)]
    if isinstance(own, Arithmetic) and isinstance(theirs, Arithmetic):
        is_same = (own.op, own.fused) == (theirs.op, theirs.fused)
        return is_same and sorted(wanted) == sorted(found) and _same_number(own.other, theirs.other)
    return wanted == found and _form(own) == _form(theirs)


def _same_number(own: Tensor | float, theirs: Tensor | float) -> bool:
    """Whether both are numbers and equal, or neither is one."""
    if isinstance(own, Tensor) or isinstance(theirs, Tensor):
        return isinstance(own, Tensor) and isinstance(theirs, Tensor)
    return math.isclose(own, theirs, rel_tol=_CLOSE)


def _form(node: Node) -> tuple[object, ...]:
    """What a node does, but for its weights and what it reads."""
    if isinstance(node, Conv):
        return node.weight.shape, node.stride, border(node), node.groups, node.fused, node.dilation
    if isinstance(node, MaxPool):
        return node.kernel, node.stride, border(node)
    if isinstance(node, Linear):
        return node.weight.shape, node.fused
    if isinstance(node, Slice):
        return node.start, node.stop
    if isinstance(node, Shuffle):
        return (node.groups,)
    return (len(node.sources),) if isinstance(node, Concat) else ()


def border(node: Conv | MaxPool) -> Pads:
    """Zeros before, and those after that a window reaches, of height and of width."""
    kernel = node.window if isinstance(node, Conv) else node.kernel
    found = []
    for axis in (0, 1):
        before = node.padding[axis][0]
        reached = (node.result.shape[2 + axis] - 1) * node.stride[axis] + kernel[axis]
        found.append((before, max(reached - node.source.shape[2 + axis] - before, 0)))
    return found[0], found[1]
