"""Writes a graph as an ExecuTorch program for XNNPACK, in int8 by PyTorch's own quantisation (pt2e)."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwnas.errors import ExportError
from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    Fused,
    Graph,
    HardSwish,
    Linear,
    MaxPool,
    Pool,
    Shuffle,
    Slice,
    Tensor,
)


def write(graph: Graph, batches: np.ndarray | None) -> bytes:
    """A program of one method, which XNNPACK runs.

    Args:
        graph: From one input to one output.
        batches: Images for the ranges of int8, shape (n, *input shape); None for fp32.

    Raises:
        ExportError: ExecuTorch is not installed.
    """
    with _quiet(), torch.no_grad():
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
        except ImportError as error:
            raise ExportError(
                "ExecuTorch must be installed for this, but is not: pip install 'hwnas[executorch]'"
            ) from error
        network: nn.Module = _Network(graph).eval()
        example = (torch.zeros(graph.source.shape),)
        if batches is not None:
            network = _quantized(network, example, batches)
        exported = torch.export.export(network, example, strict=False)
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        return bytes(edge.to_executorch().buffer)


def _quantized(network: nn.Module, example: tuple[torch.Tensor], batches: np.ndarray) -> nn.Module:
    """The same with roundings in it, weights by channel, whose ranges the batches decide."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    rules = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(network, example, strict=False).module(), rules)
    for batch in batches:
        prepared(torch.from_numpy(np.ascontiguousarray(batch)))
    found: nn.Module = convert_pt2e(prepared)
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ExecuTorch and what it needs warn of themselves, in three ways."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


class _Network(nn.Module):
    """A graph that PyTorch runs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        self._buffers_of: dict[str, tuple[str, str]] = {}
        for number, node in enumerate(graph.nodes):
            if isinstance(node, Conv | Linear):
                names = f"weight{number}", f"bias{number}"
                for name, value in zip(names, (node.weight, node.bias), strict=True):
                    self.register_buffer(name, torch.from_numpy(np.asarray(value, np.float32).copy()))
                self._buffers_of[node.result.name] = names

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self._graph.source.name: x}
        for node in self._graph.nodes:
            weights = [getattr(self, name) for name in self._buffers_of.get(node.result.name, ())]
            values[node.result.name] = _run(node, values, *weights)
        return values[self._graph.result.name]


Values = dict[str, torch.Tensor]


@singledispatch
def _run(node: Any, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    raise TypeError(f"no ExecuTorch lowering of {type(node).__name__}")


@_run.register
def _(node: Conv, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    x, padding = _padded(node, values[node.source.name])
    weight, bias = weights
    return _fused(functional.conv2d(x, weight, bias, node.stride, padding, groups=node.groups), node.fused)


@_run.register
def _(node: Linear, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    return _fused(functional.linear(values[node.source.name], *weights), node.fused)


@_run.register
def _(node: Arithmetic, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    other = values[node.other.name] if isinstance(node.other, Tensor) else node.other
    op = torch.add if node.op == "add" else torch.mul
    return _fused(op(values[node.source.name], other), node.fused)


@_run.register
def _(node: HardSwish, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    return functional.hardswish(values[node.source.name])


@_run.register
def _(node: Pool, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    pooled = functional.adaptive_avg_pool2d(values[node.source.name], 1)
    return pooled if len(node.result.shape) == 4 else pooled.flatten(1)


@_run.register
def _(node: MaxPool, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    x, padding = _padded(node, values[node.source.name])
    return functional.max_pool2d(x, node.kernel, node.stride, padding)


@_run.register
def _(node: Slice, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    return values[node.source.name][:, node.start : node.stop]


@_run.register
def _(node: Concat, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    return torch.cat([values[node.source.name], values[node.other.name]], 1)


@_run.register
def _(node: Shuffle, values: Values, *weights: torch.Tensor) -> torch.Tensor:
    n, c, h, w = node.source.shape
    x = values[node.source.name].reshape(n, node.groups, c // node.groups, h * w)
    return x.permute(0, 2, 1, 3).reshape(n, c, h, w)


def _padded(node: Conv | MaxPool, x: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """Zeros around, by the operator itself where both sides have as many."""
    (top, bottom), (left, right) = node.padding
    if (top, left) == (bottom, right):
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom)), (0, 0)


def _fused(x: torch.Tensor, fused: Fused) -> torch.Tensor:
    if fused == "none":
        return x
    return functional.relu(x) if fused == "relu" else functional.relu6(x)
