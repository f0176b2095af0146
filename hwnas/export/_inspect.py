"""Looks at the graph that a runtime executes, after its delegates and optimisations."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.export import runtime

_QUANTIZE = {"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True)
class Execution:
    """How a runtime executes a model.

    Attributes:
        operators: How often each operator occurs.
        float_operators: Operators that read or write float, as ``TYPE (name)``; converting
            the input and the output of the model is not counted.
        partitions: Delegate partitions, None for ONNX Runtime.
        undelegated: Operators outside every partition.
    """

    operators: Mapping[str, int]
    float_operators: tuple[str, ...]
    partitions: int | None
    undelegated: tuple[str, ...]


def execution(model: bytes, runtime_name: str) -> Execution:
    """How the runtime executes the model on this host."""
    return _litert(model) if runtime_name == "litert" else _onnxruntime(model)


def _litert(model: bytes) -> Execution:
    import numpy as np

    runner = runtime.interpreter(model)
    details = {d["index"]: d for d in runner.get_tensor_details()}
    steps = runner._get_ops_details()  # the one place that knows what was delegated
    operators = [step for step in steps if step["op_name"] != "DELEGATE"]
    delegates = [step for step in steps if step["op_name"] == "DELEGATE"]
    ends = {d["index"] for d in (*runner.get_input_details(), *runner.get_output_details())}

    def label(step: dict[str, Any]) -> str:
        return f"{step['op_name']} ({details[step['outputs'][0]]['name']})"

    def is_float(step: dict[str, Any]) -> bool:
        touched = {int(i) for i in (*step["inputs"], *step["outputs"]) if i >= 0}
        if step["op_name"] in _QUANTIZE and touched & ends:
            return False
        return any(details[i]["dtype"] == np.float32 for i in touched)

    makers = {int(out): step for step in (*operators, *delegates) for out in step["outputs"]}
    left, seen = [], set()
    wanted = [d["index"] for d in runner.get_output_details()]
    while wanted:
        index = int(wanted.pop())
        step = makers.get(index)
        if step is None or step["index"] in seen:
            continue
        seen.add(step["index"])
        if step["op_name"] != "DELEGATE":
            left.append(step)
        wanted += step["inputs"].tolist()
    return Execution(
        dict(sorted(Counter(step["op_name"] for step in operators).items())),
        tuple(label(step) for step in operators if is_float(step)),
        len(delegates),
        tuple(label(step) for step in sorted(left, key=lambda step: step["index"])),
    )


def _onnxruntime(model: bytes) -> Execution:
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        runtime.session(model, optimized=path)
        graph = onnx.load(path).graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    floats = {value.name for value in graph.input}
    touching = []
    for node in graph.node:
        reads, writes = set(node.input) & floats, set(node.output)
        if node.op_type == "DequantizeLinear" or (reads and node.op_type != "QuantizeLinear"):
            floats |= writes
        converts_end = node.op_type in _QUANTIZE and (reads | writes) & ends
        if (reads or writes & floats) and not converts_end:
            touching.append(f"{node.op_type} ({node.output[0]})")
    operators = dict(sorted(Counter(node.op_type for node in graph.node).items()))
    return Execution(operators, tuple(touching), None, ())
