"""From a PyTorch module to a graph: batch norm folded, activations fused, shuffles absorbed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import fx, nn

from hwnas.blocks.layers import (
    Averaging,
    Bordered,
    ChannelShuffle,
    ChannelSlice,
    Pads,
    Resize,
    SamePadded,
    StridedPointwise,
    same_pads,
)
from hwnas.blocks.wired import recorded
from hwnas.errors import ExportError
from hwnas.export import _graph
from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    Graph,
    HardSwish,
    Linear,
    MaxPool,
    Node,
    Pool,
    Shuffle,
    Sigmoid,
    Slice,
    Tensor,
)

SOURCE, RESULT = "x", "y"
_MOST_JOINED = 4  # tensors; XNNPACK takes no more

# A shuffle before a depthwise convolution costs two reshapes and a transposition. Absorbing it
# makes the convolution before it dense, whose zeros are multiplied: cheaper up to four groups
# on both runtimes and in both precisions, dearer at eight.
_ABSORBED_GROUPS = 4


def trace(module: nn.Module, *input_shapes: tuple[int, ...], native_hswish: bool) -> Graph:
    """The graph that a module computes in eval mode; the module is only read.

    Its inputs are called x, x1, x2 and so on, its outputs y, y1 and so on.

    Args:
        module: Made of the layers that the blocks use, nested in any way.
        input_shapes: (n, channels, height, width) of each input.
        native_hswish: Keep hard swish as one operator; otherwise it is written as an addition,
            a clip and two products, which every int8 runtime has kernels for.

    Raises:
        ExportError: The module uses something else, or the shape does not fit.
    """
    try:
        root, calls = recorded(module, len(input_shapes))
    except (fx.proxy.TraceError, TypeError, ValueError) as error:
        raise ExportError(
            f"an exported module must take {len(input_shapes)} tensors here and not branch on them, but "
            f"{type(module).__name__} does not: {error}"
        ) from error
    walk = _Walk(dict(root.named_modules()), native_hswish)
    return walk.run(calls, _ends(SOURCE, input_shapes))


class _Walk:
    """Turns recorded calls into nodes, in order, folding each into its producer where it can."""

    def __init__(self, modules: dict[str, nn.Module], native_hswish: bool) -> None:
        self._modules = modules
        self._native_hswish = native_hswish
        self._nodes: dict[str, Node] = {}  # by the name of the result
        self._shared: set[str] = set()  # results that more than one call reads
        self._called: set[str] = set()  # a layer may be called more than once
        self._layers: dict[type[nn.Module], Callable[[str, Any, Tensor], Tensor]] = {
            nn.Conv2d: self._conv,
            StridedPointwise: self._conv,
            SamePadded: self._conv,
            Bordered: self._conv,
            Averaging: self._conv,
            nn.BatchNorm2d: self._batch_norm,
            nn.Linear: self._linear,
            nn.ReLU: self._relu,
            nn.ReLU6: self._relu,
            nn.Hardswish: self._hard_swish,
            nn.Hardsigmoid: self._hard_sigmoid,
            nn.Sigmoid: self._sigmoid,
            nn.SiLU: self._silu,
            nn.AdaptiveAvgPool2d: self._pool,
            nn.MaxPool2d: self._max_pool,
            nn.Flatten: self._flatten,
            nn.Identity: lambda _name, _layer, x: x,
            nn.Dropout: lambda _name, _layer, x: x,
            ChannelShuffle: self._shuffle,
            ChannelSlice: self._slice,
            Resize: self._resize,
        }

    def run(self, calls: fx.Graph, sources: tuple[Tensor, ...]) -> Graph:
        values: dict[fx.Node, Tensor] = {}
        given, made = iter(sources), list[Tensor]()
        for call in calls.nodes:
            if call.op == "output":
                answer = call.args[0]
                parts = answer if isinstance(answer, tuple | list) else (answer,)
                made = [self._operand(values, part) for part in parts]
                break
            values[call] = next(given) if call.op == "placeholder" else self._call(call, values)
            if len(call.users) > 1:
                self._shared.add(values[call].name)
        return self._finish(sources, made)

    def _call(self, call: fx.Node, values: dict[fx.Node, Tensor]) -> Tensor:
        if call.op == "call_module":
            layer, path = self._modules[str(call.target)], str(call.target).removeprefix("0.")
            handler = self._layers.get(type(layer))
            if handler is None:
                raise _unknown(f"the layer {type(layer).__name__} ({path})")
            name = path if path not in self._called else f"{path}.{call.name}"
            self._called.add(path)
            return handler(name, layer, self._single(values, call))
        if call.op == "call_function" and call.target in _ARITHMETIC and not call.kwargs:
            return self._arithmetic(call, *(self._operand(values, argument) for argument in call.args))
        if call.op == "call_function" and call.target is torch.cat and not call.kwargs:
            return self._concat(call, values)
        raise _unknown(f"the operation {getattr(call.target, '__name__', call.target)}")

    def _single(self, values: dict[fx.Node, Tensor], call: fx.Node) -> Tensor:
        return self._operand(values, call.args[0])

    def _operand(self, values: dict[fx.Node, Tensor], argument: Any) -> Tensor:
        if not isinstance(argument, fx.Node) or argument not in values:
            raise _unknown(f"an operand that is not one tensor ({argument!r})")
        return values[argument]

    def _finish(self, sources: tuple[Tensor, ...], made: list[Tensor]) -> Graph:
        for number, value in enumerate(made):
            if value in sources or value in made[:number]:  # formats want an operator for each output
                copied = Tensor(f"identity{number or ''}", value.shape)
                made[number] = self._add(Arithmetic("mul", value, 1.0, copied))
        results = _ends(RESULT, [value.shape for value in made])
        names = dict(zip(made, results, strict=True))
        return Graph(sources, results, tuple(_renamed(node, names) for node in self._nodes.values()))

    def _add(self, node: Node) -> Tensor:
        self._nodes[node.result.name] = node
        return node.result

    def _producer(self, value: Tensor) -> Node | None:
        """The node that made a value which nothing else reads, so that it may be rewritten."""
        return None if value.name in self._shared else self._nodes.get(value.name)

    def _arithmetic(self, call: fx.Node, left: Tensor, right: Tensor) -> Tensor:
        if len(left.shape) != len(right.shape):  # would broadcast otherwise where channels are last
            raise _unknown(f"a sum or product of shapes {left.shape} and {right.shape}")
        shape, op = np.broadcast_shapes(left.shape, right.shape), _ARITHMETIC[call.target]
        return self._add(Arithmetic(op, left, right, Tensor(f"{op}.{call.name}", shape)))

    def _conv(self, name: str, layer: nn.Conv2d, x: Tensor) -> Tensor:
        dilation = cast(tuple[int, int], layer.dilation)
        plain = layer.padding_mode == "zeros" and (dilation == (1, 1) or isinstance(layer, Bordered))
        if not plain or isinstance(layer.padding, str):
            raise _unknown(f"a dilated or unusually padded convolution ({layer})")
        if len(x.shape) != 4 or x.shape[1] != layer.in_channels:
            raise ExportError(f"{name} must be given {layer.in_channels} channels, but got shape {x.shape}")
        stride, padding = cast(tuple[int, int], layer.stride), _both(cast(tuple[int, int], layer.padding))
        if isinstance(layer, SamePadded | Bordered):
            padding = layer.pads(*x.shape[2:])
        if isinstance(layer, StridedPointwise):
            stride = (layer.step, layer.step)  # picking and convolving are one operator
        weight, bias = _weights(layer)
        empty = Tensor(name, (x.shape[0], layer.out_channels))
        conv = Conv(x, empty, weight, bias, stride, padding, layer.groups, dilation=dilation)
        size = _size(name, x, conv.window, stride, padding)
        return self._add(replace(conv, result=Tensor(name, (*empty.shape, *size))))

    def _linear(self, name: str, layer: nn.Linear, x: Tensor) -> Tensor:
        if len(x.shape) != 2 or x.shape[1] != layer.in_features:
            raise ExportError(f"{name} must be given {layer.in_features} features, but got shape {x.shape}")
        weight, bias = _weights(layer)
        return self._add(Linear(x, Tensor(name, (x.shape[0], layer.out_features)), weight, bias))

    def _batch_norm(self, name: str, layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
        producer = self._producer(x)
        if not isinstance(producer, Conv) or producer.fused != "none":
            raise _unknown(f"a batch norm that does not follow a convolution ({name})")
        mean, variance = _array(layer.running_mean), _array(layer.running_var)
        scale = 1 / np.sqrt(variance + layer.eps)
        shift = np.zeros_like(mean)
        if layer.affine:
            scale, shift = scale * _array(layer.weight), _array(layer.bias)
        weight = producer.weight * scale[:, None, None, None]
        return self._add(replace(producer, weight=weight, bias=(producer.bias - mean) * scale + shift))

    def _relu(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        kind: Literal["relu", "relu6"] = "relu6" if isinstance(layer, nn.ReLU6) else "relu"
        producer = self._producer(x)
        if isinstance(producer, Conv | Linear | Arithmetic) and producer.fused == "none":
            return self._add(replace(producer, fused=kind))
        return self._add(Arithmetic("mul", x, 1.0, Tensor(name, x.shape), kind))  # int8 has no relu6 alone

    def _hard_swish(self, name: str, _layer: nn.Module, x: Tensor) -> Tensor:
        if self._native_hswish:
            return self._add(HardSwish(x, Tensor(name, x.shape)))
        clipped = self._add(Arithmetic("add", x, 3.0, Tensor(f"{name}.clip", x.shape), "relu6"))
        gate = self._add(Arithmetic("mul", clipped, 1 / 6, Tensor(f"{name}.gate", x.shape)))
        return self._add(Arithmetic("mul", gate, x, Tensor(name, x.shape)))

    def _hard_sigmoid(self, name: str, _layer: nn.Module, x: Tensor) -> Tensor:
        producer = self._producer(x)
        if isinstance(producer, Conv | Linear) and producer.fused == "none":
            clipped = self._add(replace(producer, bias=producer.bias + 3, fused="relu6"))
        else:
            clipped = self._add(Arithmetic("add", x, 3.0, Tensor(f"{name}.clip", x.shape), "relu6"))
        return self._add(Arithmetic("mul", clipped, 1 / 6, Tensor(name, x.shape)))

    def _sigmoid(self, name: str, _layer: nn.Module, x: Tensor) -> Tensor:
        return self._add(Sigmoid(x, Tensor(name, x.shape)))

    def _silu(self, name: str, _layer: nn.Module, x: Tensor) -> Tensor:
        gate = self._add(Sigmoid(x, Tensor(f"{name}.gate", x.shape)))
        return self._add(Arithmetic("mul", x, gate, Tensor(name, x.shape)))

    def _pool(self, name: str, layer: nn.AdaptiveAvgPool2d, x: Tensor) -> Tensor:
        if layer.output_size not in (1, (1, 1)):
            raise _unknown(f"average pooling to {layer.output_size} ({name})")
        return self._add(Pool(x, Tensor(name, (*x.shape[:2], 1, 1))))

    def _max_pool(self, name: str, layer: nn.MaxPool2d, x: Tensor) -> Tensor:
        producer = self._nodes.get(x.name)
        if layer.dilation != 1:
            raise _unknown(f"dilated max pooling ({layer})")
        kernel, stride, pads = (_pair(v) for v in (layer.kernel_size, layer.stride, layer.padding))
        padding = _over_edge(x, kernel, stride, pads) if layer.ceil_mode else _both(pads)
        size = _size(name, x, kernel, stride, padding)
        is_relu = isinstance(producer, Conv | Linear | Arithmetic) and producer.fused != "none"
        if not is_relu and not _is_same(x, kernel, stride, pads, size) and padding != ((0, 0), (0, 0)):
            raise _unknown(f"max pooling that does not follow a ReLU ({name})")  # zeros would be wrong
        result = Tensor(name, (*x.shape[:2], *size))
        return self._add(MaxPool(x, result, kernel, stride, padding))

    def _slice(self, name: str, layer: ChannelSlice, x: Tensor) -> Tensor:
        result = Tensor(name, (x.shape[0], layer.stop - layer.start, *x.shape[2:]))
        return self._add(Slice(x, result, layer.start, layer.stop))

    def _concat(self, call: fx.Node, values: dict[fx.Node, Tensor]) -> Tensor:
        given, *axis = call.args
        if not isinstance(given, list | tuple) or not 1 < len(given) <= _MOST_JOINED or axis != [1]:
            raise _unknown(
                f"a concatenation that is not one of the channels of two to {_MOST_JOINED} tensors ({call})"
            )
        parts = tuple(self._operand(values, part) for part in given)
        if len({(part.shape[0], *part.shape[2:]) for part in parts}) > 1:
            raise ExportError(
                f"what is concatenated must be of one size, but is {[part.shape for part in parts]}"
            )
        n, _, *size = parts[0].shape
        shape = (n, sum(part.shape[1] for part in parts), *size)
        return self._add(Concat(parts, Tensor(f"concat.{call.name}", shape)))

    def _resize(self, name: str, layer: Resize, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        shape = (n, channels, layer.factor * height, layer.factor * width)
        return self._add(_graph.Resize(x, Tensor(name, shape)))

    def _flatten(self, name: str, layer: nn.Flatten, x: Tensor) -> Tensor:
        producer = self._producer(x)
        if (layer.start_dim, layer.end_dim) == (1, -1):
            if isinstance(producer, Pool):
                return self._add(replace(producer, result=Tensor(x.name, x.shape[:2])))
            if isinstance(producer, Conv) and isinstance(pool := self._producer(producer.source), Pool):
                return self._pixel(name, producer, pool)
        raise _unknown(f"flattening that does not follow global pooling ({name})")

    def _pixel(self, name: str, conv: Conv, pool: Pool) -> Tensor:
        """A 1x1 convolution of the one pixel that pooling leaves, as the linear layer that it is."""
        if conv.groups > 1 or conv.weight.shape[2:] != (1, 1):
            raise _unknown(f"flattening behind a convolution of {conv.weight.shape[2:]} pixels ({name})")
        pooled, result = (Tensor(t.name, t.shape[:2]) for t in (pool.result, conv.result))
        self._add(replace(pool, result=pooled))
        return self._add(Linear(pooled, result, conv.weight[:, :, 0, 0], conv.bias, conv.fused))

    def _shuffle(self, name: str, layer: ChannelShuffle, x: Tensor) -> Tensor:
        order = np.arange(x.shape[1]).reshape(layer.groups, -1).T.reshape(-1)
        producer = self._producer(x)
        if isinstance(producer, Conv) and producer.groups <= _ABSORBED_GROUPS:
            weight = _dense(producer.weight, producer.groups)[order]
            return self._add(replace(producer, weight=weight, bias=producer.bias[order], groups=1))
        return self._add(Shuffle(x, Tensor(name, x.shape), layer.groups))


_ARITHMETIC: dict[Any, Any] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    operator.mul: "mul",
    operator.imul: "mul",
    torch.mul: "mul",
}


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _both(padding: tuple[int, int]) -> Pads:
    """As many zeros after as before."""
    height, width = padding
    return (height, height), (width, width)


def _size(name: str, x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: Pads) -> list[int]:
    """Height and width of what a sliding window makes of ``x``."""
    size = list(_graph.window_size(x.shape[2:], kernel, stride, padding, (1, 1)))
    if min(size) < 1:
        raise ExportError(f"the kernel of {name} must fit into its input, but got shape {x.shape}")
    return size


def _over_edge(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> Pads:
    """Zeros that let the last window look over the edge, as long as it begins before it."""
    found = []
    for length, window, step, before in zip(x.shape[2:], kernel, stride, padding, strict=True):
        size = -(-(length + 2 * before - window) // step) + 1
        size -= (size - 1) * step >= length + before
        found.append((before, max((size - 1) * step + window - length - before, 0)))
    return found[0], found[1]


def _is_same(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], before: tuple[int, int], size: Sequence[int]
) -> bool:
    """Whether a window stands as TensorFlow's ``SAME`` has it, which needs no zeros to be written."""
    return all(
        pad == same_pads(length, window, step)[0] and made == -(-length // step)
        for length, window, step, pad, made in zip(x.shape[2:], kernel, stride, before, size, strict=True)
    )


def _unknown(what: str) -> ExportError:
    return ExportError(
        f"an exported module must be made of the layers that hwnas.blocks uses, but got {what}: "
        "lower it in hwnas/export/_trace.py"
    )


def _ends(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
    """Inputs or outputs; the first has the plain name."""
    return tuple(Tensor(f"{name}{number or ''}", shape) for number, shape in enumerate(shapes))


def _renamed(node: Node, names: Mapping[Tensor, Tensor]) -> Node:
    """The node with tensors under other names."""
    changes: dict[str, Any] = {"result": names.get(node.result, node.result)}
    if isinstance(node, Concat):
        return replace(node, **changes, sources=tuple(names.get(part, part) for part in node.sources))
    if isinstance(node, Arithmetic) and isinstance(node.other, Tensor):
        changes["other"] = names.get(node.other, node.other)
    return replace(node, **changes, source=names.get(node.source, node.source))


def _array(tensor: torch.Tensor | None) -> np.ndarray:
    if tensor is None:
        raise ExportError("batch norm must have running statistics, but it has none")
    values: np.ndarray = tensor.detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ExportError("weights must be finite, but some are not: train again or repair the file")
    return values


def _weights(layer: nn.Conv2d | nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    weight = _array(layer.weight)
    return weight, np.zeros(len(weight)) if layer.bias is None else _array(layer.bias)


def _dense(weight: np.ndarray, groups: int) -> np.ndarray:
    """The weight of a grouped convolution as that of a dense one, with zeros between groups."""
    out, per_group = weight.shape[:2]
    dense = np.zeros((out, per_group * groups, *weight.shape[2:]))
    for group in range(groups):
        rows = slice(group * out // groups, (group + 1) * out // groups)
        dense[rows, group * per_group : (group + 1) * per_group] = weight[rows]
    return dense
