"""Small .tflite files written with the schema alone: known graphs, for agents to time."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FLOAT = schema.TensorType.FLOAT32


def write(path: Path, channels: int = 8, side: int = 16, layers: int = 3, odd: bool = False) -> Path:
    """A chain of pointwise convolutions; ``odd`` puts one node between that no delegate takes."""
    rng = np.random.default_rng(0)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph.tensors, graph.operators, graph.name = [], [], b"main"
    shape = [1, side, side, channels]

    def tensor(dimensions: list[int], data: np.ndarray | None = None) -> int:
        item = schema.TensorT()
        item.name, item.shape, item.type, item.buffer = (
            f"t{len(graph.tensors)}".encode(),
            dimensions,
            FLOAT,
            0,
        )
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.astype("<f4").tobytes(), np.uint8)
            item.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(item)
        return len(graph.tensors) - 1

    def operator(code: int, inputs: list[int], kind: int, options: object) -> int:
        item, entry = schema.OperatorT(), schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        item.opcodeIndex = len(model.operatorCodes)
        model.operatorCodes.append(entry)
        output = tensor(shape)
        item.inputs, item.outputs, item.builtinOptionsType, item.builtinOptions = (
            inputs,
            [output],
            kind,
            options,
        )
        graph.operators.append(item)
        return output

    last = tensor(shape)
    graph.inputs = [last]
    for number in range(layers):
        weights = tensor(
            [channels, 1, 1, channels], rng.standard_normal((channels, channels)) / channels**0.5
        )
        bias = tensor([channels], rng.standard_normal(channels))
        options = schema.Conv2DOptionsT()
        options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
        last = operator(
            schema.BuiltinOperator.CONV_2D,
            [last, weights, bias],
            schema.BuiltinOptions.Conv2DOptions,
            options,
        )
        if odd and number == 0:
            code, kind = schema.BuiltinOperator.L2_NORMALIZATION, schema.BuiltinOptions.L2NormOptions
            last = operator(code, [last], kind, schema.L2NormOptionsT())
    graph.outputs = [last]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
