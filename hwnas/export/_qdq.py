"""Layers of an ONNX model in QDQ form that ONNX Runtime is to leave in float.

Where all that a layer reads and makes is known in whole numbers, ONNX Runtime 1.32 rounds float weights by
itself, with one step for all output channels. It does so where one step is said for what the layer reads: so
the same step is said for each channel of that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_WEIGHTED = ("Conv", "Gemm")
_READING = "DequantizeLinear"
_AXIS = 1  # of channels


def left_float(model: bytes, made: Collection[str]) -> bytes:
    """The same model, with some layers safe from being rounded.

    Args:
        model: Its float layers have no whole numbers inside.
        made: Names of what these layers make.
    """
    loaded = onnx.load_model_from_string(model)
    graph = loaded.graph
    makers = {node.output[0]: node for node in graph.node}
    nodes: list[Any] = []
    for node in graph.node:
        read = makers.get(node.input[0]) if node.op_type in _WEIGHTED else None
        if read is not None and read.op_type == _READING and node.name.partition("/")[0] in made:
            nodes.append(_by_channel(graph, read, node))
            node.input[0] = nodes[-1].output[0]
        nodes.append(node)
    used = {name for node in nodes for name in node.input} | {result.name for result in graph.output}
    del graph.node[:]
    graph.node.extend(node for node in nodes if used & set(node.output))
    content: bytes = loaded.SerializeToString(deterministic=True)
    return content


def _by_channel(graph: Any, read: Any, node: Any) -> Any:
    """What reads the same whole numbers for one layer, with a step for each channel."""
    constants = {each.name: each for each in graph.initializer}
    groups = next((each.i for each in node.attribute if each.name == "group"), 1)
    channels = constants[node.input[1]].dims[_AXIS] * groups
    name = f"{node.name}/read"
    said = []
    for what, source in zip(("step", "zero"), read.input[1:], strict=True):
        said.append(f"{name}/{what}")
        value = np.repeat(numpy_helper.to_array(constants[source]), channels)
        graph.initializer.append(numpy_helper.from_array(value, said[-1]))
    return helper.make_node(_READING, [read.input[0], *said], [name], name=name, axis=_AXIS)
