"""ONNX Runtime on the CPU."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import ExportError
from hwnas.runtimes._onnx_file import describe
from hwnas.runtimes.base import ONNX, Batch, Execution, Host, Runtime, Values, content_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PROVIDERS = ["CPUExecutionProvider"]
_CONVERTING = {"QuantizeLinear", "DequantizeLinear"}
_IN_FLOAT = ("Resize",)
"""Bilinear, it takes half the time in float32 of what it takes in uint8, where it cuts off instead of
rounding: by half a step on average (ONNX Runtime 1.32)."""


def session(model: bytes | Path, *, threads: int = 1, optimized: Path | None = None) -> Any:
    """A session on the CPU that writes its optimised graph to ``optimized``.

    Raises:
        ExportError: ONNX Runtime refuses the model.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    onnxruntime.disable_telemetry_events()  # whose models these are is nobody's business
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.x64quantprecision", "1")  # or sums overflow without VNNI
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    content = content_of(model)
    refusals = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
    )
    try:
        return onnxruntime.InferenceSession(content, options, providers=_PROVIDERS)
    except (*refusals, state.NotImplemented) as error:
        raise ExportError(f"ONNX Runtime must be able to load the model, but it answered: {error}") from error


def execution(model: bytes) -> Execution:
    """How ONNX Runtime executes the model on this machine; there is no delegate."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        session(model, optimized=path)
        graph = onnx.load(path).graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    ends |= {name for node in graph.node if node.op_type in _IN_FLOAT for name in (*node.input, *node.output)}
    floats = {value.name for value in graph.input}
    touching = []
    for node in graph.node:
        reads, writes = set(node.input) & floats, set(node.output)
        if node.op_type == "DequantizeLinear" or (reads and node.op_type != "QuantizeLinear"):
            floats |= writes
        converts_end = node.op_type in _CONVERTING and (reads | writes) & ends
        if (reads or writes & floats) and not converts_end:
            touching.append(f"{node.op_type} ({node.output[0]})")
    operators = dict(sorted(Counter(node.op_type for node in graph.node).items()))
    return Execution(operators, tuple(touching), None, ())


def _open(model: bytes | Path, threads: int) -> tuple[tuple[Any, ...], Batch]:
    runner = session(model, threads=threads)
    names = [source.name for source in runner.get_inputs()]

    def answer(*images: NDArray[np.float32]) -> Values:
        return tuple(runner.run(None, dict(zip(names, images, strict=True))))

    return tuple(tuple(source.shape) for source in runner.get_inputs()), answer


def _quantization(model: bytes | Path) -> dict[str, dict[str, Any]]:
    """Nothing: models in QDQ form read and answer floats."""
    return {}


ONNXRUNTIME = Runtime(
    name="onnxruntime",
    format=ONNX,
    precisions=("fp32", "int8"),
    processors=("cpu",),
    agent="onnxruntime",
    host=Host("onnxruntime", _open, execution, _quantization, describe, float_in_int8=_IN_FLOAT),
    example="example_onnxruntime.py",
    packages=("onnx", "onnxruntime"),
    mixes=("fp32",),
)
