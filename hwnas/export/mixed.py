"""The layers of a network, for who asks which of them an int8 file should keep in another precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.blocks.plainconv import PlainConv
from hwnas.export import _layers, _trace
from hwnas.export._graph import Conv, Linear, operands
from hwnas.space import Shape, Shapes, Workload, shapes_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LayerInput:
    """A tensor that a layer reads and another one made.

    Attributes:
        maker: Number of the layer that made it.
        shape: Of one image.
        is_weighted: Whether the weights read it; else what follows them does, as a sum.
    """

    maker: int
    shape: Shape
    is_weighted: bool


@dataclass(frozen=True)
class NetworkLayer:
    """A layer: what ``lower`` takes by its name in ``kept``.

    Attributes:
        name: Of the tensor that its weights make.
        workload: Its weights, with an activation that runtimes take into them, as a block on what they read.
        reads: What other layers made and it reads.
    """

    name: str
    workload: Workload
    reads: tuple[LayerInput, ...]


def layers_of(module: nn.Module, input_shape: Shape | Shapes) -> tuple[NetworkLayer, ...]:
    """All layers of a network, in running order.

    Args:
        module: As of ``lower``; it is left as it was.
        input_shape: Of one image; of what reads several tensors, a tuple of shapes.

    Raises:
        ExportError: The network cannot be lowered, or has no weights.
    """
    shapes = [(1, *shape) for shape in shapes_of(input_shape)]
    graph = _trace.trace(module, *shapes, native_hswish=False)
    found = _layers.layers(graph)
    makers = {node.result.name: number for number, layer in enumerate(found) for node in layer.nodes}
    return tuple(
        NetworkLayer(layer.name, _workload(layer.weighted), _reads(layer, number, makers))
        for number, layer in enumerate(found)
    )


def _reads(layer: _layers.Layer, number: int, makers: dict[str, int]) -> tuple[LayerInput, ...]:
    """Each tensor once: where the weights read it as well, it is theirs."""
    found: dict[str, LayerInput] = {}
    for node in layer.nodes:
        for tensor in operands(node):
            maker = makers.get(tensor.name)
            if maker is not None and maker != number:
                is_weighted = node is layer.weighted or (
                    tensor.name in found and found[tensor.name].is_weighted
                )
                found[tensor.name] = LayerInput(maker, _shape(tensor.shape), is_weighted)
    return tuple(found.values())


def _workload(node: Conv | Linear) -> Workload:
    shape = _shape(node.source.shape)
    out_channels = node.weight.shape[0]
    if isinstance(node, Linear):
        block = PlainConv(
            shape[0], out_channels, (1, 1), border=(0, 0, 0, 0), activation=node.fused, is_normed=False
        )
        return Workload(block, shape)
    height, width = node.padding
    kernel = node.weight.shape[2], node.weight.shape[3]
    block = PlainConv(
        shape[0],
        out_channels,
        kernel,
        node.stride,
        (*height, *width),
        node.groups,
        node.fused,
        is_normed=False,
        dilation=node.dilation,
    )
    return Workload(block, shape)


def _shape(shape: tuple[int, ...]) -> Shape:
    """Of one image; of features without places, one place."""
    channels, height, width = (*shape[1:], 1, 1)[:3]
    return channels, height, width
